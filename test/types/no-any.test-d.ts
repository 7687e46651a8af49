import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { EventEmitter } from 'node:events'
import type * as api from '../../lib/index.js'
import { expectType } from './expect.js'

// Nothing that a user gets or gives is `any`: neither a member, nor what a method takes or returns, nor what its
// callbacks are given. This is said in types alone, so that every compiler checks it.

type IsAny<T> = 0 extends 1 & T ? true : false

/** Three overloads are the most that there are; of fewer, the last is repeated. */
type Signatures<F> = F extends {
  (...args: infer A1): infer R1
  (...args: infer A2): infer R2
  (...args: infer A3): infer R3
}
  ? [A1, R1, A2, R2, A3, R3]
  : never

type HasAny<T> =
  IsAny<T> extends true ? true
    : T extends (...args: never[]) => unknown ? HasAny<Signatures<T>>
      : T extends readonly unknown[] ? ListHasAny<Required<T>>
        : T extends Promise<infer Value> ? HasAny<Value>
          : T extends ReadonlySet<infer Element> ? HasAny<Element>
            : T extends AsyncIterableIterator<infer Value> ? HasAny<Value>
              : false

type ListHasAny<T> =
  T extends readonly [infer First, ...infer Rest] ? HasAny<First> | ListHasAny<Rest>
    : T extends readonly (infer Element)[] ? HasAny<Element>
      : false

/** The names of the members with an `any` in them. What comes from Node's EventEmitter is Node's. */
type Leaks<T> = { [K in Exclude<keyof T, keyof EventEmitter>]-?: true extends HasAny<T[K]> ? K : never }[Exclude<keyof T, keyof EventEmitter>]

declare function leaksOf<T> (value: T): Leaks<T>

// what the check itself is worth
interface Leaking {
  member: any
  list: any[]
  set: Set<any>
  promise: Promise<any>
  tuple: [string, any]
  optional: [string?, any?]
  takes: (data: any) => void
  takesLater: (data: string, options?: any) => void
  returns: () => any
  overloaded: { (data: string): void, (data: any, options: string): void, (data: number, options: string): void }
  callback: (listener: (event: any) => void) => void
  maybe?: (data: any) => void
}
interface Sound {
  member: unknown
  list: string[]
  method: (data?: string, callback?: (error?: Error) => void) => Promise<void>
}
expectType<keyof Leaking>()({} as Leaks<Leaking>)
expectType<Leaks<Leaking>>()({} as keyof Leaking)
expectType<never>()({} as Leaks<Sound>)

expectType<never>()({} as Leaks<api.WebSocketConnection>)
expectType<never>()({} as Leaks<api.WebSocketConnectionEvents>)
expectType<never>()({} as Leaks<api.WebSocketServer>)
expectType<never>()({} as Leaks<api.WebSocketServerEvents>)
expectType<never>()({} as Leaks<api.WebSocketConnections>)
expectType<never>()({} as Leaks<api.WebSocketRouteConnections>)
expectType<never>()({} as Leaks<api.BroadcastOptions>)
expectType<never>()({} as Leaks<api.SendOptions>)
expectType<never>()({} as Leaks<api.WebSocketEventMap>)
expectType<never>()({} as Leaks<api.WebSocketEvent>)
expectType<never>()({} as Leaks<api.WebSocketMessageEvent>)
expectType<never>()({} as Leaks<api.WebSocketCloseEvent>)
expectType<never>()({} as Leaks<api.WebSocketErrorEvent>)
expectType<never>()({} as Leaks<api.WebSocketPluginOptions>)
expectType<never>()({} as Leaks<api.WebSocketRouteOptions>)
expectType<never>()({} as Leaks<api.CompatibilityOptions>)
expectType<never>()({} as Leaks<api.PerMessageDeflateOptions>)
expectType<never>()({} as Leaks<api.WsPerMessageDeflateOptions>)
expectType<never>()({} as Leaks<NonNullable<api.WsPerMessageDeflateOptions['zlibDeflateOptions']>>)
expectType<never>()({} as Leaks<api.VerifyClientInfo>)
expectType<never>()({} as Leaks<api.InjectWSContext>)
expectType<never>()({} as Leaks<api.InjectWSOptions>)
expectType<never>()({} as Leaks<api.InjectWSError>)
expectType<never>()({} as Leaks<Pick<FastifyInstance, 'websocketServer' | 'injectWS'>>)
expectType<never>()({} as Leaks<Pick<FastifyRequest, 'ws'>>)
expectType<never>()({} as Leaks<{
  handler: api.WebSocketHandler
  errorHandler: api.WebSocketErrorHandler
  preClose: api.PreCloseHandler
  verifyClient: api.VerifyClient
  verifyClientCallback: api.VerifyClientCallback
  selectSubprotocol: api.SelectSubprotocol
  origin: api.OriginPolicy
  send: api.SendCallback
  listener: api.WebSocketEventListener<api.WebSocketEvent>
  data: api.WebSocketData
  plugin: typeof api.default
}>)

// the parameters that a handler gets, as the compiler has inferred them
declare const app: FastifyInstance
app.get<{ Params: { id: string }, Querystring: { page: number }, Headers: { 'x-token': string } }>('/', { websocket: true }, (connection, request) => {
  expectType<never>()(leaksOf({ connection, request, params: request.params, query: request.query, headers: request.headers, body: request.body, ws: request.ws, raw: request.raw, log: request.log }))
})
app.get('/', { websocket: {} }, (connection, request) => {
  expectType<never>()(leaksOf({ connection, request, params: request.params, query: request.query, headers: request.headers, body: request.body }))
})
app.route({
  method: 'GET',
  url: '/',
  handler: (request, reply) => {
    expectType<never>()(leaksOf({ request, reply, params: request.params, query: request.query, headers: request.headers, body: request.body }))
  },
  wsHandler (connection, request) {
    expectType<never>()(leaksOf({ app: this, connection, request, params: request.params, query: request.query, headers: request.headers, body: request.body }))
  }
})
