import t, { type Test } from 'tap'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import { Duplex } from 'node:stream'
import zlib from 'node:zlib'
import { DeflatingWriter, type DeflatingSettings } from '../../lib/connection/deflating-writer.js'
import { SharedMessage } from '../../lib/connection/shared-message.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { FrameDecoder } from '../../lib/protocol/frame-decoder.js'
import { Opcode } from '../../lib/protocol/opcodes.js'
import { KeptInflater, messageOf, noiseOf, randomFrom, textOf } from '../compression/peer.js'
import { startApp } from '../support/app.js'
import { close, RawClient } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'
import { many } from '../support/thorough.js'

const SETTINGS: DeflatingSettings = { windowBits: 12, contextTakeover: true, level: 3, memLevel: 5, threshold: 0 }

/** Long enough to be compressed on another thread. */
const LONG = 100_000

interface Writing {
  writer: DeflatingWriter
  /** What the peer got so far, one line for each message and control frame. */
  received (): Promise<string[]>
  socket: Duplex
  errors: unknown[]
  isEnded (): boolean
}

function line (data: Buffer | string): string {
  const bytes = Buffer.from(data as string)
  return `${bytes.length} ${bytes.toString('latin1', 0, 12)}`
}

/** A writer over a transport that takes everything, and a peer that reads it. */
function createWriter (t: Test, settings: Partial<DeflatingSettings> = {}): Writing {
  const chunks: Buffer[] = []
  let ended = false
  const socket = new Duplex({
    read () {},
    write (chunk: Buffer, _encoding, callback) {
      // Its bytes are its sender's again once this is over.
      chunks.push(Buffer.from(chunk))
      callback()
    },
    final (callback) {
      ended = true
      callback()
    }
  })
  const errors: unknown[] = []
  const all = { ...SETTINGS, ...settings }
  const writer = new DeflatingWriter(socket, false, {
    follow (callbacks) {
      return error => { for (const callback of callbacks) this.callBack(callback, error) }
    },
    onFlushed () {},
    onUnsendable () {},
    afterCallbacks (callback) { callback() },
    callBack (callback, error) {
      try {
        callback(error)
      } catch (thrown) {
        errors.push(thrown)
      }
    }
  }, all)
  const peer = new KeptInflater(all)
  t.teardown(() => peer.close())

  const lines: string[] = []
  const waiting: { data: Buffer, isCompressed: boolean, prefix: string }[] = []
  const sink = (prefix: string, isCompressed = false) => (data: Buffer): void => { waiting.push({ data, isCompressed, prefix }) }
  const decoder = new FrameDecoder({
    takesStrings: false,
    onText () {},
    onMessage: sink('plain '),
    onCompressedMessage: sink('', true),
    onPing: sink('ping '),
    onPong: sink('pong '),
    onClose: code => { waiting.push({ data: Buffer.from(String(code)), isCompressed: false, prefix: 'close ' }) },
    onError: error => { throw error }
  }, { role: 'client', maxPayload: Infinity }, true)
  return {
    writer,
    socket,
    errors,
    isEnded: () => ended,
    async received () {
      for (const chunk of chunks.splice(0)) decoder.decode(chunk)
      for (const { data, isCompressed, prefix } of waiting.splice(0)) lines.push(prefix + line(isCompressed ? await peer.inflate(data) : data))
      return lines
    }
  }
}

/** Resolves when nothing waits any more. */
async function idle (writer: DeflatingWriter): Promise<void> {
  while (writer.bufferedAmount > 0) await turns(1)
}

t.test('whatever is written, in whatever ways, arrives in the order of the calls; each callback is called once, in that order', async t => {
  for (const settings of [{}, { contextTakeover: false, threshold: 200 }, { windowBits: 15, level: 9, memLevel: 9 }]) {
    const { writer, received, errors } = createWriter(t, settings)
    const random = randomFrom(11)
    const expected: string[] = []
    const called: number[] = []
    const thrown: string[] = []
    let calls = 0
    for (let i = 0; i < 200; i++) {
      const id = calls++
      const callback = (error?: Error | null): void => {
        called.push(error == null ? id : -1)
        if (id % 25 > 0) return
        thrown.push(`Error: callback ${id}`)
        throw new Error(`callback ${id}`)
      }
      const kind = random(12)
      const message = kind < 3 ? textOf(40_000 + random(20_000), random) : kind === 3 ? noiseOf(LONG, random) : messageOf(random)
      const compress = kind !== 4
      if (kind === 5) {
        writer.writeBytes(Opcode.PING, message.subarray(0, 100), true, callback)
      } else if (kind === 6) {
        writer.writeShared(new SharedMessage(Opcode.BINARY, message, true))
        calls--
      } else if (kind === 7) {
        writer.writeText(Opcode.TEXT, message.toString('hex'), true, callback, compress)
      } else {
        writer.writeBytes(Opcode.BINARY, message, true, callback, compress)
      }
      expected.push(kind === 5 ? `ping ${line(message.subarray(0, 100))}` : line(kind === 7 ? message.toString('hex') : message))
      if (random(9) === 0) await turns(1)
    }
    await idle(writer)
    await turns(2)
    t.same((await received()).map(each => each.replace(/^plain /, '')), expected)
    t.same(called, Array.from({ length: calls }, (_, index) => index), 'callbacks')
    t.same(errors.map(String), thrown, 'what they throw is told, and stops nothing')
    t.ok(thrown.length > 0)
  }
})

