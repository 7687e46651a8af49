/**
 * The errors of the protocol layer. Each has a class, a stable `code` for
 * programs, and says what it causes: a close code on an open connection, or
 * an HTTP status before there is one.
 */

import type { InvalidMessagePart } from '../../types/options.js'

/** The shape of every `code`: stable across releases, unlike messages. */
export type ErrorCode = `FST_WS_ERR_${string}`

/**
 * Puts the name on the prototype, as the built-in errors have it: V8 writes
 * the first line of `stack` before a constructor could set an own property,
 * and an own property would show up whenever the error is logged.
 */
function nameErrorClass (errorClass: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
}

/** An error that ends an open WebSocket connection. */
export class WebSocketError extends Error {
  /** Stable identifier, `FST_WS_ERR_*`. */
  readonly code: ErrorCode
  /** Status code of the Close frame this error causes (RFC 6455 §7.4). */
  readonly closeCode: number

  static {
    nameErrorClass(this, 'WebSocketError')
  }

  constructor (message: string, code: ErrorCode, closeCode: number, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.closeCode = closeCode
  }
}

/**
 * The peer broke the framing rules (RFC 6455 §5, §7.4.1: 1002).
 *
 * `code` is `FST_WS_ERR_PROTOCOL` or, where the rule has a name of its own,
 * one of `FST_WS_ERR_MASK_REQUIRED`, `FST_WS_ERR_RESERVED_BITS`,
 * `FST_WS_ERR_INVALID_OPCODE`, `FST_WS_ERR_CONTROL_FRAME`,
 * `FST_WS_ERR_FRAGMENTATION`, `FST_WS_ERR_FRAME_LENGTH` and
 * `FST_WS_ERR_CLOSE_PAYLOAD`.
 */
export class ProtocolError extends WebSocketError {
  static {
    nameErrorClass(this, 'ProtocolError')
  }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_PROTOCOL', closeCode = 1002, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * The payload is not what its type promises: text that is not UTF-8, or
 * compressed data that does not inflate (RFC 6455 §8.1, §7.4.1: 1007).
 */
export class InvalidPayloadError extends WebSocketError {
  static {
    nameErrorClass(this, 'InvalidPayloadError')
  }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_INVALID_PAYLOAD', closeCode = 1007, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/** The message is larger than this side accepts (RFC 6455 §10.4, §7.4.1: 1009). */
export class MessageTooBigError extends WebSocketError {
  static {
    nameErrorClass(this, 'MessageTooBigError')
  }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_MESSAGE_TOO_BIG', closeCode = 1009, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/** The peer sends more than it may in a given time (RFC 6455 §7.4.1: 1008). */
export class RateLimitError extends WebSocketError {
  static {
    nameErrorClass(this, 'RateLimitError')
  }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_RATE_LIMIT', closeCode = 1008, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * The peer does not read what is sent to it, and too much waits already. Nothing was wrong with what it sent: it may
 * come back later (1013, "Try Again Later" in the registry of RFC 6455 §11.7).
 */
export class SlowReaderError extends WebSocketError {
  static {
    nameErrorClass(this, 'SlowReaderError')
  }

  constructor (message: string, code: ErrorCode = 'FST_WS_ERR_SLOW_READER', closeCode = 1013, options?: ErrorOptions) {
    super(message, code, closeCode, options)
  }
}

/**
 * A message of a route that reads JSON is not what it has to be (RFC 6455 §7.4.1).
 *
 * `code` is `FST_WS_ERR_INVALID_MESSAGE` (1008) if the validator of the route's schema says so, `FST_WS_ERR_INVALID_JSON`
 * (1007) or `FST_WS_ERR_BINARY_MESSAGE` (1003).
 */
export class InvalidMessageError extends WebSocketError {
  /** What the validator found, as in Fastify's own validation errors; `undefined` if it was none that tells so. */
  readonly validation: readonly InvalidMessagePart[] | undefined
  /** The part that was validated, as in Fastify's own validation errors. */
  readonly validationContext: 'message' | undefined

  static {
    nameErrorClass(this, 'InvalidMessageError')
  }

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
 * The names `statusCode` and `headers` are those Fastify's error handler reads,
 * so that throwing one from a route gives the right answer by itself.
 */
export class HandshakeError extends Error {
  /** Stable identifier, `FST_WS_ERR_*`. */
  readonly code: ErrorCode
  /** HTTP status of the refusal. */
  readonly statusCode: number
  /** Header fields the refusal must carry, such as `Allow` of a 405; empty if none. */
  readonly headers: Record<string, string>

  static {
    nameErrorClass(this, 'HandshakeError')
  }

  constructor (message: string, code: ErrorCode, statusCode = 400, headers: Record<string, string> = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.statusCode = statusCode
    this.headers = headers
  }
}
