import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { WebSocketConnection } from './connection.js'
import type { WebSocketServer, WebSocketTraffic } from './server.js'

// Messages published on the channels of `node:diagnostics_channel`, if they have subscribers.

/**
 * On `fastify-ws-routes.open`: a connection, before the route's handler is called.
 *
 * @see docs/observability.md
 */
export interface WebSocketOpened {
  /** The `app.websocketServer` of the app. */
  readonly server: WebSocketServer
  /** The new connection. */
  readonly connection: WebSocketConnection
  /** The request of the handshake. */
  readonly request: FastifyRequest
}

/**
 * On `fastify-ws-routes.close`: a connection is over.
 *
 * @see docs/observability.md
 */
export interface WebSocketClosed {
  /** The `app.websocketServer` of the app. */
  readonly server: WebSocketServer
  /** The connection that is over. */
  readonly connection: WebSocketConnection
  /** As in the `close` event. */
  readonly code: number
  /** Milliseconds. */
  readonly duration: number
  /** Messages from the client. */
  readonly received: WebSocketTraffic
  /** Messages to the client. */
  readonly sent: WebSocketTraffic
}

/**
 * On `fastify-ws-routes.error`: the error that `errorHandler` gets, or would get.
 *
 * @see docs/observability.md
 */
export interface WebSocketFailed {
  /** The `app.websocketServer` of the app. */
  readonly server: WebSocketServer
  /** The connection that the error belongs to. */
  readonly connection: WebSocketConnection
  /** The error that the app has thrown, or a `WebSocketError` if the peer broke a rule. */
  readonly error: Error
}

/**
 * On `fastify-ws-routes.refused`: a handshake that did not become a connection.
 *
 * @see docs/observability.md
 */
export interface WebSocketRefused {
  /** The `app.websocketServer` of the app. */
  readonly server: WebSocketServer
  /** Node's request: Fastify may not have seen it. */
  readonly request: IncomingMessage
  /** `null` if the client left before there was an answer, or a hook called `reply.hijack()`. */
  readonly statusCode: number | null
  /** As in `app.websocketServer.stats.refused`. */
  readonly reason: string
}

/**
 * On `fastify-ws-routes.broker`: the broker of topics was lost, or is back.
 *
 * @see docs/observability.md
 */
export interface WebSocketBrokerState {
  /** The `app.websocketServer` of the app. */
  readonly server: WebSocketServer
  /** The name of the broker, such as `'redis'`. */
  readonly broker: string
  /** Whether the broker can be reached now. */
  readonly isUp: boolean
  /** Why it was lost, if the broker says so. */
  readonly error: Error | null
}