t.test('bufferedAmount counts what waits for another thread, and nothing of it afterwards', async t => {
  const { writer, received } = createWriter(t)
  t.equal(writer.bufferedAmount, 0)
  writer.writeBytes(Opcode.BINARY, Buffer.alloc(LONG), true, undefined, true)
  t.equal(writer.bufferedAmount, LONG, 'the message that is compressed')
  t.ok(writer.isSaturated)
  writer.writeBytes(Opcode.BINARY, Buffer.alloc(500), true, undefined, true)
  writer.writeText(Opcode.TEXT, 'é'.repeat(50), true, undefined, true)
  writer.writeShared(new SharedMessage(Opcode.BINARY, Buffer.alloc(30), true))
  writer.writeBytes(Opcode.PING, Buffer.alloc(5), true, undefined)
  t.equal(writer.bufferedAmount, LONG + 500 + 100 + 30 + 5, 'and what waits behind it')
  await idle(writer)
  t.notOk(writer.isSaturated)
  await turns(2)
  t.equal((await received()).length, 5)
})

t.test('end waits for the messages under compression, and comes behind what waits for them', async t => {
  const { writer, received, isEnded } = createWriter(t)
  for (let i = 0; i < 3; i++) writer.writeBytes(Opcode.BINARY, Buffer.alloc(LONG, i), true, undefined, true)
  writer.writeBytes(Opcode.CLOSE, Buffer.of(3, 232), true, undefined)
  writer.flush()
  writer.end()
  await turns(1)
  t.notOk(isEnded())
  while (!isEnded()) await turns(1)
  t.same((await received()).map(each => each.split(' ')[0]), [String(LONG), String(LONG), String(LONG), 'close'])
})

t.test('discard: each callback is called once, with the error, and what comes back from the other thread goes nowhere', async t => {
  for (const when of ['at once', 'in the middle']) {
    const { writer, received, isEnded } = createWriter(t)
    const called: string[] = []
    const errors: unknown[] = []
    for (let i = 0; i < 6; i++) {
      writer.writeBytes(Opcode.BINARY, Buffer.alloc(i % 2 === 0 ? LONG : 10, i), true, error => {
        called.push(`${i} ${error?.message ?? 'sent'}`)
        errors.push(error ?? null)
      }, true)
    }
    writer.writeShared(new SharedMessage(Opcode.BINARY, Buffer.alloc(LONG), true))
    writer.end()
    if (when === 'in the middle') while (called.length === 0) await turns(1)
    const sent = called.length
    writer.discard()
    t.equal(writer.bufferedAmount, 0)
    t.equal(called.length, 6, 'at once')
    await turns(50)
    // Zlib's thread has come back by now; a message of its own says so.
    await new Promise(resolve => zlib.deflateRaw(Buffer.alloc(LONG), resolve))
    await turns(50)
    t.same(called.map(each => each.slice(2)), [...Array<string>(sent).fill('sent'), ...Array<string>(6 - sent).fill('WebSocket was closed before the message was sent')], when)
    t.match(errors.slice(sent), Array(6 - sent).fill({ name: 'ClosedError', code: 'FST_WS_ERR_CLOSED' }))
    t.same(called.map(each => Number(each[0])), [0, 1, 2, 3, 4, 5])
    t.ok((await received()).length <= sent + 1)
    t.notOk(isEnded(), 'the end that was asked for is forgotten')
  }
})

