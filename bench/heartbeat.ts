// node --expose-gc --import tsx bench/heartbeat.ts [-- --connections N] [--seconds N]
//
// What the heartbeat costs: memory for each connection, and CPU time while they all are pinged every 30 s and answer. The
// connections are real, their sockets are not: what the kernel and libuv take for a packet is not in it.
import { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { NO_CONTEXT } from '../lib/async-context.js'
import { Connection, sessionOf } from '../lib/connection/connection.js'
import { plainJson } from '../lib/connection/json-messages.js'
import type { ConnectionSettings } from '../lib/connection/settings.js'
import { Liveness, waitsOf, type LivenessSettings } from '../lib/server/liveness.js'
import { TimerWheel } from '../lib/server/timer-wheel.js'

const { values } = parseArgs({ options: { connections: { type: 'string', default: '100000' }, seconds: { type: 'string', default: '30' } } })
const count = Number(values.connections)
const seconds = Number(values.seconds)

/** Answers each Ping with the Pong that RFC 6455 §5.5.3 wants, with a mask of zeros. */
class AnsweringSocket extends Duplex {
  override _read (): void {}

  override _write (frame: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const pong = Buffer.alloc(frame.length + 4)
    pong[0] = 0x8a
    pong[1] = 0x80 | (frame.length - 2)
    frame.copy(pong, 6, 2)
    setImmediate(() => this.push(pong))
    callback()
  }
}

const settings: ConnectionSettings = {
  role: 'server', maxPayload: 1024, maxBufferedAmount: 1024, rateLimit: null, closeTimeout: 1000, json: plainJson, onInvalidMessage: null
}
const livenessSettings: LivenessSettings = { heartbeat: { interval: 30_000, timeout: 30_000 }, idleTimeout: Infinity }
const wheel = new TimerWheel()
for (const wait of waitsOf(livenessSettings)) wheel.prepare(wait)

function heapUsed (): number {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

async function cpuShare (): Promise<number> {
  const before = process.cpuUsage()
  const start = performance.now()
  await delay(seconds * 1000)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / (performance.now() - start)
}

const connections = Array.from({ length: count }, () => {
  const connection = new Connection(new AnsweringSocket(), settings, { protocol: '', extensions: '', url: '', context: NO_CONTEXT, deflate: null }, null)
  sessionOf(connection).begin(Buffer.alloc(0))
  return connection
})
const idle = await cpuShare()
const before = heapUsed()
// Spread over the interval, as they are where people come and go.
const perTick = Math.ceil(count / (livenessSettings.heartbeat!.interval / (wheel.nextTick - wheel.now)))
for (let i = 0; i < count; i++) {
  const session = sessionOf(connections[i]!)
  session.watcher = new Liveness(session, wheel, livenessSettings)
  if (i % perTick === perTick - 1) wheel._turn()
}
const after = heapUsed()
const beating = await cpuShare()
const answered = connections.filter(connection => connection.latency !== undefined).length
console.log(`Node ${process.versions.node}, ${count} connections, ${seconds} s`)
console.log(`${((after - before) / count).toFixed(0)} bytes each`)
console.log(`CPU: ${(idle * 100).toFixed(2)} % without, ${(beating * 100).toFixed(2)} % with; ${answered} have answered`)
console.log(`${connections.filter(connection => connection.readyState !== connection.OPEN).length} were given up`)
process.exit()
