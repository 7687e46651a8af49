import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { WebSocketConnection } from './connection.js'
import type { WebSocketServer, WebSocketTraffic } from './server.js'

// Messages published on the channels of `node:diagnostics_channel`, if they have subscribers.

/** On `fastify-ws-routes.open`: a connection, before the route's handler is called. */
export interface WebSocketOpened {
  readonly server: WebSocketServer
  readonly connection: WebSocketConnection
  readonly request: FastifyRequest
}

/** On `fastify-ws-routes.close`: a connection is over. */
export interface WebSocketClosed {
  readonly server: WebSocketServer
  readonly connection: WebSocketConnection
  /** As in the `close` event. */
  readonly code: number
  /** Milliseconds. */
  readonly duration: number
  readonly received: WebSocketTraffic
  readonly sent: WebSocketTraffic
}

/** On `fastify-ws-routes.error`: the error that `errorHandler` gets, or would get. */
export interface WebSocketFailed {
  readonly server: WebSocketServer
  readonly connection: WebSocketConnection
  readonly error: Error
}

/** On `fastify-ws-routes.refused`: a handshake that did not become a connection. */
export interface WebSocketRefused {
  readonly server: WebSocketServer
  /** Node's request: Fastify may not have seen it. */
  readonly request: IncomingMessage
  /** `null` if the client left before there was an answer, or a hook called `reply.hijack()`. */
  readonly statusCode: number | null
  /** As in `app.websocketServer.stats.refused`. */
  readonly reason: string
}

/** On `fastify-ws-routes.broker`: the broker of topics was lost, or is back. */
export interface WebSocketBrokerState {
  readonly server: WebSocketServer
  /** The name of the broker, such as `'redis'`. */
  readonly broker: string
  readonly isUp: boolean
  /** Why it was lost, if the broker says so. */
  readonly error: Error | null
}
