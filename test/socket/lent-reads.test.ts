import t from 'tap'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, Socket, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyListenOptions, type FastifyRequest } from 'fastify'
import { tsImport } from 'tsx/esm/api'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { CHUNK_SIZE, kernel as maybeKernel, KERNEL_PAGE } from '../../lib/protocol/frame-kernel.js'
import { USUAL_READ } from '../../lib/protocol/frame-scanner.js'
import { echo, startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, frame, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, gate } from '../support/server-sockets.js'

// Where these tests run there is WebAssembly: that all works without it is another suite's.
const kernel = maybeKernel!

/** Those that the path is tried on. Elsewhere it must not be taken. */
const IS_KNOWN = [20, 22, 24, 26].includes(Number(process.versions.node.split('.')[0]))

type Members = Socket & Record<symbol, unknown>

function memberOf (socket: Duplex, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find(symbol => symbol.description === description)
}

/** The bytes that one read may fill; 0 if reads are not lent. */
function readSizeOf (socket: Duplex): number {
  const kBuffer = memberOf(socket, 'kBuffer')
  const buffer = kBuffer === undefined ? null : (socket as Members)[kBuffer] as Buffer | null
  return buffer?.buffer === kernel.chunk.buffer && buffer.byteOffset === 0 ? buffer.length : 0
}

function isLent (socket: Duplex): boolean {
  return readSizeOf(socket) > 0
}

/** Counts the chunks that go through the Readable from now on: none, if reads are lent. */
function countPushes (socket: Duplex): { count: number } {
  const pushes = { count: 0 }
  const { push } = socket
  socket.push = function (this: Duplex, ...args: Parameters<Duplex['push']>) {
    if (args[0] !== null) pushes.count++
    return push.apply(this, args)
  }
  return pushes
}

/** Everything that is heard, in order. */
function record (connection: WebSocketConnection): string[] {
  const events: string[] = []
  connection.on('message', data => { events.push(data.toString()) })
  connection.on('ping', data => { events.push(`ping ${data.toString()}`) })
  connection.on('close', code => { events.push(`close ${code}`) })
  return events
}

/** A client that is gone when the test ends: it would not answer when the server closes. */
async function open (t: Teardown, port: number, path?: string): Promise<RawClient> {
  const client = await RawClient.open(port, path)
  t.teardown(() => client.destroy())
  return client
}

/** Round trips on another connection: had the server wanted to read meanwhile, it would have. */
async function roundTrips (client: RawClient, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    client.write(text(`${i}`))
    await client.frame()
  }
}

// --- where it is used

const MIB = 1024 * 1024

type Transport = [name: string, options: object, address: () => FastifyListenOptions, connectTo: (t: Teardown, app: FastifyInstance) => Promise<RawClient>]

const local = (): FastifyListenOptions => ({ port: 0, host: '127.0.0.1' })

const TRANSPORTS: Transport[] = [
  ['TCP', {}, local, async (_, app) => await upgraded(await RawClient.connect(portOf(app)))],
  ['TLS', { https: certificate }, local, async (_, app) => await upgraded(await connectSecure(portOf(app)))],
  ['HTTP/2', { http2: true }, local, async (t, app) => await openHttp2(await connectHttp2(t, `http://127.0.0.1:${portOf(app)}`))],
  ['HTTP/2 over TLS', { http2: true, https: certificate }, local, async (t, app) => await openHttp2(await connectHttp2(t, `https://127.0.0.1:${portOf(app)}`, { rejectUnauthorized: false }))]
]

