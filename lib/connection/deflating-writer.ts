import type { Duplex } from 'node:stream'
import type { SendCallback } from '../../types/messages.js'
import { MessageDeflater, type DeflaterSettings } from '../compression/message-deflater.js'
import { CONTROL_BIT, Opcode, RSV1 } from '../protocol/opcodes.js'
import { encodeText } from '../protocol/text.js'
import { REFERENCE_FROM, type FrameWriterOwner } from './frame-writer.js'
import { OrderedWriter } from './ordered-writer.js'
import type { SharedMessage } from './shared-message.js'

/** Messages of at least this many bytes are compressed off the main thread; the detour costs more than it saves below. */
const ASYNC_FROM = 32 * 1024

export interface DeflatingSettings extends DeflaterSettings {
  /** Messages of at least this many bytes are compressed. */
  readonly threshold: number
}

/** A writer that compresses messages (RFC 7692 §7.2.1), large ones on another thread. */
export class DeflatingWriter extends OrderedWriter {
  private readonly settings: DeflatingSettings
  private deflater: MessageDeflater | null = null

  constructor (socket: Duplex, masked: boolean, owner: FrameWriterOwner, settings: DeflatingSettings) {
    super(socket, masked, owner)
    this.settings = settings
  }

  override writeText (opcode: number, text: string, fin: boolean, callback: SendCallback | undefined, compress = false): number {
    if (this.isBusy || !compress || Buffer.byteLength(text) < this.settings.threshold) return super.writeText(opcode, text, fin, callback, compress)
    const payload = encodeText(text)
    this.writeBytes(opcode, payload, fin, callback, true)
    return payload.length
  }

  protected override process (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, compress: boolean): void {
    // Fragments are not compressed, which RFC 7692 §6.1 leaves to the sender.
    const isWholeMessage = fin && opcode !== Opcode.CONTINUATION && (opcode & CONTROL_BIT) === 0
    if (!compress || !isWholeMessage || payload.length < this.settings.threshold) {
      return super.process(opcode, payload, fin, callback, false)
    }
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    const write = (compressed: Buffer | null): void => {
      if (compressed === null) super.process(opcode, message, true, callback, false)
      else super.process(opcode | RSV1, compressed, true, callback, false)
    }
    const deflater = this.deflater ??= new MessageDeflater(this.settings)
    if (message.length < ASYNC_FROM) {
      const compressed = deflater.deflate(message)
      // A frame by reference must not be in the memory of the deflater, which the next message overwrites.
      return write(compressed !== null && compressed.length >= REFERENCE_FROM ? Buffer.from(compressed) : compressed)
    }
    const done = this.goAway(message.length, callback)
    deflater.deflateAsync(message, compressed => done(() => write(compressed)))
  }

  protected override processShared (message: SharedMessage): void {
    const { settings } = this
    const { payload } = message
    if (!message.compress || payload.length < settings.threshold) return this.writeSharedFrame(message.frame)
    const write = (frame: Buffer | null): void => {
      // The message refers to no other, but to the peer it is part of the window.
      if (frame !== null && settings.contextTakeover) (this.deflater ??= new MessageDeflater(settings)).append(payload)
      this.writeSharedFrame(frame ?? message.frame)
    }
    if (payload.length < ASYNC_FROM) return write(message.deflatedFrame(settings))
    const done = this.goAway(payload.length, undefined)
    message.deflatedFrameAsync(settings, frame => done(() => write(frame)))
  }

  override discard (): void {
    this.deflater?.close()
    this.deflater = null
    super.discard()
  }
}
