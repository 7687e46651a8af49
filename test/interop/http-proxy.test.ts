import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { WebSocket, type ClientOptions } from 'ws'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import type { ProcessTest } from '../support/child-process.js'
import { runExample } from '../support/run-example.js'
import { findPort } from './proxies.js'

// Connections through @fastify/http-proxy. test/coexistence/http-proxy.test.ts tests the proxy and our routes on one
// server.

/** Its types do not know all of its options. */
type ProxyOptions = Partial<FastifyHttpProxyOptions> & { wsReconnect?: object }

async function startProxy (t: Teardown, upstream: number, options: ProxyOptions = {}): Promise<string> {
  const proxy = Fastify()
  t.teardown(() => proxy.close())
  await proxy.register(httpProxy, { upstream: `http://127.0.0.1:${upstream}`, websocket: true, ...options } as FastifyHttpProxyOptions)
  await proxy.listen({ port: 0, host: '127.0.0.1' })
  return `ws://127.0.0.1:${(proxy.server.address() as AddressInfo).port}`
}

async function connect (t: Teardown, url: string, options: ClientOptions = {}): Promise<WebSocket> {
  const client = new WebSocket(url, options)
  t.teardown(() => client.terminate())
  await once(client, 'open')
  return client
}

/** The connection of ours that a client has got through the proxy. */
async function pair (t: Teardown, url: string, app: FastifyInstance, options: ClientOptions = {}): Promise<{ client: WebSocket, connection: WebSocketConnection }> {
  const opened = once(app.websocketServer, 'connection')
  const client = await connect(t, url, options)
  return { client, connection: (await opened)[0] }
}

t.test('text and bytes, short and long, both ways', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  }, { maxPayload: 4 * 1024 * 1024, perMessageDeflate: true })
  const { client, connection } = await pair(t, await startProxy(t, port), app)
  t.match(connection.extensions, /^permessage-deflate/, 'the proxy compresses')
  for (const data of ['', 'grüße', 'x'.repeat(100_000), randomBytes(0), randomBytes(125), randomBytes(3 * 1024 * 1024)]) {
    client.send(data)
    const [received, isBinary] = await once(client, 'message')
    t.equal(isBinary, typeof data !== 'string')
    t.ok(Buffer.from(data as string).equals(received))
  }
})

t.test('close codes and reasons, both ways, and a client that breaks off', async t => {
  const { app, port } = await startApp(t, app => app.get('/', { websocket: true }, () => {}))
  const url = await startProxy(t, port)
  const byServer = await pair(t, url, app)
  byServer.connection.close(4001, 'of the server')
  t.strictSame((await once(byServer.client, 'close')).map(String), ['4001', 'of the server'])
  const byClient = await pair(t, url, app)
  byClient.client.close(4002, 'of the client')
  t.strictSame((await once(byClient.connection, 'close')).map(String), ['4002', 'of the client'])
  const broken = await pair(t, url, app)
  broken.client.terminate()
  t.equal((await once(broken.connection, 'close'))[0], 4006, 'the proxy tells 1006 as 4006')
  const closing = await pair(t, url, app)
  const closed = once(closing.client, 'close')
  await app.close()
  t.equal((await closed)[0], 1001)
})

t.test('the heartbeat goes through to the client, and its answers are told to nobody', async t => {
  const { app, port } = await startApp(t, app => app.get('/', { websocket: true }, () => {}), { heartbeat: { interval: 40, timeout: 10_000 } })
  const { client, connection } = await pair(t, await startProxy(t, port), app)
  let pongs = 0
  connection.on('pong', () => { pongs++ })
  // The proxy answers each Ping, and passes on the answer of the client too.
  for (let i = 0; i < 4; i++) await once(client, 'ping')
  t.type(connection.latency, 'number')
  t.equal(pongs, 0)
  connection.ping('mine')
  await once(connection, 'pong')
})

t.test('a handshake that we refuse is a 1011 to the client: the proxy has accepted it before', async t => {
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true, preHandler: async (_request, reply) => reply.code(403).send('no') }, () => {})
  })
  const client = await connect(t, await startProxy(t, port))
  const [code, reason] = await once(client, 'close')
  t.strictSame([code, String(reason)], [1011, 'unexpected response'])
})

t.test('wsReconnect: clients stay while we are restarted', async t => {
  const port = await findPort()
  const start = async (name: string): Promise<FastifyInstance> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(`${name}: ${data}`))
    })
    await app.listen({ port, host: '127.0.0.1' })
    return app
  }
  const first = await start('the first')
  const client = await connect(t, await startProxy(t, port, {
    wsReconnect: { reconnectInterval: 100, reconnectOnClose: true, pingInterval: 50 }
  }))
  client.send('hello')
  t.equal(String((await once(client, 'message'))[0]), 'the first: hello')
  let isClosed = false
  client.on('close', () => { isClosed = true })
  await first.close()
  await start('the second')
  // The proxy loses messages of either direction that arrive before it listens to the new connection.
  const timer = setInterval(() => client.send('again'), 50)
  t.equal(String((await once(client, 'message'))[0]), 'the second: again')
  clearInterval(timer)
  t.equal(isClosed, false)
})

t.test('examples/http-proxy: a route of its own, and a service that knows whose page it is', async t => {
  const { url } = await runExample(t as ProcessTest, 'examples/http-proxy/server.ts')
  const ws = url.replace('http', 'ws')
  const clock = await connect(t, `${ws}/clock`)
  const ticked = once(clock, 'message')
  const hello = async (options: ClientOptions): Promise<string> => {
    const client = new WebSocket(`${ws}/service/echo`, options)
    t.teardown(() => client.terminate())
    return String((await Promise.race([once(client, 'message'), once(client, 'close')]))[0])
  }
  t.equal(await hello({}), 'hello, 127.0.0.1')
  t.equal(await hello({ origin: url }), 'hello, 127.0.0.1', 'a page of the gateway')
  t.equal(await hello({ origin: 'https://evil.example' }), '1011', 'a page of somebody else')
  t.match(String((await ticked)[0]), /^\d{4}-\d\d-\d\dT/)
})