t.test(`this is a Node where it is ${IS_KNOWN ? '' : 'not '}used, for TCP, Unix and TLS sockets and streams of HTTP/2`, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-lent-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'socket')
  const unix: Transport = ['Unix', {}, () => ({ path }), async () => {
    const socket = connect({ path, allowHalfOpen: true })
    await once(socket, 'connect')
    return await upgraded(new RawClient(socket))
  }]
  for (const [name, options, address, connectTo] of [...TRANSPORTS, unix]) {
    const app = Fastify(options) as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket)
    let socket: Duplex | undefined
    let pushes = { count: 0 }
    app.get('/', { websocket: true }, (connection, request) => {
      socket = socketOf(request)
      pushes = countPushes(socket)
      connection.on('message', data => connection.send(data))
    })
    await app.listen(address())
    const client = await connectTo(t, app)
    for (const payload of ['1', 'x'.repeat(1000), 'y'.repeat(100_000), 'z'.repeat(MIB), '2']) {
      client.write(binary(payload))
      t.equal((await client.frame()).payload.toString(), payload, name)
    }
    t.equal(isLent(socket!), IS_KNOWN, `${name}: ${IS_KNOWN ? 'lent' : 'not lent'}`)
    t.equal(pushes.count === 0, IS_KNOWN, `${name}: ${pushes.count} chunks through the Readable`)
    client.destroy()
    await app.close()
  }
})

t.test('every transport reads again after a pause of the app, and after one for a full queue', async t => {
  for (const [name, options, address, connectTo] of TRANSPORTS) {
    const app = Fastify(options) as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket)
    let connection: WebSocketConnection | undefined
    app.get('/', { websocket: { maxPayload: 4 * MIB } }, opened => {
      opened.on('message', data => opened.send(data))
      connection = opened
    })
    await app.listen(address())
    const client = await connectTo(t, app)
    client.write(binary('open'))
    await client.frame()
    for (const round of [1, 2, 3]) {
      connection!.pause()
      for (let i = 0; i < 5; i++) client.write(binary(`${round}.${i}`))
      await turns()
      connection!.resume()
      for (let i = 0; i < 5; i++) t.equal((await client.frame()).payload.toString(), `${round}.${i}`, name)
    }
    // Longer than the queue may be while the server reads.
    const long = Buffer.alloc(3 * MIB, 'x')
    for (let i = 0; i < 3; i++) {
      client.write(binary(long))
      client.write(binary(`after ${i}`))
    }
    for (let i = 0; i < 3; i++) {
      t.ok((await client.frame()).payload.equals(long), `${name}: the ${i}th long message`)
      t.equal((await client.frame()).payload.toString(), `after ${i}`, name)
    }
    client.write(close(1000))
    t.equal((await client.frame()).opcode, 0x8, `${name}: the end is read`)
    client.destroy()
    await app.close()
  }
})

/** Many enough for bytes on this machine to arrive. */
async function turns (): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
}

function socketOf ({ raw }: FastifyRequest): Duplex {
  return 'stream' in raw ? raw.stream as Duplex : raw.socket
}

async function upgraded (client: RawClient): Promise<RawClient> {
  client.write(upgradeRequest())
  await client.head()
  return client
}

function portOf (app: FastifyInstance): number {
  return (app.server.address() as { port: number }).port
}

type LentReads = typeof import('../../lib/socket/lent-reads.js') & Pick<typeof import('../../lib/protocol/frame-scanner.js'), 'sharedChunk'>

/** The modules in copies of their own, which find out anew what there is. */
async function importAnew (): Promise<LentReads> {
  const { createLender } = await tsImport('../../lib/socket/lent-reads.ts', import.meta.url) as LentReads
  const { sharedChunk } = await tsImport('../../lib/protocol/frame-scanner.ts', import.meta.url) as LentReads
  return { createLender, sharedChunk }
}

/** What a socket of a server does whose reads are lent, if they are: how many bytes came each way. */
async function tryOn (t: Teardown, { createLender, sharedChunk }: LentReads): Promise<{ lent: number, data: number }> {
  const server: Server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = connect(server.address() as { port: number })
  const [socket] = await once(server, 'connection') as [Socket]
  const bytes = { lent: 0, data: 0 }
  socket.on('data', chunk => { bytes.data += chunk.length })
  createLender(sharedChunk, KERNEL_PAGE, { onRead (length) { bytes.lent += length }, expectsMuch: () => false, onCopied () {} })(socket)
  client.end('hello')
  await once(socket, 'end')
  socket.destroy()
  client.destroy()
  return bytes
}

