import type {
  ContextConfigDefault, FastifyBaseLogger, FastifySchema, FastifyTypeProvider, FastifyTypeProviderDefault, RawReplyDefaultExpression,
  RawRequestDefaultExpression, RawServerBase, RawServerDefault, RequestGenericInterface
} from 'fastify'
import type { WebSocketConnection } from './connection.js'
import type { WebSocketRouteHandler } from './fastify.js'
import type { WebSocketPluginOptions } from './options.js'

// The names of the types that `@fastify/websocket` exports, for code that was written for it.

/** A `WebSocketConnection`, by the name that it has in `@fastify/websocket`. */
export type WebSocket = WebSocketConnection

/** A `WebSocketRouteHandler`, by the name and with the type parameters that it has in `@fastify/websocket`. */
export type WebsocketHandler<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
  RequestGeneric extends RequestGenericInterface = RequestGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger
> = WebSocketRouteHandler<RawServer, RawRequest, RawReplyDefaultExpression<RawServer>, RequestGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>

/** The `WebSocketPluginOptions`, by the name that they have in `@fastify/websocket`. */
export type WebsocketPluginOptions = WebSocketPluginOptions

/** Fastify's own, which `wsHandler` and `websocket` are part of. */
export type { RouteOptions } from 'fastify'
