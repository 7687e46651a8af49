import { MessageInflater, type InflaterSettings } from '../compression/message-inflater.js'
import { createError, type WebSocketError } from '../errors.js'
import { isValidUtf8 } from '../protocol/utf8.js'
import { PauseReason } from './pause-reason.js'

/** Compressed messages of at least this size, in bytes, are inflated off the main thread. */
const INFLATE_ASYNC_FROM = 16 * 1024

/** A message that is longer than this, in bytes, is not inflated on this thread to its end. */
const INFLATE_SYNC_LIMIT = 256 * 1024

/** The connection that the messages belong to. */
export interface CompressedMessagesOwner {
  onMessage (data: Buffer, isBinary: boolean): void
  onInflateError (error: WebSocketError): void
  setPaused (reason: number, isPaused: boolean): void
  /** @param deliver to be called unless the connection is over */
  onInflatedLater (deliver: () => void): void
}

/** Inflates messages (RFC 7692 §7.2.2). Long messages are inflated off the main thread, and the bytes after them wait unread. */
export class CompressedMessages {
  private readonly owner: CompressedMessagesOwner
  private readonly settings: InflaterSettings
  private inflater: MessageInflater | null = null

  constructor (owner: CompressedMessagesOwner, settings: InflaterSettings) {
    this.owner = owner
    this.settings = settings
  }

  receive (data: Buffer, isBinary: boolean): void {
    const inflater = this.inflater ??= new MessageInflater(this.settings)
    if (data.length < INFLATE_ASYNC_FROM) {
      let message: Buffer | null
      try {
        message = inflater.inflate(data, INFLATE_SYNC_LIMIT)
      } catch (error) {
        return this.owner.onInflateError(error as WebSocketError)
      }
      if (message !== null) return this.deliver(message, isBinary)
    }
    this.owner.setPaused(PauseReason.INFLATING, true)
    inflater.inflateAsync(data, (error, message) => this.owner.onInflatedLater(() => {
      if (error !== null) this.owner.onInflateError(error)
      else this.deliver(message, isBinary)
    }))
  }

  private deliver (message: Buffer, isBinary: boolean): void {
    if (isBinary || isValidUtf8(message, 0, message.length)) this.owner.onMessage(message, isBinary)
    else this.owner.onInflateError(createError('FST_WS_ERR_INVALID_PAYLOAD'))
  }

  close (): void {
    this.inflater?.close()
    this.inflater = null
  }
}