t.test('it is not used on a version that nobody has tried, nor without its members, nor where it is switched off', async t => {
  const { versions } = process
  const set = (value: object): void => { Object.defineProperty(process, 'versions', { value, configurable: true, enumerable: true }) }
  t.teardown(() => set(versions))
  const expected = { lent: 0, data: 5 }
  t.same(await tryOn(t, await importAnew()), IS_KNOWN ? { lent: 5, data: 0 } : expected, 'as it is')
  for (const node of ['21.7.3', '27.0.0', '2.0.0']) {
    set({ ...versions, node })
    t.same(await tryOn(t, await importAnew()), expected, node)
  }
  set(versions)
  for (const without of ['scan,lent-reads', 'simd', 'all']) {
    process.env.FASTIFY_WS_ROUTES_WITHOUT = without
    t.same(await tryOn(t, await importAnew()), expected, `without ${without}`)
  }
  process.env.FASTIFY_WS_ROUTES_WITHOUT = 'scan'
  t.same(await tryOn(t, await importAnew()), IS_KNOWN ? { lent: 5, data: 0 } : expected, 'the scanner alone can be off')
  delete process.env.FASTIFY_WS_ROUTES_WITHOUT

  // As if the sockets of this Node had no such members.
  const { getOwnPropertySymbols } = Object
  t.teardown(() => { Object.getOwnPropertySymbols = getOwnPropertySymbols })
  for (const missing of ['kBuffer', 'kBufferCb']) {
    Object.getOwnPropertySymbols = object => getOwnPropertySymbols(object).filter(symbol => symbol.description !== missing)
    const module = await importAnew()
    Object.getOwnPropertySymbols = getOwnPropertySymbols
    t.same(await tryOn(t, module), expected, `without ${missing}`)
  }
})

// --- how much is read at once

t.test('the whole buffer is filled while the borrower expects much, and its start otherwise', { skip: !IS_KNOWN }, async t => {
  const { createLender } = await importAnew()
  const server: Server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = connect(server.address() as { port: number })
  const [socket] = await once(server, 'connection') as [Socket]
  t.teardown(() => client.destroy())
  const buffer = Buffer.alloc(16)
  const lengths: number[] = []
  let read = ''
  // All is there before the first read.
  client.end('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN')
  await once(client, 'finish')
  createLender(buffer, 4, {
    onRead (length) {
      lengths.push(length)
      read += buffer.toString('latin1', 0, length)
    },
    expectsMuch: () => lengths.length >= 2 && read.length < 36,
    onCopied: () => t.fail('copied')
  })(socket)
  socket.on('data', () => t.fail('as data'))
  await once(socket, 'end')
  t.same(lengths, [4, 4, 16, 16, 4, 4, 2])
  t.equal(read, '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN')
})

