// Two processes of one app, with a Redis between them, each started again when it dies. PORTS says where they listen.
//
//   npm run example cluster

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ports = (process.env.PORTS ?? '3000,3001').split(',')

if (spawnSync('redis-server', ['--version']).status !== 0) {
  console.error('This example needs redis-server: processes without a broker between them are no cluster.')
  console.error('Install it with `apt-get install redis-server` or `brew install redis`, and start the example again.')
  process.exit(1)
}

// The example has a Redis of its own, gone with it.
const folder = mkdtempSync(join(tmpdir(), 'cluster-'))
const socket = join(folder, 'redis.sock')
const children = new Set<ChildProcess>()
let isStopping = false

/** Runs a program, and again whenever it ends. */
function keepRunning (command: string, args: string[], env: NodeJS.ProcessEnv = {}): void {
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } })
  children.add(child)
  child.on('exit', (code, signal) => {
    children.delete(child)
    if (isStopping) {
      if (children.size === 0) rmSync(folder, { recursive: true, force: true })
      return
    }
    console.log(`process ${child.pid} has ended (${signal ?? code}): started again`)
    setTimeout(() => { if (!isStopping) keepRunning(command, args, env) }, 500)
  })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    isStopping = true
    for (const child of children) child.kill('SIGTERM')
  })
}

// With its messages on disk, it could die as well.
keepRunning('redis-server', [
  '--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction', '--loglevel', 'warning', '--logfile', join(folder, 'redis.log')
])
const app = fileURLToPath(new URL('app.ts', import.meta.url))
for (const port of ports) keepRunning(process.execPath, [...process.execArgv, app], { PORT: port, PORTS: ports.join(), REDIS: socket })
