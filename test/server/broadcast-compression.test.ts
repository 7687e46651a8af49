import t, { type Test } from 'tap'
import { syncBuiltinESMExports } from 'node:module'
import zlib from 'node:zlib'
import { ZlibContext } from '../../lib/compression/zlib-context.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { messageOf, noiseOf, randomFrom, textOf } from '../compression/peer.js'
import { startApp, type TestApp } from '../support/app.js'
import { DeflateClient } from '../support/deflate-client.js'

/** Counts what is compressed by any of the ways there are, until the test ends. The clients of the test only inflate. */
function countDeflates (t: Test): { count: number } {
  const counter = { count: 0 }
  const { deflateRaw, deflateRawSync } = zlib
  const { write } = ZlibContext.prototype
  const counted = <F extends (...args: never[]) => unknown>(original: F): F => function (this: unknown, ...args: Parameters<F>) {
    counter.count++
    return original.apply(this, args)
  } as F
  zlib.deflateRaw = Object.assign(counted(deflateRaw), { __promisify__: deflateRaw.__promisify__ })
  zlib.deflateRawSync = counted(deflateRawSync)
  ZlibContext.prototype.write = counted(write)
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.assign(zlib, { deflateRaw, deflateRawSync })
    ZlibContext.prototype.write = write
    syncBuiltinESMExports()
  })
  return counter
}

/** Receivers of every kind: with and without takeover, with three windows, without compression. */
const OFFERS = [
  'permessage-deflate', 'permessage-deflate; server_no_context_takeover',
  'permessage-deflate; server_max_window_bits=9', 'permessage-deflate; server_max_window_bits=9; server_no_context_takeover',
  'permessage-deflate; server_max_window_bits=10', 'permessage-deflate; client_no_context_takeover', null
]
const WINDOWS = 3

interface Receivers extends TestApp {
  clients: DeflateClient[]
  connections: WebSocketConnection[]
}

async function openReceivers (t: Test, each: number, threshold = 0): Promise<Receivers> {
  const connections: WebSocketConnection[] = []
  const server = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  }, { perMessageDeflate: { threshold } })
  const clients: DeflateClient[] = []
  for (let i = 0; i < each; i++) for (const offer of OFFERS) clients.push(await DeflateClient.open(t, server.port, '/', offer))
  return { ...server, clients, connections }
}

t.test('C8: a broadcast is compressed once for each window that was agreed on, however many receive it', async t => {
  const { app, clients } = await openReceivers(t, 5)
  const counter = countDeflates(t)
  // On this thread, and on another.
  for (const size of [2000, 100_000]) {
    for (let i = 0; i < 4; i++) {
      const message = textOf(size, randomFrom(size + i))
      counter.count = 0
      t.equal(app.websocketServer.broadcast(message), clients.length)
      for (const client of clients) {
        const received = await client.message()
        if (!received.data.equals(message) || received.isCompressed !== (client.extensions !== '')) t.fail(`${client.extensions}: ${received.data.length} bytes`)
      }
      t.equal(counter.count, WINDOWS, `${size} bytes, number ${i}`)
    }
  }
  counter.count = 0
  app.websocketServer.broadcast(textOf(2000, randomFrom(1)), { compress: false })
  for (const client of clients) t.notOk((await client.message()).isCompressed)
  t.equal(counter.count, 0, 'with compress: false not at all')
})

t.test('a broadcast below the threshold, and one that does not shrink, go out as they are', async t => {
  const { app, clients } = await openReceivers(t, 1, 500)
  for (const message of [Buffer.alloc(499), noiseOf(2000, randomFrom(1)), noiseOf(70_000, randomFrom(2))]) {
    app.websocketServer.broadcast(message)
    for (const client of clients) {
      const received = await client.message()
      t.ok(!received.isCompressed && received.data.equals(message))
    }
  }
  app.websocketServer.broadcast(Buffer.alloc(500))
  for (const client of clients) t.equal((await client.message()).isCompressed, client.extensions !== '')
})

t.test('broadcasts and messages to one, long and short, in any order: every receiver gets its own in the order of the calls', async t => {
  const { app, clients, connections } = await openReceivers(t, 2)
  const random = randomFrom(5)
  const expected: string[][] = clients.map(() => [])
  const note = (data: Buffer): string => `${data.length} ${data.toString('latin1', 0, 20)}`
  for (let i = 0; i < 250; i++) {
    const message = random(12) === 0 ? textOf(60_000, random) : messageOf(random)
    const to = random(clients.length)
    if (random(2) === 0) {
      app.websocketServer.broadcast(message, { except: connections[to]! })
      for (const [index, lines] of expected.entries()) if (index !== to) lines.push(note(message))
    } else {
      connections[to]!.send(message)
      expected[to]!.push(note(message))
    }
    if (random(10) === 0) await new Promise(resolve => setImmediate(resolve))
  }
  for (const [index, client] of clients.entries()) {
    const lines: string[] = []
    for (let i = 0; i < expected[index]!.length; i++) lines.push(note((await client.message()).data))
    t.same(lines, expected[index], client.extensions)
  }
})

t.test('what a broadcast has brought can be referred to by the next message, with takeover', async t => {
  const { app, clients, connections } = await openReceivers(t, 1)
  const message = textOf(200, randomFrom(3))
  app.websocketServer.broadcast(message)
  for (const connection of connections) connection.send(message)
  for (const client of clients) {
    if (client.extensions === '') continue
    const first = await client.message()
    const second = await client.message()
    t.ok(first.data.equals(message) && second.data.equals(message))
    t.equal(second.wireLength * 3 < first.wireLength, !client.extensions.includes('server_no_context_takeover'),
      `${client.extensions}: ${first.wireLength}, then ${second.wireLength} bytes`)
  }
})

t.test('C8: a receiver that goes away while a broadcast is compressed does not keep it from the others', async t => {
  const { app, clients, connections } = await openReceivers(t, 3)
  const message = textOf(200_000, randomFrom(4))
  app.websocketServer.broadcast(message)
  for (const [index, connection] of connections.entries()) if (index % 2 === 0) connection.terminate()
  for (const [index, client] of clients.entries()) {
    if (index % 2 === 1) t.ok((await client.message()).data.equals(message), client.extensions)
  }
})
