import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface, RouteOptions as FullRouteOptions
} from 'fastify'
import type { OutgoingHttpHeaders } from 'node:http'
import type { AsyncApiDocument } from './asyncapi.js'
import type {
  DefaultConnectionTypes, WebSocketConnection, WebSocketConnectionData, WebSocketConnectionOf, WebSocketConnectionTypes, WithDefaultData
} from './connection.js'
import type { InjectedWebSocket, InjectedWebSocketOf } from './injected.js'
import type { DeclaredTopic, TopicDeclaration, TopicGenericInterface, TopicSchema, TopicTypesOf } from './declared-topics.js'
import type { TopicsProtocolOptions, WebSocketRouteOptions } from './options.js'
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

/** The type of `data` of a route's connections: `Data` of its generics, and what the app has merged into `WebSocketConnectionData`. */
export type ConnectionData<RouteGeneric extends RouteGenericInterface> =
  RouteGeneric extends { Data: infer Data } ? WithDefaultData<Data> : WebSocketConnectionData

/**
 * `Type`, for any route. The compiler compares two instances of a generic type by their arguments where it can, and would take
 * a handler of one route for that of another: a condition on the generics makes it compare what they stand for.
 */
type OfRoute<RouteGeneric, Type> = unknown extends RouteGeneric ? unknown : Type

/**
 * The types of a route's connections. It is an interface so that none of them is worked out before it is needed. Nothing is
 * inferred from them: that would take the types of a schema library apart, which costs the compiler a second.
 */
export interface RouteConnectionTypes<
  RouteGeneric extends RouteGenericInterface,
  SchemaCompiler extends FastifySchema,
  TypeProvider extends FastifyTypeProvider
> extends WebSocketConnectionTypes {
  /** The messages that the route receives. */
  receive: OfRoute<RouteGeneric, NoInfer<ReceivedMessage<RouteGeneric, SchemaCompiler, TypeProvider>>>
  send: (message: OfRoute<RouteGeneric, NoInfer<SentMessage<RouteGeneric, SchemaCompiler, TypeProvider>>>) => void
  /** The object in `connection.data`. */
  data: NoInfer<ConnectionData<RouteGeneric>>
}

/** The types of the client's end of a route's connections. */
export interface ClientConnectionTypes<
  RouteGeneric extends RouteGenericInterface,
  SchemaCompiler extends FastifySchema,
  TypeProvider extends FastifyTypeProvider
> extends WebSocketConnectionTypes {
  /** The messages that the client receives, which the route sends. */
  receive: SentMessage<RouteGeneric, SchemaCompiler, TypeProvider>
  send: (message: ReceivedMessage<RouteGeneric, SchemaCompiler, TypeProvider>) => void
  /** The object in `data` of the client connection. */
  data: WebSocketConnectionData
}

/**
 * The handler of a route with the type parameters of Fastify's own handlers, called with the encapsulated Fastify instance
 * as `this` once the 101 was sent. If it throws or rejects, the `errorHandler` of the plugin gets the error.
 *
 * @see docs/routes.md
 */
export type WebSocketRouteHandler<
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
  connection: WebSocketConnectionOf<RouteConnectionTypes<RouteGeneric, SchemaCompiler, TypeProvider>>,
  request: FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>
) => unknown

/** The options of a route that speaks the topics protocol. */
export interface TopicsRouteOptions<Types extends WebSocketConnectionTypes = DefaultConnectionTypes> extends WebSocketRouteOptions<Types> {
  /** `true` or options: the route speaks the topics protocol. */
  topics: true | TopicsProtocolOptions
}

/** The types of a handler that is declared apart from its route: its generics, and what a route would infer. */
export interface WebSocketHandlerTypes extends RouteGenericInterface {
  /** `typeof app`: its server, its logger and its type provider. Default: those of `Fastify()`. */
  app?: unknown
  /** `typeof schema`, as the route has it. With a type provider, from `app` or `typeProvider`, it types messages and request. */
  schema?: FastifySchema
  /** The type provider, such as `TypeBoxTypeProvider`. Default: that of `app`. */
  typeProvider?: FastifyTypeProvider
  /** The type of `config`, as the route has it. */
  config?: unknown
}

