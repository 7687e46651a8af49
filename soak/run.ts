import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Random } from '../fuzz/random.js'
import { install } from '../scripts/prepare.js'
import type { ClientSession, FromClient, FromServer, ServedSession, ServerState } from './messages.js'

// npm run soak -- [--minutes 20] [--connections 60] [--rate 2] [--every 30] [--seed 1] [--http2]
// npm run soak -- --topics [--broker redis|nats] [--minutes 20] [--clients 300] [--seed 1]
//
// Many sessions, each a connection with messages of all kinds, which end in all kinds of ways; two processes of clients, of
// which one is killed now and then. Every message that was acknowledged has to have come once and in order, every
// broadcast too, and the server has to forget who has left. With --http2 the connections of each process are streams of few sessions.

const PROCESSES = 2

/** Seconds between two kills, on average. */
const KILL_EVERY = 40

/** Milliseconds: nothing takes that long but what hangs. */
const HANG_GUARD = 60_000

/** Bytes of heap and buffers, after a collection, that the server may have in use more at the end than in the first minute. */
const MEMORY_BOUND = 16 * 1024 * 1024

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    connections: { type: 'string', default: '60' },
    rate: { type: 'string', default: '2' },
    every: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 0x100000000) },
    http2: { type: 'boolean', default: false },
    topics: { type: 'boolean', default: false },
    broker: { type: 'string', default: 'redis' },
    clients: { type: 'string', default: '300' },
    seconds: { type: 'string' }
  }
})

if (values.topics) {
  if (values.broker !== 'redis' && values.broker !== 'nats') throw new Error(`--broker is redis or nats, not ${values.broker}`)
  install('test/brokers')
  const { soakTopics } = await import('./topics.js')
  process.exit(await soakTopics({
    broker: values.broker,
    seconds: Number(values.seconds ?? Number(values.minutes) * 60),
    clients: Number(values.clients),
    seed: Number(values.seed)
  }))
}

const version = values.http2 ? 'http2' : 'http1'
const random = new Random(Number(values.seed))
const faults: string[] = []
const totals = { acknowledged: 0, sessions: 0, compared: 0, kills: 0, broadcasts: 0 }
const endings = new Map<string, number>()
const codes = new Map<number, number>()
/** One side's report of a session is kept until the other side has reported as well. */
const served = new Map<string, ServedSession>()
const finished = new Map<string, ClientSession>()

function count<K> (counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** When both sides have told their end: what was acknowledged has come, and what has come was sent. */
function compare (session: string): void {
  const ours = served.get(session)
  const theirs = finished.get(session)
  if (ours === undefined || theirs === undefined) return
  served.delete(session)
  finished.delete(session)
  totals.compared++
  if (ours.received < theirs.acknowledged) faults.push(`${session}: ${theirs.acknowledged} were acknowledged, ${ours.received} had come`)
  if (ours.received > theirs.sent) faults.push(`${session}: ${theirs.sent} were sent, ${ours.received} have come`)
}

function start (file: string, args: string[] = []): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: ['--expose-gc', '--import=tsx'] })
}

class Server {
  readonly child = start('server.ts', [version])
  port = 0
  private onState: (state: ServerState) => void = () => {}

  async listening (): Promise<void> {
    this.child.on('message', (message: FromServer) => {
      if (message.type === 'listening') this.port = message.port
      else if (message.type === 'fault') faults.push(`server: ${message.message}`)
      else if (message.type === 'state') this.onState(message.state)
      else this.onEnded(message.ended)
    })
    this.child.on('exit', (code, signal) => {
      if (!this.child.killed) faults.push(`the server ended with ${code ?? signal}`)
    })
    while (this.port === 0) await once(this.child, 'message')
  }

  private onEnded (ended: ServedSession): void {
    count(codes, ended.code)
    served.set(ended.session, ended)
    compare(ended.session)
  }

  async state (): Promise<ServerState> {
    return new Promise((resolve, reject) => {
      const guard = setTimeout(() => reject(new Error('the server does not answer')), HANG_GUARD)
      this.onState = state => {
        clearTimeout(guard)
        resolve(state)
      }
      this.child.send('state')
    })
  }
}

class Clients {
  private child: ChildProcess
  private readonly port: number
  private progress: ClientSession[] = []
  private broadcasts = 0
  private isStopping = false

  constructor (port: number) {
    this.port = port
    this.child = this.start()
  }

