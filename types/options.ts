import type { FastifyInstance, FastifyReply, FastifyRequest, preCloseAsyncHookHandler, preCloseHookHandler } from 'fastify'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { WebSocketConnection } from './connection.js'

/**
 * Chooses the subprotocol (RFC 6455 §4.2.2) from those that the client offered, in its order.
 * `false` accepts the connection without one.
 */
export type SelectSubprotocol = (offered: readonly string[], request: FastifyRequest) => string | false

/** Decides whether a browser on a page of this origin may connect. */
export type OriginFunction = (origin: string, request: FastifyRequest) => boolean | Promise<boolean>

/** One rule of the origin policy. A string is an origin as browsers send it (`https://example.com`), `'*'` or `'same-origin'`. */
export type OriginRule = string | RegExp

export type OriginPolicy = OriginRule | readonly OriginRule[] | OriginFunction

/** permessage-deflate (RFC 7692), with the names of its parameters and of zlib. */
export interface PerMessageDeflateOptions {
  /** `true`: no message that is sent refers to those before it (RFC 7692 §7.1.1.1). Default `false`. */
  serverNoContextTakeover?: boolean
  /** `true`: the client is told to do the same (RFC 7692 §7.1.1.2). Default `false`. */
  clientNoContextTakeover?: boolean
  /** Base-2 logarithm of the window of what is sent, 9–15 (RFC 7692 §7.1.2.1). Default 12. */
  serverMaxWindowBits?: number
  /** The same for what is received, 8–15, asked of clients that offer it (RFC 7692 §7.1.2.2). Default 12. */
  clientMaxWindowBits?: number
  /** Bytes of a message from which on it is compressed. Default 1024. */
  threshold?: number
  /** zlib's level, 0 (stored) to 9 (smallest). Default 3. */
  level?: number
  /** zlib's memory level, 1–9. Default 5. */
  memLevel?: number
}

/** The options that a route can set for itself, in `websocket: { … }`. */
export interface WebSocketRouteOptions {
  /** Bytes of one message; over it the connection is closed with 1009. Default 1 MiB. `Infinity` means unlimited. */
  maxPayload?: number
  /** `true` or options: messages are compressed for clients that offer it (RFC 7692). Default `false`. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions
  /** The subprotocols that the route speaks, best first, or a function that chooses one. Default none. */
  protocols?: readonly string[] | SelectSubprotocol
  /**
   * Who may connect from a browser; others get 403. A request without `Origin` is not a browser's and passes.
   * Default `'same-origin'`: the origin's host and port are those of the request.
   */
  origin?: OriginPolicy
}

/** What `errorHandler` gets: everything that a handler or a listener threw, and what peers did wrong. */
export type WebSocketErrorHandler = (
  this: FastifyInstance,
  error: Error,
  connection: WebSocketConnection,
  request: FastifyRequest,
  reply: FastifyReply
) => void | Promise<void>

/** What `verifyClient` of `ws` gets. */
export interface VerifyClientInfo {
  origin: string | undefined
  secure: boolean
  req: IncomingMessage
}

export type VerifyClient =
  | ((info: VerifyClientInfo) => boolean)
  | ((info: VerifyClientInfo, callback: (accept: boolean, statusCode?: number, message?: string, headers?: Record<string, string>) => void) => void)

/** permessage-deflate as `ws` is told about it. */
export interface WsPerMessageDeflateOptions extends PerMessageDeflateOptions {
  zlibDeflateOptions?: { level?: number, memLevel?: number, [option: string]: unknown }
  zlibInflateOptions?: { [option: string]: unknown }
  concurrencyLimit?: number
}

/** The names of `ws` and `@fastify/websocket`, nested under `options`. */
export interface CompatibilityOptions {
  maxPayload?: number
  /** Also with the names of `ws`: `zlibDeflateOptions` for `level` and `memLevel`; its limits on concurrency have no use here. */
  perMessageDeflate?: boolean | WsPerMessageDeflateOptions
  verifyClient?: VerifyClient
  /** Chooses the subprotocol of routes that declare no `protocols`. */
  handleProtocols?: (protocols: Set<string>, request: IncomingMessage) => string | false
  /** `false` leaves `websocketServer.clients` empty. Default `true`. */
  clientTracking?: boolean
  /** Another HTTP server whose upgrades go through Fastify's router. Default `fastify.server`. */
  server?: HttpServer | HttpsServer
}

/** The options of the plugin. Those of `WebSocketRouteOptions` are the defaults of all routes. */
export interface WebSocketPluginOptions extends WebSocketRouteOptions {
  /** Milliseconds from the upgrade request to the 101, hooks included; over it the answer is 503. Default 10 s. */
  handshakeTimeout?: number
  /** Milliseconds that a close handshake, and all of `app.close()`, may take before sockets are destroyed. Default 10 s. */
  closeTimeout?: number
  /** Default: logs, and closes with 1011. */
  errorHandler?: WebSocketErrorHandler
  /** Runs when `app.close()` begins, before the connections that are left are closed with 1001. */
  preClose?: preCloseHookHandler | preCloseAsyncHookHandler
  options?: CompatibilityOptions
}
