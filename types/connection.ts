import type { EventEmitter } from 'node:events'
import type { Duplex, DuplexOptions } from 'node:stream'
import type { WebSocketConnectionEvents, WebSocketClosure, WebSocketConnectionData, WebSocketConnectionTypes, DefaultConnectionTypes, WithDefaultData } from './connection-types.js'
import type { TopicSubscriber } from './topics.js'
import type { BinaryType, SendCallback, SendJsonOptions, SendOptions, WebSocketData } from './messages.js'

export type {
  WebSocketConnectionEvents, WebSocketClosure, WebSocketConnectionData, WebSocketConnectionTypes,
  DefaultConnectionTypes, WithDefaultData
} from './connection-types.js'

/**
 * `once` of `node:events`, with the types of the event: resolves to the arguments of the next event of a connection. Rejects
 * with the connection's error if it fails first, and with an AbortError if `signal` aborts.
 *
 * It does not reject when the connection is closed: for that, pass `connection.signal`.
 */
export type Once = <Types extends WebSocketConnectionTypes, Event extends keyof WebSocketConnectionEvents>(
  connection: WebSocketConnectionOf<Types>, event: Event, options?: { signal?: AbortSignal | undefined }
) => Promise<WebSocketConnectionEvents<Types['receive']>[Event]>

/** The events that listeners of `addEventListener` and the `on…` properties get, as in browsers. */
export interface WebSocketEvent {
  /** The name of the event. */
  readonly type: string
  /** The connection that emits it. */
  readonly target: AnyWebSocketConnection
}

/** A whole message. */
export interface WebSocketMessageEvent extends WebSocketEvent {
  /** Always `'message'`. */
  readonly type: 'message'
  /** A string for text; for binary what `binaryType` says. */
  readonly data: string | Buffer | ArrayBuffer | Buffer[] | Blob
}

/** The connection is over. */
export interface WebSocketCloseEvent extends WebSocketEvent {
  /** Always `'close'`. */
  readonly type: 'close'
  /** As in the `close` event: 1005 and 1006 stand for the lack of one. */
  readonly code: number
  /** The peer's reason, or `''`. */
  readonly reason: string
  /** Whether the close handshake was completed (RFC 6455 §7.1.4). */
  readonly wasClean: boolean
}

/** The peer broke the protocol or a limit. */
export interface WebSocketErrorEvent extends WebSocketEvent {
  /** Always `'error'`. */
  readonly type: 'error'
  /** The error that `error` listeners get. */
  readonly error: Error
  /** The message of the error. */
  readonly message: string
}

/** The events that have a browser's form. */
export interface WebSocketEventMap {
  /** The client connection of `injectWS` is open. */
  open: WebSocketEvent
  /** A whole message has arrived. */
  message: WebSocketMessageEvent
  /** The connection is over. */
  close: WebSocketCloseEvent
  /** The peer broke the protocol or a limit. */
  error: WebSocketErrorEvent
}

/** A function, or an object with one, as in browsers. */
export type WebSocketEventListener<E> = ((event: E) => unknown) | {
  /** Called with the event. */
  handleEvent (event: E): unknown
}

/** The messages that a connection of these types may send as JSON. */
export type MessageToSend<Types extends WebSocketConnectionTypes> = Types['send'] extends (message: infer Send) => void ? Send : never

/** A connection that may be sent messages of this type as JSON. */
export type WebSocketReceiver<Send> = WebSocketConnectionOf<{ receive: unknown, send: (message: Send) => void, data: unknown }>

/** Sends a JSON message to several connections. */
export type BroadcastJson<Types extends WebSocketConnectionTypes> =
  (message: MessageToSend<Types>, options?: BroadcastJsonOptions<WebSocketConnectionOf<Types>, MessageToSend<Types>>) => number

/**
 * All open connections of one route, or of one server.
 *
 * @see docs/broadcasting.md
 */
export interface WebSocketConnectionsOf<Types extends WebSocketConnectionTypes> {
  /** The open connections. A live set: it changes as they come and go. */
  readonly clients: ReadonlySet<WebSocketConnectionOf<Types>>
  /**
   * Sends one message to all of them, copied and framed once: the memory is yours again when `broadcast` returns, even
   * from 16 KiB, where `send` does not copy. The frames of one turn of the event loop go to each receiver in one write, in
   * the order of the calls. Connections that are closing do not get the message, nor those in the middle of a fragmented
   * message, which no other may interrupt (RFC 6455 §5.4).
   *
   * @returns the number of connections the message was queued for
   * @throws {TypeError} if `data` is not text or bytes, or an option is not what it accepts
   */
  broadcast (data: WebSocketData, options?: BroadcastOptions<WebSocketConnectionOf<Types>>): number
}

