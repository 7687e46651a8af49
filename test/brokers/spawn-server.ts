import { spawn, spawnSync, type ChildProcess, type StdioOptions } from 'node:child_process'

/** Debian has servers where users do not look for programs. */
export const SERVER_PATH = `${process.env.PATH}:/usr/sbin`

/** Linux can end a process with the one that has started it, however that ends: a test that is killed leaves no server behind. */
const END_WITH_US = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : []

/** Starts a server that ends with this process. */
export function spawnServer (command: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
  const [program, ...rest] = [...END_WITH_US, command, ...args]
  return spawn(program!, rest, { stdio, env: { ...process.env, PATH: SERVER_PATH } })
}
