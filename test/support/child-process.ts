import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

/** What a test has of `tap`'s: the clean-up, and a way to say that something else went wrong. */
export type ProcessTest = Pick<Test, 'teardown' | 'fail'>

export interface ProgramOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** File descriptors that the child inherits as 3, 4, … */
  inherit?: number[]
}

const running = new Set<ChildProcess>()

// When the test process itself is ended, by tap's timeout for one, no teardown runs.
process.on('exit', killAll)
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killAll()
    process.kill(process.pid, signal)
  })
}

function killAll (): void {
  for (const child of running) child.kill('SIGKILL')
}

/**
 * Starts a program that runs until the test ends, when it is killed and its end awaited. If it ends by
 * itself before that, the test fails with what the program wrote to its standard error.
 */
export function startProgram (t: ProcessTest, command: string, args: readonly string[], options: ProgramOptions = {}): ChildProcess {
  const spawnOptions: SpawnOptions = { env: options.env ?? process.env, stdio: ['pipe', 'pipe', 'pipe', ...(options.inherit ?? [])] }
  if (options.cwd !== undefined) spawnOptions.cwd = options.cwd
  const child = spawn(command, args, spawnOptions)
  running.add(child)
  let stderr = ''
  let isStopping = false
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(-8192) })
  // Its end is told below; a write after it is no other fault.
  child.stdin!.on('error', () => {})
  const over = (): void => {
    running.delete(child)
    if (!isStopping) t.fail(`${command} ended too early (${child.exitCode ?? child.signalCode}): ${stderr}`)
  }
  child.on('exit', over)
  child.on('error', over)
  t.teardown(async () => {
    isStopping = true
    if (!running.has(child)) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  return child
}
