import type { WebSocketError } from '../errors.js'

/** What the decoder found, in the order of the bytes. */
export interface FrameSink {
  /** A whole message, put together from its fragments. The bytes belong to the receiver. */
  onMessage (data: Buffer, isBinary: boolean): void
  /** A whole message that is compressed (RFC 7692 §6): still to be inflated and, if it is text, to be checked. */
  onCompressedMessage (data: Buffer, isBinary: boolean): void
  onPing (data: Buffer): void
  onPong (data: Buffer): void
  /** The Close frame. `code` is 1005 if it had none. Nothing follows. */
  onClose (code: number, reason: Buffer): void
  /**
   * The peer broke a rule or a limit; `error.closeCode` says how to fail the connection. Nothing follows, but `onClose`
   * behind a message that was too big: there the peer is still understood.
   */
  onError (error: WebSocketError): void
}

export interface FrameDecoderOptions {
  /** The side that receives: a server requires masks, a client forbids them (RFC 6455 §5.1). */
  role: 'server' | 'client'
  /** Bytes of one message; over it the error is a `MessageTooBigError`. */
  maxPayload: number
}

/** What the peer may still send. */
export interface FrameBudget {
  /**
   * Counts a frame, by its header alone.
   *
   * @param asksForWork whether it begins a message or is a Ping
   * @param bytes on the wire, announced for the most part
   * @returns whether it was still within the limit
   */
  spend (asksForWork: boolean, bytes: number): boolean
}
