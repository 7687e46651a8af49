import Fastify, {
  type FastifyInstance, type FastifyReply, type FastifyRequest, type HookHandlerDoneFunction, type preCloseAsyncHookHandler,
  type preCloseHookHandler
} from 'fastify'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import websocket, {
  type CompatibilityOptions, type HeartbeatOptions, type PerMessageDeflateOptions, type RateLimitOptions, type VerifyClientInfo, type WebSocketConnection, type WebSocketErrorHandler,
  type WebSocketPluginOptions, type WebSocketRouteOptions, type WsPerMessageDeflateOptions
} from '../../lib/index.js'
import { expectAssignable, expectNotAssignable, expectType } from './expect.js'
import type { PerMessageDeflateOptions as OptionsOfWs, ServerOptions } from 'ws'

// The options of the plugin and of routes.

const app = Fastify()

app.register(websocket)
app.register(websocket, {})
await app.register(websocket, {
  maxPayload: Infinity,
  maxBufferedAmount: 64 * 1024,
  maxConnections: 1000,
  heartbeat: { interval: 10_000, timeout: 5000 },
  idleTimeout: 60_000,
  rateLimit: { messages: 10, bytes: 1024, window: 1000 },
  protocols: ['a', 'b'],
  origin: ['same-origin', 'https://example.com', /\.example\.com$/],
  handshakeTimeout: 1,
  closeTimeout: 1,
  errorHandler (error, connection, request, reply) {
    expectType<FastifyInstance>()(this)
    expectType<Error>()(error)
    expectType<WebSocketConnection>()(connection)
    expectType<FastifyRequest>()(request)
    expectType<FastifyReply>()(reply)
    connection.terminate()
  },
  preClose (done) {
    expectType<FastifyInstance>()(this)
    this.websocketServer.broadcast('bye')
    done()
  },
  options: {
    maxPayload: 1,
    clientTracking: false,
    server: createServer(),
    verifyClient (info, answer) {
      expectType<VerifyClientInfo>()(info)
      expectType<string | undefined>()(info.origin)
      expectType<boolean>()(info.secure)
      expectType<IncomingMessage>()(info.req)
      answer(true)
      answer(false, 403, 'Forbidden', { 'X-Reason': 'none' })
      // @ts-expect-error a status is a number
      answer(false, '403')
    },
    handleProtocols (protocols, request) {
      expectType<Set<string>>()(protocols)
      expectType<IncomingMessage>()(request)
      return false
    }
  }
})

// what all plugins take
app.register(websocket, { prefix: '/v1', logLevel: 'warn' })
app.register(websocket, () => ({ maxPayload: 1 }))
app.register(import('../../lib/index.js'), { maxPayload: 1 })

const options: WebSocketPluginOptions[] = [
  { preClose: async function () { expectType<FastifyInstance>()(this) } },
  { preClose: (done) => { expectType<HookHandlerDoneFunction>()(done) } },
  { preClose: {} as preCloseHookHandler },
  { preClose: {} as preCloseAsyncHookHandler },
  { errorHandler: async (error) => error.message },
  { errorHandler: (error, connection) => connection.send(error.message) },
  { origin: '*' },
  { origin: /x/g },
  { origin: (origin, request) => { expectType<string>()(origin); expectType<FastifyRequest>()(request); return request.ip === origin } },
  { origin: async (origin) => origin === 'https://example.com' },
  { protocols: (offered, request) => { expectType<readonly string[]>()(offered); expectType<FastifyRequest>()(request); return false } },
  { options: { verifyClient: (info) => { expectType<VerifyClientInfo>()(info); return info.secure } } },
  { options: { verifyClient: async (info, callback) => { callback(info.secure) } } },
  { options: { handleProtocols: (protocols) => protocols.values().next().value ?? false } },
  { options: { server: createTlsServer() } },
  { perMessageDeflate: true },
  { perMessageDeflate: false },
  { perMessageDeflate: {} },
  { perMessageDeflate: { threshold: 0, serverMaxWindowBits: undefined } },
  {
    perMessageDeflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: false,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
      threshold: 512,
      level: 6,
      memLevel: 8
    }
  },
  { options: { perMessageDeflate: true } },
  { options: { perMessageDeflate: false } },
  { options: { perMessageDeflate: { threshold: 512, level: 6 } } },
  // the example in the documentation of `ws`
  {
    options: {
      perMessageDeflate: {
        zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
        zlibInflateOptions: { chunkSize: 10 * 1024 },
        clientNoContextTakeover: true,
        serverNoContextTakeover: true,
        serverMaxWindowBits: 10,
        concurrencyLimit: 10,
        threshold: 1024
      }
    }
  }
]
for (const one of options) app.register(websocket, one)

const errorHandler: WebSocketErrorHandler = function (error, connection) {
  expectType<FastifyInstance>()(this)
  expectType<Error>()(error)
  expectType<WebSocketConnection>()(connection)
}
app.register(websocket, { errorHandler })