type TypeProviderOf<Route> = Route extends { typeProvider: infer TypeProvider extends FastifyTypeProvider }
  ? TypeProvider
  : Route extends { app: FastifyInstance<infer _Server, infer _Request, infer _Reply, infer _Logger, infer TypeProvider> } ? TypeProvider : FastifyTypeProviderDefault

type GenericsOf<Route> = Pick<Route, Extract<keyof Route, keyof RouteGenericInterface>>

type SchemaOf<Route> = Route extends { schema: infer Schema extends FastifySchema } ? Schema : FastifySchema

type ConfigOf<Route> = Route extends { config: infer Config } ? Config : ContextConfigDefault

/**
 * A route's handler that is declared apart from its route:
 *
 * ```ts
 * const handler: WebSocketHandler<{ Params: { room: string }, Receive: In, Send: Out }> = (connection, request) => { … }
 * const handler: WebSocketHandler<{ app: typeof app, schema: typeof schema }> = (connection, request) => { … }
 * ```
 *
 * @typeParam Route the generics of the route, and `schema`, `app`, `typeProvider` or `config`
 * @see docs/typescript.md
 */
export type WebSocketHandler<Route extends WebSocketHandlerTypes = RouteGenericInterface> =
  Route extends { app: FastifyInstance<infer RawServer, infer RawRequest, infer RawReply, infer Logger, infer _TypeProvider> }
    ? DeclaredHandler<Route, RawServer, RawRequest, RawReply, Logger>
    : DeclaredHandler<Route, RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger>

type DeclaredHandler<
  Route,
  RawServer extends RawServerBase,
  RawRequest extends RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer>,
  Logger extends FastifyBaseLogger
> = (
  this: FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProviderOf<Route>>,
  connection: WebSocketConnection<
    ReceivedMessage<GenericsOf<Route>, SchemaOf<Route>, TypeProviderOf<Route>>,
    SentMessage<GenericsOf<Route>, SchemaOf<Route>, TypeProviderOf<Route>>,
    ConnectionData<GenericsOf<Route>>
  >,
  request: FastifyRequest<GenericsOf<Route>, RawServer, RawRequest, SchemaOf<Route>, TypeProviderOf<Route>, ConfigOf<Route>, Logger>
) => unknown

/**
 * The upgrade request of `injectWS`.
 *
 * @see docs/testing.md
 */
export interface InjectWSContext {
  /** Header fields of the request, `cookie` and `origin` among them. `host` is `localhost:80` by default; those of the handshake are set for you. */
  headers?: OutgoingHttpHeaders | undefined
  /** The subprotocols to offer, best first. */
  protocols?: string | readonly string[] | undefined
  /** The client's address, as `request.ip` and `request.socket.remoteAddress` report it. Default `'127.0.0.1'`. */
  remoteAddress?: string | undefined
}

/**
 * Functions that `injectWS` calls.
 *
 * @see docs/testing.md
 */
export interface InjectWSOptions<Client = InjectedWebSocket> {
  /** Called with the client connection before any message is read. */
  onInit?: ((connection: Client) => void) | undefined
  /** Called with the client connection when it emits `open`. */
  onOpen?: ((connection: Client) => void) | undefined
}

/** The client's end of a route's connections. */
export type InjectedClient<Route extends WebSocketHandlerTypes, TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault> =
  InjectedWebSocketOf<ClientConnectionTypes<GenericsOf<Route>, SchemaOf<Route>, Route extends { typeProvider: FastifyTypeProvider } ? TypeProviderOf<Route> : TypeProvider>>

// The declarations of `@fastify/websocket` may be in the same program: the types of graphql-ws import them. Its signatures
// accept what ours accept, and come first if they are declared later. But signatures that have a parameter of a literal
// type come before all others: hence `first`, which no caller passes. docs/migration.md describes the rest.

declare module 'fastify' {
  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    /** The connections of all WebSocket routes. */
    websocketServer: WebSocketServer

