import { constants, createDeflateRaw, createInflateRaw, deflateRawSync, type DeflateRaw, type InflateRaw, type ZlibOptions } from 'node:zlib'
import { NO_CONTEXT, runInContext } from '../async-context.js'
import { isWanted } from '../optimizations.js'

// Node does not document the native handle of a zlib stream, which can run on this thread and keep its context between
// calls. `deflateRawSync` and `inflateRawSync` make a context for each call, which takes two to four times as long for a
// small message. Everything works without the handle.

interface Handle {
  onerror: (message: string, errno: number, code: string) => void
  writeSync (flush: number, input: Buffer, inputOffset: number, inputLength: number, output: Buffer, outputOffset: number, outputLength: number): void
  reset (): void
}

type Stream = (DeflateRaw | InflateRaw) & { _handle: Handle, _writeState: Uint32Array }

/** A zlib context that runs on this thread and lives until it is closed. */
export class ZlibContext {
  /** Bytes of the input that the last `write` left over. */
  inputLeft = 0
  private readonly stream: Stream
  private error: Error | null = null

  private constructor (stream: DeflateRaw | InflateRaw) {
    this.stream = stream as Stream
    this.stream._handle.onerror = (message, _errno, code) => {
      this.error = Object.assign(new Error(message), { code })
    }
  }

  static deflate (options: ZlibOptions): ZlibContext {
    return ZlibContext.create(createDeflateRaw, options)
  }

  static inflate (options: ZlibOptions): ZlibContext {
    return ZlibContext.create(createInflateRaw, options)
  }

  /** The stream would keep the stores of the connection that is the first to need it. */
  private static create (createStream: (options: ZlibOptions) => DeflateRaw | InflateRaw, options: ZlibOptions): ZlibContext {
    return new ZlibContext(runInContext(NO_CONTEXT, createStream, undefined, options))
  }

  /**
   * Runs zlib until the input is used up or the output is full.
   *
   * @returns the number of bytes written to the output
   * @throws {Error} of zlib; the context is then of no use until it is reset
   */
  write (flush: number, input: Buffer, output: Buffer): number {
    const { _handle: handle, _writeState: state } = this.stream
    handle.writeSync(flush, input, 0, input.length, output, 0, output.length)
    if (this.error !== null) {
      const { error } = this
      this.error = null
      throw error
    }
    this.inputLeft = state[1]!
    return output.length - state[0]!
  }

  /** Forgets everything except the dictionary it was made with. */
  reset (): void {
    this.stream._handle.reset()
  }

  close (): void {
    this.stream.close()
  }
}

/** Whether `ZlibContext` works in this Node: its handles exist and give the right bytes, as a trial at start shows. */
export const hasZlibContexts = isWanted('zlib-contexts') && isWorking()

function isWorking (): boolean {
  try {
    const message = Buffer.from('a context that is kept between calls, kept between calls')
    const output = Buffer.alloc(1024)
    const inflated = Buffer.alloc(1024)
    const deflate = ZlibContext.deflate({ windowBits: 12, memLevel: 5 })
    const inflate = ZlibContext.inflate({ windowBits: 15 })
    let shortest = Infinity
    for (let i = 0; i < 3; i++) {
      const length = deflate.write(constants.Z_SYNC_FLUSH, message, output)
      const inflatedLength = inflate.write(constants.Z_SYNC_FLUSH, output.subarray(0, length), inflated)
      if (!inflated.subarray(0, inflatedLength).equals(message) || inflate.inputLeft !== 0) return false
      shortest = Math.min(shortest, length)
    }
    // A repeated message shrinks to a reference, and not after a reset.
    const alone = deflateRawSync(message, { windowBits: 12, memLevel: 5, finishFlush: constants.Z_SYNC_FLUSH })
    deflate.reset()
    const afterReset = output.subarray(0, deflate.write(constants.Z_SYNC_FLUSH, message, output))
    const isAsExpected = shortest < alone.length && afterReset.equals(alone) && throwsOnGarbage(inflate, inflated)
    deflate.close()
    inflate.close()
    return isAsExpected
  } catch {
    return false
  }
}

function throwsOnGarbage (inflate: ZlibContext, output: Buffer): boolean {
  try {
    inflate.write(constants.Z_SYNC_FLUSH, Buffer.from([0xff, 0xff, 0xff, 0xff]), output)
    return false
  } catch {
    return true
  }
}
