import diagnosticsChannel from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type {
  WebSocketClosed, WebSocketConnection, WebSocketFailed, WebSocketOpened, WebSocketPluginOptions, WebSocketRefused
} from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { binary, close, frame, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { gate, ServerSockets, turns } from '../support/server-sockets.js'

/** What is published while the test runs. */
function subscribe<T> (t: Test, name: string): T[] {
  const messages: T[] = []
  const listener = (message: unknown): void => { messages.push(message as T) }
  diagnosticsChannel.subscribe(`fastify-ws-routes.${name}`, listener)
  t.teardown(() => diagnosticsChannel.unsubscribe(`fastify-ws-routes.${name}`, listener))
  return messages
}

async function open (t: Test, port: number, path?: string): Promise<RawClient> {
  const client = await RawClient.open(port, path)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return client
}

const nextConnection = (app: FastifyInstance): Promise<WebSocketConnection> =>
  new Promise(resolve => app.websocketServer.once('connection', resolve))

t.test('stats: messages and bytes each way, of the living and of those that are over, each once', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => {
        connection.send(data)
        connection.send('and more')
      })
    })
  })
  const { topics } = app.websocketServer.stats
  const nothing = { topics, open: 0, pending: 0, opened: 0, refused: {}, received: { messages: 0, bytes: 0 }, sent: { messages: 0, bytes: 0 }, queued: 0 }
  t.same(app.websocketServer.stats, nothing)
  for (let round = 1; round <= 3; round++) {
    const opened = nextConnection(app)
    const client = await open(t, port)
    const connection = await opened
    // Neither control frames nor fragments are messages.
    client.write(Buffer.concat([text('12345'), ping('x'), text('a', { fin: false }), frame(0, 'bc')]))
    for (let i = 0; i < 5; i++) await client.frame()
    const expected = {
      ...nothing,
      opened: round,
      received: { messages: 2 * round, bytes: 8 * round },
      sent: { messages: 4 * round, bytes: 24 * round }
    }
    t.same(app.websocketServer.stats, { ...expected, open: 1 })
    const closed = once(connection, 'close')
    if (round === 2) client.destroy()
    else client.write(close(1000))
    await closed
    t.same(app.websocketServer.stats, expected)
  }
})

t.test('stats: what is queued to all', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  })
  for (let i = 0; i < 2; i++) await open(t, port)
  while (app.websocketServer.clients.size < 2) await turns(1)
  for (const connection of app.websocketServer.clients) connection.send('x'.repeat(98))
  t.equal(app.websocketServer.stats.queued, 200)
  await turns(2)
  t.equal(app.websocketServer.stats.queued, 0)
})

interface Case {
  options?: WebSocketPluginOptions
  prepare?: (app: FastifyInstance) => void
  request?: string
  statusCode: number
  reason: string
}

const REFUSALS: Record<string, Case> = {
  'another origin': { request: upgradeRequest('/', { Origin: 'https://evil.example' }), statusCode: 403, reason: 'FST_WS_ERR_ORIGIN' },
  'another origin, and an error handler that makes something else of it': {
    prepare: app => app.setErrorHandler((_error, _request, reply) => reply.code(418).send('no')),
    request: upgradeRequest('/', { Origin: 'https://evil.example' }),
    statusCode: 418,
    reason: 'FST_WS_ERR_ORIGIN'
  },
  'an origin that is refused asynchronously': {
    options: { origin: async () => false },
    request: upgradeRequest('/', { Origin: 'https://evil.example' }),
    statusCode: 403,
    reason: 'FST_WS_ERR_ORIGIN'
  },
  'another version': { request: upgradeRequest('/', { 'Sec-WebSocket-Version': '8' }), statusCode: 426, reason: 'FST_WS_ERR_HANDSHAKE_VERSION' },
  verifyClient: { options: { options: { verifyClient: () => false } }, statusCode: 401, reason: 'FST_WS_ERR_VERIFY_CLIENT' },
  'a subprotocol that was not offered': { options: { protocols: () => 'none' }, statusCode: 500, reason: 'FST_WS_ERR_SUBPROTOCOL' },
  'no place left': {
    options: { maxConnections: 1 },
    // The first handshake holds the only place.
    prepare: app => app.addHook('preHandler', () => new Promise(() => {})),
    statusCode: 503,
    reason: 'FST_WS_ERR_MAX_CONNECTIONS'
  },
  'a hook that takes too long': {
    options: { handshakeTimeout: 20 },
    prepare: app => app.addHook('preHandler', () => new Promise(() => {})),
    statusCode: 503,
    reason: 'timeout'
  },
  'a hook that replies': { prepare: app => app.addHook('preHandler', async (_request, reply) => reply.code(401).send()), statusCode: 401, reason: '401' },
  'a hook that throws': { prepare: app => app.addHook('preHandler', async () => { throw new Error('no') }), statusCode: 500, reason: '500' },
  'no such path': { request: upgradeRequest('/nowhere'), statusCode: 404, reason: '404' },
  'another method': { request: upgradeRequest('/', {}, 'POST / HTTP/1.1'), statusCode: 405, reason: 'FST_WS_ERR_HANDSHAKE_METHOD' }
}