    /**
     * Connects to a route in memory: a real request, of the version of HTTP that the app speaks, goes through the parser,
     * the router and all hooks.
     *
     * @typeParam Route the generics of the route, or its `schema`. The client receives what the route sends, and sends what it receives
     * @param path the request target. Default `'/'`
     * @returns the client's connection
     * @throws {InjectWSError} (as a rejection) if the answer was not 101, or 200 over HTTP/2, with its status, headers and body;
     *   other errors if there was no answer, or the app does not get ready
     */
    injectWS<Route extends WebSocketHandlerTypes = RouteGenericInterface> (
      path?: string, context?: InjectWSContext, options?: InjectWSOptions<InjectedClient<Route, TypeProvider>>
    ): Promise<InjectedClient<Route, TypeProvider>>

    /**
     * Describes the WebSocket routes: a new document at each call, AsyncAPI 3.0.
     *
     * @throws {Error} `FST_WS_ERR_ASYNCAPI` if the app is not ready, or a schema refers to what is not there
     */
    asyncapi (): AsyncApiDocument

    /**
     * Declares a topic, as a route is declared: for all names that the pattern stands for, with the prefix, the compilers and
     * the type provider of this instance. Clients reach it over routes with `websocket: { topics: true }`.
     *
     * ```ts
     * const rooms = app.topic('rooms/:room', { schema: { message: RoomMessage }, history: { messages: 1000, seconds: 3600 } })
     * await rooms.publish({ room: '7' }, { text: 'hello' })
     * ```
     *
     * @param pattern parts between slashes; `:name` is a parameter, and `::` stands for a colon
     * @throws {TypeError} `FST_WS_ERR_INVALID_OPTION` if an option is not what it may be, or the pattern is declared already
     */
    topic<
      Generic extends TopicGenericInterface = TopicGenericInterface,
      const Pattern extends string = string,
      const Schema extends TopicSchema = TopicSchema,
      Info = unknown
    > (
      pattern: Pattern,
      options?: TopicDeclaration<
        Generic, Pattern, Schema, TypeProvider, Info, FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>,
        FastifyRequest<RouteGenericInterface, RawServer, RawRequest, FastifySchema, TypeProvider, ContextConfigDefault, Logger>
      >
    ): DeclaredTopic<TopicTypesOf<Generic, Pattern, Schema, TypeProvider, Info>>

    /** Declares a WebSocket route. The type parameters are those of Fastify's own `route`. */
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      opts: Omit<FullRouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'handler' | 'websocket' | 'wsHandler'> & {
        websocket: true | WebSocketRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketRouteHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      },
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      opts: Omit<FullRouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'handler' | 'websocket' | 'wsHandler'> & {
        /** Speaks the topics protocol, and needs no handler. */
        websocket: TopicsRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        handler?: undefined
      },
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyRequest<RouteGeneric extends RouteGenericInterface = RouteGenericInterface> {
    /** Whether this request asks for a WebSocket. */
    readonly ws: boolean
    /** The object that becomes `connection.data`, for hooks. Plain HTTP requests have one too. Setting it to what is no object throws a TypeError. */
    connectionData: ConnectionData<RouteGeneric>
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
    /** Marks the route as deprecated in `app.asyncapi()`. Default `false`. */
    deprecated?: boolean
    /** The tags of the route in `app.asyncapi()`. */
    tags?: readonly string[]
    /** A description in Markdown, for `app.asyncapi()`. */
    description?: string
    /** One line about the route, for `app.asyncapi()`. */
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
    /** The type of what the app keeps in `connection.data`, in addition to `WebSocketConnectionData`. */
    Data?: unknown
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
    websocket?: boolean | WebSocketRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>> | undefined
    /** The WebSocket handler of a route whose `handler` answers plain HTTP. */
    wsHandler?: WebSocketRouteHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger> | undefined
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
        websocket: true | WebSocketRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
      },
      handler: WebSocketRouteHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>,
      first?: null
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      path: string,
      opts: RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger> & {
        websocket: true | WebSocketRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        /** The WebSocket handler. Plain HTTP requests are answered 426. */
        handler: WebSocketRouteHandler<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger>
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    > (
      path: string,
      opts: RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger> & {
        /** Speaks the topics protocol, and needs no handler. */
        websocket: TopicsRouteOptions<RouteConnectionTypes<RouteGeneric, NoInfer<SchemaCompiler>, TypeProvider>>
        wsHandler?: undefined
        handler?: undefined
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }
}
