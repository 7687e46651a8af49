import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AsyncApiOptions } from './asyncapi.js'
import type { Broker } from './broker.js'
import type { DefaultConnectionTypes, WebSocketConnection, WebSocketConnectionOf, WebSocketConnectionTypes } from './connection.js'
import type { InvalidMessage } from './errors.js'
import type { TopicOptions } from './topics.js'

/**
 * Chooses the subprotocol (RFC 6455 §4.2.2) from those that the client offered, in its order; there may be none.
 * `false` accepts the connection without one; one that was not offered ends the handshake with 500.
 *
 * @see docs/routes.md
 */
export type SelectSubprotocol = (offered: readonly string[], request: FastifyRequest) => string | false

/**
 * Decides whether a browser on a page of this origin may connect: only if it returns, or resolves to, `true`.
 *
 * @see docs/origins.md
 */
export type OriginFunction = (origin: string, request: FastifyRequest) => boolean | Promise<boolean>

/** One rule of the origin policy. A string is an origin as browsers send it (`https://example.com`), `'*'` or `'same-origin'`. */
export type OriginRule = string | RegExp

/**
 * One rule, a list of rules of which one has to match, or a function.
 *
 * @see docs/origins.md
 */
export type OriginPolicy = OriginRule | readonly OriginRule[] | OriginFunction

/**
 * permessage-deflate (RFC 7692), with the names of its parameters and of zlib.
 *
 * @see docs/compression.md
 */
export interface PerMessageDeflateOptions {
  /**
   * `true`: no message that the server sends refers to those before it (RFC 7692 §7.1.1.1). The answer names this only if the
   * client offers it. Default `false`.
   */
  serverNoContextTakeover?: boolean | undefined
  /** `true`: the same is asked of every client (RFC 7692 §7.1.1.2); a few refuse that (docs/compression.md). Default `false`. */
  clientNoContextTakeover?: boolean | undefined
  /**
   * Base-2 logarithm of the window of the server's messages, 9–15 (RFC 7692 §7.1.2.1). The answer names it only if the client
   * offers the parameter. Default 12.
   */
  serverMaxWindowBits?: number | undefined
  /** The same for the client's messages, 8–15, asked of clients that offer it (RFC 7692 §7.1.2.2); 8 only of those that offer 8. Default 12. */
  clientMaxWindowBits?: number | undefined
  /** Messages of at least this many bytes are compressed. Default 1024. */
  threshold?: number | undefined
  /** zlib's level, 0 (stored) to 9 (smallest). Default 3. */
  level?: number | undefined
  /** zlib's memory level, 1–9. Default 5. */
  memLevel?: number | undefined
}

/**
 * The Pings of the server (RFC 6455 §5.5.2), and the time that a client has to answer.
 *
 * @see docs/heartbeat.md
 */
export interface HeartbeatOptions {
  /** Milliseconds from one Ping to the next, an integer from 1 to 2^31 - 1. Default 30 s. */
  interval?: number | undefined
  /** Milliseconds after a Ping in which the client has to send something, no matter what. An integer from 1 to 2^31 - 1. Default 30 s. */
  timeout?: number | undefined
}

/**
 * How much one client may send: at most `messages` at once, and in any T milliseconds `messages × (1 + T / window)`; bytes
 * likewise. Time for which the app holds the client back (`pause`, a slow `for await`) counts as T for what has queued up
 * meanwhile.
 *
 * @see docs/limits.md
 */
export interface RateLimitOptions {
  /** Messages, each with all its fragments, and Pings, which ask for an answer too. An integer from 1. Default no limit. */
  messages?: number | undefined
  /** Bytes on the wire, headers and control frames included; compressed messages as they come. An integer from 1. Default no limit. */
  bytes?: number | undefined
  /** Milliseconds in which an empty bucket refills, an integer from 1 to 2^31 - 1. Default 1 s. */
  window?: number | undefined
}

/**
 * Handles a message that is not JSON or does not match the route's `receive` schema: it may answer, close the connection, or
 * do nothing, which ignores the message. `this` is the instance that the route belongs to; `data` the message as it came.
 *
 * @see docs/json-messages.md
 */