t.test('a connection reads much at once only in the middle of a long frame', { skip: !IS_KNOWN }, async t => {
  let socket!: Duplex
  const heard = { messages: 0 }
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/seen', { websocket: { maxPayload: 64 * MIB } }, (connection, request) => {
      socket = request.raw.socket
      connection.on('message', () => { heard.messages++ })
    })
  })
  const other = await open(t, port)
  const client = await open(t, port, '/seen')
  t.equal(readSizeOf(socket), USUAL_READ)
  t.ok(readSizeOf(socket) >= frame(0x2, Buffer.alloc(64 * 1024)).length, 'a message of 64 KiB fits into one read')
  // How much there is for one read is the kernel's: a full one comes sooner or later.
  const longest = 64
  client.write(frame(0x2, '', { announce: longest * MIB, mask: 0 }))
  let sent = 0
  while (readSizeOf(socket) === USUAL_READ && sent < longest - 1) {
    client.write(Buffer.alloc(MIB))
    sent++
    await roundTrips(other, 1)
  }
  t.equal(readSizeOf(socket), CHUNK_SIZE, `after ${sent} MiB of a long frame`)
  for (; sent < longest; sent++) client.write(Buffer.alloc(MIB))
  while (heard.messages === 0) await roundTrips(other, 1)
  const flood = Buffer.concat(Array.from({ length: 5000 }, () => text('x'.repeat(200))))
  for (let i = 0; i < 30 && readSizeOf(socket) !== USUAL_READ; i++) {
    client.write(flood)
    await roundTrips(other, 1)
  }
  t.equal(readSizeOf(socket), USUAL_READ, 'behind it')
  const before = heard.messages
  client.write(text('last'))
  while (heard.messages === before) await roundTrips(other, 1)
})

// --- pausing

t.test('pause reaches the client through TCP, and nothing is lost or out of order when it is over', async t => {
  const MESSAGES = 500
  const SIZE = 50_000
  const resumed = gate()
  let socket: Duplex | undefined
  const heard: number[] = []
  const over = gate()
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/paused', { websocket: true }, async (connection, request) => {
      socket = request.raw.socket
      connection.on('message', data => {
        heard.push(data.readUInt32BE(0))
        if (data.subarray(4).some(byte => byte !== (heard.length & 0xff))) heard.push(-1)
        // Once more in the middle, within a chunk.
        if (heard.length === 1 || heard.length === 200) {
          connection.pause()
          if (heard.length === 1) resumed.passed.then(() => connection.resume(), t.error)
          else setImmediate(() => connection.resume())
        }
        if (heard.length === MESSAGES) over.open()
      })
    })
  })
  const other = await open(t, port)
  const client = await open(t, port, '/paused')
  for (let i = 1; i <= MESSAGES; i++) {
    const payload = Buffer.alloc(SIZE, i & 0xff)
    payload.writeUInt32BE(i)
    client.write(fastFrame(payload))
  }
  await roundTrips(other, 60)
  t.same(heard, [1], 'nothing is heard')
  const { bytesRead } = socket as Socket
  t.ok(bytesRead < 1024 * 1024, `${bytesRead} bytes of ${MESSAGES * SIZE} were read`)
  t.ok(client.socket.writableLength > 0, `${client.socket.writableLength} are still the client's`)
  resumed.open()
  await over.passed
  t.same(heard, Array.from({ length: MESSAGES }, (_, index) => index + 1))
  t.equal(isLent(socket!), IS_KNOWN)
})

/** A masked binary frame whose key is zero: `frame` would take its time for megabytes. */
function fastFrame (payload: Buffer): Buffer {
  return Buffer.concat([frame(0x2, '', { announce: payload.length, mask: 0 }), payload])
}

t.test('what comes while it is paused waits, small messages too, and the FIN behind them is heard last', async t => {
  let connection: WebSocketConnection | undefined
  let events: string[] = []
  let ended: Promise<unknown> | undefined
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/seen', { websocket: true }, (opened, request) => {
      connection = opened
      events = record(opened)
      opened.on('message', data => { if (data.toString() === '2') opened.pause() })
      ended = once(request.raw.socket, 'end')
    })
  })
  for (const last of [[close(4000)], []]) {
    const other = await open(t, port)
    const client = await open(t, port, '/seen')
    // The first pause is within what the scanner has found, the second within what has come meanwhile.
    client.write(Buffer.concat(['1', '2', '3', '4'].map(data => text(data))))
    await roundTrips(other, 3)
    t.same(events, ['1', '2'])
    for (const data of ['5', '2', '6', '7']) {
      client.write(Buffer.concat([text(data), ping(data)]))
      await roundTrips(other, 2)
    }
    client.write(Buffer.concat(last))
    client.end()
    await roundTrips(other, 3)
    t.same(events, ['1', '2'])
    connection!.resume()
    await roundTrips(other, 2)
    t.same(events, ['1', '2', '3', '4', '5', 'ping 5', '2'])
    const closed = once(connection!, 'close')
    connection!.resume()
    await closed
    await ended
    t.same(events, ['1', '2', '3', '4', '5', 'ping 5', '2', 'ping 2', '6', 'ping 6', '7', 'ping 7', `close ${last.length > 0 ? 4000 : 1006}`])
    client.destroy()
    other.destroy()
  }
})

