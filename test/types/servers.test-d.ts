import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, Http2ServerRequest } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import { pino, type Logger } from 'pino'
import websocket, { type InjectedWebSocket, type WebSocketConnection, type WebSocketServer } from '../../lib/index.js'
import { expectType } from './expect.js'

// Apps that are not of the default type: another server, another logger.

const https = Fastify({ https: { key: 'key', cert: 'cert' } })
await https.register(websocket)
await https.register(websocket, { maxPayload: 1 })
expectType<WebSocketServer>()(https.websocketServer)
https.get<{ Params: { room: string } }>('/:room', { websocket: true }, function (connection, request) {
  expectType<FastifyInstance<typeof https.server>>()(this)
  expectType<HttpsServer<typeof IncomingMessage, typeof ServerResponse>>()(this.server)
  expectType<WebSocketConnection>()(connection)
  expectType<IncomingMessage>()(request.raw)
  expectType<{ room: string }>()(request.params)
})
https.route({
  method: 'GET',
  url: '/',
  handler: (request, reply) => {
    expectType<ServerResponse>()(reply.raw)
    reply.send(request.ip)
  },
  wsHandler (connection, request) {
    expectType<FastifyInstance<typeof https.server>>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<IncomingMessage>()(request.raw)
  }
})

const http2 = Fastify({ http2: true })
await http2.register(websocket)
await http2.register(websocket, { maxPayload: 1 })
expectType<Promise<InjectedWebSocket>>()(http2.injectWS('/'))
http2.get<{ Params: { room: string } }>('/:room', { websocket: true }, function (connection, request) {
  expectType<Http2Server>()(this.server)
  expectType<WebSocketConnection>()(connection)
  expectType<Http2ServerRequest>()(request.raw)
  expectType<{ room: string }>()(request.params)
})
http2.route({
  method: 'GET',
  url: '/',
  websocket: true,
  handler (connection, request) {
    expectType<Http2Server>()(this.server)
    expectType<WebSocketConnection>()(connection)
    expectType<Http2ServerRequest>()(request.raw)
  }
})

const http2s = Fastify({ http2: true, https: { key: 'key', cert: 'cert', allowHTTP1: true } })
await http2s.register(websocket, { origin: '*' })
http2s.route({
  method: 'GET',
  url: '/',
  handler: async (request) => {
    expectType<Http2ServerRequest>()(request.raw)
    return 'http'
  },
  wsHandler (connection, request) {
    expectType<Http2SecureServer>()(this.server)
    expectType<WebSocketConnection>()(connection)
    expectType<Http2ServerRequest>()(request.raw)
  }
})

// --- loggers

const logging = Fastify({ loggerInstance: pino({ customLevels: { audit: 35 } }) })
await logging.register(websocket)
await logging.register(websocket, { maxPayload: 1 })
logging.get('/', { websocket: true }, function (connection, request) {
  expectType<Logger<'audit'>>()(this.log)
  expectType<Logger<'audit'>>()(request.log)
  request.log.audit(connection.url)
})
logging.route({
  method: 'GET',
  url: '/',
  websocket: true,
  handler: (connection, request) => { request.log.audit(connection.url) }
})
logging.route({
  method: 'GET',
  url: '/',
  handler: async (request) => request.log.audit('http'),
  wsHandler: (connection, request) => { request.log.audit(connection.url) }
})

const plain = Fastify()
plain.get('/', { websocket: true }, (connection, request) => {
  expectType<FastifyBaseLogger>()(request.log)
  // @ts-expect-error there is no such level
  request.log.audit(connection.url)
})

// --- decorators of one instance reach the handler's `this` and request

declare module 'fastify' {
  interface FastifyRequest { typeTestUser: { name: string } }
  interface FastifyInstance { typeTestRooms: Map<string, number> }
}
plain.get('/', { websocket: true }, function (connection, request) {
  expectType<Map<string, number>>()(this.typeTestRooms)
  expectType<{ name: string }>()(request.typeTestUser)
  connection.send(request.typeTestUser.name)
})

// --- instances that went through plugins of other people

const routes: FastifyPluginAsync = async (scope) => {
  expectType<FastifyInstance>()(scope)
  scope.get('/', { websocket: true }, (connection) => { expectType<WebSocketConnection>()(connection) })
}
plain.register(routes)
