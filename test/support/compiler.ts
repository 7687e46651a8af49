import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSC = fileURLToPath(new URL('../../node_modules/typescript-7/bin/tsc', import.meta.url))

export interface Compilation {
  succeeded: boolean
  output: string
}

/**
 * Runs TypeScript's compiler.
 *
 * @param cwd default: the root of the repository
 * @throws {Error} if the compiler itself fails
 */
export async function runCompiler (args: readonly string[], cwd = ROOT): Promise<Compilation> {
  // tap hands its loader down in NODE_OPTIONS, which the compiler cannot be loaded with
  const command = ['-u', 'NODE_OPTIONS', process.execPath, TSC, '--pretty', 'false', '--singleThreaded', ...args]
  // Its threads would each work out again what all of them need, and its collector save memory that there is: together that
  // takes twice the time where other tests have work for all processors.
  const env = { ...process.env, GOGC: '800' }
  return new Promise((resolve, reject) => {
    execFile('env', command, { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error !== null && stdout === '') reject(new Error(stderr, { cause: error }))
      else resolve({ succeeded: error === null, output: stdout })
    })
  })
}
