import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type {
  BroadcastJsonOptions, WebSocketConnection, WebSocketConnectionData, WebSocketConnections, WebSocketRouteConnections
} from './connection.js'
import type { CompatibilityOptions } from './options.js'
import type { TopicServer, TopicStats } from './topics.js'

/** The events of `app.websocketServer`, with the arguments that their listeners get. */
export interface WebSocketServerEvents {
  /** A connection on any route, before the route's handler is called. `request` is Node's, `request.raw` in the handler. */
  connection: [connection: WebSocketConnection, request: IncomingMessage]
}

/** Whole messages and the bytes of their payloads, not compressed. */
export interface WebSocketTraffic {
  /** Whole messages. Control frames do not count. */
  readonly messages: number
  /** Bytes of their payloads, before compression. */
  readonly bytes: number
}

/**
 * Figures since the plugin was registered, for metrics.
 *
 * @see docs/observability.md
 */
export interface WebSocketServerStats {
  /** Connections that there are, closing ones included. */
  readonly open: number
  /** Handshakes of WebSocket routes that are in hooks. */
  readonly pending: number
  /** Connections that there have been so far. */
  readonly opened: number
  /**
   * Handshakes that did not become connections, by reason: a code of this package, such as `FST_WS_ERR_ORIGIN`; `'timeout'`
   * for those over `handshakeTimeout`; `'aborted'` for clients that left before; `'hijacked'` where a hook called `reply.hijack()`; for what your hooks and schemas
   * refuse the status, such as `'401'`.
   */
  readonly refused: Readonly<Record<string, number>>
  /** From all clients so far. */
  readonly received: WebSocketTraffic
  /** To all clients so far. */
  readonly sent: WebSocketTraffic
  /** Bytes that wait for all clients: the sum of `bufferedAmount`. */
  readonly queued: number
  /** Figures of topics, and of the broker. */
  readonly topics: TopicStats
}

/**
 * `app.websocketServer`: the connections of all routes.
 *
 * @see docs/broadcasting.md
 */
export interface WebSocketServer extends WebSocketConnections, TopicServer, EventEmitter<WebSocketServerEvents> {
  /**
   * For libraries that assign `handleProtocols` as they do with `ws`, such as graphql-ws. It chooses the
   * subprotocol of routes that declare no `protocols`, and of no others.
   */
  readonly options: Pick<CompatibilityOptions, 'handleProtocols'>
  /**
   * Sends one JSON message to all of them, serialized once for each route, with its `send` schema if it has one. Nothing is
   * sent if a serializer throws. With `to`, the message has a type that all of these connections may be sent.
   *
   * @returns the number of connections the message was queued for
   * @throws {TypeError} if `message` has no form in JSON, and what a serializer throws if it does not fit the schema
   */
  broadcastJson<const Message> (message: Message, options?: BroadcastJsonOptions<WebSocketConnection, Message>): number
  /** A picture of now. Nothing is counted for it while messages come and go: it goes through all connections. */
  readonly stats: WebSocketServerStats
  /**
   * The connections of one route.
   *
   * @typeParam Send what the route's `send` schema stands for: nothing else can tell
   * @typeParam Receive what its `receive` schema stands for
   * @typeParam Data what its connections have in `data`
   * @param url the route's URL as declared, with its prefix
   * @throws {Error} `FST_WS_ERR_UNKNOWN_ROUTE` if there is no WebSocket route with that URL
   */
  route<Send = unknown, Receive = unknown, Data = WebSocketConnectionData> (url: string): WebSocketRouteConnections<Send, Receive, Data>
  /**
   * Closes every connection with 1001 (Going Away), waits `closeTimeout` at most for their close
   * handshakes, and destroys the rest. New connections are still accepted, unless the app closes.
   *
   * @param callback called when all are closed, as `ws` does; it never gets an error
   */
  close (callback?: (error?: Error) => void): Promise<void>
}
