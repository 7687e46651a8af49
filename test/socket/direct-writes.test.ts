import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Duplex } from 'node:stream'
import { createServer as createSecureServer } from 'node:tls'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { writeAllDirectly, writeDirectly } from '../../lib/socket/direct-writes.js'
import type { Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectSecure } from '../support/server-sockets.js'

/** Those that the path is tried on. Elsewhere it must not be taken. */
const IS_KNOWN = [20, 22, 24, 26].includes(Number(process.versions.node.split('.')[0]))

interface Pair {
  server: Socket
  client: Socket
  /** All that the client has received, once it has read. */
  received: () => Buffer
  receivedLength: () => number
}

async function pair (t: Teardown, path?: string): Promise<Pair> {
  const listener = createServer({ noDelay: true })
  listener.listen(path ?? { port: 0, host: '127.0.0.1' })
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const client = path === undefined ? connect((listener.address() as AddressInfo).port, '127.0.0.1') : connect(path)
  const [[server]] = await Promise.all([once(listener, 'connection') as Promise<[Socket]>, once(client, 'connect')])
  const chunks: Buffer[] = []
  let length = 0
  client.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
  })
  t.teardown(() => { server.destroy() })
  t.teardown(() => { client.destroy() })
  return { server, client, received: () => Buffer.concat(chunks), receivedLength: () => length }
}

async function receive ({ client, received, receivedLength }: Pair, length: number): Promise<Buffer> {
  while (receivedLength() < length) await once(client, 'data')
  return received()
}

/** Writes in whichever way is open. @returns whether it was the direct one */
function write (socket: Duplex, bytes: Buffer): boolean {
  const isDirect = writeDirectly(socket, bytes)
  if (!isDirect) socket.write(bytes)
  return isDirect
}

/** The same, for several buffers. */
function writeAll (socket: Duplex, buffers: readonly Buffer[]): boolean {
  const isDirect = writeAllDirectly(socket, buffers)
  if (!isDirect) for (const bytes of buffers) socket.write(bytes)
  return isDirect
}

/** Chunks that differ, so that none can be lost, doubled or out of its place. */
const chunkOf = (index: number, length = 64 * 1024): Buffer => Buffer.alloc(length, `${index} `.padStart(16))

/** Writes until the kernel takes no more, one buffer or two in turn. @returns what was written */
function fill (t: Test, socket: Socket): Buffer[] {
  const written: Buffer[] = []
  while (socket.writableLength === 0) {
    const chunks = Array.from({ length: 1 + written.length % 2 }, (_, index) => chunkOf(written.length + index))
    t.equal(chunks.length === 1 ? write(socket, chunks[0]!) : writeAll(socket, chunks), IS_KNOWN)
    written.push(...chunks)
  }
  return written
}

t.test('short writes go past the Writable, in order with those that do not, over TCP and Unix sockets', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'direct-'))
  t.teardown(async () => rm(folder, { recursive: true }))
  for (const path of [undefined, join(folder, 'socket')]) {
    const sockets = await pair(t, path)
    const { server } = sockets
    write(server, Buffer.from('first'))
    for (const word of [' second', ' third']) t.equal(write(server, Buffer.from(word)), IS_KNOWN)
    for (let i = 0; i < 2; i++) t.equal(writeAll(server, [Buffer.from(' one'), Buffer.from(' of'), Buffer.from(' several')]), IS_KNOWN)
    server.write(' fourth')
    t.equal(write(server, Buffer.from(' fifth')), IS_KNOWN)
    const expected = 'first second third one of several one of several fourth fifth'
    t.equal((await receive(sockets, expected.length)).toString(), expected)
    t.equal(server.bytesWritten, expected.length)
    t.equal(server.writableLength, 0)
  }
})

t.test('what the kernel does not take at once is queued as any write is, and drains', async t => {
  const sockets = await pair(t)
  const { server, client } = sockets
  client.pause()
  for (let round = 0; round < 3; round++) {
    const before = sockets.receivedLength()
    const written = fill(t, server)
    t.ok(server.writableLength > 0, 'counts as queued')
    t.ok(server.writableNeedDrain)
    t.notOk(writeDirectly(server, Buffer.from('not in between')), 'what follows goes through the queue')
    const last = chunkOf(1000 + round, 5)
    const order: string[] = []
    server.once('drain', () => order.push('drain'))
    server.write(last, () => order.push('written'))
    client.resume()
    const expected = Buffer.concat([...written, last])
    const received = await receive(sockets, before + expected.length)
    t.ok(received.subarray(before).equals(expected), 'all that was written, and nothing else')
    while (order.length < 2) await new Promise(resolve => { setImmediate(resolve) })
    t.same(order.sort(), ['drain', 'written'])
    t.equal(server.writableLength, 0)
    t.equal(server.bytesWritten, received.length)
    client.pause()
  }
  client.resume()
  t.equal(write(server, Buffer.from('direct again')), IS_KNOWN)
})

