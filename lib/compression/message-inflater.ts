import { constants as bufferConstants } from 'node:buffer'
import { constants, inflateRaw, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { EMPTY } from '../common.js'
import { createError, type WebSocketError } from '../errors.js'
import { dropContext, keepContext, noteUse, type ContextOwner } from './context-cache.js'
import { hasDictionaries, STORED_HEADER_LENGTH, toStoredBlock } from './dictionary.js'
import { History } from './history.js'
import { hasZlibContexts, ZlibContext } from './zlib-context.js'

// The bytes that the sender leaves out (RFC 7692 §7.2.2), and an empty final block (RFC 1951 §3.2.4). The RFC does not ask
// for the latter: with it zlib detects a message that ends within a block.
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff])

// The same for a context that is kept: with `Z_BLOCK` zlib stops at the end of a block and leaves the byte behind it. If
// the message ends within a block, zlib reads the tail as data of that block, and leaves nothing.
const TAIL_IN_CONTEXT = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x00])

/**
 * RFC 7692 §7.2.3.4 lets a sender end its blocks with a final one, after which zlib stops. More of them in one message
 * serve only to make the receiver start over.
 */
const MAX_FINAL_BLOCKS = 16

/** The output of all contexts; each message is copied from it. */
let sharedOutput: Buffer | null = null
const SHARED_OUTPUT = 64 * 1024

/** Without takeover, one context serves all connections: inflating works with the largest window for all. */
let sharedContext: ZlibContext | null = null

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

/** A call of zlib that inflates up to the next final block. */
interface ZlibCall {
  readonly input: Buffer
  readonly options: ZlibOptions
  /** Bytes of a dictionary at the beginning of the input, as a stored block, and so of the output. */
  readonly primed: number
}

type InflateCallback = (error: WebSocketError | null, message: Buffer) => void

/** Inflates the messages of one direction of one connection. */
export class MessageInflater implements ContextOwner {
  /** @internal */
  context: ZlibContext | null = null
  private readonly settings: InflaterSettings
  private history: History | null = null

  constructor (settings: InflaterSettings) {
    this.settings = settings
  }

  /** Bytes held between messages, without those of zlib. */
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
    // Messages that are long, have a final block, or are wrong are left to the documented calls.
    const message = hasZlibContexts ? this.inflateInContext(payload, Math.min(limit, this.settings.maxPayload)) : null
    return message === null ? this.inflateWithHistory(payload, limit) : this.finish(message)
  }

  /** Inflates off the main thread; nothing else may be inflated meanwhile. */
  inflateAsync (payload: Buffer, callback: InflateCallback): void {
    const { maxPayload } = this.settings
    const parts: Buffer[] = []
    const input = Buffer.concat([payload, TAIL])
    let length = 0
    dropContext(this)
    const fail = (error: WebSocketError): void => {
      freeFrames(error)
      callback(error, EMPTY)
    }
    const next = (consumed: number, blocks: number): void => {
      if (consumed >= input.length || isTail(input, consumed)) return callback(null, this.finish(join(parts, length)))
      if (blocks > MAX_FINAL_BLOCKS) return fail(tooManyFinalBlocks())
      const call = this.prepare(input.subarray(consumed), payload.length, maxPayload - length, parts)
      inflateRaw(call.input, call.options, (error, result) => {
        if (error !== null) return fail(toWebSocketError(error, maxPayload))
        const { part, taken } = readResult(call, result as unknown as ZlibInfo)
        length += part.length
        if (length > maxPayload) return fail(tooBig(maxPayload))
        parts.push(part)
        next(consumed + taken, blocks + 1)
      })
    }
    next(0, 0)
  }

  /** To be called when the connection is over. */
  close (): void {
    dropContext(this)
  }

  private inflateWithHistory (payload: Buffer, limit: number): Buffer | null {
    const { maxPayload } = this.settings
    const parts: Buffer[] = []
    const input = Buffer.concat([payload, TAIL])
    let length = 0
    for (let consumed = 0, blocks = 0; consumed < input.length && !isTail(input, consumed); blocks++) {
      if (blocks > MAX_FINAL_BLOCKS) throw tooManyFinalBlocks()
      const left = Math.min(limit, maxPayload) - length
      const call = this.prepare(input.subarray(consumed), payload.length, left, parts)
      let info: ZlibInfo
      try {
        info = inflateRawSync(call.input, call.options) as unknown as ZlibInfo
      } catch (error) {
        if (isTooLarge(error) && limit < maxPayload) return null
        throw toWebSocketError(error, maxPayload)
      }
      const { part, taken } = readResult(call, info)
      consumed += taken
      length += part.length
      if (length > maxPayload) throw tooBig(maxPayload)
      parts.push(part)
    }
    return this.finish(join(parts, length))
  }

  /** @returns `null` if the message is longer than `limit` or not as it should be; then the context is gone */
  private inflateInContext (payload: Buffer, limit: number): Buffer | null {
    const { contextTakeover } = this.settings
    sharedOutput ??= Buffer.allocUnsafeSlow(SHARED_OUTPUT)
    try {
      const context = contextTakeover ? this.useContext() : sharedContext ??= ZlibContext.inflate({ windowBits: 15 })
      const length = context.write(constants.Z_SYNC_FLUSH, payload, sharedOutput)
      if (context.inputLeft === 0 && length < SHARED_OUTPUT && length <= limit) {
        const message = Buffer.from(sharedOutput.subarray(0, length))
        if (endsWithBlock(context, sharedOutput)) {
          if (!contextTakeover) context.reset()
          return message
        }
      }
    } catch {
      // The documented calls will find the same.
    }
    if (contextTakeover) dropContext(this)
    else sharedContext?.reset()
    return null
  }

  private useContext (): ZlibContext {
    if (this.context !== null) {
      noteUse(this)
      return this.context
    }
    const options: ZlibOptions = { windowBits: this.settings.windowBits }
    const dictionary = this.dictionary([])
    if (dictionary.length > 0 && hasDictionaries) options.dictionary = Buffer.from(dictionary)
    const context = ZlibContext.inflate(options)
    if (dictionary.length > 0 && !hasDictionaries) context.write(constants.Z_SYNC_FLUSH, toStoredBlock(dictionary), sharedOutput!)
    keepContext(this, context)
    return context
  }

  private finish (message: Buffer): Buffer {
    if (this.settings.contextTakeover && message.length > 0) {
      this.history ??= new History(this.settings.windowBits)
      this.history.append(message)
    }
    return message
  }

  private prepare (input: Buffer, payloadLength: number, maxOutputLength: number, parts: Buffer[]): ZlibCall {
    const dictionary = this.dictionary(parts)
    const primed = hasDictionaries ? 0 : dictionary.length
    const options: ZlibOptions = {
      windowBits: this.settings.windowBits,
      chunkSize: outputChunk(payloadLength),
      // zlib accepts no 0. With one byte too many the message is too long all the same.
      maxOutputLength: Math.max(1, Math.min(primed + maxOutputLength, bufferConstants.MAX_LENGTH)),
      info: true
    }
    if (primed > 0) return { input: Buffer.concat([toStoredBlock(dictionary), input]), options, primed }
    if (dictionary.length > 0) options.dictionary = dictionary
    return { input, options, primed: 0 }
  }

  /** The window of the next block: the messages before, and the part of this one before a final block. */
  private dictionary (parts: Buffer[]): Buffer {
    const before = this.history === null ? EMPTY : this.history.dictionary
    if (parts.length === 0) return before
    const window = Buffer.concat([before, ...parts])
    return window.subarray(Math.max(0, window.length - (1 << this.settings.windowBits)))
  }
}

