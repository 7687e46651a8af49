import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
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

/** Stops a server as a whole. The signal takes its time: on a busy machine a server answers some commands after it. */
export async function freezeServer (child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP')
  for (let i = 0; i < 500 && !await isStopped(child.pid!); i++) await pause(5)
}

/** Where there is no /proc, the time has to do. */
async function isStopped (pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => null)
  if (threads === null) return pause(200, true)
  const states = await Promise.all(threads.map(id => readFile(`/proc/${pid}/task/${id}/stat`, 'latin1').catch(() => ') T')))
  return states.every(stat => stat.startsWith('T', stat.lastIndexOf(')') + 2))
}
