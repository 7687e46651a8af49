import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

/** The part of a `tap` test that helpers need: the clean-up, and a way to report a failure outside of an assertion. */
export type ProcessTest = Pick<Test, 'teardown' | 'fail'>

export interface ProgramOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** File descriptors that the child inherits as 3, 4, … */
  inherit?: number[]
}

const running = new Set<ChildProcess>()

/** Processes that a test ends on purpose. */
const stopping = new WeakSet<ChildProcess>()

// When the test process itself is ended, for example by tap's timeout, no teardown runs.
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
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(-8192) })
  // The listeners below report the end of the child; a write after it is not a fault of its own.
  child.stdin!.on('error', () => {})
  const over = (): void => {
    running.delete(child)
    if (!stopping.has(child)) t.fail(`${command} ended too early (${child.exitCode ?? child.signalCode}): ${stderr}`)
  }
  child.on('exit', over)
  child.on('error', over)
  t.teardown(() => stopProgram(child, 'SIGKILL'))
  return child
}

/** Ends a program before the test does, and waits until it has ended. */
export async function stopProgram (child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  stopping.add(child)
  if (!running.has(child)) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}
