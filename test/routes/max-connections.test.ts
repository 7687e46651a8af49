import { once } from 'node:events'
import t from 'tap'
import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { RawClient, upgradeRequest, type RawResponse } from '../support/raw-client.js'
import { gate, ServerSockets, turns } from '../support/server-sockets.js'

/** Asks for an upgrade, whatever the answer, and ends when the server does. */
async function ask (port: number, path = '/', ends = true): Promise<{ client: RawClient, response: RawResponse | null }> {
  const client = await RawClient.connect(port)
  if (ends) client.socket.on('end', () => client.end())
  client.write(upgradeRequest(path))
  const head = await client.head()
  if (head.status === 101) return { client, response: null }
  const body = (await client.bytes(Number(head.headers['content-length']))).toString()
  return { client, response: { ...head, body } }
}

async function nobodyLeft (connections: Iterable<WebSocketConnection>): Promise<void> {
  await Promise.all([...connections].map(connection => once(connection, 'close')))
}

t.test('over maxConnections an upgrade is answered 503 with Retry-After, before any hook or handler of the route', async t => {
  const ran: string[] = []
  const { port, app } = await startApp(t, app => {
    for (const hook of ['onRequest', 'preHandler'] as const) app.addHook(hook, async () => { ran.push(hook) })
    app.get('/', { websocket: true }, () => { ran.push('handler') })
    app.get('/http', () => 'plain')
  }, { maxConnections: 2 })
  const clients = [await RawClient.open(port), await RawClient.open(port)] as const
  t.teardown(() => { for (const client of clients) client.destroy() })
  t.equal(ran.splice(0).length, 6)

  const { client, response } = await ask(port)
  t.match(response, { status: 503, headers: { 'retry-after': '1', connection: 'close' } })
  t.match(JSON.parse(response!.body), { statusCode: 503, code: 'FST_WS_ERR_MAX_CONNECTIONS', message: 'Too many connections' })
  t.equal(await client.ended, true)
  t.same(ran, [])
  t.equal((await app.inject('/http')).body, 'plain', 'plain requests have no part in it')

  // A place that is free again is given again.
  const [first] = app.websocketServer.clients
  const closed = nobodyLeft([first!])
  clients[0].destroy()
  await closed
  const next = await RawClient.open(port)
  t.equal((await ask(port)).response!.status, 503)
  next.destroy()
})

t.test('the refusal goes through the app\'s error handler', async t => {
  const { port } = await startApp(t, app => {
    app.setErrorHandler((error: Error & { code: string, statusCode: number }, request, reply) => {
      return reply.code(429).header('x-code', error.code).send({ was: error.statusCode, ws: request.ws })
    })
    app.get('/', { websocket: true }, () => {})
  }, { maxConnections: 1 })
  const client = await RawClient.open(port)
  const { response } = await ask(port)
  t.match(response, { status: 429, headers: { 'x-code': 'FST_WS_ERR_MAX_CONNECTIONS' }, body: '{"was":503,"ws":true}' })
  client.destroy()
})

t.test('a route has a limit of its own, and the plugin\'s is for all together', async t => {
  const { port, app } = await startApp(t, app => {
    app.get('/few', { websocket: { maxConnections: 1 } }, () => {})
    app.get('/rooms/:room', { websocket: { maxConnections: 2 } }, () => {})
    app.get('/any', { websocket: true }, () => {})
  }, { maxConnections: 5 })
  const open = async (path: string): Promise<number> => {
    const { client, response } = await ask(port, path)
    t.teardown(() => client.destroy())
    return response?.status ?? 101
  }
  t.equal(await open('/few'), 101)
  t.equal(await open('/few'), 503)
  t.equal(await open('/rooms/tea'), 101)
  t.equal(await open('/rooms/coffee'), 101)
  t.equal(await open('/rooms/milk'), 503, 'all rooms are one route')
  t.equal(await open('/any'), 101)
  t.equal(await open('/any'), 101, 'the plugin\'s option is no default of routes')
  t.equal(await open('/any'), 503)
  t.equal(app.websocketServer.clients.size, 5)
  t.match(await app.injectWS('/any').catch((error: unknown) => error), { statusCode: 503 }, 'injectWS too')
})

