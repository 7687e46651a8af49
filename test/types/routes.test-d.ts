import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import websocket, { type WebSocketConnection, type WebSocketHandler, type WebSocketRouteOptions } from '../../lib/index.js'
import { expectAssignable, expectNotType, expectType } from './expect.js'

// How routes are declared, and what their handlers then get.

const app = Fastify({ logger: true })
await app.register(websocket, { maxPayload: 64 * 1024 })

interface Chat {
  Params: { room: string }
  Querystring: { since?: number }
  Headers: { 'X-Token': string }
}

// --- the quick start

app.get('/echo', { websocket: true }, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectAssignable<FastifyRequest>(request)
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})

app.route({
  method: 'GET',
  url: '/feed',
  handler: (request, reply) => {
    expectAssignable<FastifyRequest>(request)
    expectAssignable<FastifyReply>(reply)
    return reply.send({ hello: 'http' })
  },
  wsHandler: (connection, request) => {
    expectType<WebSocketConnection>()(connection)
    expectAssignable<FastifyRequest>(request)
    return connection.send('hello')
  },
  websocket: { maxPayload: 1024, protocols: ['feed.v2', 'feed.v1'] }
})

// --- shorthand

app.get('/options', { websocket: { maxPayload: 1024, origin: ['https://example.com', /\.example\.com$/] } }, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<string>()(request.url)
  expectType<unknown>()(request.params)
  expectType<unknown>()(request.query)
  expectType<unknown>()(request.body)
  expectType<IncomingHttpHeaders>()(request.headers)
  expectType<IncomingMessage>()(request.raw)
})

app.get<Chat>('/chat/:room', { websocket: true }, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<{ room: string }>()(request.params)
  expectType<number | undefined>()(request.query.since)
  expectType<string>()(request.headers['x-token'])
  expectType<string | undefined>()(request.headers.origin)
  // @ts-expect-error there is no such parameter
  console.log(request.params.user)
})

app.get<Chat>('/chat/:room', { websocket: { protocols: (offered) => offered[0] ?? false } }, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<{ room: string }>()(request.params)
})

app.get<Chat>('/chat/:room', { websocket: { perMessageDeflate: true } }, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<{ room: string }>()(request.params)
})

app.get('/secrets', { websocket: { perMessageDeflate: false } }, (connection) => { expectType<WebSocketConnection>()(connection) })

app.route({
  method: 'GET',
  url: '/prices',
  handler: async () => 'http',
  wsHandler: (connection) => { expectType<WebSocketConnection>()(connection) },
  websocket: { perMessageDeflate: { serverNoContextTakeover: true, clientMaxWindowBits: 9, threshold: 0, level: 9, memLevel: 9 } }
})

app.get<Chat>('/chat/:room', {
  websocket: true,
  handler (connection, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  }
})

app.get<Chat>('/chat/:room', {
  websocket: { maxPayload: 1 },
  wsHandler (connection, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  }
}, (request, reply) => {
  expectType<{ room: string }>()(request.params)
  reply.code(200).send(request.params.room)
})

app.get<Chat>('/chat/:room', {
  wsHandler (connection, request) {
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  },
  handler (request, reply) {
    expectType<{ room: string }>()(request.params)
    return reply.code(200).send(request.params.room)
  }
})

// hooks and other options are typed beside `websocket` as they are without it
app.get<Chat>('/hooks/:room', {
  websocket: true,
  onRequest: async (request, reply) => {
    expectType<{ room: string }>()(request.params)
    if (request.params.room === '') await reply.code(404).send()
  },
  preHandler: [async function (request) {
    expectType<FastifyInstance>()(this)
    expectType<string>()(request.headers['x-token'])
  }],
  errorHandler (error, request, reply) {
    expectType<string>()(error.code)
    expectType<{ room: string }>()(request.params)
    reply.code(500).send(error)
  }
}, (connection) => connection.close())

app.get<{ Params: { id: string } }, { secret: string }>('/config/:id', {
  websocket: true,
  config: { secret: 'x' }
}, (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<string>()(request.params.id)
  expectType<string>()(request.routeOptions.config.secret)
})

// --- `this`, async handlers, what they return

app.get('/this', { websocket: true }, function (connection, request) {
  expectType<FastifyInstance>()(this)
  expectType<WebSocketConnection>()(connection)
  expectType<boolean>()(request.ws)
  this.websocketServer.broadcast('joined', { except: connection })
})

app.get('/async', { websocket: true }, async (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<string>()(request.id)
  for await (const message of connection) {
    expectType<string | Buffer>()(message)
    connection.send(message)
  }
})

app.get('/async', { websocket: true }, async function (connection) {
  expectType<FastifyInstance>()(this)
  return connection.send('x')
})

// the arguments may be left out, and a handler may be declared elsewhere
app.get('/none', { websocket: true }, () => {})
const declared: WebSocketHandler = function (connection, request) {
  expectType<FastifyInstance>()(this)
  expectType<WebSocketConnection>()(connection)
  expectAssignable<FastifyRequest>(request)
}
app.get('/declared', { websocket: true }, declared)
app.route({ method: 'GET', url: '/declared', websocket: true, handler: declared })
app.get('/declared', { websocket: true }, async (connection: WebSocketConnection, request: FastifyRequest) => { connection.send(request.ip) })
const options: WebSocketRouteOptions = { maxPayload: 1 }
app.get('/declared', { websocket: options }, (connection) => connection.terminate())