t.test('a client that resets while it is paused is noticed at once', async t => {
  for (const isWaiting of [false, true]) {
    let events: string[] = []
    const paused = gate()
    const over = gate()
    const { app, port } = await startApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        events = record(connection)
        connection.on('message', () => {
          connection.pause()
          paused.open()
        })
        connection.on('close', () => over.open())
      })
    })
    const client = await open(t, port)
    client.write(Buffer.concat([text('1'), ...(isWaiting ? [text('2'), text('3')] : [])]))
    await paused.passed
    ;(client.socket as Socket).resetAndDestroy()
    await over.passed
    t.equal(events[0], '1')
    t.equal(events.at(-1), 'close 1006', isWaiting ? 'with messages that wait' : 'with nothing that waits')
    await app.close()
  }
})

t.test('held back because nobody listens yet, and more comes meanwhile: all is heard in its order', async t => {
  const listens = gate()
  let events: string[] = []
  const over = gate()
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/late', { websocket: true }, async connection => {
      await listens.passed
      events = record(connection)
      connection.on('close', () => over.open())
    })
  })
  const other = await open(t, port)
  const payloads = Array.from({ length: 3000 }, (_, index) => `${index} ${'x'.repeat(index % 100)}`)
  const client = await RawClient.connect(port)
  t.teardown(() => client.destroy())
  // A part behind the request, before there is a connection.
  client.write(Buffer.concat([Buffer.from(upgradeRequest('/late')), ...payloads.slice(0, 1500).map(data => text(data))]))
  await client.head()
  client.write(Buffer.concat(payloads.slice(1500).map(data => text(data))))
  await roundTrips(other, 20)
  listens.open()
  client.write(close(1000))
  client.end()
  await over.passed
  t.same(events, [...payloads, 'close 1000'])
})

t.test('destroyed by a listener in the middle of a chunk: nothing breaks, and `close` is the last', async t => {
  let events: string[] = []
  const over = gate()
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/seen', { websocket: true }, (connection, request) => {
      events = record(connection)
      connection.on('message', data => { if (data.toString() === '20') request.raw.socket.destroy() })
      connection.on('close', () => over.open())
    })
  })
  const client = await open(t, port, '/seen')
  client.write(Buffer.concat(Array.from({ length: 100 }, (_, index) => text(`${index}`))))
  await over.passed
  t.same(events.slice(0, 21), Array.from({ length: 21 }, (_, index) => `${index}`))
  t.equal(events.at(-1), 'close 1006')
  t.equal(events.filter(event => event.startsWith('close')).length, 1)
  const other = await open(t, port)
  await roundTrips(other, 2)
})

// --- others who listen

