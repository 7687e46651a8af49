import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Test } from 'tap'
import type { WebSocketPluginOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { frame, RawClient } from '../support/raw-client.js'

export { serverFrame } from '../support/raw-client.js'

/*
 * The cases in cases/ know nothing of HTTP: they ask a transport for an app that listens, and get what
 * opens connections of bytes to it. Another way to the same routes is another function of the type `Serve`.
 */

/** Connects to a route and does the handshake; what comes then is frames. */
export type Open = (path?: string) => Promise<RawClient>

/** Starts an app that ends with the test. */
export type Serve = (t: Test, configure: (app: FastifyInstance) => unknown, options?: WebSocketPluginOptions) => Promise<Open>

export type Cases = (t: Test, serve: Serve) => void

/** So long a connection may take before what waits for it fails. Only hanging takes that long. */
const HANG_GUARD = 25_000

/** RFC 6455 §4 over a TCP connection of its own. */
export const overHttp1: Serve = async (t, configure, options) => {
  const { port } = await startApp(t, configure, options)
  return guarded(t, path => RawClient.open(port, path))
}

/** RFC 8441: all connections are streams of one HTTP/2 session. */
export const overHttp2: Serve = async (t, configure, options) => {
  const { port } = await startApp(t, configure, options, { http2: true })
  const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
  return guarded(t, path => openHttp2(session, path))
}

/** Connections that end with the test, and do not hang. */
export function guarded (t: Test, connect: (path: string) => Promise<RawClient>): Open {
  return async (path = '/') => {
    const client = await connect(path)
    const guard = setTimeout(() => {
      t.fail('a connection hangs')
      client.destroy()
    }, HANG_GUARD)
    t.teardown(() => {
      clearTimeout(guard)
      client.destroy()
    })
    return client
  }
}

/** Large enough for every message of the suite that is not about limits. */
export const LARGE = 32 * 1024 * 1024

/** `/`: sends back what it gets. `/digest`: sends back what a message was, for messages that need not travel twice. */
export function echoRoutes (app: FastifyInstance): void {
  const websocket = { maxPayload: LARGE }
  app.get('/', { websocket }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
  app.get('/digest', { websocket }, connection => {
    connection.on('message', (data, isBinary) => connection.send(digest(data, isBinary)))
  })
}

export function digest (data: Buffer, isBinary: boolean): string {
  return `${isBinary ? 'binary' : 'text'} of ${data.length} bytes, ${createHash('sha1').update(data).digest('hex')}`
}

/** What the server's side of a connection has seen. */
export interface Seen {
  events: string[]
  /** Resolves when `close` was emitted. */
  closed: Promise<void>
}

/** `/seen`: says nothing and records everything. The n-th connection is `seen[n]`. */
export function seenRoute (app: FastifyInstance, seen: Seen[]): void {
  app.get('/seen', { websocket: { maxPayload: LARGE } }, connection => {
    const events: string[] = []
    const closed = new Promise<void>(resolve => {
      connection.on('close', (code, reason) => {
        events.push(`close ${code} ${reason.toString()}`.trimEnd())
        resolve()
      })
    })
    connection.on('message', (data, isBinary) => { events.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`) })
    connection.on('ping', data => { events.push(`ping ${data.toString()}`) })
    connection.on('pong', data => { events.push(`pong ${data.toString()}`) })
    connection.on('error', error => { events.push(`error ${'code' in error ? String(error.code) : error.message}`) })
    seen.push({ events, closed })
  })
}

/** To make so much, or so many, takes seconds. `.ci/run` does it. */
const SLOW = /16 MiB/

/** What the cases have of a test, where they run once more. */
export function withoutSlow (t: Test): Test {
  const test = (name: string, body: (t: Test) => unknown): unknown =>
    t.test(name, { skip: process.env.THOROUGH === undefined && SLOW.test(name) ? 'only with THOROUGH=1' : false }, body)
  return { test } as Test
}

// --- writing

/** The ways in which the same bytes may arrive. */
export const WRITINGS = ['whole', 'in pieces of 997 bytes', 'byte by byte'] as const
export type Writing = typeof WRITINGS[number]

/** Of a long frame, only so many bytes at its ends are written one by one: all boundaries are there. */
const BYTES_ONE_BY_ONE = 200

export async function write (client: RawClient, bytes: Buffer, writing: Writing): Promise<void> {
  if (writing === 'whole') {
    client.write(bytes)
  } else if (writing === 'in pieces of 997 bytes') {
    await client.writeSliced(bytes, 997)
  } else if (bytes.length <= 2 * BYTES_ONE_BY_ONE) {
    await client.writeSliced(bytes, 1)
  } else {
    await client.writeSliced(bytes.subarray(0, BYTES_ONE_BY_ONE), 1)
    client.write(bytes.subarray(BYTES_ONE_BY_ONE, -BYTES_ONE_BY_ONE))
    await nextTurn()
    await client.writeSliced(bytes.subarray(-BYTES_ONE_BY_ONE), 1)
  }
}

/** Bytes without a period that a wrong masking key or a piece in the wrong place could hide in. */
export function noise (length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = 42
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Text of so many bytes, with characters of every length where there is room. */
export function prose (length: number): Buffer {
  const units = Buffer.from('aé€😀')
  return Buffer.concat([Buffer.alloc(length - length % units.length, units), Buffer.alloc(length % units.length, 'z')])
}

/** A message in masked fragments of `size` bytes, in one buffer. Faster than `frame` for a hundred thousand of them. */
export function fragments (opcode: number, payload: Buffer, size: number): Buffer {
  const count = Math.max(1, Math.ceil(payload.length / size))
  const mask = 0x5ac3f019
  const header = frame(0x0, '', { fin: false, announce: size, mask })
  const target = Buffer.allocUnsafe(payload.length + count * header.length)
  const key = header.subarray(-4)
  let end = 0
  for (let i = 0, at = 0; i < count; i++) {
    const next = Math.min(at + size, payload.length)
    const isOutermost = i === 0 || i === count - 1
    const own = isOutermost ? frame(i === 0 ? opcode : 0x0, '', { fin: i === count - 1, announce: next - at, mask }) : header
    end += own.copy(target, end)
    for (let j = 0; at < next; j++) target[end++] = payload[at++]! ^ key[j & 3]!
  }
  return target.subarray(0, end)
}

// --- expecting

/** Fails unless the next bytes from the server are these. */
export async function expectBytes (t: Test, client: RawClient, expected: Buffer, message: string): Promise<void> {
  const received = await client.bytes(expected.length)
  if (received.equals(expected)) t.pass(message)
  else t.equal(received.subarray(0, 64).toString('hex'), expected.subarray(0, 64).toString('hex'), message)
}

/** The next frame is a Close frame with this code, and behind it comes nothing but the end. */
export async function expectClosed (t: Test, client: RawClient, code: number, message: string): Promise<void> {
  const answer = await client.closeFrame()
  // A peer that is sending too much is given the time to notice; these have nothing more to say.
  if (code === 1009) client.end()
  const isClean = await client.ended
  t.same({ code: answer.code, isClean, behind: client.received.toString('hex') }, { code, isClean: true, behind: '' }, message)
}

/** Sends bytes on a new connection, and expects that the server fails it. */
export async function expectFailure (t: Test, open: Open, bytes: Buffer, code: number, message: string, path?: string): Promise<void> {
  const client = await open(path)
  client.write(bytes)
  await expectClosed(t, client, code, message)
  client.destroy()
}

/** Bytes in use after a collection: those on the heap and those of buffers. */
export function memoryInUse (): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
