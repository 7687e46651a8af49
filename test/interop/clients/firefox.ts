import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { startProgram, stopProgram, type ProcessTest } from '../../support/child-process.js'
import { findProgram } from '../../support/system-packages.js'

interface Answer {
  id: number
  type: 'success' | 'error'
  message?: string
  result?: unknown
}

/** A headless Firefox, driven by WebDriver BiDi, which it speaks itself: Playwright needs a Firefox with its own patches. */
export class Firefox {
  private readonly socket: WebSocket
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private last = 0

  private constructor (socket: WebSocket) {
    this.socket = socket
    socket.on('message', data => {
      const answer = JSON.parse((data as Buffer).toString()) as Answer
      this.waiting.get(answer.id)?.(answer)
      this.waiting.delete(answer.id)
    })
  }

  /** Starts one, with a profile of its own, that is gone when the test ends. */
  static async start (t: ProcessTest): Promise<Firefox> {
    const profile = await mkdtemp(join(tmpdir(), 'firefox-'))
    // Behind the end of the program: the teardown that was added last comes first.
    t.teardown(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }))
    const program = startProgram(t, findProgram('firefox-esr')!, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0'])
    for await (const line of createInterface({ input: program.stderr! })) {
      const address = /WebDriver BiDi listening on (\S+)/.exec(line)?.[1]
      if (address === undefined) continue
      const socket = new WebSocket(`${address}/session`)
      await once(socket, 'open')
      const firefox = new Firefox(socket)
      await firefox.call('session.new', { capabilities: {} })
      t.teardown(async () => {
        socket.terminate()
        await stopProgram(program, 'SIGTERM')
      })
      return firefox
    }
    throw new Error('Firefox ended without an address of its WebDriver')
  }

  private async call<T> (method: string, params: object): Promise<T> {
    const id = ++this.last
    const answered = new Promise<Answer>(resolve => { this.waiting.set(id, resolve) })
    this.socket.send(JSON.stringify({ id, method, params }))
    const { type, message, result } = await answered
    if (type === 'error') throw new Error(`${method}: ${message}`)
    return result as T
  }

  /** Opens a page in a new tab. */
  async open (url: string): Promise<void> {
    const { context } = await this.call<{ context: string }>('browsingContext.create', { type: 'tab' })
    await this.call('browsingContext.navigate', { context, url, wait: 'complete' })
  }
}
