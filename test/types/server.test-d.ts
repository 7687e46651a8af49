import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import {
  CloseCode, HandshakeError, InvalidPayloadError, MessageTooBigError, OptionError, ProtocolError, RateLimitError, SlowReaderError, WebSocketError,
  type BroadcastOptions, type InjectedWebSocket, type InjectWSContext, type InjectWSError, type InjectWSOptions, type WebSocketConnection, type WebSocketRouteConnections,
  type WebSocketClosed, type WebSocketFailed, type WebSocketOpened, type WebSocketRefused, type WebSocketServer, type WebSocketServerStats
} from '../../lib/index.js'
import { expectAssignable, expectNotAssignable, expectType, type Equal } from './expect.js'

// What the plugin adds to the app and to its requests, and what else the package exports.

const app = Fastify()

// --- app.websocketServer

expectType<WebSocketServer>()(app.websocketServer)
expectType<ReadonlySet<WebSocketConnection>>()(app.websocketServer.clients)
for (const client of app.websocketServer.clients) expectType<WebSocketConnection>()(client)
expectType<number>()(app.websocketServer.broadcast('x'))
expectType<number>()(app.websocketServer.broadcast(Buffer.from('x'), { binary: false }))
expectType<number>()(app.websocketServer.broadcast('x', {
  except: app.websocketServer.clients,
  filter: (connection) => {
    expectType<WebSocketConnection>()(connection)
    return connection.protocol === 'chat'
  }
}))
expectType<number>()(app.websocketServer.broadcast('x', { compress: false }))
expectType<number>()(app.websocketServer.route('/chat/:room').broadcast('x', { compress: false, filter: () => true }))
expectType<WebSocketRouteConnections>()(app.websocketServer.route('/chat/:room'))
expectType<ReadonlySet<WebSocketConnection>>()(app.websocketServer.route('/chat/:room').clients)
expectType<WebSocketServerStats>()(app.websocketServer.stats)
expectType<number>()(app.websocketServer.stats.received.bytes)
expectType<Readonly<Record<string, number>>>()(app.websocketServer.stats.refused)
// @ts-expect-error a picture
app.websocketServer.stats.open = 0
declare const closed: WebSocketClosed
expectType<WebSocketServer>()(closed.server)
expectType<number>()(closed.sent.messages + closed.duration + closed.code)
declare const refused: WebSocketRefused
expectType<number | null>()(refused.statusCode)
expectType<string>()(refused.reason)
expectType<IncomingMessage>()(refused.request)
declare const opened: WebSocketOpened
expectType<FastifyRequest>()(opened.request)
declare const failed: WebSocketFailed
expectType<Error>()(failed.error)
expectType<Promise<void>>()(app.websocketServer.close())
app.websocketServer.close((error) => { expectType<Error | undefined>()(error) })
app.websocketServer.on('connection', (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<IncomingMessage>()(request)
})
expectAssignable<Promise<unknown[]>>(once(app.websocketServer, 'connection'))

// @ts-expect-error there is no such event
app.websocketServer.on('connections', () => {})
// @ts-expect-error C4: a number is not bytes
app.websocketServer.broadcast(16)
// @ts-expect-error an object is not serialised by anybody
app.websocketServer.broadcast({ hello: 'world' })
// @ts-expect-error there is no such option
app.websocketServer.broadcast('x', { exclude: null })
// @ts-expect-error an option is true or false
app.websocketServer.broadcast('x', { compress: 9 })
// @ts-expect-error it goes to all as a whole, or not at all
app.websocketServer.broadcast('x', { fin: false })
// @ts-expect-error a route has a URL
app.websocketServer.route(1)
// @ts-expect-error whoever is connected is not for others to say
app.websocketServer.clients.clear()

declare const connection: WebSocketConnection
expectAssignable<BroadcastOptions>({ except: connection })
expectAssignable<BroadcastOptions>({ except: [connection] })
expectAssignable<BroadcastOptions>({ except: new Set([connection]), binary: true })
expectAssignable<BroadcastOptions>({ compress: false, binary: true, except: connection })
expectNotAssignable<BroadcastOptions>()({ compress: 'no' })
expectNotAssignable<BroadcastOptions>()({ except: 'x' })
expectNotAssignable<BroadcastOptions>()({ filter: true })

// --- app.injectWS

expectType<Promise<InjectedWebSocket>>()(app.injectWS())
expectType<Promise<InjectedWebSocket>>()(app.injectWS('/chat?since=1'))
expectAssignable<Promise<WebSocketConnection>>(app.injectWS())
const client = await app.injectWS('/chat', {
  headers: { cookie: 'session=1', origin: 'http://localhost', 'x-number': 1, 'x-many': ['a', 'b'] },
  protocols: ['a', 'b'],
  remoteAddress: '::1'
}, {
  onInit: (connection) => { expectType<InjectedWebSocket>()(connection) },
  onOpen: (connection) => { expectType<InjectedWebSocket>()(connection) }
})
client.on('message', (data) => { expectType<Buffer>()(data) })
// @ts-expect-error the client of `injectWS` has no route
client.route.broadcast('x')
expectAssignable<InjectWSContext>({ protocols: 'a' })
expectAssignable<InjectWSContext>({ headers: {} as IncomingHttpHeaders })
expectAssignable<InjectWSOptions>({})
// @ts-expect-error a path is a string
app.injectWS(new URL('ws://localhost'))
// @ts-expect-error a header field is text
app.injectWS('/', { headers: { cookie: { session: 1 } } })
// @ts-expect-error there is no such thing
app.injectWS('/', { header: {} })
// @ts-expect-error an address is text
app.injectWS('/', { remoteAddress: 1 })
// @ts-expect-error onOpen gets a connection
app.injectWS('/', {}, { onOpen: (message: string) => message })

declare const error: InjectWSError
expectAssignable<Error>(error)
expectType<'FST_WS_ERR_UNEXPECTED_RESPONSE'>()(error.code)
expectType<number>()(error.statusCode)
expectType<IncomingHttpHeaders>()(error.headers)
expectType<string>()(error.body)

// --- request.ws, in hooks and in handlers

app.addHook('onRequest', async (request) => { expectType<boolean>()(request.ws) })
app.get('/', async (request) => {
  expectType<boolean>()(request.ws)
  // @ts-expect-error read-only
  request.ws = true
})
expectType<boolean>()({} as FastifyRequest['ws'])
expectType<WebSocketServer>()({} as FastifyInstance['websocketServer'])

// --- values

expectType<1000>()(CloseCode.NORMAL_CLOSURE)
expectType<1011>()(CloseCode.INTERNAL_ERROR)
// @ts-expect-error frozen
CloseCode.NORMAL_CLOSURE = 1001

for (const ErrorClass of [ProtocolError, InvalidPayloadError, MessageTooBigError, RateLimitError, SlowReaderError]) {
  const error = new ErrorClass('x')
  expectAssignable<WebSocketError>(error)
  expectAssignable<Error>(error)
  expectType<`FST_WS_ERR_${string}`>()(error.code)
  expectType<number>()(error.closeCode)
}
declare const handshakeError: HandshakeError
expectType<`FST_WS_ERR_${string}`>()(handshakeError.code)
expectType<number>()(handshakeError.statusCode)
expectType<Record<string, string>>()(handshakeError.headers)
expectType<true>()({} as Equal<OptionError['code'], 'FST_WS_ERR_INVALID_OPTION'>)