expectAssignable<WebSocketRouteOptions>({ maxBufferedAmount: Infinity, maxConnections: Infinity, rateLimit: false, heartbeat: false, idleTimeout: false })
expectAssignable<WebSocketRouteOptions>({ rateLimit: { bytes: 1 } })
expectAssignable<WebSocketRouteOptions>({ maxPayload: 1, protocols: ['a'] as const, origin: ['*'] as const })
expectAssignable<WebSocketPluginOptions>({} as Omit<WebSocketRouteOptions, 'topics'>)
expectAssignable<WebSocketRouteOptions['perMessageDeflate']>({ level: 1 } as const)
expectAssignable<WebSocketRouteOptions['heartbeat']>({} as HeartbeatOptions)
expectAssignable<WebSocketRouteOptions['rateLimit']>({} as RateLimitOptions)
expectAssignable<WsPerMessageDeflateOptions>({} as PerMessageDeflateOptions)
// what was typed by `ws`
expectAssignable<WsPerMessageDeflateOptions>({} as OptionsOfWs)
expectAssignable<CompatibilityOptions['perMessageDeflate']>({} as ServerOptions['perMessageDeflate'])

// --- what is refused

// @ts-expect-error there is no such option
app.register(websocket, { maxPaylod: 1 })
// @ts-expect-error in `options` neither
app.register(websocket, { options: { port: 3000 } })
// @ts-expect-error a number of bytes
app.register(websocket, { maxPayload: '1mb' })
// @ts-expect-error a number of bytes
app.register(websocket, { maxBufferedAmount: '16mb' })
// @ts-expect-error false or options
app.register(websocket, { heartbeat: 30_000 })
app.register(websocket, { heartbeat: true })
// @ts-expect-error a number of milliseconds
app.register(websocket, { heartbeat: { interval: '30s' } })
// @ts-expect-error there is no such option
app.register(websocket, { heartbeat: { every: 1000 } })
// @ts-expect-error false or a number of milliseconds
app.register(websocket, { idleTimeout: true })
// @ts-expect-error a number of connections
app.register(websocket, { maxConnections: '5' })
// @ts-expect-error false or options
app.register(websocket, { rateLimit: 5 })
// @ts-expect-error there is nothing that true could mean
app.register(websocket, { rateLimit: true })
// @ts-expect-error there is no such option
app.register(websocket, { rateLimit: { messages: 1, per: 1000 } })
// @ts-expect-error a number of milliseconds
app.register(websocket, { closeTimeout: '10s' })
// @ts-expect-error
app.register(websocket, { handshakeTimeout: null })
// @ts-expect-error an array or a function
app.register(websocket, { protocols: 'chat' })
// @ts-expect-error of strings
app.register(websocket, { protocols: [1] })
// @ts-expect-error a function says which, or false
app.register(websocket, { protocols: () => true })
// @ts-expect-error a function says whether
app.register(websocket, { origin: () => 'https://example.com' })
// @ts-expect-error true is no policy
app.register(websocket, { origin: true })
// @ts-expect-error it is given an error first
app.register(websocket, { errorHandler: (connection: WebSocketConnection) => connection.close() })
// @ts-expect-error a handler is a function
app.register(websocket, { errorHandler: true })
// @ts-expect-error
app.register(websocket, { preClose: 1 })
// @ts-expect-error a server that speaks HTTP
app.register(websocket, { options: { server: createTcpServer() } })
// @ts-expect-error
app.register(websocket, { options: { clientTracking: 'yes' } })
// @ts-expect-error true, false or options
app.register(websocket, { perMessageDeflate: 'yes' })
// @ts-expect-error
app.register(websocket, { perMessageDeflate: null })
// @ts-expect-error a level is none by itself
app.register(websocket, { perMessageDeflate: 6 })
// @ts-expect-error there is no such option
app.register(websocket, { perMessageDeflate: { treshold: 512 } })
// @ts-expect-error a parameter has another name in the header field
app.register(websocket, { perMessageDeflate: { server_no_context_takeover: true } })
// @ts-expect-error a number
app.register(websocket, { perMessageDeflate: { level: 'best' } })
// @ts-expect-error a number, or what it says would be left to the client
app.register(websocket, { perMessageDeflate: { clientMaxWindowBits: true } })
// @ts-expect-error
app.register(websocket, { perMessageDeflate: { threshold: '1kb' } })
// @ts-expect-error
app.register(websocket, { perMessageDeflate: { serverNoContextTakeover: 1 } })
// @ts-expect-error the names of `ws` are for `options`
app.register(websocket, { perMessageDeflate: { zlibDeflateOptions: { level: 3 } } })
// @ts-expect-error
app.register(websocket, { perMessageDeflate: { concurrencyLimit: 10 } })
// @ts-expect-error there it is checked as well
app.register(websocket, { options: { perMessageDeflate: 'yes' } })
// @ts-expect-error there is no such option
app.register(websocket, { options: { perMessageDeflate: { treshold: 512 } } })
// @ts-expect-error a number
app.register(websocket, { options: { perMessageDeflate: { zlibDeflateOptions: { level: 'best' } } } })
// @ts-expect-error an object of zlib's
app.register(websocket, { options: { perMessageDeflate: { zlibInflateOptions: 1024 } } })
// @ts-expect-error
app.register(websocket, { options: { perMessageDeflate: { concurrencyLimit: '10' } } })

// as in `ws`, a promise would be taken for true
expectNotAssignable<CompatibilityOptions['verifyClient']>()(async () => false)
expectNotAssignable<CompatibilityOptions['verifyClient']>()(async (info: VerifyClientInfo) => info.secure)
expectNotAssignable<CompatibilityOptions['handleProtocols']>()(async () => 'chat')
expectNotAssignable<WebSocketPluginOptions>()({ protocols: async () => 'chat' })
