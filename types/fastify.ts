import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface, RouteOptions as FullRouteOptions
} from 'fastify'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { WebSocketConnection, WebSocketServer } from './connection.js'
import type { WebSocketRouteOptions } from './options.js'

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
  connection: WebSocketConnection,
  request: FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>
) => unknown

/** What the upgrade request of `injectWS` carries. */
export interface InjectWSContext {
  /** Header fields of the request, `cookie` and `origin` among them. `host` is `localhost:80` by default; those of the handshake are set for you. */
  headers?: OutgoingHttpHeaders
  /** The subprotocols to offer, best first. */
  protocols?: string | readonly string[]
  /** What `request.ip` and `request.socket.remoteAddress` say. Default `'127.0.0.1'`. */
  remoteAddress?: string
}

/** What `injectWS` calls on its way. */
export interface InjectWSOptions {
  /** Called with the client connection before any message is read. */
  onInit?: (connection: WebSocketConnection) => void
  /** Called with the client connection when it emits `open`. */
  onOpen?: (connection: WebSocketConnection) => void
}

/** What `injectWS` rejects with when the upgrade was answered with something else than 101, or 200 over HTTP/2. */
export interface InjectWSError extends Error {
  code: 'FST_WS_ERR_UNEXPECTED_RESPONSE'
  statusCode: number
  headers: IncomingHttpHeaders
  body: string
}

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

    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      opts: Omit<FullRouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'handler' | 'websocket' | 'wsHandler'> & {
        websocket: true | WebSocketRouteOptions
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyRequest {
    /** Whether this request asks for a WebSocket. */
    readonly ws: boolean
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
    websocket?: boolean | WebSocketRouteOptions
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
        websocket: true | WebSocketRouteOptions
        wsHandler?: undefined
      },
      handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      path: string,
      opts: RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger> & {
        websocket: true | WebSocketRouteOptions
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }
}
