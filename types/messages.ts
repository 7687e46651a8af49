// The data and options of `send`, and of all that sends.

/** Data that `send`, `ping`, `pong` and `broadcast` accept; the first three take a `Blob` too. A view is read through its own offset and length. */
export type WebSocketData = string | Buffer | ArrayBuffer | SharedArrayBuffer | ArrayBufferView

/** Called once the bytes were handed to the socket, which has no more use for the memory, or with the error that prevented it. */
export type SendCallback = (error?: Error | null) => void

/** The options of `send`. */
export interface SendOptions {
  /** `true` sends a binary message, `false` a text message. Default: text for a string, binary for anything else. */
  binary?: boolean | undefined
  /** `false` starts or continues a fragmented message (RFC 6455 §5.4). Default `true`. */
  fin?: boolean | undefined
  /**
   * `false` sends this message as it is. Default `true`: with permessage-deflate agreed on, messages of `threshold`
   * bytes and more are compressed. Fragments never are.
   */
  compress?: boolean | undefined
}

/** The form in which binary messages are handed to `message` listeners. */
export type BinaryType = 'nodebuffer' | 'arraybuffer' | 'fragments' | 'blob'

/** The options of `sendJson`. */
export type SendJsonOptions = Pick<SendOptions, 'compress'>
