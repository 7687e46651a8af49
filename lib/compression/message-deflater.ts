import { constants, deflateRaw, deflateRawSync, type ZlibOptions } from 'node:zlib'
import { History } from './history.js'

/** What a flush ends with and the message leaves out (RFC 7692 §7.2.1). */
const TAIL_LENGTH = 4

/** RFC 7692 §7.2.3.6: an empty message, for which zlib gives nothing. */
const EMPTY_MESSAGE = Buffer.from([0])

export interface DeflaterSettings {
  /** 9–15 */
  readonly windowBits: number
  /** Whether a message may refer to those before it (RFC 7692 §7.1.1.1). */
  readonly contextTakeover: boolean
  /** 0–9, as zlib has it. */
  readonly level: number
  /** 1–9, as zlib has it. */
  readonly memLevel: number
}

/** Compresses the messages of one direction of one connection, or, without context takeover, of many. */
export class MessageDeflater {
  private readonly settings: DeflaterSettings
  private history: History | null = null

  constructor (settings: DeflaterSettings) {
    this.settings = settings
  }

  /** Bytes held between messages. */
  get retainedBytes (): number {
    return this.history === null ? 0 : this.history.retainedBytes
  }

  /**
   * Compresses on this thread.
   *
   * @returns the payload of a frame with RSV1 set, or `null` if it would not be smaller than the message, or zlib
   *   fails (for want of memory): then the message is to be sent as it is
   */
  deflate (message: Buffer): Buffer | null {
    if (message.length === 0) return EMPTY_MESSAGE
    try {
      return this.finish(message, deflateRawSync(message, this.options(message.length)))
    } catch {
      return null
    }
  }

  /** Compresses on another thread; nothing else may be compressed meanwhile. Calls back with what `deflate` returns. */
  deflateAsync (message: Buffer, callback: (compressed: Buffer | null) => void): void {
    deflateRaw(message, this.options(message.length), (error, deflated) => {
      callback(error === null ? this.finish(message, deflated) : null)
    })
  }

  /** Notes that the peer got this message compressed by another deflater, without reference to what it got before. */
  append (message: Buffer): void {
    if (!this.settings.contextTakeover) return
    this.history ??= new History(this.settings.windowBits)
    this.history.append(message)
  }

  private finish (message: Buffer, deflated: Buffer): Buffer | null {
    if (deflated.length - TAIL_LENGTH >= message.length) return null
    this.append(message)
    return deflated.subarray(0, deflated.length - TAIL_LENGTH)
  }

  private options (length: number): ZlibOptions {
    const { windowBits, level, memLevel } = this.settings
    const options: ZlibOptions = { windowBits, level, memLevel, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: outputChunk(length) }
    if (this.history !== null) options.dictionary = this.history.dictionary
    return options
  }
}

/** Bytes of zlib's output buffers: mostly one is enough, and it is not much larger than what goes in. */
function outputChunk (length: number): number {
  return Math.max(256, Math.min(length, 64 * 1024))
}
