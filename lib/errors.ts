/**
 * The catalogue: every error that this package throws, rejects with, or passes to callbacks and listeners, with its
 * class, its stable `code`, its message, and the close code or HTTP status that it causes. `createError` makes one.
 *
 * Every layer may import this module, and it imports none of them.
 */

import type { InjectWSError, InvalidMessage, InvalidMessagePart } from '../types/errors.js'

/** The shape of every `code`: stable across releases, unlike messages. */
export type ErrorCode = `FST_WS_ERR_${string}`

// --- classes

/**
 * Puts the name on the prototype, as the built-in errors have it: V8 writes the first line of `stack` before a
 * constructor could set an own property, and an own property would show up whenever the error is logged.
 */
function nameErrorClass (errorClass: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
}

/** An error that ends an open WebSocket connection. @see docs/errors.md */
export class WebSocketError extends Error {
  /** Stable identifier, `FST_WS_ERR_*`. */
  readonly code: ErrorCode
  /** Status code of the Close frame this error causes (RFC 6455 §7.4). */
  readonly closeCode: number

  static { nameErrorClass(this, 'WebSocketError') }

  constructor (message: string, code: ErrorCode, closeCode: number, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.closeCode = closeCode
  }
}

/** The peer broke the framing rules (RFC 6455 §5, §7.4.1: 1002). `code` names the rule where it has a name of its own. */
export class ProtocolError extends WebSocketError {
  static { nameErrorClass(this, 'ProtocolError') }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_PROTOCOL', closeCode = 1002, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * The payload is not what its type promises: text that is not UTF-8, or compressed data that does not inflate
 * (RFC 6455 §8.1, §7.4.1: 1007).
 */
export class InvalidPayloadError extends WebSocketError {
  static { nameErrorClass(this, 'InvalidPayloadError') }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_INVALID_PAYLOAD', closeCode = 1007, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/** The message is larger than this side accepts (RFC 6455 §10.4, §7.4.1: 1009). */
export class MessageTooBigError extends WebSocketError {
  static { nameErrorClass(this, 'MessageTooBigError') }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_MESSAGE_TOO_BIG', closeCode = 1009, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/** The peer sends more than it may in a given time (RFC 6455 §7.4.1: 1008). */
export class RateLimitError extends WebSocketError {
  static { nameErrorClass(this, 'RateLimitError') }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_RATE_LIMIT', closeCode = 1008, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * The peer does not read what is sent to it, and too much is buffered. It has broken no rule and may reconnect later
 * (1013, "Try Again Later" in the registry of RFC 6455 §11.7).
 */
export class SlowReaderError extends WebSocketError {
  static { nameErrorClass(this, 'SlowReaderError') }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_SLOW_READER', closeCode = 1013, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * A message of a route that reads JSON is not valid (RFC 6455 §7.4.1).
 *
 * `code` is `FST_WS_ERR_INVALID_MESSAGE` (1008) if the validator of the route's schema rejects it,
 * `FST_WS_ERR_INVALID_JSON` (1007) or `FST_WS_ERR_BINARY_MESSAGE` (1003).
 */
export class InvalidMessageError extends WebSocketError implements InvalidMessage {
  /** The rules that the message breaks, as in Fastify's own validation errors; `undefined` if it does not report details. */
  readonly validation: readonly InvalidMessagePart[] | undefined
  /** The part that was validated, as in Fastify's own validation errors. */
  readonly validationContext: 'message' | undefined

  static { nameErrorClass(this, 'InvalidMessageError') }

  constructor (
    message: string,
    code: ErrorCode = 'FST_WS_ERR_INVALID_MESSAGE',
    closeCode = 1008,
    options?: ErrorOptions & { validation?: readonly InvalidMessagePart[] | undefined }
  ) {
    super(message, code, closeCode, options)
    this.validation = options?.validation
    this.validationContext = code === 'FST_WS_ERR_INVALID_MESSAGE' ? 'message' : undefined
  }
}

/**
 * The opening handshake is refused over HTTP, before any 101 (RFC 6455 §4.2.2).
 *
 * Fastify's error handler reads `statusCode` and `headers`, so that throwing one from a route gives the right answer.
 *
 * @see docs/errors.md
 */
export class HandshakeError extends Error {
  /** Stable identifier, `FST_WS_ERR_*`. */
  readonly code: ErrorCode
  /** HTTP status of the refusal. */
  readonly statusCode: number
  /** Header fields the refusal must carry, such as `Allow` of a 405; empty if none. */
  readonly headers: Record<string, string>

