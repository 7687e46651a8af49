import { MessageDeflater, type DeflaterSettings } from '../compression/message-deflater.js'
import { encodeFrame } from '../protocol/frame-encoder.js'
import { RSV1 } from '../protocol/opcodes.js'

/** A frame with RSV1, or `null` if compressing would not make the message smaller. */
type DeflatedFrame = Buffer | null

type FrameCallback = (frame: DeflatedFrame) => void

/**
 * A message for many connections: copied into its frame once, and compressed at most once for each window that was agreed
 * on. Receivers may ask for it long after `broadcast` has returned, when the app uses its memory again.
 */
export class SharedMessage {
  /** The frame without compression. */
  readonly frame: Buffer
  /** Bytes of the message. */
  readonly length: number
  /** `false`: no receiver gets it compressed. */
  readonly compress: boolean
  private readonly opcode: number
  // Most messages are never compressed.
  private deflated: Map<number, DeflatedFrame> | null = null
  private pending: Map<number, FrameCallback[]> | null = null

  constructor (opcode: number, bytes: Uint8Array, compress: boolean) {
    this.opcode = opcode
    this.frame = encodeFrame(opcode, bytes)
    this.length = bytes.length
    this.compress = compress
  }

  /** The copy of the message, within `frame`. */
  get payload (): Buffer {
    return this.frame.subarray(this.frame.length - this.length)
  }

  /** Compresses on this thread, once for each window, without reference to earlier messages. */
  deflatedFrame (settings: DeflaterSettings): DeflatedFrame {
    let frame = this.deflated?.get(settings.windowBits)
    if (frame === undefined) {
      frame = this.toFrame(withoutTakeover(settings).deflate(this.payload))
      this.keep(settings.windowBits, frame)
    }
    return frame
  }

  /** Compresses off the main thread, once for all receivers that ask meanwhile. */
  deflatedFrameAsync (settings: DeflaterSettings, callback: FrameCallback): void {
    const { windowBits } = settings
    const known = this.deflated?.get(windowBits)
    if (known !== undefined) {
      queueMicrotask(() => callback(known))
      return
    }
    const waiting = this.pending?.get(windowBits)
    if (waiting !== undefined) {
      waiting.push(callback)
      return
    }
    const callbacks = [callback]
    this.pending ??= new Map()
    this.pending.set(windowBits, callbacks)
    withoutTakeover(settings).deflateAsync(this.payload, compressed => {
      const frame = this.toFrame(compressed)
      this.keep(windowBits, frame)
      this.pending!.delete(windowBits)
      for (const each of callbacks) each(frame)
    })
  }

  private keep (windowBits: number, frame: DeflatedFrame): void {
    this.deflated ??= new Map()
    this.deflated.set(windowBits, frame)
  }

  private toFrame (compressed: Buffer | null): DeflatedFrame {
    return compressed === null ? null : encodeFrame(this.opcode | RSV1, compressed)
  }
}

function withoutTakeover (settings: DeflaterSettings): MessageDeflater {
  return new MessageDeflater({ ...settings, contextTakeover: false })
}
