import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { constants, deflateRawSync } from 'node:zlib'
import { startProgram } from '../support/child-process.js'
import { binary, RawClient } from '../support/raw-client.js'
import type { Memory, Peak } from './compression-server.js'

const KiB = 1024
const MiB = 1024 * KiB

/** Enough for what a connection costs to stand out from what else happens. */
const CONNECTIONS = 800

interface MemoryServer {
  port: number
  ask<T> (command: 'measure' | 'forget' | 'startSampling' | 'peak'): Promise<T>
}

async function startServer (t: Test): Promise<MemoryServer> {
  const child = startProgram(t, process.execPath, [...process.execArgv, '--expose-gc', fileURLToPath(new URL('compression-server.ts', import.meta.url))])
  const lines = createInterface(child.stdout!)
  const ask = async (command: string): Promise<unknown> => {
    const answer = once(lines, 'line')
    child.stdin!.write(`${command}\n`)
    return JSON.parse((await answer)[0] as string)
  }
  return { port: await ask('port') as number, ask: ask as MemoryServer['ask'] }
}

async function openMany (server: MemoryServer, path: string, count = CONNECTIONS): Promise<RawClient[]> {
  const clients: RawClient[] = []
  while (clients.length < count) {
    clients.push(...await Promise.all(Array.from({ length: 50 }, () =>
      RawClient.open(server.port, path, { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }))))
  }
  return clients
}

async function closeAll (server: MemoryServer, clients: RawClient[]): Promise<void> {
  for (const client of clients) client.destroy()
  while ((await server.ask<Memory>('measure')).clients > 0);
}

/** Each sends one compressed message, and gets it back. */
async function sendOne (clients: RawClient[], size: number): Promise<void> {
  const content = Buffer.from(Array.from({ length: size }, (_, index) => 97 + (index * index) % 17))
  const bytes = binary(deflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), { rsv: 0x40 })
  for (const client of clients) client.write(bytes)
  for (const client of clients) await client.frame()
}

/** Bytes of memory that a process takes and gives back by itself, with no connection to be seen in it. */
const OWN = 2 * MiB

/** Bytes that each connection costs more than it did before, but for zlib's own. */
function heapPerConnection (after: Memory, before: Memory): number {
  return (after.heapUsed + after.external - before.heapUsed - before.external) / CONNECTIONS
}

t.test('C8: idle connections that negotiated compression cost next to nothing more than without; contexts come with the first message and go with the connection', async t => {
  const server = await startServer(t)
  // What is made once, with the first connection of each kind.
  for (const path of ['/no-takeover', '/default']) {
    const warmUp = await openMany(server, path, 50)
    await sendOne(warmUp, 2000)
    await closeAll(server, warmUp)
  }
  await server.ask('forget')
  let plain = 0
  for (const [path, most] of [['/plain', 0], ['/no-takeover', 2 * KiB], ['/default', 160 * KiB], ['/takeover', 240 * KiB]] as const) {
    const before = await server.ask<Memory>('measure')
    const clients = await openMany(server, path)
    const opened = await server.ask<Memory>('measure')
    const idle = heapPerConnection(opened, before)
    if (path === '/plain') {
      plain = idle
      // A plain socket of Node with two listeners takes 1.0 KiB; code and hidden classes are in it too.
      t.ok(plain < 3 * KiB, `${path}: idle ${idle} bytes`)
    } else {
      t.ok(idle < plain + 1.5 * KiB, `${path}: idle ${idle} bytes, ${plain} without compression`)
      t.ok((opened.rss - before.rss) / CONNECTIONS < 16 * KiB, `${path}: no context yet`)
      await sendOne(clients, 1500)
      const used = await server.ask<Memory>('measure')
      // zlib's own memory is none of the heap's.
      const cost = Math.max(heapPerConnection(used, opened), (used.rss - opened.rss - OWN) / CONNECTIONS)
      t.ok(cost < most, `${path}: ${cost} bytes after a message of 1.5 KiB`)
    }
    await closeAll(server, clients)
    // The server's user still has all the connections' objects.
    const closed = heapPerConnection(await server.ask<Memory>('measure'), before)
    t.ok(closed < idle + KiB, `${path}: ${closed} bytes are left of what is closed`)
    await server.ask('forget')
  }
})

/** Zeros, deflated: 16 MiB each are whole bytes by themselves. */
function bomb (mebibytes: number): Buffer {
  const part = deflateRawSync(Buffer.alloc(16 * MiB), { level: 9, finishFlush: constants.Z_FULL_FLUSH })
  return Buffer.concat(Array<Buffer>(mebibytes / 16).fill(part)).subarray(0, -4)
}

t.test('C9: 1 MiB that inflates to 1 GiB costs at most maxPayload plus a constant, and ends with 1009', async t => {
  const server = await startServer(t)
  const explode = async (payload: Buffer, path: string): Promise<void> => {
    const client = await RawClient.open(server.port, path, { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
    client.write(binary(payload, { rsv: 0x40 }))
    t.equal((await client.closeFrame()).code, 1009, `${payload.length} bytes, ${path}`)
    client.destroy()
  }
  const payload = bomb(1024)
  t.ok(payload.length > 0.9 * MiB && payload.length < 1.1 * MiB)
  await explode(payload, '/takeover')
  for (const path of ['/takeover', '/no-takeover', '/default']) {
    const before = await server.ask<Memory>('measure')
    await server.ask('startSampling')
    await explode(payload, path)
    const peak = await server.ask<Peak>('peak')
    // The message as it came, more than once, and all of zlib's output are part of the constant.
    t.ok(peak.external - before.external < MiB + 15 * MiB, `${path}: ${(peak.external - before.external) / MiB} MiB of buffers`)
    t.ok(peak.rss - before.rss < MiB + 63 * MiB, `${path}: ${(peak.rss - before.rss) / MiB} MiB of memory`)
    const after = await server.ask<Memory>('measure')
    t.ok(after.external - before.external < MiB / 2, `${path}: ${(after.external - before.external) / KiB} KiB stay`)
  }
  // Small enough to be started on the main thread.
  const small = bomb(16)
  const before = await server.ask<Memory>('measure')
  await server.ask('startSampling')
  for (let i = 0; i < 5; i++) await explode(small, '/takeover')
  const peak = await server.ask<Peak>('peak')
  t.ok(peak.external - before.external < 5 * 3 * MiB, `${(peak.external - before.external) / MiB} MiB of buffers for five of 16 KiB`)
})