/** All open connections of one server, or of one route: see `WebSocketServer` and `WebSocketRouteConnections`. */
export type WebSocketConnections = WebSocketConnectionsOf<DefaultConnectionTypes>

/**
 * The options of `broadcast`.
 *
 * @see docs/broadcasting.md
 */
export interface BroadcastOptions<Connection = AnyWebSocketConnection> {
  /**
   * Only these connections get the message, each once: a room that the app keeps. Closed ones are skipped. The cost is that of
   * its members, where `filter` costs a call for every connection there is. Default: all connections of the route or server;
   * one of another route or server is a TypeError.
   */
  to?: Iterable<AnyWebSocketConnection> | undefined
  /** One or several connections that do not get the message: mostly its sender. */
  except?: AnyWebSocketConnection | Iterable<AnyWebSocketConnection> | undefined
  /** Only connections for which it returns `true` get the message. */
  filter?: ((connection: Connection) => boolean) | undefined
  /** `true` sends a binary message, `false` a text message. Default: text for a string, binary for anything else. */
  binary?: boolean | undefined
  /** `false` sends this message as it is. Default `true`, as for `send`; compressed once for all. */
  compress?: boolean | undefined
}

/**
 * The options of `broadcastJson`, for messages of the type `Send`.
 *
 * @see docs/broadcasting.md
 */
export interface BroadcastJsonOptions<Connection = AnyWebSocketConnection, Send = never> extends Omit<BroadcastOptions<Connection>, 'binary' | 'to'> {
  /** As in `BroadcastOptions`: connections to which such a message may be sent. */
  to?: Iterable<WebSocketReceiver<Send>> | undefined
}

/** The options of `close` of a route. */
export interface CloseRouteOptions<Connection = AnyWebSocketConnection> {
  /** Only connections for which it returns `true` are closed. Default: all. */
  filter?: ((connection: Connection) => boolean) | undefined
}

/**
 * The connections of one route, with the types of the route: see `WebSocketRouteConnections`.
 *
 * @see docs/broadcasting.md
 */
export interface WebSocketRouteConnectionsOf<Types extends WebSocketConnectionTypes> extends WebSocketConnectionsOf<Types> {
  /** The route's URL as declared, with its prefix: `/chat/:room`. */
  readonly url: string
  /**
   * Sends one JSON message to all of them, as `broadcast` does, serialized once for all connections of a route, with
   * its `send` schema if it has one. Without receivers it is not serialized.
   *
   * @returns the number of connections the message was queued for
   * @throws {TypeError} if `message` has no form in JSON or an option is not what it accepts, and what the serializer throws
   *   if it does not fit the schema; then nobody gets it
   */
  readonly broadcastJson: BroadcastJson<Types>
  /**
   * Starts the close handshake with all of them, as `connection.close` does; new ones are still accepted.
   *
   * @param code default 1001 (Going Away)
   * @returns when all of them are closed, how many these were
   * @throws {RangeError | TypeError} as `connection.close`, at once and before any of them is closed
   */
  close (code?: number, reason?: string | Uint8Array, options?: CloseRouteOptions<WebSocketConnectionOf<Types>>): Promise<number>
}

/**
 * The connections of one route, by `connection.route` or `app.websocketServer.route(url)`.
 *
 * @typeParam Send what the route's `send` schema stands for
 * @typeParam Receive what the route's `receive` schema stands for
 * @typeParam Data what its connections have in `data`
 */
export type WebSocketRouteConnections<Send = unknown, Receive = unknown, Data = WebSocketConnectionData> =
  WebSocketRouteConnectionsOf<{ receive: Receive, send: (message: Send) => void, data: WithDefaultData<Data> }>

/**
 * One WebSocket. Without type arguments it is one of a route without message types. One with message types is no such
 * connection, since anything could be sent to it: `AnyWebSocketConnection` may be of any route.
 *
 * @typeParam Receive what the route's `receive` schema stands for
 * @typeParam Send what the route's `send` schema stands for
 * @typeParam Data what the app keeps in `data`
 * @see docs/typescript.md
 */
export type WebSocketConnection<Receive = unknown, Send = unknown, Data = WebSocketConnectionData> =
  WebSocketConnectionOf<{ receive: Receive, send: (message: Send) => void, data: WithDefaultData<Data> }>

/** A connection of any route, with the members that all routes share. JSON may be sent to it only if its types are known. */
export type AnyWebSocketConnection = WebSocketConnectionOf<WebSocketConnectionTypes>

