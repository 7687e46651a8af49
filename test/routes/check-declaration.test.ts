import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import t from 'tap'
import { z } from 'zod'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'

interface Declaring {
  declare (options: object): void
  logged: string[]
}

async function createApp (t: Tap, options: WebSocketPluginOptions = {}): Promise<Declaring> {
  const logged: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => { logged.push(JSON.parse(line).msg) } } } }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, options)
  let count = 0
  return { declare: options => { app.route({ method: 'GET', url: `/${count++}`, handler: () => {}, ...options } as RouteOptions) }, logged }
}

type Tap = Pick<typeof t, 'teardown'>

t.test('a misspelt websocket option is an error on any route', async t => {
  const { declare } = await createApp(t)
  for (const name of ['webSocket', 'ws', 'WebSocket', 'websockets', 'web-socket', 'WS']) {
    t.throws(() => declare({ url: '/x', [name]: true }), { code: 'FST_WS_ERR_INVALID_OPTION', message: `GET /x: unknown option '${name}'; a WebSocket route has 'websocket: true'` })
  }
  t.doesNotThrow(() => declare({ websocket: true }))
  t.doesNotThrow(() => declare({ handler: async () => 'http' }))
})

t.test('options of websocket, and of the plugin, beside websocket', async t => {
  const { declare } = await createApp(t)
  for (const [name, value] of Object.entries({ maxPayload: 5, heartbeat: false, origin: '*', perMessageDeflate: true, rateLimit: { messages: 1 }, protocols: ['a'], onInvalidMessage () {} })) {
    t.throws(() => declare({ url: '/x', websocket: true, [name]: value }), { message: `GET /x: option '${name}' belongs in 'websocket': websocket: { ${name} }` })
  }
  for (const name of ['handshakeTimeout', 'closeTimeout', 'preClose']) {
    t.throws(() => declare({ url: '/x', websocket: true, [name]: 5 }), { message: `GET /x: option '${name}' is for the plugin only` })
  }
  t.doesNotThrow(() => declare({ maxPayload: 5, handler: async () => 'other plugins may have options of that name' }))
})

t.test('misspelt schemas of messages', async t => {
  const { declare } = await createApp(t)
  for (const name of ['recieve', 'receives', 'Receive', 'recive', 'message', 'messages', 'sned', 'Send', 'sends']) {
    t.throws(() => declare({ url: '/x', websocket: true, schema: { [name]: { type: 'object' } } }), { message: `GET /x: unknown schema '${name}'; the schemas of messages are 'receive' and 'send'` })
  }
  t.doesNotThrow(() => declare({ websocket: true, schema: { querystring: {}, tags: [], security: [], summary: 'x', hide: true, servers: [], response: {} } }))
})

t.test("Fastify's errorHandler of a route: warned of, unless it is clear which errors it is for", async t => {
  const { declare, logged } = await createApp(t)
  t.throws(() => declare({ url: '/x', websocket: true, errorHandler (_error: Error, _connection: unknown, _request: unknown, _reply: unknown) {} }), {
    message: "GET /x: option 'errorHandler' is Fastify's"
  })
  declare({ url: '/own', websocket: { errorHandler () {} }, errorHandler () {} })
  declare({ url: '/both', wsHandler: () => {}, errorHandler () {} })
  t.strictSame(logged, [])
  declare({ url: '/warned', websocket: true, errorHandler () {} })
  t.match(logged, [/^GET \/warned: option 'errorHandler' gets errors of the handshake only/])
  const withDefault = await createApp(t, { errorHandler () {} })
  withDefault.declare({ websocket: true, errorHandler () {} })
  t.strictSame(withDefault.logged, [])
})

t.test('errorHandler of a route gets the errors of its connections, before that of the plugin', async t => {
  const handled: unknown[] = []
  const { app } = await startApp(t, app => {
    const fail = (): void => { throw new Error('of the handler') }
    app.get('/own', {
      websocket: {
        errorHandler (error, connection, request) {
          handled.push(['route', error.message, request.url, this === app])
          connection.close(4000)
        }
      }
    }, fail)
    app.get('/default', { websocket: true }, fail)
  }, {
    errorHandler: (error, connection) => {
      handled.push(['plugin', error.message])
      connection.close(4001)
    }
  })
  for (const [url, expected] of [['/own', 4000], ['/default', 4001]] as const) {
    const client = await app.injectWS(url)
    t.equal(await new Promise(resolve => client.once('close', resolve)), expected)
  }
  t.strictSame(handled, [['route', 'of the handler', '/own', true], ['plugin', 'of the handler']])
})

t.test('a schema of a library, without the compiler of its type provider', async t => {
  for (const [name, setter] of [['receive', 'setValidatorCompiler'], ['send', 'setSerializerCompiler']] as const) {
    for (const schema of [z.object({ a: z.string() }), z.string(), z.union([z.string(), z.number()])]) {
      const app = Fastify() as FastifyInstance
      t.teardown(() => app.close())
      await app.register(websocket)
      app.get('/zod', { websocket: true, schema: { [name]: schema } }, () => {})
      await t.rejects(async () => { await app.ready() }, {
        code: 'FST_WS_ERR_MESSAGE_SCHEMA', message: `the schema '${name}' of WebSocket route /zod is no JSON schema but one of zod: set the compiler of its type provider with app.${setter}()`
      })
    }
  }
})

t.test('a WebSocket route has the method GET, and HEAD only beside it', async t => {
  const handler = (): void => {}
  const declare: [string, (app: FastifyInstance) => unknown][] = [
    ['POST /x', app => app.post('/x', { websocket: true }, handler)],
    ['HEAD /x', app => app.head('/x', { websocket: true }, handler)],
    ['HEAD /x', app => app.head('/x', { websocket: {}, wsHandler: handler }, handler)],
    ['HEAD /x', app => app.route({ method: ['HEAD'], url: '/x', wsHandler: handler, handler })],
    ['GET,POST /x', app => app.route({ method: ['GET', 'POST'], url: '/x', websocket: true, handler })]
  ]
  for (const [route, one] of declare) {
    const app = Fastify() as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket)
    t.throws(() => one(app), { code: 'FST_WS_ERR_INVALID_OPTION', message: `${route}: a WebSocket route can only have the method GET (RFC 6455 §4.1), and HEAD beside it` })
  }
  const app = Fastify({ exposeHeadRoutes: true, routerOptions: { ignoreTrailingSlash: false } }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  app.register(async scope => {
    scope.get('/', { websocket: true }, handler)
    scope.get('/a', { websocket: true }, handler)
    scope.get('/b/', { wsHandler: handler }, async () => 'http')
    scope.route({ method: ['GET', 'HEAD'], url: '/c', websocket: true, handler })
  }, { prefix: '/v1' })
  await app.ready()
  for (const url of ['/v1', '/v1/', '/v1/a', '/v1/c']) t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 426, url)
  t.equal((await app.inject({ method: 'HEAD', url: '/v1/b/' })).statusCode, 200)
})
