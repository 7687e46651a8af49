import { once } from 'node:events'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { WebSocketClosure, WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, RawClient, text } from '../support/raw-client.js'

// `data`, `id`, `closed`, `drained`, `flush` and the event `text`: on every transport.

async function until (condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}

async function readAll (client: RawClient): Promise<void> {
  try {
    for (;;) await client.frame()
  } catch {
    // It has ended.
  }
}

for (const http2 of [false, true]) {
  const start = async (t: Teardown, configure: (app: FastifyInstance) => unknown, fastify: object = {}): Promise<{ app: FastifyInstance, open: () => Promise<RawClient> }> => {
    const { app, port } = await startApp(t, configure, { closeTimeout: 500 }, { http2, ...fastify })
    const session = http2 ? await connectHttp2(t, `http://127.0.0.1:${port}`) : null
    return {
      app,
      async open () {
        const client = session === null ? await RawClient.open(port) : await openHttp2(session)
        t.teardown(() => client.destroy())
        return client
      }
    }
  }
  const name = `over HTTP/${http2 ? 2 : 1}`

  t.test(`what hooks put into request.connectionData is connection.data, ${name}`, async t => {
    const seen: unknown[] = []
    const { app, open } = await start(t, app => {
      app.addHook('onRequest', async request => { Object.assign(request.connectionData, { user: 'ada' }) })
      app.get('/', { websocket: true, preHandler: async request => { Object.assign(request.connectionData, { room: 'tea' }) } }, (connection, request) => {
        seen.push({ ...connection.data }, connection.data === request.connectionData)
        request.connectionData = { replaced: true }
        seen.push(connection.data)
        connection.data = { again: 1 }
        seen.push(request.connectionData)
        t.throws(() => { connection.data = null as never }, { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT', message: 'data must be an object, not null' })
        t.throws(() => { request.connectionData = 'x' as never }, { name: 'TypeError', message: "connectionData must be an object, not 'x'" })
        connection.send('x')
      })
      app.get('/http', async request => request.connectionData)
    })
    await (await open()).frame()
    t.strictSame(seen, [{ user: 'ada', room: 'tea' }, true, { replaced: true }, { again: 1 }])
    t.strictSame((await app.inject('/http')).json(), { user: 'ada' })
    const client = await app.injectWS('/')
    t.strictSame(client.data, {})
    t.equal(client.data, client.data)
    client.terminate()
  })

  t.test(`without hooks it is an object of each connection, ${name}`, async t => {
    const connections: WebSocketConnection[] = []
    const { open } = await start(t, app => {
      app.get('/', { websocket: true }, (connection, request) => {
        t.equal(connection.data, request.connectionData)
        connections.push(connection)
        connection.send('x')
      })
    })
    for (const client of [await open(), await open()]) await client.frame()
    t.not(connections[0]!.data, connections[1]!.data)
    t.not(connections[0]!.id, connections[1]!.id)
    t.equal(connections[0]!.id, connections[0]!.id)
    t.match(connections[0]!.id, /^[\w-]{8}-[0-9a-z]+$/)
  })

  t.test(`each line about a connection has its id, ${name}`, async t => {
    const lines: Record<string, unknown>[] = []
    let id = ''
    const { open } = await start(t, app => {
      app.get('/', { websocket: true }, connection => {
        id = connection.id
        throw new Error('of the handler')
      })
    }, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line) as Record<string, unknown>) } } } })
    const client = await open()
    await client.closeFrame()
    client.write(close(1011))
    client.end()
    await until(() => lines.some(({ msg }) => msg === 'websocket connection closed'))
    const ours = lines.filter(({ msg }) => msg === 'websocket connection closed' || msg === 'of the handler')
    t.strictSame(ours.map(({ connectionId }) => connectionId), [id, id])
  })

  t.test(`closed gives code and reason, before and after the end, ${name}`, async t => {
    const closures: WebSocketClosure[] = []
    let connection!: WebSocketConnection
    const { open, app } = await start(t, app => {
      app.get('/', { websocket: true }, async opened => {
        connection = opened
        connection.send('x')
        closures.push(await connection.closed)
      })
    })
    const client = await open()
    await client.frame()
    t.equal(connection.closed, connection.closed)
    // A handler that waits for the end and listens to nothing else does not keep it from coming.
    client.write(close(4000, 'bye'))
    t.strictSame(await connection.closed, { code: 4000, reason: 'bye' })
    t.strictSame(closures, [{ code: 4000, reason: 'bye' }])
    const lost = await open()
    await lost.frame()
    lost.destroy()
    await once(connection, 'close')
    t.strictSame(await connection.closed, { code: 1006, reason: '' }, 'asked for afterwards')
    const injected = await app.injectWS('/')
    injected.close(1000, 'done')
    t.strictSame(await injected.closed, { code: 1000, reason: 'done' })
  })

  t.test(`drained waits for a slow reader, and rejects when the connection closes, ${name}`, async t => {
    const errors: unknown[] = []
    let connection!: WebSocketConnection
    let settled!: () => void
    const done = new Promise<void>(resolve => { settled = resolve })
    const { open } = await start(t, app => {
      app.setErrorHandler(error => { errors.push(error) })
      app.get('/', { websocket: { errorHandler: error => { errors.push(error) } } }, async opened => {
        connection = opened
        await connection.drained()
        try {
          while (connection.send(Buffer.alloc(64 * 1024)));
          await connection.drained()
        } finally {
          settled()
        }
      })
    })
    const reader = await open()
    readAll(reader)
    await done
    t.strictSame(errors, [])
    t.ok(connection.bufferedAmount < 64 * 1024)
    const waiting = connection.drained()
    await waiting
    connection.terminate()
    await once(connection, 'close')
    await t.rejects(connection.drained(), { code: 'FST_WS_ERR_CLOSED' })
    await t.rejects(connection.flush(), { code: 'FST_WS_ERR_CLOSED' })
    // Nobody awaits it, and the process lives.
    connection.drained()
    connection.flush()
    await new Promise(resolve => setImmediate(resolve))
  })

  t.test(`a handler that waits for a client which leaves ends without an error, ${name}`, async t => {
    const errors: unknown[] = []
    let connection!: WebSocketConnection
    const { open } = await start(t, app => {
      app.get('/', { websocket: { errorHandler: error => { errors.push(error) } } }, async opened => {
        connection = opened
        for (;;) {
          while (connection.send(Buffer.alloc(64 * 1024)));
          await connection.drained()
        }
      })
    })
    const client = await open()
    client.socket.pause()
    await until(() => connection !== undefined && connection.bufferedAmount > 0)
    const closed = once(connection, 'close')
    connection.terminate()
    await closed
    await new Promise(resolve => setImmediate(resolve))
    t.strictSame(errors, [])
  })

  t.test(`flush resolves when all is written, ${name}`, async t => {
    let connection!: WebSocketConnection
    const { open, app } = await start(t, app => {
      app.get('/', { websocket: true }, opened => { connection = opened })
    })
    const client = await open()
    readAll(client)
    await until(() => connection !== undefined)
    await connection.flush()
    const order: string[] = []
    connection.send('a', () => order.push('a'))
    connection.send(new Blob(['b']), {}, () => order.push('b'))
    connection.send(Buffer.alloc(1024 * 1024), () => order.push('c'))
    await connection.flush()
    order.push('flushed')
    t.strictSame(order, ['a', 'b', 'c', 'flushed'])
    t.equal(connection.bufferedAmount, 0)
    connection.send(Buffer.alloc(1024 * 1024))
    await new Promise(resolve => setImmediate(resolve))
    await connection.flush()
    t.equal(connection.bufferedAmount, 0)
    connection.send('last')
    connection.close(1000)
    await connection.flush()
    const injected = await app.injectWS('/')
    injected.send('x'.repeat(200_000))
    await injected.flush()
    t.equal(injected.bufferedAmount, 0)
    injected.terminate()
  })

  t.test(`text gives strings, and counts as a listener for messages, ${name}`, async t => {
    const got: unknown[] = []
    let connection!: WebSocketConnection
    const { open } = await start(t, app => {
      app.get('/', { websocket: true }, async opened => {
        connection = opened
        await new Promise(resolve => setImmediate(resolve))
        connection.on('text', message => { got.push(message) })
        await connection.closed
      })
      app.get('/both', { websocket: true }, opened => { connection = opened })
    })
    const client = await open()
    client.write(Buffer.concat([text('hello'), binary(Buffer.from('bytes')), text('é ☃ 𝄞'), text('x'.repeat(5000) + 'é')]))
    client.write(close(1000))
    t.strictSame(await client.closeFrame(), { code: 1000, reason: '' })
    t.strictSame(got, ['hello', 'é ☃ 𝄞', 'x'.repeat(5000) + 'é'])
    t.equal((await connection.closed).code, 1000)
  })
}