  private start (): ChildProcess {
    const each = Math.ceil(Number(values.connections) / PROCESSES)
    const child = start('clients.ts', [this.port, each, Number(values.rate), random.next(), version].map(String))
    child.on('message', (message: FromClient) => {
      if (message.type === 'fault') {
        faults.push(message.message)
      } else if (message.type === 'progress') {
        this.progress = message.sessions
        this.broadcasts = message.broadcasts
      } else {
        count(endings, message.how)
        this.finish(message.ended)
      }
    })
    child.on('exit', () => {
      totals.broadcasts += this.broadcasts
      this.broadcasts = 0
      // A killed process may have sent more than it last reported.
      for (const session of this.progress) {
        count(endings, 'killed')
        this.finish({ ...session, sent: Infinity })
      }
      this.progress = []
      if (!this.isStopping) this.child = this.start()
    })
    return child
  }

  private finish (session: ClientSession): void {
    // An earlier progress report may list this session; the next one, which no longer does, comes after its end.
    this.progress = this.progress.filter(other => other.session !== session.session)
    totals.sessions++
    totals.acknowledged += session.acknowledged
    finished.set(session.session, session)
    compare(session.session)
  }

  kill (): void {
    totals.kills++
    this.child.kill('SIGKILL')
  }

  async stop (): Promise<void> {
    this.isStopping = true
    const exited = once(this.child, 'exit')
    this.child.send('stop')
    const guard = setTimeout(() => {
      faults.push('clients do not come to their end')
      this.child.kill('SIGKILL')
    }, HANG_GUARD)
    await exited
    clearTimeout(guard)
  }
}

const MiB = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1).padStart(6)

const server = new Server()
await server.listening()
const groups = Array.from({ length: PROCESSES }, () => new Clients(server.port))
const startedAt = performance.now()
const until = startedAt + Number(values.minutes) * 60_000
console.log(`seed ${values.seed}: ${values.connections} connections over ${version} for ${values.minutes} min, about ${Number(values.connections) * Number(values.rate)} messages a second`)
console.log('     s  connections  acknowledged  broadcasts  sessions  kills  rss MiB  heap MiB  external MiB  descriptors')

async function report (): Promise<ServerState> {
  const state = await server.state()
  console.log([
    ((performance.now() - startedAt) / 1000).toFixed(0).padStart(6), String(state.connections).padStart(12), String(totals.acknowledged).padStart(13),
    String(state.broadcasts).padStart(11), String(totals.sessions).padStart(9), String(totals.kills).padStart(6),
    ` ${MiB(state.rss)}`, `  ${MiB(state.heapUsed)}`, `      ${MiB(state.external)}`, String(state.descriptors).padStart(12)
  ].join(' '))
  return state
}

let first: ServerState | null = null
let nextReport = startedAt + 1000 * Number(values.every)
while (performance.now() < until) {
  await sleep(1000)
  if (random.chance(1 / KILL_EVERY)) random.pick(groups).kill()
  if (performance.now() < nextReport) continue
  nextReport += 1000 * Number(values.every)
  const state = await report()
  if (performance.now() - startedAt > 50_000) first ??= state
}
await Promise.all(groups.map(group => group.stop()))
// The server hears of the last ones somewhat later.
const guard = performance.now() + HANG_GUARD
while ((await server.state()).connections > 0 && performance.now() < guard) await sleep(100)
const last = await report()
await sleep(200)
server.child.kill()

if (last.connections > 0) faults.push(`${last.connections} connections are left`)
if (first !== null && last.heapUsed + last.external - first.heapUsed - first.external > MEMORY_BOUND) {
  faults.push(`the server uses ${MiB(last.heapUsed + last.external)} MiB at the end, and used ${MiB(first.heapUsed + first.external)}`)
}
// A client that was killed while it connected may never have been heard of.
const unknown = [...served.keys()].filter(session => (served.get(session)?.received ?? 0) > 0)
console.log(`sessions: ${totals.sessions}, of which both sides agree: ${totals.compared}; known to the server only: ${served.size}, to the client only: ${finished.size}`)
console.log(`messages acknowledged: ${totals.acknowledged}, broadcasts received: ${totals.broadcasts}`)
console.log(`ended by: ${[...endings].map(([how, times]) => `${how} ${times}`).join(', ')}`)
console.log(`close codes at the server: ${[...codes].map(([code, times]) => `${code} ${times}`).join(', ')}`)
const acknowledgedButUnknown = [...finished.values()].filter(({ acknowledged }) => acknowledged > 0)
for (const { session } of acknowledgedButUnknown) faults.push(`${session}: acknowledged, but the server never told its end`)
if (unknown.length > totals.kills * Number(values.connections)) faults.push(`${unknown.length} sessions are known to the server only`)
if (faults.length > 0) {
  console.error(`${faults.length} FAULTS:\n${faults.slice(0, 50).join('\n')}`)
  process.exitCode = 1
} else {
  console.log('every message that was acknowledged came once and in order')
}
process.disconnect?.()