t.test('C8: where zlib fails, messages are sent as they are, and nothing waits for ever', async t => {
  // No zlib knows such a level.
  const { writer, received } = createWriter(t, { level: 99 })
  let callbacks = 0
  for (const size of [100, LONG, 200, LONG]) writer.writeBytes(Opcode.BINARY, Buffer.alloc(size), true, () => callbacks++, true)
  for (const size of [300, LONG]) writer.writeShared(new SharedMessage(Opcode.BINARY, Buffer.alloc(size), true))
  await idle(writer)
  await turns(2)
  t.same((await received()).map(each => each.split(' ').slice(0, 2).join(' ')), [100, LONG, 200, LONG, 300, LONG].map(size => `plain ${size}`))
  t.equal(callbacks, 4)
})

t.test('C8: where zlib fails on its thread, for want of memory, the message is sent as it is and the next refers to nothing of it', async t => {
  const { writer, received } = createWriter(t)
  const { deflateRaw } = zlib
  t.teardown(() => {
    zlib.deflateRaw = deflateRaw
    syncBuiltinESMExports()
  })
  const message = textOf(LONG, randomFrom(1))
  for (const fails of [false, true, false, true, false]) {
    const failing = (_bytes: Buffer, _options: unknown, callback: (error: Error) => void): void => { setImmediate(callback, new Error('out of memory')) }
    zlib.deflateRaw = fails ? failing as typeof deflateRaw : deflateRaw
    syncBuiltinESMExports()
    writer.writeBytes(Opcode.BINARY, message, true, undefined, true)
    await idle(writer)
    await turns(2)
    const lines = await received()
    t.equal(lines.at(-1)!.startsWith('plain'), fails)
    t.ok(lines.at(-1)!.endsWith(line(message)))
  }
})

// --- from the outside

async function openMany (t: Test, count: number, closeTimeout = 2000): Promise<{ app: Awaited<ReturnType<typeof startApp>>['app'], clients: RawClient[], connections: WebSocketConnection[] }> {
  const connections: WebSocketConnection[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  }, { perMessageDeflate: true, closeTimeout })
  const clients: RawClient[] = []
  while (clients.length < count) {
    clients.push(...await Promise.all(Array.from({ length: 50 }, () => RawClient.open(port, '/', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }))))
  }
  t.teardown(() => { for (const client of clients) client.destroy() })
  return { app, clients, connections }
}

for (const [how, destroy] of Object.entries({
  'by their clients': clients => { for (const client of clients) client.destroy() },
  'by terminate': (_clients, connections) => { for (const connection of connections) connection.terminate() }
} satisfies Record<string, (clients: RawClient[], connections: WebSocketConnection[]) => void>)) {
  t.test(`C8: hundreds of compressing connections destroyed at once, ${how}: each callback once, no deadlock, app.close() is bounded`, async t => {
    const { app, clients, connections } = await openMany(t, many(200, 1000))
    const message = textOf(64 * 1024, randomFrom(1))
    const calls = connections.map(() => 0)
    const closed = Promise.all(connections.map(connection => once(connection, 'close')))
    for (const [index, connection] of connections.entries()) {
      connection.send(message, () => { calls[index]!++ })
      connection.send('behind it', () => { calls[index]!++ })
    }
    destroy(clients, connections)
    await closed
    await turns()
    t.ok(calls.every(count => count === 2), 'two callbacks each')
    t.ok(connections.every(connection => connection.bufferedAmount === 0), 'nothing is queued')
    // Zlib still serves others.
    t.equal(zlib.inflateRawSync(zlib.deflateRawSync(message)).length, message.length)
    await new Promise((resolve, reject) => zlib.deflateRaw(message, error => error === null ? resolve(null) : reject(error)))
    await app.close()
    t.equal(app.websocketServer.clients.size, 0)
  })
}

t.test('C8: app.close() while many connections compress: everyone gets the message, then the Close frame', async t => {
  const { app, clients, connections } = await openMany(t, many(100, 300))
  const message = textOf(40 * 1024, randomFrom(1))
  for (const connection of connections) connection.send(message)
  const isClosed = app.close()
  let wrong = 0
  for (const client of clients) {
    const { rsv, opcode } = await client.frame()
    if (rsv !== 0x40 || opcode !== 0x2 || (await client.closeFrame()).code !== 1001) wrong++
    client.write(close(1001))
    client.end()
  }
  t.equal(wrong, 0)
  await isClosed
})

t.test('C8: app.close() while clients that compress do not read: it is bounded all the same', async t => {
  // Less time than zlib needs for all of it.
  const { app, clients, connections } = await openMany(t, 50, many(200, 2000))
  for (const client of clients) client.socket.pause()
  const noise = noiseOf(many(1, 4) * 1024 * 1024, randomFrom(1))
  let calls = 0
  for (const connection of connections) connection.send(noise, () => calls++)
  await app.close()
  await turns()
  t.equal(calls, connections.length)
})