for (const [name, { options = {}, prepare, request = upgradeRequest(), statusCode, reason }] of Object.entries(REFUSALS)) {
  t.test(`refused is told, and counted by reason: ${name}`, async t => {
    const refused = subscribe<WebSocketRefused>(t, 'refused')
    const { app, port } = await startApp(t, app => {
      prepare?.(app)
      app.get('/', { websocket: true }, () => {})
    }, { closeTimeout: 100, ...options })
    if (options.maxConnections !== undefined) {
      const first = await RawClient.connect(port)
      t.teardown(() => first.destroy())
      first.write(upgradeRequest())
      while (app.websocketServer.stats.pending === 0) await turns(1)
    }
    const client = await RawClient.connect(port)
    client.socket.on('end', () => client.end())
    client.write(request)
    t.equal((await client.head()).status, statusCode)
    await client.closed
    t.same(app.websocketServer.stats.refused, { [reason]: 1 })
    t.equal(refused.length, 1)
    t.match(refused[0], { statusCode, reason })
    t.equal(refused[0]!.server, app.websocketServer)
    t.match(refused[0]!.request.headers, { upgrade: 'websocket' })
  })
}

t.test('refused: a client that leaves while a hook runs, and one that comes while the app closes', async t => {
  const refused = subscribe<WebSocketRefused>(t, 'refused')
  let sockets!: ServerSockets
  const held = gate()
  const { app, port } = await startApp(t, app => {
    sockets = new ServerSockets(app.server)
    app.get('/', { websocket: true, preHandler: () => held.passed }, () => {})
  })
  const leaver = await RawClient.connect(port)
  leaver.write(upgradeRequest())
  while (app.websocketServer.stats.pending === 0) await turns(1)
  leaver.destroy()
  await sockets.allClosed()
  t.same(app.websocketServer.stats.refused, { aborted: 1 })
  t.match(refused, [{ statusCode: null, reason: 'aborted' }])
  t.equal(app.websocketServer.stats.pending, 0)

  const late = await RawClient.connect(port)
  late.socket.on('end', () => late.end())
  late.write(upgradeRequest())
  while (app.websocketServer.stats.pending === 0) await turns(1)
  const closing = app.close()
  t.equal((await late.head()).status, 503)
  held.open()
  await closing
  t.same(app.websocketServer.stats.refused, { aborted: 1, FST_WS_ERR_CLOSING: 1 })
})

t.test('open, error and close are told, with the counts at the end', async t => {
  const opened = subscribe<WebSocketOpened>(t, 'open')
  const failed = subscribe<WebSocketFailed>(t, 'error')
  const closed = subscribe<WebSocketClosed>(t, 'close')
  let openedBeforeHandler = 0
  const { app, port } = await startApp(t, app => {
    app.get('/in/:room', { websocket: true }, connection => {
      openedBeforeHandler = opened.length
      connection.on('message', data => { connection.send(`${data}!`) })
      connection.on('ping', () => { throw new Error('thrown by a listener') })
    })
  }, { errorHandler: () => {} })
  const client = await open(t, port, '/in/tea')
  client.write(Buffer.concat([text('hello'), binary('you'), ping(), frame(3)]))
  await client.closed
  t.equal(openedBeforeHandler, 1)
  t.equal(opened.length, 1)
  t.equal(opened[0]!.server, app.websocketServer)
  t.same(opened[0]!.request.params, { room: 'tea' })
  const { connection } = opened[0]!
  if (connection.readyState !== connection.CLOSED) await new Promise(resolve => connection.once('close', resolve))

  t.equal(failed.length, 2)
  t.match(failed, [{ error: { message: 'thrown by a listener' } }, { error: { code: 'FST_WS_ERR_INVALID_OPCODE', closeCode: 1002 } }])
  t.ok(failed.every(one => one.connection === connection && one.server === app.websocketServer))

  t.match(closed, [{ code: 1006, received: { messages: 2, bytes: 8 }, sent: { messages: 2, bytes: 10 } }])
  t.equal(closed[0]!.connection, connection)
  t.ok(closed[0]!.duration > 0)
})

t.test('without a subscriber nothing is published', async t => {
  let published = 0
  const { port, app } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  })
  const channels = ['open', 'close', 'error', 'refused'].map(name => diagnosticsChannel.channel(`fastify-ws-routes.${name}`))
  for (const channel of channels) {
    const { publish } = channel
    channel.publish = message => {
      published++
      publish.call(channel, message)
    }
    t.teardown(() => { channel.publish = publish })
  }
  const opened = nextConnection(app)
  const client = await open(t, port)
  const connection = await opened
  const closed = once(connection, 'close')
  client.write(close(1000))
  await closed
  t.equal(published, 0)
})