t.test('A storm of handshakes that all wait in a hook does not get past the limit', async t => {
  const LIMIT = 5
  const STORM = 100
  const held = gate()
  let inHook = 0
  const { port, app } = await startApp(t, app => {
    app.addHook('preHandler', async () => {
      inHook++
      await held.passed
    })
    app.get('/', { websocket: true }, () => {})
  }, { maxConnections: LIMIT })
  const answers = Array.from({ length: STORM }, () => ask(port))
  const refused = Promise.all(answers.map(async answer => {
    const { client, response } = await answer
    t.teardown(() => client.destroy())
    return response?.status ?? 101
  }))
  // All but those that wait have their answer before any of these has one.
  const settled: unknown[] = []
  for (const answer of answers) answer.then(one => settled.push(one), (error: unknown) => settled.push(error))
  while (settled.length < STORM - LIMIT) await turns(1)
  t.equal(inHook, LIMIT)
  t.equal(app.websocketServer.clients.size, 0)
  held.open()
  const statuses = await refused
  t.equal(statuses.filter(status => status === 101).length, LIMIT)
  t.equal(statuses.filter(status => status === 503).length, STORM - LIMIT)
  t.equal(app.websocketServer.clients.size, LIMIT)
})

/** Ways in which a handshake ends without a connection. */
const FAILURES: Record<string, { prepare: (app: FastifyInstance) => void, act: (port: number, inHook: Promise<void>) => Promise<number>, status: number }> = {
  'a hook replies': {
    prepare: app => app.addHook('preHandler', async (_request, reply) => reply.code(401).send('no')),
    act: async port => (await ask(port, '/', false)).response!.status,
    status: 401
  },
  'a hook throws': {
    prepare: app => app.addHook('preHandler', async () => { throw new Error('no') }),
    act: async port => (await ask(port, '/', false)).response!.status,
    status: 500
  },
  'a hook takes too long': {
    prepare: app => app.addHook('preHandler', () => new Promise(() => {})),
    act: async port => (await ask(port, '/', false)).response!.status,
    status: 503
  },
  'the client leaves while a hook runs': {
    prepare: app => app.addHook('preHandler', () => new Promise(() => {})),
    act: async (port, inHook) => {
      const client = await RawClient.connect(port)
      client.write(upgradeRequest())
      await inHook
      client.destroy()
      return 0
    },
    status: 0
  },
  'the handshake is wrong': {
    prepare: () => {},
    act: async port => {
      const client = await RawClient.connect(port)
      client.write(upgradeRequest('/', { 'Sec-WebSocket-Version': '8' }))
      return (await client.head()).status
    },
    status: 426
  }
}

for (const [name, { prepare, act, status }] of Object.entries(FAILURES)) {
  t.test(`a handshake that fails gives its place back at once: ${name}`, async t => {
    const entered = gate()
    let sockets!: ServerSockets
    const { port } = await startApp(t, app => {
      sockets = new ServerSockets(app.server)
      app.register(async scope => {
        scope.addHook('preHandler', async () => { entered.open() })
        prepare(scope)
        scope.get('/', { websocket: true }, () => {})
      })
      app.get('/free', { websocket: true }, () => {})
    }, { maxConnections: 1, handshakeTimeout: 100, closeTimeout: 3_600_000 })
    for (let i = 0; i < 3; i++) t.equal(await act(port, entered.passed), status)
    if (name === 'the client leaves while a hook runs') await sockets.allClosed()
    // The clients that were refused have not ended yet, and hold no place.
    const { client, response } = await ask(port, '/free')
    t.equal(response, null)
    if (status !== 0) t.equal(sockets.open.size, 4)
    client.destroy()
    for (const socket of sockets.open) socket.destroy()
  })
}

t.test('a client that has left during a hook that runs before ours keeps no place', async t => {
  const { passed, open } = gate()
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  let enter!: () => void
  const entered = new Promise<void>(resolve => { enter = resolve })
  app.addHook('onRequest', async () => {
    enter()
    await passed
  })
  await app.register(websocket, { maxConnections: 1 })
  app.get('/', { websocket: true }, () => {})
  const sockets = new ServerSockets(app.server)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const client = await RawClient.connect(port)
  client.write(upgradeRequest())
  await entered
  client.destroy()
  await sockets.allClosed()
  open()
  await turns()
  t.match(app.websocketServer.stats, { pending: 0, refused: { aborted: 1 } })
  const next = await RawClient.open(port)
  next.destroy()
})
