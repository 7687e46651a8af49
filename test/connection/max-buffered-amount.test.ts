import { once } from 'node:events'
import t from 'tap'
import { SlowReaderError, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, RawClient, type ReceivedFrame } from '../support/raw-client.js'
import { ServerSockets, turns } from '../support/server-sockets.js'

const KiB = 1024
const MiB = 1024 * KiB

interface Rig {
  connection: WebSocketConnection
  client: RawClient
  port: number
  sockets: ServerSockets
  /** What `errorHandler` got. */
  errors: Error[]
  /** What the `error` event told. */
  events: Error[]
  closes: number[]
}

async function serve (t: Teardown, options: WebSocketPluginOptions, handler: (connection: WebSocketConnection) => void = () => {}): Promise<Rig> {
  const errors: Error[] = []
  const events: Error[] = []
  const closes: number[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  let sockets!: ServerSockets
  const { port } = await startApp(t, app => {
    sockets = new ServerSockets(app.server)
    app.get('/', { websocket: true }, connection => {
      connection.on('error', error => events.push(error))
      connection.on('close', code => closes.push(code))
      handler(connection)
      opened(connection)
    })
  }, { errorHandler: error => { errors.push(error) }, ...options })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  return { connection: await whenOpened, client, port, sockets, errors, events, closes }
}

/** Sends to a peer that does not read until `send` is refused for good. @returns messages, and the most bytes that waited */
async function sendUntilEnded (connection: WebSocketConnection, size: number): Promise<{ sent: number, most: number }> {
  let sent = 0
  let most = 0
  while (connection.readyState === connection.OPEN) {
    const payload = Buffer.alloc(size)
    payload.writeUInt32BE(sent++)
    connection.send(payload)
    most = Math.max(most, connection.bufferedAmount)
    if (sent % 10 === 0) await turns(1)
  }
  return { sent, most }
}

/** All frames up to the Close frame, which is the last. */
async function framesUntilClose (client: RawClient): Promise<ReceivedFrame[]> {
  const frames: ReceivedFrame[] = []
  do frames.push(await client.frame()); while (frames.at(-1)!.opcode !== 8)
  return frames
}

t.test('C12: a client that does not read ends with 1013 behind all that was sent, and everybody is told once', async t => {
  const { connection, client, errors, events, closes } = await serve(t, { maxBufferedAmount: 2 * MiB })
  client.socket.pause()
  const { sent, most } = await sendUntilEnded(connection, 64 * KiB)
  t.ok(most > 2 * MiB && most < 2 * MiB + 3 * 65 * KiB, `at most ${most} bytes waited`)
  t.equal(connection.send('too late'), false)
  await turns()
  for (const told of [errors, events]) {
    t.equal(told.length, 1)
    t.ok(told[0] instanceof SlowReaderError)
    t.match(told[0], { name: 'SlowReaderError', code: 'FST_WS_ERR_SLOW_READER', closeCode: 1013, message: /\d{7} bytes wait/ })
  }

  // It reads after all: nothing of what was queued is lost, and it learns why.
  client.socket.resume()
  const frames = await framesUntilClose(client)
  t.equal(frames.length, sent + 1)
  t.ok(frames.slice(0, -1).every(({ payload }, i) => payload.readUInt32BE(0) === i))
  t.equal(frames.at(-1)!.payload.readUInt16BE(0), 1013)
  client.write(close(1013))
  await client.ended
  client.end()
  if (connection.readyState !== connection.CLOSED) await once(connection, 'close')
  t.same(closes, [1013])
})

t.test('C12: the connection is refused within the loop that floods it, and the error is not told within send', async t => {
  const { connection, client, errors } = await serve(t, { maxBufferedAmount: 64 * KiB })
  client.socket.pause()
  let sent = 0
  // One turn of the loop, in which nothing can be read.
  while (connection.send(Buffer.alloc(8 * KiB)) || connection.readyState === connection.OPEN) {
    if (++sent > 10_000) throw new Error('nothing ends it')
  }
  t.equal(errors.length, 0)
  await turns(1)
  t.equal(errors.length, 1)
})

t.test('C12: who never reads is gone after closeTimeout, with its memory, and it is logged once', async t => {
  const lines: string[] = []
  let connection!: WebSocketConnection
  let sockets!: ServerSockets
  const { port } = await startApp(t, app => {
    sockets = new ServerSockets(app.server)
    app.get('/', { websocket: true }, opened => { connection = opened })
  }, { maxBufferedAmount: MiB, closeTimeout: 50 }, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.pause()
  // `once` of node:events would reject, having seen the error
  const closed = new Promise<number>(resolve => connection.once('close', resolve))
  await sendUntilEnded(connection, 64 * KiB)
  t.equal(await closed, 1006)
  await sockets.allClosed()
  t.equal(connection.bufferedAmount, 0)
  const written = lines.map(line => JSON.parse(line))
  t.match(written.filter(({ err }) => err !== undefined), [{ level: 30, reqId: 'req-1', err: { type: 'SlowReaderError', code: 'FST_WS_ERR_SLOW_READER', closeCode: 1013 } }])
  t.match(written.at(-1), { msg: 'websocket connection closed', code: 1006 })
})

t.test('C12: a broadcast to one that does not read holds nobody up, and ends that one alone', async t => {
  const errors: unknown[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  }, { maxBufferedAmount: MiB, errorHandler: (error, connection) => { errors.push(connection, (error as SlowReaderError).closeCode) } })
  const slow = await RawClient.open(port)
  t.teardown(() => slow.destroy())
  const [slowConnection] = app.websocketServer.clients
  const reader = await RawClient.open(port)
  t.teardown(() => reader.destroy())
  slow.socket.pause()

  let rounds = 0
  for (let receivers = 2; receivers === 2; rounds++) {
    const payload = Buffer.alloc(32 * KiB)
    payload.writeUInt32BE(rounds)
    receivers = app.websocketServer.broadcast(payload)
    // It has the message of this round before the next is made, whatever waits for the other.
    t.equal((await reader.frame()).payload.readUInt32BE(0), rounds)
  }
  t.same(errors, [slowConnection, 1013])
  t.equal(app.websocketServer.broadcast('still here'), 1)
  t.equal((await reader.frame()).payload.toString(), 'still here')
})

t.test('a message that is longer than the limit goes to a client that reads', async t => {
  const { connection, client, errors } = await serve(t, { maxBufferedAmount: 64 * KiB })
  for (let i = 0; i < 3; i++) {
    const sent = connection.send(Buffer.alloc(8 * MiB)) ? Promise.resolve() : once(connection, 'drain')
    t.equal((await client.frame()).payload.length, 8 * MiB)
    await sent
  }
  t.equal(connection.readyState, connection.OPEN)
  t.same(errors, [])
})

t.test('C3: who only gets answers is held back long before the limit, however small, and loses nothing', async t => {
  const COUNT = 400
  const SIZE = 16 * KiB
  for (const maxBufferedAmount of [0, 48 * KiB, 16 * MiB]) {
    let most = 0
    const { connection, client, errors } = await serve(t, { maxBufferedAmount }, connection => {
      connection.on('message', data => {
        connection.send(data)
        most = Math.max(most, connection.bufferedAmount)
      })
    })
    client.socket.pause()
    for (let i = 0; i < COUNT; i++) client.write(binary(Buffer.alloc(SIZE, i)))
    await turns(100)
    client.socket.resume()
    let wrong = 0
    for (let i = 0; i < COUNT; i++) if ((await client.frame()).payload[0] !== (i & 0xff)) wrong++
    t.equal(wrong, 0, `${maxBufferedAmount}`)
    t.same(errors, [])
    t.equal(connection.readyState, connection.OPEN)
    t.ok(most <= Math.min(maxBufferedAmount / 2, MiB) + 64 * KiB + 2 * SIZE, `at most ${most} bytes waited with ${maxBufferedAmount}`)
  }
})

t.test('C12: pings to one that does not read are bounded as messages are', async t => {
  const { connection, client, errors } = await serve(t, { maxBufferedAmount: 256 * KiB })
  client.socket.pause()
  let most = 0
  for (let i = 0; connection.readyState === connection.OPEN; i++) {
    connection.ping('x'.repeat(125))
    most = Math.max(most, connection.bufferedAmount)
    if (i % 10_000 === 0) await turns(1)
  }
  t.ok(most < 512 * KiB, `at most ${most} bytes waited`)
  await turns()
  t.equal(errors.length, 1)
})

t.test('C12: what waits to be compressed counts', async t => {
  let connection!: WebSocketConnection
  const errors: Error[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, opened => { connection = opened })
  }, { perMessageDeflate: true, maxBufferedAmount: MiB, errorHandler: error => { errors.push(error) } })
  const client = await RawClient.open(port, '/', { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
  t.teardown(() => client.destroy())
  let sent = 0
  // Compressed to next to nothing, on another thread, and the client reads: it is our own queue that is too long.
  while (connection.send(Buffer.alloc(64 * KiB)) || connection.readyState === connection.OPEN) {
    if (++sent > 100) throw new Error('nothing ends it')
  }
  t.ok(sent >= 16, `${sent} messages`)
  await turns(1)
  t.match(errors, [{ closeCode: 1013 }])
  const frames = await framesUntilClose(client)
  t.equal(frames.length, sent + 2, 'the one that was over it was sent too')
})

t.test('the route says what counts', async t => {
  const { port, app } = await startApp(t, app => {
    app.get('/small', { websocket: { maxBufferedAmount: 128 * KiB } }, () => {})
    app.get('/unlimited', { websocket: { maxBufferedAmount: Infinity } }, () => {})
  }, { maxBufferedAmount: MiB, errorHandler: () => {} })
  const open = async (path: string): Promise<WebSocketConnection> => {
    const client = await RawClient.open(port, path)
    t.teardown(() => client.destroy())
    client.socket.pause()
    return [...app.websocketServer.route(path).clients][0]!
  }
  const { most } = await sendUntilEnded(await open('/small'), 8 * KiB)
  t.ok(most < MiB, `at most ${most} bytes waited`)
  const unlimited = await open('/unlimited')
  for (let i = 0; i < 320; i++) unlimited.send(Buffer.alloc(64 * KiB))
  t.ok(unlimited.bufferedAmount > 16 * MiB)
  t.equal(unlimited.readyState, unlimited.OPEN)
})

t.test('bufferedAmount is exact: headers, text that is longer in UTF-8, and what the kernel has not taken', async t => {
  const { connection, client } = await serve(t, {})
  const expect = (bytes: number, what: string): void => { t.equal(connection.bufferedAmount, bytes, what) }
  connection.send('abc')
  expect(5, 'a header of two bytes')
  connection.send('ü€😀')
  expect(5 + 2 + 9, 'UTF-8')
  connection.send(Buffer.alloc(126))
  expect(16 + 4 + 126, 'a header of four bytes')
  connection.ping('12')
  expect(146 + 4, 'a control frame')
  connection.send('', { fin: false })
  connection.send('')
  expect(150 + 4, 'fragments')
  await turns(2)
  expect(0, 'the kernel has it')

  client.socket.pause()
  let sent = 0
  while (connection.bufferedAmount === 0) {
    connection.send(Buffer.alloc(64 * KiB - 4))
    sent++
    await turns(2)
  }
  // From here on nothing moves, since nobody reads.
  let before = -1
  for (let stable = 0; stable < 20; await turns(1)) {
    stable = before === connection.bufferedAmount ? stable + 1 : 0
    before = connection.bufferedAmount
  }
  connection.send(Buffer.alloc(70_000))
  expect(before + 10 + 70_000, 'a header of ten bytes')
  client.socket.resume()
  for (let i = 0; i < 6 + sent + 1; i++) await client.frame()
  await turns(2)
  expect(0, 'all was read')
})
