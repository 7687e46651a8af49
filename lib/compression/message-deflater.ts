import { constants, deflateRaw, deflateRawSync, type ZlibOptions } from 'node:zlib'
import { dropContext, keepContext, noteUse, type ContextOwner } from './context-cache.js'
import { History } from './history.js'
import { hasZlibContexts, ZlibContext } from './zlib-context.js'

/** Bytes at the end of a flush, which the message leaves out (RFC 7692 §7.2.1). */
const TAIL_LENGTH = 4

/** An empty message (RFC 7692 §7.2.3.6): zlib gives no output for it. */
const EMPTY_MESSAGE = Buffer.from([0])

/** Messages up to this many bytes share one output buffer; longer ones get their own. */
const MAX_SHARED_OUTPUT = 64 * 1024

/** Bytes by which zlib's output for an incompressible message can exceed it, with room to spare (`deflateBound`). */
const EXPANSION = 1024

let sharedOutput: Buffer | null = null

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

/** Without takeover, one context serves all connections with the same settings. */
const sharedContexts = new Map<string, ZlibContext>()

function getSharedContext ({ windowBits, level, memLevel }: DeflaterSettings): ZlibContext {
  const key = `${windowBits} ${level} ${memLevel}`
  let context = sharedContexts.get(key)
  if (context === undefined) sharedContexts.set(key, context = ZlibContext.deflate({ windowBits, level, memLevel }))
  return context
}

/** Compresses the messages of one direction of one connection. */
export class MessageDeflater implements ContextOwner {
  /** @internal */
  context: ZlibContext | null = null
  private readonly settings: DeflaterSettings
  private history: History | null = null

  constructor (settings: DeflaterSettings) {
    this.settings = settings
  }

  /** Bytes held between messages, without those of zlib. */
  get retainedBytes (): number {
    return this.history === null ? 0 : this.history.retainedBytes
  }

  /**
   * Compresses on this thread.
   *
   * @returns the payload of a frame with RSV1 set, valid until the next call; `null` if it would not be smaller than the
   *   message, or zlib fails for lack of memory: then the message is sent as it is
   */
  deflate (message: Buffer): Buffer | null {
    if (message.length === 0) return EMPTY_MESSAGE
    try {
      return this.finish(message, hasZlibContexts ? this.deflateInContext(message) : deflateRawSync(message, this.options(message.length)))
    } catch {
      dropContext(this)
      return null
    }
  }

  /**
   * Compresses off the main thread; nothing else may be compressed meanwhile. Calls back with the result that `deflate`
   * would have, in memory of its own.
   */
  deflateAsync (message: Buffer, callback: (compressed: Buffer | null) => void): void {
    // The context of this thread does not see the message.
    dropContext(this)
    try {
      deflateRaw(message, this.options(message.length), (error, deflated) => {
        callback(error === null ? this.finish(message, deflated) : null)
      })
    } catch {
      process.nextTick(callback, null)
    }
  }

  /** Notes that the peer got this message from another deflater, without reference to earlier ones. */
  append (message: Buffer): void {
    if (!this.settings.contextTakeover) return
    dropContext(this)
    this.remember(message)
  }

  /** To be called when the connection is over. */
  close (): void {
    dropContext(this)
  }

  private finish (message: Buffer, deflated: Buffer): Buffer | null {
    if (deflated.length - TAIL_LENGTH >= message.length) {
      // The peer does not see the message that is now in the window of the context.
      dropContext(this)
      return null
    }
    if (this.settings.contextTakeover) this.remember(message)
    return deflated.subarray(0, deflated.length - TAIL_LENGTH)
  }

  private remember (message: Buffer): void {
    this.history ??= new History(this.settings.windowBits)
    this.history.append(message)
  }

  private deflateInContext (message: Buffer): Buffer {
    const context = this.useContext()
    const output = getOutput(message.length)
    const length = context.write(constants.Z_SYNC_FLUSH, message, output)
    if (!this.settings.contextTakeover) context.reset()
    return output.subarray(0, length)
  }

  private useContext (): ZlibContext {
    if (!this.settings.contextTakeover) return getSharedContext(this.settings)
    if (this.context === null) keepContext(this, ZlibContext.deflate(this.options(0)))
    else noteUse(this)
    return this.context!
  }

  private options (length: number): ZlibOptions {
    const { windowBits, level, memLevel } = this.settings
    const options: ZlibOptions = { windowBits, level, memLevel, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: outputChunk(length) }
    // zlib keeps the dictionary for `reset`, the history goes on.
    if (this.history !== null) options.dictionary = Buffer.from(this.history.dictionary)
    return options
  }
}

/** An output buffer that is large enough for the compressed message. */
function getOutput (length: number): Buffer {
  if (length > MAX_SHARED_OUTPUT) return Buffer.allocUnsafe(length + (length >>> 3) + EXPANSION)
  sharedOutput ??= Buffer.allocUnsafeSlow(MAX_SHARED_OUTPUT + (MAX_SHARED_OUTPUT >>> 3) + EXPANSION)
  return sharedOutput
}

/** Size of zlib's output buffers: mostly one is enough, and not much larger than the input. */
function outputChunk (length: number): number {
  return Math.max(256, Math.min(length, 64 * 1024))
}
