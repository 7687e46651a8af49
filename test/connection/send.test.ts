import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import t from 'tap'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import type { WebSocketConnection, WebSocketData } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { close, RawClient } from '../support/raw-client.js'

/** A client, and the server's connection to it. */
async function connect (t: Teardown): Promise<{ client: RawClient, connection: WebSocketConnection, errors: Error[] }> {
  const errors: Error[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, opened)
  }, { maxBufferedAmount: Infinity, errorHandler: error => { errors.push(error) } })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  return { client, connection: await whenOpened, errors }
}

// Around the length forms of RFC 6455 §5.2 (126, 65536), a third of them (a code unit takes up to three bytes),
// and where a payload goes by reference instead of by value (16 KiB), and its third.
const SIZES = [0, 1, 2, 41, 42, 43, 124, 125, 126, 127, 5460, 5461, 5462, 16383, 16384, 16385, 21845, 21846, 65535, 65536, 65537, 1024 * 1024]

t.test('send: every size arrives whole, in the shortest length form, text of one to four bytes a character and binary', async t => {
  const { client, connection } = await connect(t)
  for (const size of SIZES) {
    const bytes = randomBytes(size)
    const payloads: WebSocketData[] = [
      'a'.repeat(size),
      'ü'.repeat(size),
      '€'.repeat(size),
      '😀'.repeat(size >> 1) + '.'.repeat(size & 1),
      // the length form changes in the middle of the text's possible lengths
      'a'.repeat(size >> 1) + '€'.repeat(size - (size >> 1)),
      bytes
    ]
    for (const payload of payloads) {
      connection.send(payload)
      const expected = Buffer.from(payload as string)
      const header = await client.bytes(expected.length < 126 ? 2 : expected.length < 65536 ? 4 : 10)
      const expectedHeader = Buffer.alloc(header.length)
      expectedHeader[0] = typeof payload === 'string' ? 0x81 : 0x82
      if (header.length === 2) {
        expectedHeader[1] = expected.length
      } else if (header.length === 4) {
        expectedHeader[1] = 126
        expectedHeader.writeUInt16BE(expected.length, 2)
      } else {
        expectedHeader[1] = 127
        expectedHeader.writeBigUInt64BE(BigInt(expected.length), 2)
      }
      const received = await client.bytes(expected.length)
      if (!header.equals(expectedHeader) || !received.equals(expected)) {
        t.fail(`${size} characters of ${JSON.stringify(String(payload).slice(0, 1))}`, { header: header.toString('hex'), expectedHeader: expectedHeader.toString('hex') })
      }
    }
  }
  t.equal(client.received.length, 0, 'and nothing else')
})

t.test('send: lone surrogates become U+FFFD, as in browsers, and never invalid UTF-8', async t => {
  const { client, connection } = await connect(t)
  for (const text of ['\ud800', 'a\udc00b', '\ud83d'.repeat(42), '\udc00\ud800'.repeat(3000)]) {
    connection.send(text)
    t.ok((await client.frame()).payload.equals(Buffer.from(new TextEncoder().encode(text))))
  }
})

t.test('C4: a view is read through its own offset and length, and nothing around it is sent', async t => {
  const { client, connection } = await connect(t)
  for (const size of [0, 8, 120, 128, 16384, 65536]) {
    const secret = Buffer.alloc(size + 64, 'S')
    const arrayBuffer = new ArrayBuffer(size + 64)
    const shared = new SharedArrayBuffer(size + 64)
    for (const memory of [new Uint8Array(arrayBuffer), new Uint8Array(shared)]) {
      memory.set(secret)
      memory.fill(0x76, 16, 16 + size)
    }
    const exact = new SharedArrayBuffer(size)
    new Uint8Array(exact).fill(0x76)
    const views: WebSocketData[] = [
      new Uint8Array(arrayBuffer, 16, size),
      new Int8Array(arrayBuffer, 16, size),
      new Uint8ClampedArray(arrayBuffer, 16, size),
      new Uint16Array(arrayBuffer, 16, size / 2),
      new Int32Array(arrayBuffer, 16, size / 4),
      new Float32Array(arrayBuffer, 16, size / 4),
      new Float64Array(arrayBuffer, 16, size / 8),
      new BigUint64Array(arrayBuffer, 16, size / 8),
      new DataView(arrayBuffer, 16, size),
      Buffer.from(arrayBuffer, 16, size),
      new Uint8Array(shared, 16, size),
      new DataView(shared, 16, size),
      arrayBuffer.slice(16, 16 + size),
      exact
    ]
    for (const view of views) {
      connection.send(view)
      const { opcode, payload } = await client.frame()
      const name = `${view.constructor.name} of ${size} bytes`
      t.ok(opcode === 2 && payload.length === size && payload.every(byte => byte === 0x76), name)
      if (size > 125) continue
      connection.ping(view)
      t.same((await client.frame()).payload, payload, `ping with ${name}`)
      connection.pong(view)
      t.same((await client.frame()).payload, payload, `pong with ${name}`)
    }
  }
})