  static { nameErrorClass(this, 'HandshakeError') }

  constructor (message: string, code: ErrorCode, statusCode = 400, headers: Record<string, string> = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.statusCode = statusCode
    this.headers = headers
  }
}

/** An error of the server's own code or configuration, which the peer does not cause. */
class AppError extends Error {
  /** Stable identifier, `FST_WS_ERR_*`. */
  readonly code: ErrorCode

  constructor (message: string, code: ErrorCode, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The plugin is registered twice in one context, or next to `@fastify/websocket`. */
export class RegistrationError extends AppError {
  static { nameErrorClass(this, 'RegistrationError') }
}

/** A WebSocket route is declared where the plugin cannot see it. */
export class UnseenRouteError extends AppError {
  static { nameErrorClass(this, 'UnseenRouteError') }
}

/** A schema of a route's messages cannot be used. */
export class MessageSchemaError extends AppError {
  static { nameErrorClass(this, 'MessageSchemaError') }
}

/** The routes cannot be described, or not yet. */
export class AsyncApiError extends AppError {
  static { nameErrorClass(this, 'AsyncApiError') }
}

/** No WebSocket route has the URL that was asked for. */
export class UnknownRouteError extends AppError {
  static { nameErrorClass(this, 'UnknownRouteError') }
}

/** The app selected a subprotocol that the client did not offer (RFC 6455 §4.2.2). Fastify answers with 500. */
export class SubprotocolError extends AppError {
  static { nameErrorClass(this, 'SubprotocolError') }
}

/** `send`, `ping` or `pong` was called on a connection that is closing or closed. */
export class NotOpenError extends AppError {
  static { nameErrorClass(this, 'NotOpenError') }
}

/** The connection was closed before a frame was written to its socket. */
export class ClosedError extends AppError {
  static { nameErrorClass(this, 'ClosedError') }
}

/** A topic could not be subscribed, or a message not be published. `code` says why. */
export class TopicError extends AppError {
  static { nameErrorClass(this, 'TopicError') }
}

/** A request of a client of the topics protocol is not done. The client reads the code and the message. */
export class RefusedError extends AppError {
  static { nameErrorClass(this, 'RefusedError') }
}

/** A handler, a listener, a callback or a hook threw a value that is no Error: `cause`. */
export class ThrownValueError extends AppError {
  static { nameErrorClass(this, 'ThrownValueError') }
}

/** `injectWS` got no valid answer to its handshake. */
export class InjectError extends AppError {
  static { nameErrorClass(this, 'InjectError') }
}

/** `injectWS` was answered with a status other than 101, or 200 over HTTP/2. */
export class UnexpectedResponseError extends InjectError implements InjectWSError {
  /** Stable identifier. */
  declare readonly code: 'FST_WS_ERR_UNEXPECTED_RESPONSE'
  /** The status of the answer. */
  readonly statusCode: number
  /** The header fields of the answer. */
  readonly headers: InjectWSError['headers']
  /** The body of the answer, as text. */
  readonly body: string

  // `@fastify/websocket` rejects with a plain Error, and tests of apps compare the name.
  static { nameErrorClass(this, 'Error') }

  constructor (statusCode: number, headers: InjectWSError['headers'], body: string) {
    super(`Unexpected server response: ${statusCode}`, 'FST_WS_ERR_UNEXPECTED_RESPONSE')
    this.statusCode = statusCode
    this.headers = headers
    this.body = body
  }
}

/** An option has an unknown name or an invalid value. */
export class OptionError extends TypeError {
  /** Stable identifier. */
  readonly code = 'FST_WS_ERR_INVALID_OPTION'

  static { nameErrorClass(this, 'OptionError') }
}

// --- codes

/** Whatever an error has besides its code and its message. */
export interface ErrorDetails extends ErrorOptions {
  /** For a `HandshakeError`: header fields besides those of the catalogue, and a status other than that. */
  headers?: Record<string, string>
  statusCode?: number
  /** For an `InvalidMessageError`. */
  validation?: readonly InvalidMessagePart[] | undefined
}

/** An error that closes the connection. The peer reads the close code. */
function closing<E extends WebSocketError> (
  ErrorClass: new (message: string, code: ErrorCode, closeCode: number, details?: ErrorDetails) => E, closeCode: number, message: string
) {
  return { errorClass: ErrorClass, closeCode, message, create: (code: ErrorCode, text: string, details?: ErrorDetails): E => new ErrorClass(text, code, closeCode, details) }
}

/** An error that refuses the handshake. The client reads the status, the message, and the header fields. */
function refusing (statusCode: number, message: string, headers: Readonly<Record<string, string>> = {}) {
  return {
    errorClass: HandshakeError,
    statusCode,
    message,
    headers,
    create: (code: ErrorCode, text: string, details: ErrorDetails = {}) =>
      withoutStack(new HandshakeError(text, code, details.statusCode ?? statusCode, { ...headers, ...details.headers }, details))
  }
}

/** The client causes these errors. Fastify logs them, and a stack would tell nothing but where this package throws. */
function withoutStack<E extends HandshakeError> (error: E): E {
  if (error.statusCode < 500) error.stack = `${error.name}: ${error.message}`
  return error
}

/** Seconds after which a client that is refused for now may try again (RFC 9110 §10.2.3). */
const RETRY_AFTER = { 'Retry-After': '1' }

/** An error that only the app gets: `from` says where. */
function failing<E extends AppError> (ErrorClass: new (message: string, code: ErrorCode, details?: ErrorOptions) => E, from: string, message: string) {
  return { errorClass: ErrorClass, from, message, create: (code: ErrorCode, text: string, details?: ErrorDetails): E => new ErrorClass(text, code, details) }
}

/** A built-in error with a code: the app has passed a wrong argument. */
function misusing<E extends TypeError | RangeError> (ErrorClass: new (message: string, options?: ErrorOptions) => E, from: string, message: string) {
  return { errorClass: ErrorClass, from, message, create: (code: ErrorCode, text: string, details?: ErrorDetails) => Object.assign(new ErrorClass(text, details), { code }) }
}

const SENDING = 'callbacks of `send`, `sendJson`, `ping` and `pong`'
const PUBLISHING = '`publish`, as a rejection'
const SUBSCRIBING = '`subscribe`, as a rejection'
const REFUSING = '`refused` of the [topics protocol](topics-protocol.md)'
const INJECTING = '`app.injectWS()`, as a rejection'

/** One entry for each code. `message` is the default: where a code covers several cases, the error says which one it is. */
export const ERRORS = {
  FST_WS_ERR_PROTOCOL: closing(ProtocolError, 1002, 'a framing rule is broken'),
  FST_WS_ERR_MASK_REQUIRED: closing(ProtocolError, 1002, 'frame from the client is not masked'),
  FST_WS_ERR_RESERVED_BITS: closing(ProtocolError, 1002, 'reserved bits are set'),
  FST_WS_ERR_INVALID_OPCODE: closing(ProtocolError, 1002, 'opcode is reserved'),
  FST_WS_ERR_CONTROL_FRAME: closing(ProtocolError, 1002, 'control frame is fragmented, or longer than 125 bytes'),
  FST_WS_ERR_FRAGMENTATION: closing(ProtocolError, 1002, 'fragments of messages are out of order'),
  FST_WS_ERR_FRAME_LENGTH: closing(ProtocolError, 1002, 'payload length is not in its shortest form, or has its top bit set'),
  FST_WS_ERR_CLOSE_PAYLOAD: closing(ProtocolError, 1002, 'Close frame has an invalid status code'),
  FST_WS_ERR_INVALID_PAYLOAD: closing(InvalidPayloadError, 1007, 'text is not UTF-8'),
  FST_WS_ERR_MESSAGE_TOO_BIG: closing(MessageTooBigError, 1009, 'message is longer than maxPayload'),
  FST_WS_ERR_RATE_LIMIT: closing(RateLimitError, 1008, 'peer sends more than the rate limit allows'),
  FST_WS_ERR_SLOW_READER: closing(SlowReaderError, 1013, 'more than maxBufferedAmount is buffered for a peer that does not read'),
  FST_WS_ERR_INVALID_JSON: closing(InvalidMessageError, 1007, 'the message is not JSON'),
  FST_WS_ERR_INVALID_MESSAGE: closing(InvalidMessageError, 1008, 'the message does not match the receive schema'),
  FST_WS_ERR_BINARY_MESSAGE: closing(InvalidMessageError, 1003, 'binary messages are not JSON'),
  FST_WS_ERR_REENTERED: closing(WebSocketError, 1011, 'a listener has run the event loop, as native addons can'),

  FST_WS_ERR_HANDSHAKE_METHOD: refusing(405, 'A WebSocket handshake must use GET', { Allow: 'GET' }),
  FST_WS_ERR_HANDSHAKE_HTTP_VERSION: refusing(400, 'A WebSocket handshake requires HTTP/1.1 or higher'),
  FST_WS_ERR_HANDSHAKE_HOST: refusing(400, 'A WebSocket handshake must have exactly one Host'),
  FST_WS_ERR_HANDSHAKE_UPGRADE: refusing(400, 'Upgrade must contain websocket'),
  FST_WS_ERR_HANDSHAKE_CONNECTION: refusing(400, 'Connection must contain Upgrade'),
  FST_WS_ERR_HANDSHAKE_BODY: refusing(400, 'A WebSocket handshake must not have a body'),
  FST_WS_ERR_HANDSHAKE_KEY: refusing(400, 'Sec-WebSocket-Key must appear exactly once and encode 16 bytes'),
  FST_WS_ERR_HANDSHAKE_SUBPROTOCOL: refusing(400, 'Sec-WebSocket-Protocol is malformed'),
  FST_WS_ERR_HANDSHAKE_EXTENSIONS: refusing(400, 'Sec-WebSocket-Extensions is malformed'),
  FST_WS_ERR_HANDSHAKE_VERSION: refusing(426, 'Sec-WebSocket-Version must be 13'),
  FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED: refusing(426, 'Upgrade to WebSocket required'),
  FST_WS_ERR_ORIGIN: refusing(403, 'Origin is not allowed'),
  FST_WS_ERR_VERIFY_CLIENT: refusing(401, 'Unauthorized'),
  FST_WS_ERR_CLOSING: refusing(503, 'Service Unavailable', RETRY_AFTER),
  FST_WS_ERR_MAX_CONNECTIONS: refusing(503, 'Too many connections', RETRY_AFTER),

  FST_WS_ERR_SUBPROTOCOL: failing(SubprotocolError, 'the handshake, which is answered 500', 'the selected subprotocol is not one that the client offered'),
  FST_WS_ERR_INVALID_OPTION: misusing(OptionError, 'registration, and the declaration of a route or topic', 'an option has an unknown name or an invalid value'),
  FST_WS_ERR_REGISTERED_TWICE: failing(RegistrationError, 'registration', 'the plugin, or `@fastify/websocket`, is already registered'),
  FST_WS_ERR_UNSEEN_ROUTE: failing(UnseenRouteError, '`app.ready()`', 'a WebSocket route was declared before the plugin was loaded'),
  FST_WS_ERR_MESSAGE_SCHEMA: failing(MessageSchemaError, '`app.ready()`, or a message', 'a schema of messages cannot be compiled, or its validator is asynchronous'),
  FST_WS_ERR_ASYNCAPI: failing(AsyncApiError, '`app.asyncapi()`', 'the app is not ready, or a route refers to a schema or a security scheme that is missing'),
  FST_WS_ERR_UNKNOWN_ROUTE: failing(UnknownRouteError, '`app.websocketServer.route()`', 'there is no WebSocket route with this URL'),
  FST_WS_ERR_NOT_OPEN: failing(NotOpenError, SENDING, 'WebSocket is not open'),
  FST_WS_ERR_CLOSED: failing(ClosedError, SENDING, 'WebSocket was closed before the message was sent'),
  FST_WS_ERR_BROKER: failing(TopicError, '`app.ready()`, and `publish` before that', 'the broker of topics cannot be reached or used'),
  FST_WS_ERR_PUBLISH: failing(TopicError, PUBLISHING, 'the broker did not take the message within `publishTimeout`'),
  FST_WS_ERR_SUBSCRIBE: failing(TopicError, SUBSCRIBING, 'the broker did not confirm the subscription within `publishTimeout`'),
  FST_WS_ERR_UNSUBSCRIBED: failing(TopicError, SUBSCRIBING, 'the topic was unsubscribed, or the connection closed, before the subscription was live'),
  FST_WS_ERR_MAX_SUBSCRIPTIONS: failing(TopicError, SUBSCRIBING, 'the connection has `maxSubscriptions` topics'),
  FST_WS_ERR_MAX_TOPICS: failing(TopicError, SUBSCRIBING, 'this process has `maxTopics` topics'),
  FST_WS_ERR_UNKNOWN_MESSAGE: failing(RefusedError, REFUSING, 'the message is none of the topics protocol'),
  FST_WS_ERR_INVALID_REQUEST: failing(RefusedError, REFUSING, 'a member has a wrong type or is missing, or too many topics are named'),
  FST_WS_ERR_TOPIC_NAME: failing(RefusedError, REFUSING, 'it cannot be the name of a topic'),
  FST_WS_ERR_UNKNOWN_TOPIC: failing(RefusedError, REFUSING, 'no such topic is declared'),
  FST_WS_ERR_TOPIC_PARAMS: failing(RefusedError, REFUSING, 'a parameter of the topic does not match its schema'),
  FST_WS_ERR_INVALID_POSITION: failing(RefusedError, REFUSING, 'it is not a position'),
  FST_WS_ERR_INVALID_ID: failing(RefusedError, REFUSING, 'it cannot be the id of a message'),
  FST_WS_ERR_SUBSCRIBED: failing(RefusedError, REFUSING, 'the topic is subscribed already'),
  FST_WS_ERR_NOT_SUBSCRIBED: failing(RefusedError, REFUSING, 'the topic is not subscribed'),
  FST_WS_ERR_NO_PRESENCE: failing(RefusedError, REFUSING, 'the topic has no presence'),
  FST_WS_ERR_PRESENCE: failing(RefusedError, REFUSING, 'the members could not be read'),
  FST_WS_ERR_NO_PUBLISH: failing(RefusedError, REFUSING, 'clients may not publish to the topic'),
  FST_WS_ERR_REFUSED: failing(RefusedError, REFUSING, 'the app refuses it'),
  FST_WS_ERR_POLICY: failing(RefusedError, REFUSING, 'the app could not decide'),
  FST_WS_ERR_INVALID_ARGUMENT: misusing(TypeError, 'methods of a connection, and `broadcast`', 'data, close code or reason has a wrong type'),
  FST_WS_ERR_OUT_OF_RANGE: misusing(RangeError, '`close`, `ping` and `pong`', 'close code may not be sent, or reason or data is too long'),
  FST_WS_ERR_TOPIC_MESSAGE: misusing(TypeError, '`publish` of a declared topic', 'the message does not match the schema of its topic'),
  FST_WS_ERR_NOT_SERIALIZABLE: misusing(TypeError, '`sendJson`, `broadcastJson`, and `publish` of a declared topic', 'value cannot be serialized to JSON'),
  FST_WS_ERR_THROWN_VALUE: failing(ThrownValueError, '`errorHandler`, and the log', 'a handler, a listener or a callback threw a value that is no Error'),
  FST_WS_ERR_INJECT: failing(InjectError, INJECTING, 'the server did not answer with a valid handshake'),
  FST_WS_ERR_UNEXPECTED_RESPONSE: { errorClass: UnexpectedResponseError, from: INJECTING, message: 'the server answered with another status than 101, or 200 over HTTP/2' }
}

/** Codes whose errors `createError` makes; an `UnexpectedResponseError` has more to say and is constructed directly. */
type CreatableCode = Exclude<keyof typeof ERRORS, 'FST_WS_ERR_UNEXPECTED_RESPONSE'>

/** Makes the error of the code. @param message if it is to be more specific than the catalogue's */
export function createError<C extends CreatableCode> (
  code: C, message: string = ERRORS[code].message, details?: ErrorDetails
): ReturnType<(typeof ERRORS)[C]['create']> {
  return ERRORS[code].create(code, message, details) as ReturnType<(typeof ERRORS)[C]['create']>
}

/** Describes a value in an error message about an argument that the app may not pass. */
export function describe (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  switch (typeof value) {
    case 'string': return `'${value}'`
    case 'function': return 'a function'
    case 'symbol': return 'a symbol'
    case 'object': return describeObject(value)
    default: return String(value)
  }
}

function describeObject (value: object): string {
  if (Array.isArray(value)) return 'an array'
  const name: unknown = value.constructor?.name
  if (typeof name !== 'string' || name === '' || name === 'Object') return 'an object'
  return `${/^[AEIO]/i.test(name) ? 'an' : 'a'} ${name}`
}
