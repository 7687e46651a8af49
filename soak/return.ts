import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ReturnReport, ReturnServerState } from './return-messages.js'

// node --import tsx soak/return.ts [--connections 10000] [--topics 1] [--rate 50] [--jitter 0] [--backlog 4096]
//
// All clients are connected to one process, which is killed with SIGKILL. They come back to two others, all at once or within
// a random time of `--jitter` milliseconds, and resume, while messages are published. A Redis is between the processes. Every
// client has to get every message once and in order. Needs redis-server, and the packages of test/brokers.

const CLIENT_PROCESSES = 2
const LATER = 5_000 // ms for which messages are published after all are back

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    topics: { type: 'string', default: '1' },
    rate: { type: 'string', default: '50' },
    jitter: { type: 'string', default: '0' },
    backlog: { type: 'string', default: '4096' }
  }
})
const connections = Number(values.connections)
const topics = Number(values.topics)

const children: ChildProcess[] = []
process.on('exit', () => { for (const child of children) child.kill('SIGKILL') })

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function startRedis (): Promise<number> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'fastify-ws-routes-return-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const redis = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(redis)
  for await (const line of redis.stdout) if (String(line).includes('Ready to accept')) break
  redis.stdout.resume()
  return port
}

function start (file: string, args: readonly string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: ['--import=tsx'] })
  children.push(child)
  return child
}

async function answer<T> (child: ChildProcess, question?: object): Promise<T> {
  if (question !== undefined) child.send(question)
  const [message] = await once(child, 'message')
  return message as T
}

const redis = await startRedis()
const servers = [0, 1, 2].map(() => start('return-server.ts', [String(redis), values.backlog]))
const ports = await Promise.all(servers.map(server => answer<number>(server)))
const [doomed, ...rest] = servers as [ChildProcess, ChildProcess, ChildProcess]
const states = (): Promise<ReturnServerState[]> => Promise.all(rest.map(server => answer<ReturnServerState>(server, { do: 'state' })))

const clients = Array.from({ length: CLIENT_PROCESSES }, (_, i) => start('return-clients.ts', [
  JSON.stringify({ ports, connections: connections / CLIENT_PROCESSES, topics, jitter: Number(values.jitter), first: i * connections / CLIENT_PROCESSES })
]))
const began = performance.now()
await Promise.all(clients.map(client => answer(client)))
console.log(`${connections} clients are live after ${seconds(performance.now() - began)}, on ${topics} topics`)

rest[0].send({ do: 'publish', topics, rate: Number(values.rate) })
await sleep(2_000)
const before = await states()
const killed = performance.now()
doomed.kill('SIGKILL')
const cpus = await Promise.all(clients.map(client => answer<number>(client)))
const back = performance.now() - killed
const after = await states()
await sleep(LATER)
const { published } = await answer<{ published: number[] }>(rest[0], { do: 'stop' })
await sleep(1_000)
const reports = await Promise.all(clients.map(client => answer<ReturnReport>(client, { published })))

const times = reports.flatMap(({ times }) => times).sort((a, b) => a - b)
const at = (part: number): string => seconds(times[Math.min(times.length - 1, Math.floor(times.length * part))]!)
const sum = (name: 'received' | 'lost' | 'doubled' | 'unordered' | 'notRecovered' | 'missed'): number => reports.reduce((total, report) => total + report[name], 0)
const difference = (name: keyof ReturnServerState): number => after.reduce((total, state, i) => total + state[name] - before[i]![name], 0)
console.log(`all were live again after ${seconds(back)}: half of them ${at(0.5)}, 99 % ${at(0.99)} after the kill`)
console.log(`the two processes read ${difference('reads')} times at the broker, and used ${seconds(difference('cpu'))} of CPU; the clients used ${seconds(cpus.reduce((total, cpu) => total + cpu, 0))}`)
console.log(`${sum('received')} messages were received, ${sum('missed')} of them from histories; lost ${sum('lost')}, doubled ${sum('doubled')}, out of order ${sum('unordered')}; not recovered ${sum('notRecovered')}`)
const isWrong = sum('lost') + sum('doubled') + sum('unordered') + sum('notRecovered') > 0
process.exit(isWrong ? 1 : 0)

function seconds (ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
