import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startProgram, type ProcessTest } from './child-process.js'
import { ROOT } from './examples.js'

export interface RunningExample {
  /** The address that it prints. */
  url: string
  program: ChildProcess
}

export interface ExampleOptions {
  /** Arguments of `node`, before the script. Default: `--import=tsx`. */
  nodeArgs?: readonly string[]
  env?: NodeJS.ProcessEnv
}

/** A script of `examples/`, run as the line at its top has it, but on a free port; with the package as it was built last. */
export async function runExample (t: ProcessTest, script: string, { nodeArgs = ['--import=tsx'], env = {} }: ExampleOptions = {}): Promise<RunningExample> {
  if (!existsSync(join(ROOT, 'dist/lib/index.js'))) throw new Error('examples run with the built package: run `npm run build` first')
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const program = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, ...nodeArgs, ...script.split(' ')], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', ...env }
  })
  for await (const line of createInterface({ input: program.stdout! })) {
    const url = /http:\/\/[^\s"]+/.exec(line)?.[0]
    if (url !== undefined) return { url: new URL(url).origin, program }
  }
  throw new Error(`${script} ended without telling its address`)
}
