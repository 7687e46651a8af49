import { constants } from 'node:buffer'
import { inflateRaw, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { InvalidPayloadError, MessageTooBigError, type WebSocketError } from '../protocol/errors.js'
import { History } from './history.js'

// What the sender has left out (RFC 7692 §7.2.2), and an empty final block (RFC 1951 §3.2.4). The latter is more than
// the RFC asks for: with it zlib tells a message that ends within a block from one that ends where it should.
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff])

/**
 * RFC 7692 §7.2.3.4 lets a sender end its blocks with a final one, after which zlib stops. More of these in one message
 * have no use but to make us start over and over.
 */
const MAX_FINAL_BLOCKS = 16

const EMPTY = Buffer.alloc(0)

export interface InflaterSettings {
  /** 8–15 */
  readonly windowBits: number
  /** Whether the peer's messages may refer to those before them (RFC 7692 §7.1.1.2). */
  readonly contextTakeover: boolean
  /** Bytes of a message, inflated. */
  readonly maxPayload: number
}

interface ZlibInfo {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

type InflateCallback = (error: WebSocketError | null, message: Buffer) => void

/** Inflates the messages of one direction of one connection. */
export class MessageInflater {
  private readonly settings: InflaterSettings
  private history: History | null = null

  constructor (settings: InflaterSettings) {
    this.settings = settings
  }

  /** Bytes held between messages. */
  get retainedBytes (): number {
    return this.history === null ? 0 : this.history.retainedBytes
  }

  /**
   * Inflates on this thread, and stops at the limit.
   *
   * @param payload of all frames of a message with RSV1 set
   * @param limit bytes at which to give up, if lower than `maxPayload`
   * @returns `null` if the message is longer than `limit`, but not than `maxPayload` as far as is known
   * @throws {MessageTooBigError} if it is longer than `maxPayload`
   * @throws {InvalidPayloadError} if it is not what RFC 7692 §7.2.2 can inflate
   */
  inflate (payload: Buffer, limit = Infinity): Buffer | null {
    if (payload.length === 0) return EMPTY
    const { maxPayload } = this.settings
    const parts: Buffer[] = []
    const input = Buffer.concat([payload, TAIL])
    let length = 0
    for (let consumed = 0, blocks = 0; consumed < input.length && !isTail(input, consumed); blocks++) {
      const left = Math.min(limit, maxPayload) - length
      let info: ZlibInfo
      try {
        info = inflateRawSync(input.subarray(consumed), this.options(payload.length, left, parts)) as unknown as ZlibInfo
      } catch (error) {
        if (isTooLarge(error) && limit < maxPayload) return null
        throw toWebSocketError(error, maxPayload)
      }
      consumed += this.take(info, parts, blocks)
      length += info.buffer.length
      if (length > maxPayload) throw tooBig(maxPayload)
    }
    return this.finish(parts, length)
  }

  /** Inflates on another thread; nothing else may be inflated meanwhile. */
  inflateAsync (payload: Buffer, callback: InflateCallback): void {
    const { maxPayload } = this.settings
    const parts: Buffer[] = []
    const input = Buffer.concat([payload, TAIL])
    let length = 0
    const next = (consumed: number, blocks: number): void => {
      if (consumed >= input.length || isTail(input, consumed)) return callback(null, this.finish(parts, length))
      inflateRaw(input.subarray(consumed), this.options(payload.length, maxPayload - length, parts), (error, result) => {
        if (error !== null) return callback(toWebSocketError(error, maxPayload), EMPTY)
        const info = result as unknown as ZlibInfo
        let taken: number
        try {
          taken = this.take(info, parts, blocks)
        } catch (thrown) {
          return callback(thrown as WebSocketError, EMPTY)
        }
        length += info.buffer.length
        if (length > maxPayload) return callback(tooBig(maxPayload), EMPTY)
        next(consumed + taken, blocks + 1)
      })
    }
    next(0, 0)
  }

  /** @returns how many bytes of the input it took */
  private take ({ buffer, engine }: ZlibInfo, parts: Buffer[], blocks: number): number {
    if (blocks === MAX_FINAL_BLOCKS) throw new InvalidPayloadError('compressed message has too many final blocks')
    parts.push(buffer)
    return engine.bytesWritten
  }

  private finish (parts: Buffer[], length: number): Buffer {
    const message = parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
    if (this.settings.contextTakeover) {
      this.history ??= new History(this.settings.windowBits)
      this.history.append(message)
    }
    return message
  }

  private options (inputLength: number, maxOutputLength: number, parts: Buffer[]): ZlibOptions {
    const options: ZlibOptions = {
      windowBits: this.settings.windowBits,
      chunkSize: outputChunk(inputLength),
      // zlib takes no 0. One byte more than is left is too much all the same.
      maxOutputLength: Math.max(1, Math.min(maxOutputLength, constants.MAX_LENGTH)),
      info: true
    }
    const dictionary = this.dictionary(parts)
    if (dictionary.length > 0) options.dictionary = dictionary
    return options
  }

  /** What the next block may refer to: the messages before, and what of this one is behind a final block. */
  private dictionary (parts: Buffer[]): Buffer {
    const before = this.history === null ? EMPTY : this.history.dictionary
    if (parts.length === 0) return before
    const window = Buffer.concat([before, ...parts])
    return window.subarray(Math.max(0, window.length - (1 << this.settings.windowBits)))
  }
}

/**
 * Whether nothing but the tail is left: after a final block the sender has added an empty header of a block, or
 * nothing (RFC 7692 §7.2.3.4).
 */
function isTail (input: Buffer, offset: number): boolean {
  const left = input.length - offset
  return left === TAIL.length || (left === TAIL.length + 1 && input[offset] === 0)
}

/** Bytes of zlib's output buffers: three in four JSON messages shrink to a quarter or more. */
function outputChunk (inputLength: number): number {
  return Math.max(1024, Math.min(inputLength * 4, 64 * 1024))
}

function tooBig (maxPayload: number): MessageTooBigError {
  return new MessageTooBigError(`message is longer than ${maxPayload} bytes`)
}

function isTooLarge (error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
}

function toWebSocketError (error: unknown, maxPayload: number): WebSocketError {
  if (isTooLarge(error)) return tooBig(maxPayload)
  return new InvalidPayloadError('compressed message cannot be inflated', undefined, undefined, { cause: error })
}