t.test('a write that takes longer, whose queue a fast client has emptied before the call returns, is used up too', async t => {
  const sockets = await pair(t)
  const { server } = sockets
  const written: Buffer[] = []
  // The first calls show how this Node writes.
  for (const chunks of [[chunkOf(0)], [chunkOf(1), chunkOf(2)]]) {
    if (chunks.length === 1) write(server, chunks[0]!)
    else writeAll(server, chunks)
    written.push(...chunks)
    await receive(sockets, Buffer.concat(written).length)
  }
  const { _handle: handle } = server as Socket & { _handle: object }
  for (let i = 0; i < 4; i++) {
    const chunks = Array.from({ length: 1 + i % 2 }, (_, index) => chunkOf(10 * i + index, 16 * 1024 * 1024))
    Object.defineProperty(handle, 'writeQueueSize', { value: 0, configurable: true })
    t.equal(chunks.length === 1 ? write(server, chunks[0]!) : writeAll(server, chunks), IS_KNOWN)
    Reflect.deleteProperty(handle, 'writeQueueSize')
    t.ok(server.writableLength > 0, 'the bytes count as queued')
    written.push(...chunks)
    await once(server, 'drain')
  }
  const expected = Buffer.concat(written)
  t.ok((await receive(sockets, expected.length)).equals(expected))
})

t.test('a client on another thread, which reads while a write is under way', async t => {
  const listener = createServer()
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const reader = new Worker(`
    const { connect } = require('node:net')
    const { parentPort, workerData } = require('node:worker_threads')
    let length = 0
    connect({ port: workerData, host: '127.0.0.1', onread: {
      buffer: Buffer.alloc(256 * 1024),
      callback: read => { length += read; return true }
    } }).on('end', () => parentPort.postMessage(length))
  `, { eval: true, workerData: (listener.address() as AddressInfo).port })
  t.teardown(async () => reader.terminate())
  const [server] = await once(listener, 'connection') as [Socket]
  const rounds = 30
  const chunks = [chunkOf(1, 4 * 1024 * 1024), chunkOf(2, 4 * 1024 * 1024)]
  for (let i = 0; i < rounds; i++) {
    writeAll(server, chunks)
    if (server.writableLength > 0) await once(server, 'drain')
  }
  server.end()
  const [length] = await once(reader, 'message') as [number]
  t.equal(length, rounds * Buffer.concat(chunks).length)
})

t.test('a socket that is ended, or destroyed, while a write is under way', async t => {
  const ended = await pair(t)
  ended.client.pause()
  const written = fill(t, ended.server)
  ended.server.end()
  t.notOk(writeDirectly(ended.server, Buffer.from('x')), 'nothing follows the end')
  ended.client.resume()
  await once(ended.client, 'end')
  t.ok(ended.received().equals(Buffer.concat(written)))

  const destroyed = await pair(t)
  destroyed.client.pause()
  fill(t, destroyed.server)
  destroyed.server.destroy()
  await once(destroyed.server, 'close')
  t.notOk(writeDirectly(destroyed.server, Buffer.from('x')))
})

t.test('a client that resets: the error is the one of the socket, in the middle of a write and before one', async t => {
  for (const isFull of [true, false]) {
    const { server, client } = await pair(t)
    const failed = once(server, 'error') as Promise<[NodeJS.ErrnoException]>
    client.pause()
    if (isFull) fill(t, server)
    client.resetAndDestroy()
    // Without a reader the socket learns it by writing.
    const timer = setInterval(() => { write(server, Buffer.from('x')) }, 1)
    t.teardown(() => { clearInterval(timer) })
    const [error] = await failed
    clearInterval(timer)
    t.match(error.code, /^(ECONNRESET|EPIPE)$/)
    if (!server.closed) await once(server, 'close')
    t.notOk(writeDirectly(server, Buffer.from('x')))
  }
})

t.test('no direct write where the Writable has a part in it', async t => {
  const sockets = await pair(t)
  const { server } = sockets
  const isRefused = (name: string): void => {
    t.notOk(writeDirectly(server, Buffer.from(name)), name)
    t.notOk(writeAllDirectly(server, [Buffer.from(name), Buffer.from(name)]), name)
  }
  server.cork()
  isRefused('corked')
  server.write('corked, ')
  isRefused('with something queued')
  server.uncork()
  server.setTimeout(10_000)
  isRefused('with a timeout, which each write restarts')
  server.setTimeout(0)
  for (const method of ['write', '_write', '_writev'] as const) {
    const plain = server[method] as (...args: unknown[]) => boolean
    Object.assign(server, { [method] (...args: unknown[]) { return Reflect.apply(plain, this, args) } })
    isRefused(`with a ${method} of somebody else`)
    Reflect.deleteProperty(server, method)
  }
  t.equal(write(server, Buffer.from('direct')), IS_KNOWN)
  t.equal((await receive(sockets, 14)).toString(), 'corked, direct')
  t.notOk(writeDirectly(new PassThrough(), Buffer.from('x')), 'not a socket')
})

t.test('no direct write to TLS, whose bytes are encrypted first', async t => {
  const listener = createSecureServer(certificate)
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const accepted = once(listener, 'secureConnection') as Promise<[Socket]>
  const client = await connectSecure((listener.address() as AddressInfo).port)
  t.teardown(() => client.destroy())
  const [server] = await accepted
  t.notOk(writeDirectly(server, Buffer.from('plain')))
  server.write('encrypted')
  t.equal((await client.bytes(9)).toString(), 'encrypted')
})