/** Sends a JSON message. */
export interface SendJson<Types extends WebSocketConnectionTypes> {
  (message: MessageToSend<Types>, callback?: SendCallback): boolean
  (message: MessageToSend<Types>, options: SendJsonOptions | undefined, callback?: SendCallback): boolean
}

/**
 * One WebSocket. Shaped so that code written for a server socket of `ws` works unchanged.
 *
 * Messages that arrive before anybody listens wait: until there is a `message` listener or an
 * iterator, or the route's handler has settled.
 *
 * A handler gets it with the types of its route; other code says `WebSocketConnection<Receive, Send, Data>`.
 *
 * @see docs/connection.md
 */
export interface WebSocketConnectionOf<Types extends WebSocketConnectionTypes> extends EventEmitter<WebSocketConnectionEvents<Types['receive']>>, TopicSubscriber {
  /** A value of `readyState`: the handshake is under way. Only client connections of `injectWS` have it. */
  readonly CONNECTING: 0
  /** A value of `readyState`: messages go both ways. */
  readonly OPEN: 1
  /** A value of `readyState`: the close handshake is under way (RFC 6455 §7.1.3). */
  readonly CLOSING: 2
  /** A value of `readyState`: the connection is over (RFC 6455 §7.1.4). */
  readonly CLOSED: 3
  /** Unique among the connections of all processes, and short: `3kXq_Zt1-2f`. It is in every line that the plugin logs about the connection. */
  readonly id: string
  /**
   * An object for whatever the app keeps about the connection, typed by `Data` in the route's generics and by
   * `WebSocketConnectionData`. Hooks fill it before the 101 as `request.connectionData`. Default `{}`.
   *
   * @throws {TypeError} if it is set to what is no object
   * @see docs/hooks.md
   */
  data: Types['data']
  /** One of the four constants above. */
  readonly readyState: 0 | 1 | 2 | 3
  /** The subprotocol that was agreed on, or `''`. */
  readonly protocol: string
  /** The extensions that were agreed on, in the form of the header field, or `''`. */
  readonly extensions: string
  /** `ws://host/path?query` or `wss://…` (RFC 6455 §3): `request.protocol`, `request.host` and the target as it was sent. */
  readonly url: string
  /**
   * Bytes of frames that are queued here and not yet handed to the operating system.
   *
   * @see docs/backpressure.md
   */
  readonly bufferedAmount: number
  /** In which form binary messages are handed to listeners. Text is a Buffer for `message`, and iterators and streams give Buffers, whatever it says. Default `'nodebuffer'`. */
  binaryType: BinaryType
  /** Whether the peer is held back: by `pause`, or by an iterator or a stream that contains more than its reader has asked for. */
  readonly isPaused: boolean
  /**
   * Milliseconds that the last Ping of the server's heartbeat took there and back; `undefined` before the first
   * was answered. Pings of your own do not count.
   *
   * @see docs/heartbeat.md
   */
  readonly latency: number | undefined
  /** Resolves when `close` is emitted, which waits for messages that the handler has not read yet. It never rejects. */
  readonly closed: Promise<WebSocketClosure>
  /** Aborts when the connection is over. */
  readonly signal: AbortSignal
  /**
   * The connections of the same route, this one included.
   *
   * @see docs/broadcasting.md
   */
  readonly route: WebSocketRouteConnectionsOf<Types>

  /**
   * Sends a message. Frames that are sent while one incoming chunk is processed, or within one tick,
   * leave in one write, in the order of the calls.
   *
   * Bytes up to 16 KiB are copied: the memory is yours again when `send` returns, whatever the message waits for. From
   * 16 KiB (16,384 bytes) they are passed on by reference: neither change them nor transfer their ArrayBuffer before the
   * callback. A fragment counts by itself.
   *
   * The callback is called exactly once: when the bytes are handed to the socket, or with an error. On a connection that
   * is closing or closed nothing is sent, the callback gets an error, and no `drain` follows the `false`.
   *
   * @returns whether more may be sent now; if `false`, wait for `drain`
   * @throws {TypeError} if `data` is not text or bytes
   */
  send (data: WebSocketData | Blob, callback?: SendCallback): boolean
  /** Sends a message, with options. Everything else is as without them. */
  send (data: WebSocketData | Blob, options: SendOptions | undefined, callback?: SendCallback): boolean

  /**
   * Waits until more may be sent: at once, or as long as `send` would return `false`.
   *
   * @throws {ClosedError} (as a rejection) `FST_WS_ERR_CLOSED` if the connection closes first. A handler or listener that
   *   does not catch it ends without an error
   * @see docs/backpressure.md
   */
  drained (): Promise<void>

