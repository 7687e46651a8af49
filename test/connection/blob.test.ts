import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { serveWithOurs, serveWithWs } from '../support/both-servers.js'
import { DeflateClient } from '../support/deflate-client.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { close, ping, RawClient } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

// A Blob is read asynchronously, but sent in its place.

interface Rig {
  app: FastifyInstance
  connection: WebSocketConnection
  port: number
  client: RawClient
  errors: Error[]
}

async function serve (t: Teardown, options: WebSocketPluginOptions = {}): Promise<Rig> {
  const errors: Error[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { app, port } = await startApp(t, app => { app.get('/', { websocket: true }, opened) }, {
    closeTimeout: 300,
    ...options,
    errorHandler: error => { errors.push(error) }
  })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('error', () => {})
  client.socket.on('end', () => client.end())
  return { app, port, client, connection: await whenOpened, errors }
}

const read = async (client: RawClient, count: number): Promise<unknown[]> => {
  const frames: unknown[] = []
  for (let i = 0; i < count; i++) {
    const { opcode, fin, payload } = await client.frame()
    frames.push([opcode, fin, payload.length > 100 ? payload.length : payload.toString()])
  }
  return frames
}

/** What a type of another realm, or a package, may look like. */
function fakeBlob (size: number, arrayBuffer: () => unknown): Blob {
  return { size, arrayBuffer, type: '', stream () {}, get [Symbol.toStringTag] () { return 'Blob' } } as unknown as Blob
}

/** Is read when the gate opens. */
function slowBlob (text: string): { blob: Blob, ready: () => void } {
  const ready = gate()
  const blob = fakeBlob(Buffer.byteLength(text), async () => {
    await ready.passed
    return new TextEncoder().encode(text).buffer
  })
  return { blob, ready: ready.open }
}

t.test('as ws sends them: the order is that of the calls', async t => {
  for (const [name, serve] of Object.entries({ ws: serveWithWs, ours: serveWithOurs })) {
    const log: unknown[] = []
    const done = gate()
    const port = await serve(t, connection => {
      connection.send('first')
      connection.send(new Blob(['a ', 'blob']), error => log.push(['blob', error ?? null]))
      connection.send('behind', error => log.push(['behind', error ?? null]))
      connection.ping(new Blob(['ping']))
      connection.pong(new File(['pong'], 'name'), false, error => log.push(['pong', error ?? null]))
      connection.send(new Blob(['te']), { binary: false, fin: false })
      connection.send(new Blob(['xt']), { fin: true })
      connection.send(new Blob([]))
      connection.send(new Blob([Buffer.alloc(100_000)]), () => done.open())
      connection.ping('last')
      connection.close(4000, new Uint8Array([98, 121, 101]))
    })
    const client = await RawClient.open(port)
    t.teardown(() => client.destroy())
    t.same(await read(client, 10), [
      [1, true, 'first'], [2, true, 'a blob'], [1, true, 'behind'], [9, true, 'ping'], [10, true, 'pong'], [1, false, 'te'], [0, true, 'xt'],
      [2, true, ''], [2, true, 100_000], [9, true, 'last']
    ], name)
    t.same(await client.closeFrame(), { code: 4000, reason: 'bye' }, name)
    await done.passed
    t.same(log, [['blob', null], ['behind', null], ['pong', null]], name)
  }
})

t.test('what binaryType has given as a Blob can be sent back', async t => {
  const { connection, client } = await serve(t)
  connection.binaryType = 'blob'
  connection.on('message', (data: unknown) => {
    t.ok(data instanceof Blob)
    connection.send(data as Blob)
  })
  client.write(Buffer.concat([1, 2, 3].map(n => Buffer.from([0x82, 0x81, 0, 0, 0, 0, n]))))
  t.same(await read(client, 3), [1, 2, 3].map(n => [2, true, String.fromCharCode(n)]))
})

t.test('while one is read: bufferedAmount, send, broadcasts, Pongs, drain', async t => {
  const { app, connection, client } = await serve(t)
  const { blob, ready } = slowBlob('slow')
  let drains = 0
  const drained = gate()
  connection.on('drain', () => {
    drains++
    drained.open()
  })
  connection.send('before')
  t.equal(connection.send(blob), false, 'more should wait')
  t.equal(connection.bufferedAmount, 4)
  connection.send('five!')
  t.equal(connection.bufferedAmount, 9)
  t.equal(app.websocketServer.broadcast('to all'), 1)
  client.write(ping('answered behind it'))
  await turns()
  t.same(await read(client, 1), [[1, true, 'before']], 'what was sent before it does not wait')
  ready()
  t.same(await read(client, 4), [[2, true, 'slow'], [1, true, 'five!'], [1, true, 'to all'], [10, true, 'answered behind it']])
  await drained.passed
  await turns()
  t.same([drains, connection.bufferedAmount], [1, 0])
  t.equal(connection.send('after'), true)
})

t.test('over HTTP/2, from the client of injectWS, and compressed', async t => {
  const sendAll = (connection: WebSocketConnection): void => {
    connection.send(new Blob(['x'.repeat(2000)]), { binary: false })
    connection.send(new Blob([Buffer.alloc(100_000, 'y')]))
    connection.send('z')
    connection.close(1000)
  }
  const { port } = await startApp(t, app => { app.get('/', { websocket: true }, sendAll) }, {}, { http2: true })
  const client = await openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`))
  t.same(await read(client, 3), [[1, true, 2000], [2, true, 100_000], [1, true, 'z']])

  const deflating = await startApp(t, app => { app.get('/', { websocket: true }, sendAll) }, { perMessageDeflate: true })
  const inflating = await DeflateClient.open(t, deflating.port)
  for (const [length, isBinary] of [[2000, false], [100_000, true], [1, false]] as const) {
    const message = await inflating.message()
    t.same([message.data.length, message.isBinary, message.isCompressed], [length, isBinary, length > 1])
  }

  const lengths: number[] = []
  const done = gate()
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => lengths.push(data.length))
      connection.on('close', () => done.open())
    })
  })
  sendAll(await app.injectWS('/'))
  await done.passed
  t.same(lengths, [2000, 100_000, 1])
})

t.test('the end while one is read: callbacks get an error, nothing is sent, nothing hangs', async t => {
  for (const end of ['terminate', 'the client leaves'] as const) {
    const { connection, client, errors } = await serve(t)
    const { blob, ready } = slowBlob('never')
    const called: unknown[] = []
    connection.send(blob, error => called.push((error as Error & { code: string }).code))
    connection.send('behind', error => called.push((error as Error & { code: string }).code))
    const closed = new Promise(resolve => connection.on('close', resolve))
    if (end === 'terminate') connection.terminate()
    else client.destroy()
    await closed
    ready()
    await turns()
    t.same(called, ['FST_WS_ERR_CLOSED', 'FST_WS_ERR_CLOSED'], end)
    t.same([errors, connection.bufferedAmount], [[], 0])
  }
})

t.test('close() waits behind it, as it does behind everything that was sent', async t => {
  const { connection, client } = await serve(t)
  const { blob, ready } = slowBlob('slow')
  connection.send(blob)
  connection.close(4000)
  await turns()
  t.equal(client.received.length, 0)
  ready()
  t.same(await read(client, 1), [[2, true, 'slow']])
  t.equal((await client.closeFrame()).code, 4000)

  const answered = await serve(t)
  const second = slowBlob('slow')
  answered.connection.send(second.blob)
  answered.client.write(close(4001, 'theirs'))
  await turns()
  second.ready()
  t.same(await read(answered.client, 1), [[2, true, 'slow']])
  t.same(await answered.client.closeFrame(), { code: 4001, reason: 'theirs' })
  t.equal(await answered.client.ended, true)
})

t.test('C4: one that cannot be read, or lies: the app hears of it, and the connection closes with 1011', async t => {
  const wrong: Record<string, Blob> = {
    'a rejection': fakeBlob(4, async () => { throw new Error('no file') }),
    'a throw': fakeBlob(4, () => { throw new Error('no file') }),
    'a number': fakeBlob(4, () => 4),
    'fewer bytes': fakeBlob(4, async () => new ArrayBuffer(3)),
    'more bytes': fakeBlob(4, async () => new ArrayBuffer(4000))
  }
  for (const [name, blob] of Object.entries(wrong)) {
    for (const isClosing of [false, true]) {
      const { connection, client, errors } = await serve(t)
      const called: unknown[] = []
      connection.send('before')
      connection.send(blob, error => called.push(error))
      connection.send('behind', error => called.push((error as Error & { code: string }).code))
      if (isClosing) connection.close(4000)
      t.same(await read(client, 1), [[1, true, 'before']])
      t.same(await client.closeFrame(), { code: 1011, reason: '' }, name)
      t.equal(errors.length, 1)
      t.same(called, [errors[0], 'FST_WS_ERR_CLOSED'])
      client.write(close(1011))
      t.equal(await client.ended, true)
      t.equal(client.received.length, 0)
    }
  }
})

t.test('C4: what is neither bytes nor a Blob is a TypeError, whatever it looks like', async t => {
  const { app, connection, client } = await serve(t)
  // The comments say what `ws` makes of it.
  const refused: unknown[] = [
    5, // '5'
    undefined, null, false, // an empty message
    true, // TypeError
    1n, // TypeError
    [1, 2, 3], // three bytes
    [Buffer.from('a')], // one byte, which is 0
    { length: 3 }, // three bytes, all 0
    { type: 'Buffer', data: [1, 2] }, // two bytes
    // eslint-disable-next-line no-new-wrappers
    new String('x'), // 'x', binary
    { valueOf: () => 'x' }, // 'x', binary
    {}, new Date(), Symbol('x'), // TypeError
    { size: 4, arrayBuffer: async () => new ArrayBuffer(4) }, // TypeError
    fakeBlob(NaN, async () => new ArrayBuffer(4)), fakeBlob(-1, async () => new ArrayBuffer(4))
  ]
  for (const data of refused) {
    t.throws(() => connection.send(data as string), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT' })
    t.throws(() => app.websocketServer.broadcast(data as string), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT' })
    if (data === undefined) continue
    for (const method of ['ping', 'pong'] as const) t.throws(() => connection[method](data as string), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT' })
    if (typeof data !== 'string') t.throws(() => connection.close(1000, data as string), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => app.websocketServer.broadcast(new Blob(['x']) as never), { name: 'TypeError' }, 'a broadcast is framed at once')
  for (const reason of [new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Blob(['x'])]) {
    t.throws(() => connection.close(1000, reason as never), { name: 'TypeError' })
  }
  for (const method of ['ping', 'pong'] as const) t.throws(() => connection[method](new Blob(['x'.repeat(126)])), { name: 'RangeError' })
  t.throws(() => connection.close(1000, new Uint8Array(124)), { name: 'RangeError' })
  connection.send('nothing else')
  t.same(await read(client, 1), [[1, true, 'nothing else']])
})