export type InvalidMessageHandler<Connection = WebSocketConnection> = (
  this: FastifyInstance,
  error: InvalidMessage,
  connection: Connection,
  data: Buffer
) => unknown

/**
 * The options that a route can set for itself, in `websocket: { … }`.
 *
 * @typeParam Types the types of the route's connections
 * @see docs/options.md
 */
export interface WebSocketRouteOptions<Types extends WebSocketConnectionTypes = DefaultConnectionTypes> {
  /**
   * Bytes of one message; a longer one closes the connection with 1009 (RFC 6455 §7.4.1). Default 1 MiB. `Infinity` means unlimited.
   *
   * @see docs/limits.md
   */
  maxPayload?: number | undefined
  /**
   * Bytes that may be queued to one client that does not read, as `bufferedAmount` counts them. A message that is sent while
   * more than that waits already closes the connection with 1013. Default 16 MiB. A value below the socket's high-water mark
   * (16 KiB on Node 20, 64 KiB on later versions) means that mark. `Infinity` means unlimited.
   *
   * @see docs/backpressure.md
   */
  maxBufferedAmount?: number | undefined
  /**
   * Connections of this route at a time, handshakes under way included; the server answers further ones with 503 and `Retry-After`.
   * An integer from 1, or `Infinity`. Default `Infinity`.
   *
   * @see docs/limits.md
   */
  maxConnections?: number | undefined
  /**
   * Limits what one client may send; a client that sends more is closed with 1008 (RFC 6455 §7.4.1). Frames count with their
   * headers, before anything is unmasked, kept or inflated. Default `false`: no limit.
   *
   * @see docs/limits.md
   */
  rateLimit?: false | RateLimitOptions | undefined
  /**
   * Sends Pings to every client. A client that sends nothing at all for `timeout` after a Ping is destroyed, and `close` has
   * 1006; so is one whose queue has not moved for as long. Default, and `true`: a Ping every 30 s, and 30 s to answer. `false`: none.
   *
   * @see docs/heartbeat.md
   */
  heartbeat?: boolean | HeartbeatOptions | undefined
  /**
   * Milliseconds without a whole message, in either direction, after which the connection is closed with 1001. Pings and
   * Pongs do not count as messages. Closing may take up to a quarter longer. An integer from 1 to 2^31 - 1. Default `false`: no limit.
   *
   * @see docs/heartbeat.md
   */
  idleTimeout?: false | number | undefined
  /**
   * `true` or options: messages are compressed for clients that offer it (RFC 7692). Default `false`.
   *
   * @see docs/compression.md
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined
  /**
   * The subprotocols of the route, best first, or a function that chooses one. Without a common one the connection is
   * accepted without a subprotocol. Default: the client's first, as in `ws`. `[]`: none.
   *
   * @see docs/routes.md
   */
  protocols?: readonly string[] | SelectSubprotocol | undefined
  /**
   * The origins that may connect from a browser; others get 403. A request without `Origin` does not come from a browser and passes.
   * Default `'same-origin'`: the origin's host and port are those of the request.
   *
   * @see docs/origins.md
   */
  origin?: OriginPolicy | undefined
  /**
   * Called instead of `json` listeners with a message that is not valid, if there are such listeners. Default: the connection
   * closes with 1007 (not JSON), 1008 (does not match the schema) or 1003 (binary, without a `message` listener), and the
   * message of the validator as the reason.
   *
   * @see docs/json-messages.md
   */
  onInvalidMessage?: InvalidMessageHandler<WebSocketConnectionOf<Types>> | undefined
  /**
   * Default: logs the error and closes with 1011. Rules that a peer breaks are logged at level `info`, and have their own close
   * codes. Errors of the handshake, hooks included, go to Fastify's own error handlers.
   *
   * @see docs/errors.md
   */
  errorHandler?: WebSocketErrorHandler | undefined
  /**
   * `true` or options: the route speaks the topics protocol, subprotocol `topics.v1` (docs/topics-protocol.md), by which clients
   * subscribe to the topics that `app.topic()` declares, publish, and resume. It needs no handler. One that it has speaks its own
   * messages besides: `json` and `sendJson` are `{ "message": … }` on the wire, and binary messages are all its own. For the route
   * only. Default `false`.
   *
   * @see docs/topics.md
   */
  topics?: boolean | TopicsProtocolOptions | undefined
}

