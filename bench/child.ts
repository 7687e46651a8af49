import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** A process that is spoken to in lines on its standard streams, and ends when its input does. */
export class Child {
  readonly pid: number
  private readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  private readonly lines: AsyncIterator<string>
  private readonly closed: Promise<unknown>
  private errors = ''

  constructor (command: string, args: string[], env: Record<string, string> = {}) {
    this.process = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.closed = Promise.race([once(this.process, 'close'), once(this.process, 'error').then(([error]) => { this.errors += error })])
    this.pid = this.process.pid ?? 0
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
    this.process.stderr.setEncoding('utf8').on('data', text => { this.errors = (this.errors + text).slice(-4000) })
    // It may have ended already; what went wrong then, its own words tell.
    this.process.stdin.on('error', () => {})
  }

  async line (): Promise<string> {
    const { value, done } = await this.lines.next()
    if (done !== true) return value
    await this.closed
    throw new Error(this.firstError())
  }

  say (line: string): void {
    this.process.stdin.write(`${line}\n`)
  }

  async stop (): Promise<void> {
    this.process.stdin.end()
    const patience = setTimeout(() => this.process.kill('SIGKILL'), 5000)
    await this.closed
    clearTimeout(patience)
  }

  /** Picks the line with the error message out of a stack trace. */
  private firstError (): string {
    const lines = this.errors.split('\n').filter(line => line.trim() !== '')
    return lines.find(line => /Error: /.test(line)) ?? lines[0] ?? `ended with ${this.process.exitCode ?? this.process.signalCode}`
  }
}
