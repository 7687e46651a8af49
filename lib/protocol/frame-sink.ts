import type { WebSocketError } from '../errors.js'

/** Receives the events of a decoder, in the order of the bytes. */
export interface FrameSink {
  /** Whether whoever gets the next message wants text as a string, and nobody as bytes: `onText` may get it then, and not `onMessage`. */
  readonly takesStrings: boolean
  /** A whole text message. @param bytes its length in UTF-8 */
  onText (text: string, bytes: number): void
  /** A whole message, joined from its fragments. The bytes belong to the receiver. */
  onMessage (data: Buffer, isBinary: boolean): void
  /** A whole message that is compressed (RFC 7692 §6): still to be inflated and, if it is text, to be checked. */
  onCompressedMessage (data: Buffer, isBinary: boolean): void
  onPing (data: Buffer): void
  onPong (data: Buffer): void
  /** The Close frame. `code` is 1005 if it had none. It is the last event. */
  onClose (code: number, reason: Buffer): void
  /**
   * The peer broke a rule or a limit; `error.closeCode` is the close code to fail the connection with. It is the last
   * event, unless the peer is over a limit: its frames can still be told apart, and `onClose` may follow.
   */
  onError (error: WebSocketError): void
}

export interface FrameDecoderOptions {
  /** The side that receives: a server requires masks, a client forbids them (RFC 6455 §5.1). */
  role: 'server' | 'client'
  /** Bytes of one message; over it the error is a `MessageTooBigError`. */
  maxPayload: number
}

/** Limits how much a peer sends. */
export interface FrameBudget {
  /**
   * Counts a frame, by its header alone.
   *
   * @param asksForWork whether it begins a message or is a Ping
   * @param bytes of the whole frame, most of which have not arrived yet
   * @returns whether the frame is within the limit
   */
  spend (asksForWork: boolean, bytes: number): boolean
}