  /**
   * Waits until everything that was sent is handed to the socket, as the callbacks of `send` do.
   *
   * @throws {ClosedError} (as a rejection) as `drained`, if the connection is lost first
   * @see docs/backpressure.md
   */
  flush (): Promise<void>

  /**
   * Sends a JSON message, as text. With a `send` schema the route's serializer writes it; what that does about values
   * which do not fit is its own matter: Fastify's own one leaves out what the schema does not name.
   *
   * @returns whether more may be sent now, as with `send`
   * @throws {TypeError} if `message` has no form in JSON, and what the serializer throws if it does not fit the schema
   * @see docs/json-messages.md
   */
  readonly sendJson: SendJson<Types>

  /**
   * Sends a Ping (RFC 6455 §5.5.2). On a connection that is closing or closed nothing is sent and the
   * callback gets an error.
   *
   * @param mask without effect: RFC 6455 §5.1 says which side masks
   * @throws {RangeError} if `data` is longer than 125 bytes
   * @throws {TypeError} if `data` is not text or bytes
   */
  ping (data?: WebSocketData | Blob, mask?: boolean, callback?: SendCallback): void
  /** Sends a Ping, as above. */
  ping (data: WebSocketData | Blob | undefined, callback: SendCallback): void
  /** Sends a Ping without data, as above. */
  ping (callback: SendCallback): void

  /** Sends an unsolicited Pong (RFC 6455 §5.5.3). Throws as `ping` does. */
  pong (data?: WebSocketData | Blob, mask?: boolean, callback?: SendCallback): void
  /** Sends a Pong, as above. */
  pong (data: WebSocketData | Blob | undefined, callback: SendCallback): void
  /** Sends a Pong without data, as above. */
  pong (callback: SendCallback): void

  /**
   * Starts the close handshake (RFC 6455 §7.1.2) after what was sent before. If the peer does not
   * complete it within `closeTimeout`, the socket is destroyed. Nothing more can be sent, and a
   * connection that was paused is resumed, since the peer's answer may come behind messages. These are still
   * delivered, in order, to a handler that only listens later too.
   *
   * @param code 1000–1003, 1007–1014 or 3000–4999; default none, which the peer sees as 1005
   * @param reason at most 123 bytes of UTF-8; a Close frame without a code has no reason, so it is not sent then
   * @throws {RangeError} if the code may not be sent or the reason is too long
   * @throws {TypeError} if the code is not a number, or the reason not a string or Uint8Array
   */
  close (code?: number, reason?: string | Uint8Array): void

  /** Destroys the socket at once, without a close handshake, after handing over what was sent before. */
  terminate (): void

  /** Stops delivering messages and reading from the socket, so that TCP holds the peer back. */
  pause (): void
  /** Undoes `pause`, from the next tick on. */
  resume (): void

  /** As browsers have it. A listener that is there already is not added again. */
  addEventListener<K extends keyof WebSocketEventMap> (type: K, listener: WebSocketEventListener<WebSocketEventMap[K]>, options?: { once?: boolean }): void
  /** Removes a listener that `addEventListener` has added. Others are left alone. */
  removeEventListener<K extends keyof WebSocketEventMap> (type: K, listener: WebSocketEventListener<WebSocketEventMap[K]>): void
  /** The listener of `open`, as browsers have it. Default `null`. */
  onopen: ((event: WebSocketEvent) => unknown) | null
  /** The listener of `message`, as browsers have it. Default `null`. */
  onmessage: ((event: WebSocketMessageEvent) => unknown) | null
  /** The listener of `close`, as browsers have it. Default `null`. */
  onclose: ((event: WebSocketCloseEvent) => unknown) | null
  /** The listener of `error`, as browsers have it. Default `null`. */
  onerror: ((event: WebSocketErrorEvent) => unknown) | null

  /**
   * The messages as they come, strings for text and Buffers for binary. The peer is held back while
   * the loop's body runs. Ends when the connection is closed; throws the error that `error` listeners get.
   */
  [Symbol.asyncIterator] (): AsyncIterableIterator<string | Buffer>

  /**
   * The messages as `json` listeners get them. The peer is held back while the loop's body runs. Ends and throws as the
   * iterator of all messages does.
   */
  json (): AsyncIterableIterator<Types['receive']>

  /**
   * Makes a Duplex stream of the messages: each write is sent as one message, binary, unless it is a
   * string that `decodeStrings: false` or an object mode has left one; each message received is one chunk, text as
   * a string only with `readableObjectMode`. Its end closes the connection, its destruction terminates it.
   */
  stream (options?: DuplexOptions): Duplex
}
