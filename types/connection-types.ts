/**
 * The events of a connection, with the arguments that their listeners get.
 *
 * @see docs/connection.md
 */
export interface WebSocketConnectionEvents<Receive = unknown> {
  /** A whole message. `data` is a Buffer, for text too (as in `ws`); binary data is what `binaryType` says. */
  message: [data: Buffer, isBinary: boolean]
  /**
   * A parsed JSON message, validated if the route has a `receive` schema, with the changes that its validator made, such as
   * defaults. Listeners get no invalid message; see `onInvalidMessage`.
   */
  json: [message: Receive]
  /** A whole text message, as a string. Binary messages are emitted as `message` only. */
  text: [text: string]
  /** The connection is over. 1005: the Close frame had no code; 1006: there was no Close frame (RFC 6455 §7.1.5). */
  close: [code: number, reason: Buffer]
  /**
   * The peer broke the protocol or a limit. The `errorHandler` of the plugin gets the same error. It follows the messages
   * that came before it; no `message`, `json`, `ping` or `pong` follows it, and iterators and streams give nothing more.
   */
  error: [error: Error]
  /** The peer sent a Ping (RFC 6455 §5.5.2). It is answered without a listener. */
  ping: [data: Buffer]
  /** The peer sent a Pong (RFC 6455 §5.5.3), asked for or not. Heartbeat Pongs are not emitted. */
  pong: [data: Buffer]
  /** Messages of this topic were missed, because the broker was away. The connection goes on with those that come. */
  gap: [topic: string]
  /** More may be sent, after `send` returned `false`. */
  drain: []
  /** Only on the client connection that `injectWS` gives. */
  open: []
}

/** How a connection has ended, as in the `close` event: 1005 and 1006 stand for the lack of a code, or of a Close frame. */
export interface WebSocketClosure {
  /** The close code of the peer, or 1005 or 1006. */
  readonly code: number
  /** The peer's reason, up to 123 bytes of UTF-8; `''` if there was none. */
  readonly reason: string
}

/**
 * The type of `data` of all connections of the app, before anything that a route adds with `Data` in its generics. It is empty
 * until the app merges its own members into it:
 *
 * ```ts
 * declare module 'fastify-ws-routes' {
 *   interface WebSocketConnectionData { user: User }
 * }
 * ```
 *
 * @see docs/typescript.md
 */
export interface WebSocketConnectionData {}

/**
 * The types of one connection, as its members look them up: only a member that is used costs the compiler the type of its
 * schema. All three are covariant, so `send` is a function.
 */
export interface WebSocketConnectionTypes {
  /** The messages that `json` listeners get. */
  receive: unknown
  /** Takes the messages that may be sent. */
  send: (message: never) => void
  /** The object in `connection.data`. */
  data: unknown
}

/** The types of the connections of a route without types of its own. */
export interface DefaultConnectionTypes extends WebSocketConnectionTypes {
  send: (message: unknown) => void
  /** The members that the app has merged into `WebSocketConnectionData`. */
  data: WebSocketConnectionData
}

/** The default members of `data`, and those that a route adds. */
export type WithDefaultData<Data> = keyof WebSocketConnectionData extends never ? Data : Data & WebSocketConnectionData