/**
 * How a route speaks the topics protocol.
 *
 * @see docs/topics-protocol.md
 */
export interface TopicsProtocolOptions {
  /** Milliseconds from one `{}` of the server to the next, by which pages notice a dead connection. An integer from 1 to 2^31 - 1. Default 25 s. */
  beat?: number | undefined
}

/**
 * Gets every error that a handler, a listener or a callback throws, which leaves the connection open, and every rule that a
 * peer breaks (a `WebSocketError`), which is closing it already. `this` is the instance that the route belongs to; `request`
 * and `reply` are those of the handshake. An error of the error handler itself is logged, and closes the connection with 1011.
 *
 * @see docs/errors.md
 */
export type WebSocketErrorHandler = (
  this: FastifyInstance,
  error: Error,
  connection: WebSocketConnection,
  request: FastifyRequest,
  reply: FastifyReply
) => unknown

/**
 * A `preClose` hook of Fastify: async, or with a callback.
 *
 * @see docs/closing.md
 */
export type PreCloseHandler = (this: FastifyInstance, done: HookHandlerDoneFunction) => void | Promise<unknown>

/** The first argument of `verifyClient`, as in `ws`. */
export interface VerifyClientInfo {
  /** The field `Origin` of the request; `undefined` if there is none. */
  origin: string | undefined
  /** Whether the client is connected over TLS. */
  secure: boolean
  /** Node's request. */
  req: IncomingMessage
}

/** Accepts the client or refuses it: over HTTP, with 401 if no other status is given. */
export type VerifyClientCallback = (accept: boolean, statusCode?: number, message?: string, headers?: Record<string, string>) => void

/**
 * As in `ws`: a function of one parameter returns whether it accepts the client, one of two passes it to its callback.
 * Only `true` accepts; any other value refuses, and one that is not a boolean is logged as a warning.
 *
 * @see docs/migration.md
 */
export type VerifyClient = (info: VerifyClientInfo, callback: VerifyClientCallback) => boolean | void | Promise<void>

/** permessage-deflate with the options of `ws`. */
export interface WsPerMessageDeflateOptions extends PerMessageDeflateOptions {
  /** `level` and `memLevel` mean the options of the same names, which prevail; all others have no effect. */
  zlibDeflateOptions?: {
    /** As `level`. */
    level?: number | undefined
    /** As `memLevel`. */
    memLevel?: number | undefined
    [option: string]: unknown
  } | undefined
  /** Has no effect. */
  zlibInflateOptions?: object | undefined
  /** Has no effect. */
  concurrencyLimit?: number | undefined
}

/**
 * Options of `ws` that have no effect, since their behaviour is fixed here or has a limit of another kind. They are
 * accepted, with a warning in the log.
 *
 * @see docs/migration.md
 */
export interface OptionsWithoutEffect {
  /** The URL of a route takes its place. */
  path?: string | null | undefined
  /** `app.listen` has it. */
  host?: string | null | undefined
  /** `app.listen` has it. */
  backlog?: number | null | undefined
  /** All messages of one chunk are emitted in one turn of the event loop. */
  allowSynchronousEvents?: boolean | undefined
  /** Pings are always answered (RFC 6455 §5.5.2). */
  autoPong?: boolean | undefined
  /** Text that is not UTF-8 always ends the connection (RFC 6455 §8.1). */
  skipUTF8Validation?: boolean | undefined
  /** `maxPayload` limits the bytes that are buffered of a message. */
  maxBufferedChunks?: number | undefined
  /** `maxPayload` limits the bytes that are buffered of a message. */
  maxFragments?: number | undefined
  /** At most one Pong waits (RFC 6455 §5.5.3). */
  maxPendingAutoPongs?: number | undefined
}