t.test('a listener for `data` that somebody else adds hears every byte, and takes none away', async t => {
  let socket: Socket | undefined
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      socket = request.raw.socket
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  })
  const client = await open(t, port)
  const pushes = countPushes(socket!)
  await roundTrips(client, 3)
  t.equal(pushes.count === 0, IS_KNOWN)

  const heard: Buffer[] = []
  const listener = (chunk: Buffer): void => { heard.push(Buffer.from(chunk)) }
  // Before ours, which unmasks in place.
  socket!.prependListener('data', listener)
  const sent: Buffer[] = []
  for (const payload of ['a', 'b'.repeat(300), 'c'.repeat(2 * KERNEL_PAGE)]) {
    const bytes = Buffer.concat([binary(payload), text('and')])
    sent.push(bytes)
    client.write(bytes)
    t.equal((await client.frame()).payload.toString(), payload)
    t.equal((await client.frame()).payload.toString(), 'and')
  }
  t.ok(Buffer.concat(heard).equals(Buffer.concat(sent)), 'every byte')
  socket!.off('data', listener)

  const before = pushes.count
  await roundTrips(client, 3)
  t.equal(pushes.count === before, IS_KNOWN, 'and when it is gone, all is as it was')
})

t.test('C2: what comes while it is paused, or while somebody else listens, pins little more than itself', async t => {
  const kept: Buffer[] = []
  const over = gate()
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      request.raw.socket.on('data', () => {})
      connection.on('message', data => {
        kept.push(data)
        connection.send('next')
        if (kept.length === 20) over.open()
      })
    })
  })
  const client = await open(t, port)
  for (let i = 0; i < 20; i++) {
    client.write(text(`message ${i}`))
    await client.frame()
  }
  await over.passed
  t.same(kept.map(data => data.toString()), Array.from({ length: 20 }, (_, index) => `message ${index}`))
  // Node's own pool is as large as 64 KiB, and shared with everybody else.
  t.same(kept.filter(data => data.buffer === Buffer.from('pooled').buffer || data.buffer.byteLength > 8192), [])
})

// --- a listener that runs the event loop, as native addons can

/** What libuv does when it has read: no JavaScript can make it do so inside of a listener. */
function readInside (socket: Duplex, bytes: Buffer): void {
  kernel.chunk.set(bytes)
  const kBufferCb = memberOf(socket, 'kBufferCb')!
  ;((socket as Members)[kBufferCb] as (length: number) => boolean).call(socket, bytes.length)
}

t.test('a read of another connection inside of a listener: the one whose listener it was ends with 1011, and no other', { skip: !IS_KNOWN }, async t => {
  for (const isOtherPaused of [false, true]) {
    const errors: string[] = []
    let events: string[] = []
    let other: { connection: WebSocketConnection, socket: Duplex, events: string[] } | undefined
    const { app, port } = await startApp(t, app => {
      app.get('/other', { websocket: true }, (connection, request) => {
        other = { connection, socket: request.raw.socket, events: record(connection) }
      })
      app.get('/', { websocket: true }, connection => {
        events = record(connection)
        connection.on('message', data => {
          if (data.toString() === '3') readInside(other!.socket, Buffer.concat(Array.from({ length: 40 }, (_, index) => text(`other ${index}`))))
        })
      })
    }, { errorHandler: error => { errors.push('code' in error ? String(error.code) : error.message) } })
    const otherClient = await open(t, port, '/other')
    if (isOtherPaused) other!.connection.pause()
    const client = await open(t, port)
    client.write(Buffer.concat(Array.from({ length: 30 }, (_, index) => text(`${index}`))))
    t.same(await client.closeFrame(), { code: 1011, reason: 'a listener has run the event loop' })
    t.equal(await client.ended, true)
    client.end()
    await client.closed
    t.same(events.slice(0, 4), ['0', '1', '2', '3'])
    t.match(events[4] ?? 'close', /^close/, 'nothing follows')
    t.same(errors, ['FST_WS_ERR_REENTERED'])

    otherClient.write(Buffer.concat([text('and on'), close(1000)]))
    if (isOtherPaused) other!.connection.resume()
    t.same(await otherClient.closeFrame(), { code: 1000, reason: '' })
    t.same(other!.events.slice(0, 41), [...Array.from({ length: 40 }, (_, index) => `other ${index}`), 'and on'])
    otherClient.destroy()
    await app.close()
  }
})