// the app, for chaining
expectType<FastifyInstance>()(app.get('/chain', { websocket: true }, (connection) => connection.close()))

// --- full declaration

app.route({
  method: 'GET',
  url: '/full',
  websocket: true,
  handler (connection, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<unknown>()(request.params)
    expectType<unknown>()(request.query)
    expectType<IncomingHttpHeaders>()(request.headers)
  }
})

app.route<Chat>({
  method: ['GET', 'HEAD'],
  url: '/full/:room',
  websocket: { origin: '*' },
  constraints: { host: 'example.com' },
  preHandler: async (request) => { expectType<{ room: string }>()(request.params) },
  handler: async (connection, request) => {
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<number | undefined>()(request.query.since)
    expectType<string>()(request.headers['x-token'])
  }
})

app.route<Chat & { Reply: { hello: string } }>({
  method: 'GET',
  url: '/both/:room',
  handler: async (request, reply) => {
    expectType<{ room: string }>()(request.params)
    expectType<FastifyInstance>()(reply.server)
    return { hello: 'http' }
  },
  async wsHandler (connection, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<number | undefined>()(request.query.since)
    expectType<string>()(request.headers['x-token'])
  }
})

// `websocket: true` beside a `wsHandler` says nothing about `handler`
app.route<Chat>({
  method: 'GET',
  url: '/both/:room',
  websocket: true,
  handler: (request, reply) => {
    expectType<{ room: string }>()(request.params)
    expectNotType<WebSocketConnection>()(request)
    reply.code(200).send('http')
  },
  wsHandler: (connection) => { expectType<WebSocketConnection>()(connection) }
})

expectType<FastifyInstance>()(app.route({ method: 'GET', url: '/chain', websocket: true, handler: (connection) => connection.close() }))

app.addHook('onRoute', (route) => {
  expectType<boolean | WebSocketRouteOptions | undefined>()(route.websocket)
  expectType<WebSocketHandler | undefined>()(route.wsHandler)
})

// --- encapsulated plugins

app.register(async (scope) => {
  scope.get<Chat>('/:room', { websocket: true }, function (connection, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  })
}, { prefix: '/v1' })

// --- what is refused

// @ts-expect-error a reply is not what a WebSocket handler gets
app.get('/wrong', { websocket: true }, (connection, reply) => { reply.code(200) })
// @ts-expect-error neither is it the third argument
app.get('/wrong', { websocket: true }, (connection, request, reply) => { connection.send(`${request.ip}${reply}`) })
// @ts-expect-error a connection is no request
app.get('/wrong', { websocket: true }, (request) => request.params)
// @ts-expect-error nor is it anything else
app.get('/wrong', { websocket: true }, (connection: string) => connection)
// @ts-expect-error there is no such option
app.get('/wrong', { websocket: { maxPaylod: 1 } }, (connection) => connection.close())
// @ts-expect-error the option is a number
app.get('/wrong', { websocket: { maxPayload: '1' } }, (connection) => connection.close())
// @ts-expect-error options of the plugin are not options of a route
app.get('/wrong', { websocket: { closeTimeout: 1 } }, (connection) => connection.close())
// @ts-expect-error neither is what `ws` has
app.get('/wrong', { websocket: { perMessageDeflate: { zlibDeflateOptions: { level: 3 } } } }, (connection) => connection.close())
// @ts-expect-error there is no such option
app.get('/wrong', { websocket: { perMessageDeflate: { treshold: 1 } } }, (connection) => connection.close())
// @ts-expect-error true, false or options
app.get('/wrong', { websocket: { perMessageDeflate: 'yes' } }, (connection) => connection.close())
// @ts-expect-error a number
app.route({ method: 'GET', url: '/wrong', handler: () => {}, wsHandler: () => {}, websocket: { perMessageDeflate: { level: '6' } } })
// @ts-expect-error `websocket` is no string
app.get('/wrong', { websocket: 'yes' }, (connection) => connection.close())
// @ts-expect-error with `websocket: false` it is an HTTP handler
app.get('/wrong', { websocket: false }, (connection) => connection.close())
// @ts-expect-error and without `websocket` as well
app.get('/wrong', (connection) => connection.close())
// @ts-expect-error beside a `wsHandler` it is one too
app.get('/wrong', { websocket: true, wsHandler: () => {} }, (connection) => connection.close())
// @ts-expect-error a WebSocket route needs a handler
app.route({ method: 'GET', url: '/wrong', websocket: true })
// @ts-expect-error for plain HTTP, too
app.route({ method: 'GET', url: '/wrong', wsHandler: () => {} })
// @ts-expect-error `handler` is for HTTP if there is a `wsHandler`
app.route({ method: 'GET', url: '/wrong', websocket: true, wsHandler: () => {}, handler: (connection) => connection.close() })
// @ts-expect-error a handler is a function
app.route({ method: 'GET', url: '/wrong', wsHandler: 'handler', handler: (request) => request.ip })
// @ts-expect-error a handler takes no reply
app.route({ method: 'GET', url: '/wrong', handler: (request) => request.ip, wsHandler: (connection, reply) => reply.send(connection) })