/**
 * The names of `ws` and `@fastify/websocket`, nested under `options`. `null` stands for the default, as in `ws`.
 *
 * @see docs/migration.md
 */
export interface CompatibilityOptions extends OptionsWithoutEffect {
  /** As `maxPayload` of the plugin. Two different values are an error. */
  maxPayload?: number | undefined
  /** As `perMessageDeflate` of the plugin; two different values are an error. Also with the names of `ws`: `zlibDeflateOptions` for `level` and `memLevel`; its limits on concurrency have no effect. */
  perMessageDeflate?: boolean | WsPerMessageDeflateOptions | undefined
  /** Called after all hooks and the origin policy, just before the 101. */
  verifyClient?: VerifyClient | null | undefined
  /** Chooses the subprotocol of routes that declare no `protocols`, if the client offers any. */
  handleProtocols?: ((protocols: Set<string>, request: IncomingMessage) => string | false) | null | undefined
  /** `false` leaves `websocketServer.clients` empty. Default `true`. */
  clientTracking?: boolean | undefined
  /** As `closeTimeout` of the plugin. Two different values are an error. */
  closeTimeout?: number | undefined
  /** Another HTTP server whose upgrades go through Fastify's router. Default `fastify.server`. */
  server?: HttpServer | HttpsServer | null | undefined
}

/**
 * The options of the plugin. The options of `WebSocketRouteOptions`, `topics` excepted, are the defaults of all routes.
 *
 * @see docs/options.md
 */
export interface WebSocketPluginOptions extends Omit<WebSocketRouteOptions, 'topics'> {
  /**
   * Connections of all routes together at a time, handshakes under way included; the server answers further ones with 503 and
   * `Retry-After`. An integer from 1, or `Infinity`. Default `Infinity`. A route's own limit comes on top.
   *
   * @see docs/limits.md
   */
  maxConnections?: number | undefined
  /**
   * Milliseconds from the upgrade request to the 101, hooks included; a later answer is 503. An integer from 1 to 2^31 - 1. Default 10 s.
   *
   * @see docs/limits.md
   */
  handshakeTimeout?: number | undefined
  /**
   * Milliseconds that a close handshake, and all of `app.close()`, may take before sockets are destroyed. An integer from
   * 1 to 2^31 - 1. Default 10 s. `app.close()` waits no longer than nine tenths of Fastify's `pluginTimeout`, after which
   * Fastify would make it reject; a longer `closeTimeout` is logged as a warning.
   *
   * @see docs/closing.md
   */
  closeTimeout?: number | undefined
  /**
   * Milliseconds over which `app.close()` closes connections, one after the other in random order, with 1012 and the reason
   * `retry=0`: their clients come back to other processes evenly, instead of all at once. New handshakes get 503 meanwhile, and
   * `closeTimeout` begins afterwards. An integer from 0 to 2^31 - 1. Default 0: all of them get 1001 at once. Fastify limits
   * `app.close()` to its `pluginTimeout`: draining ends a second before nine tenths of it, and a longer time is logged as a warning.
   *
   * @see docs/closing.md
   */
  drainTime?: number | undefined
  /**
   * Runs when `app.close()` begins, before the connections that are left are closed with 1001.
   *
   * @see docs/closing.md
   */
  preClose?: PreCloseHandler | undefined
  /**
   * The options of `@fastify/websocket`, which are those of `ws`.
   *
   * @see docs/migration.md
   */
  options?: CompatibilityOptions | undefined
  /**
   * The parts of `app.asyncapi()` that no route declares, and the URL of the document.
   *
   * @see docs/asyncapi.md
   */
  asyncapi?: AsyncApiOptions | undefined
  /**
   * Carries topics between processes: `redis({ client })` of `fastify-ws-routes/redis`, `nats({ connection })` of
   * `fastify-ws-routes/nats`, or one of your own. Default: topics of this process alone, in its memory.
   *
   * @see docs/topics.md
   */
  broker?: Broker | undefined
  /**
   * Limits of topics.
   *
   * @see docs/topics.md
   */
  topics?: TopicOptions | undefined
}
