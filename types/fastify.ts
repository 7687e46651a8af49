import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface, RouteOptions as FullRouteOptions
} from 'fastify'
import type { OutgoingHttpHeaders } from 'node:http'
import type { AsyncApiDocument } from './asyncapi.js'
import type { WebSocketConnection } from './connection.js'
import type { WebSocketRouteOptions } from './options.js'
import type { WebSocketServer } from './server.js'

/** The messages that a route receives: `Receive` of its generics, or the type of its `receive` schema by the type provider. */
export type ReceivedMessage<
  RouteGeneric extends RouteGenericInterface,
  SchemaCompiler extends FastifySchema,
  TypeProvider extends FastifyTypeProvider
> = RouteGeneric extends { Receive: infer Receive }
  ? Receive
  : SchemaCompiler extends { receive: infer Schema } ? (TypeProvider & { schema: Schema })['validator'] : unknown

/** The messages that a route sends: `Send` of its generics, or the type of its `send` schema by the type provider. */
export type SentMessage<
  RouteGeneric extends RouteGenericInterface,
  SchemaCompiler extends FastifySchema,
  TypeProvider extends FastifyTypeProvider
> = RouteGeneric extends { Send: infer Send }
  ? Send
  : SchemaCompiler extends { send: infer Schema } ? (TypeProvider & { schema: Schema })['serializer'] : unknown

/**
 * A route's handler, called with the encapsulated Fastify instance as `this` once the 101 was sent. What it
 * throws, or rejects with, goes to the `errorHandler` of the plugin.
 */
export type WebSocketHandler<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
  RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger
> = (
  this: FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>,
  connection: WebSocketConnection<ReceivedMessage<RouteGeneric, SchemaCompiler, TypeProvider>, SentMessage<RouteGeneric, SchemaCompiler, TypeProvider>>,
  request: FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>
) => unknown

/** The upgrade request of `injectWS`. */
export interface InjectWSContext {
  /** Header fields of the request, `cookie` and `origin` among them. `host` is `localhost:80` by default; those of the handshake are set for you. */
  headers?: OutgoingHttpHeaders
  /** The subprotocols to offer, best first. */
  protocols?: string | readonly string[]
  /** The client's address, as `request.ip` and `request.socket.remoteAddress` report it. Default `'127.0.0.1'`. */
  remoteAddress?: string
}

/** Functions that `injectWS` calls. */
export interface InjectWSOptions {
  /** Called with the client connection before any message is read. */
  onInit?: (connection: WebSocketConnection) => void
  /** Called with the client connection when it emits `open`. */
  onOpen?: (connection: WebSocketConnection) => void
}

// The declarations of `@fastify/websocket` may be in the same program: those of graphql-ws import them. Its signatures take
// what ours take, and if they are declared later they come first. But before all others come those that have a parameter
// of a literal type: hence `first`, which is never given. What else there is: docs/migration.md.

declare module 'fastify' {
  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    /** The connections of all WebSocket routes. */
    websocketServer: WebSocketServer

    /**
     * Connects to a route in memory: a real request, of the version of HTTP that the app speaks, goes through the parser,
     * the router and all hooks.
     *
     * @param path the request target. Default `'/'`
     * @returns the client's connection
     * @throws {InjectWSError} (as a rejection) if the answer was not 101, or 200 over HTTP/2, with its status, headers and body;
     *   other errors if there was no answer, or the app does not get ready
     */
    injectWS (path?: string, context?: InjectWSContext, options?: InjectWSOptions): Promise<WebSocketConnection>

    /**
     * Describes the WebSocket routes: a new document at each call, AsyncAPI 3.0.
     *
     * @throws {Error} `FST_WS_ERR_ASYNCAPI` if the app is not ready, or a schema refers to what is not there
     */
    asyncapi (): AsyncApiDocument

    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      opts: Omit<FullRouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'handler' | 'websocket' | 'wsHandler'> & {
        websocket: true | WebSocketRouteOptions<SentMessage<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      },
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyRequest {
    /** Whether this request asks for a WebSocket. */
    readonly ws: boolean
  }

  interface FastifySchema {
    /**
     * Schema of the JSON messages that clients send to a WebSocket route, compiled with the route's validator compiler.
     * Messages that it rejects never reach `json` listeners.
     */
    receive?: unknown
    /** Schema of the JSON messages that a WebSocket route sends with `sendJson` and `broadcastJson`, compiled with the route's serializer compiler. */
    send?: unknown

    // `app.asyncapi()` reads these too. The types are those of `@fastify/swagger`: both may be declared in one program.

    /** `true` leaves the route out of `app.asyncapi()`. */
    hide?: boolean
    deprecated?: boolean
    tags?: readonly string[]
    description?: string
    summary?: string
    /** One of these is enough. Their names are those of the option `asyncapi.securitySchemes`. */
    security?: ReadonlyArray<{ [securityLabel: string]: readonly string[] }>
    /** The key of the route's channel. */
    operationId?: string
  }

  interface RouteGenericInterface {
    /** The type of the messages that clients send to a WebSocket route, if no type provider infers it. */
    Receive?: unknown
    /** The type of the messages that a WebSocket route sends, if no type provider infers it. */
    Send?: unknown
  }

  // The parameters of a merged declaration must be those of Fastify, used here or not.

  interface RouteShorthandOptions<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
    ContextConfig = ContextConfigDefault,
    SchemaCompiler extends FastifySchema = FastifySchema,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger
  > {
    /**
     * `true` or options: the route's `wsHandler`, or without one its `handler`, speaks WebSocket.
     * `false`: it does not, whatever handlers there are.
     */
    websocket?: boolean | WebSocketRouteOptions<SentMessage<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
    /** The WebSocket handler of a route whose `handler` answers plain HTTP. */
    wsHandler?: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
  }

  interface RouteShorthandMethod<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger
  > {
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      path: string,
      opts: RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger> & {
        websocket: true | WebSocketRouteOptions<SentMessage<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
      },
      handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>,
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      path: string,
      opts: RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger> & {
        websocket: true | WebSocketRouteOptions<SentMessage<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      },
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }
}