/** @returns what was inflated, and how many bytes of the message zlib has taken for that */
function readResult ({ primed }: ZlibCall, { buffer, engine }: ZlibInfo): { part: Buffer, taken: number } {
  if (primed === 0) return { part: buffer, taken: engine.bytesWritten }
  // A copy, since the message would keep the dictionary alive.
  return { part: Buffer.from(buffer.subarray(primed)), taken: engine.bytesWritten - STORED_HEADER_LENGTH - primed }
}

/** Whether the message that the context has inflated ended where a block does. */
function endsWithBlock (context: ZlibContext, output: Buffer): boolean {
  return context.write(constants.Z_BLOCK, TAIL_IN_CONTEXT, output) === 0 && context.inputLeft === 1
}

function join (parts: Buffer[], length: number): Buffer {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
}

/**
 * Whether nothing but the tail is left: after a final block the sender has added an empty header of a block, or
 * nothing (RFC 7692 §7.2.3.4).
 */
function isTail (input: Buffer, offset: number): boolean {
  const left = input.length - offset
  return left === TAIL.length || (left === TAIL.length + 1 && input[offset] === 0)
}

/** Size of zlib's output buffers: most JSON messages shrink to a quarter or less. */
function outputChunk (inputLength: number): number {
  return Math.max(1024, Math.min(inputLength * 4, 64 * 1024))
}

function tooBig (maxPayload: number): WebSocketError {
  return createError('FST_WS_ERR_MESSAGE_TOO_BIG', `message is longer than ${maxPayload} bytes`)
}

function tooManyFinalBlocks (): WebSocketError {
  return createError('FST_WS_ERR_INVALID_PAYLOAD', 'compressed message has too many final blocks')
}

/**
 * Makes the stack of an error into text. Until then the error keeps alive all that the functions in it refer to: here the
 * message and all of zlib's buffers.
 */
function freeFrames (error: Error): void {
  Reflect.get(error, 'stack')
  if (error.cause instanceof Error) freeFrames(error.cause)
}

function isTooLarge (error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
}

function toWebSocketError (error: unknown, maxPayload: number): WebSocketError {
  if (isTooLarge(error)) return tooBig(maxPayload)
  return createError('FST_WS_ERR_INVALID_PAYLOAD', 'compressed message cannot be inflated', { cause: error })
}