t.test('C4: what is neither text nor bytes is a TypeError, and nothing is sent', async t => {
  const { client, connection } = await connect(t)
  const wrong: unknown[] = [0, 5, 1e9, -1, NaN, null, true, {}, [], [1, 2, 3], { length: 10 }, 10n, Symbol('s'), new Date(), { type: 'Buffer', data: [1] }]
  for (const data of wrong) {
    const name = typeof data === 'object' && data !== null ? data.constructor.name : String(data)
    t.throws(() => connection.send(data as WebSocketData), TypeError, `send ${name}`)
    t.throws(() => connection.ping(data as WebSocketData), TypeError, `ping ${name}`)
    t.throws(() => connection.pong(data as WebSocketData), TypeError, `pong ${name}`)
    t.throws(() => connection.close(1000, (data === 0 ? 1 : data) as string), TypeError, `close reason ${name}`)
  }
  t.throws(() => connection.send(undefined as unknown as WebSocketData), TypeError, 'send undefined')
  t.throws(() => connection.send(undefined as unknown as WebSocketData, () => {}), TypeError, 'send undefined with a callback')
  for (const code of ['1000', {}, [1000], 10n, new Uint16Array([1000]), true]) {
    t.throws(() => connection.close(code as number), TypeError, `close code ${typeof code}`)
  }
  connection.send('only this')
  t.equal((await client.frame()).payload.toString(), 'only this')
})

t.test('C4: wrong data is a TypeError also on a connection that is closed', async t => {
  const { client, connection } = await connect(t)
  const closed = once(connection, 'close')
  client.destroy()
  await closed
  t.throws(() => connection.send(5 as unknown as WebSocketData), TypeError)
  t.throws(() => connection.ping(null as unknown as WebSocketData), TypeError)
  t.equal(connection.send('x'), false, 'right data is refused without a throw')
})

t.test('C10: codes that may not be sent, and reasons that are too long, are RangeErrors', async t => {
  const { client, connection } = await connect(t)
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65536, -1000, 1000.5, NaN, Infinity]) {
    t.throws(() => connection.close(code), RangeError, String(code))
  }
  t.throws(() => connection.close(1000, 'x'.repeat(124)), RangeError)
  t.throws(() => connection.close(1000, Buffer.alloc(124)), RangeError)
  t.throws(() => connection.close(1000, '€'.repeat(42)), RangeError, 'bytes count, not characters')
  t.equal(connection.readyState, connection.OPEN)
  connection.close(1000, '€'.repeat(41))
  t.same(await client.closeFrame(), { code: 1000, reason: '€'.repeat(41) })
})

t.test('C10: each code that may be sent arrives', async t => {
  let code = 0
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => connection.close(code, 'why'))
  })
  for (code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
    const client = await RawClient.open(port)
    t.same(await client.closeFrame(), { code, reason: 'why' })
    client.write(close(code))
    client.end()
    await client.closed
  }
})

t.test('what is sent below 16 KiB may be changed by the user at once; what was received may be changed too', async t => {
  const { client, connection } = await connect(t)
  const bytes = Buffer.alloc(16 * 1024 - 1)
  for (let i = 1; i <= 20; i++) {
    bytes.fill(i)
    connection.send(bytes)
    if (i % 5 === 0) connection.ping(bytes.subarray(0, 100))
  }
  bytes.fill(0xff)
  for (let i = 1; i <= 20; i++) {
    t.ok((await client.frame()).payload.every(byte => byte === i))
    if (i % 5 === 0) t.ok((await client.frame()).payload.every(byte => byte === i))
  }
})

t.test('what is broadcast may be changed at once, whatever its size', async t => {
  const connections: WebSocketConnection[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  })
  const clients = await Promise.all([RawClient.open(port), RawClient.open(port)])
  for (const size of [10, 5000, 100_000]) {
    const bytes = Buffer.alloc(size, 1)
    t.equal(app.websocketServer.broadcast(bytes), 2)
    bytes.fill(2)
    for (const client of clients) t.ok((await client.frame()).payload.equals(Buffer.alloc(size, 1)))
  }
  for (const client of clients) client.destroy()
})

t.test('send: options and callback in the forms that code for ws uses', async t => {
  const { client, connection } = await connect(t)
  type Send = (data: unknown, options?: unknown, callback?: unknown) => boolean
  const send = connection.send.bind(connection) as Send
  const calls: string[] = []
  send('1', null)
  send('2', {})
  send('3', undefined, () => { calls.push('3') })
  send('4', null, () => { calls.push('4') })
  send('5', { compress: true, mask: false, binary: undefined, fin: undefined })
  send('6', {}, undefined)
  send('7', {}, null)
  await new Promise<void>(resolve => { send('8', () => resolve()) })
  t.same(calls, ['3', '4'])
  for (let i = 1; i <= 8; i++) {
    const { opcode, fin, payload } = await client.frame()
    t.same([opcode, fin, payload.toString()], [1, true, String(i)])
  }
})

t.test('callbacks of what could not be handed over get an error, once, and what they throw reaches errorHandler', async t => {
  const { client, connection, errors } = await connect(t)
  const results: unknown[] = []
  const closed = once(connection, 'close')
  // More than the kernel takes from us while nobody reads.
  client.socket.pause()
  const big = Buffer.alloc(32 * 1024 * 1024)
  connection.send(big, () => { results.push(['big']) })
  connection.send('behind', error => {
    results.push(['behind', error instanceof Error])
    throw new Error('thrown by a callback')
  })
  t.ok(connection.bufferedAmount > big.length / 2)
  await new Promise(resolve => setImmediate(resolve))
  t.same(results, [], 'not yet')
  connection.send('in the batch', error => { results.push(['in the batch', error instanceof Error]) })
  sessionOf(connection as Connection).socket.destroy()
  await closed
  // The first was handed to the socket; what Node says of a write that a destroyed socket drops is Node's.
  t.same(results.sort(), [['behind', true], ['big'], ['in the batch', true]])
  t.same(errors.map(error => error.message), ['thrown by a callback'])
})
