import type { Duplex } from 'node:stream'
import type { SendCallback } from '../../types/connection.js'
import { MessageDeflater, type DeflaterSettings } from '../compression/message-deflater.js'
import { createError } from '../errors.js'
import { CONTROL_BIT, Opcode, RSV1 } from '../protocol/opcodes.js'
import { encodeText } from '../protocol/text.js'
import { FrameWriter, REFERENCE_FROM, type FrameWriterOwner } from './frame-writer.js'
import type { SharedMessage } from './shared-message.js'

/** Bytes of a message from which on it is compressed on another thread: below, the way there and back costs more. */
const ASYNC_FROM = 32 * 1024

/** What a message that waits costs in memory beside its bytes. */
const WAITING_OVERHEAD = 256

export interface DeflatingSettings extends DeflaterSettings {
  /** Bytes of a message from which on it is compressed. */
  readonly threshold: number
}

interface Waiting {
  readonly bytes: number
  readonly callback: SendCallback | undefined
  readonly run: () => void
}

/**
 * A writer that compresses messages (RFC 7692 §7.2.1). While one is compressed on another thread, all that is sent
 * behind it waits: the order is that of the calls.
 */
export class DeflatingWriter extends FrameWriter {
  private readonly settings: DeflatingSettings
  private deflater: MessageDeflater | null = null
  // The message that is compressed on another thread, and what waits behind it.
  private current: Waiting | null = null
  private waiting: Waiting[] = []
  private waitingBytes = 0
  private isEnding = false

  constructor (socket: Duplex, masked: boolean, owner: FrameWriterOwner, settings: DeflatingSettings) {
    super(socket, masked, owner)
    this.settings = settings
  }

  override get bufferedAmount (): number {
    return super.bufferedAmount + this.waitingBytes
  }

  override get queuedCost (): number {
    return this.bufferedAmount + this.waiting.length * WAITING_OVERHEAD
  }

  override get isSaturated (): boolean {
    return super.isSaturated || this.waitingBytes > 0
  }

  override writeText (opcode: number, text: string, fin: boolean, callback: SendCallback | undefined, compress = false): number {
    if (this.current === null && !(compress && Buffer.byteLength(text) >= this.settings.threshold)) {
      return super.writeText(opcode, text, fin, callback)
    }
    const payload = encodeText(text)
    this.writeBytes(opcode, payload, fin, callback, compress)
    return payload.length
  }

  override writeBytes (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, compress = false): void {
    if (this.current === null) return this.process(opcode, payload, fin, callback, compress)
    // As without compression: what is small may be changed right after the call.
    const kept = payload.length < REFERENCE_FROM ? Buffer.from(payload) : payload
    this.wait(kept.length, callback, () => this.process(opcode, kept, fin, callback, compress))
  }

  override writeShared (message: SharedMessage): void {
    if (this.current === null) return this.processShared(message)
    this.wait(message.payload.length, undefined, () => this.processShared(message))
  }

  private process (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, compress: boolean): void {
    // A message in fragments is not compressed: RFC 7692 §6.1 leaves that to the sender.
    const isWholeMessage = fin && opcode !== Opcode.CONTINUATION && (opcode & CONTROL_BIT) === 0
    if (!compress || !isWholeMessage || payload.length < this.settings.threshold) {
      return super.writeBytes(opcode, payload, fin, callback)
    }
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    const write = (compressed: Buffer | null): void => {
      if (compressed === null) super.writeBytes(opcode, message, true, callback)
      else super.writeBytes(opcode | RSV1, compressed, true, callback)
    }
    const deflater = this.deflater ??= new MessageDeflater(this.settings)
    if (message.length < ASYNC_FROM) {
      const compressed = deflater.deflate(message)
      // What is passed on by reference must not be the deflater's own.
      return write(compressed !== null && compressed.length >= REFERENCE_FROM ? Buffer.from(compressed) : compressed)
    }
    const done = this.goAway(message.length, callback)
    deflater.deflateAsync(message, compressed => done(() => write(compressed)))
  }

  private processShared (message: SharedMessage): void {
    const { settings } = this
    const { payload } = message
    if (!message.compress || payload.length < settings.threshold) return this.writeSharedFrame(message.frame)
    const write = (frame: Buffer | null): void => {
      // To the peer it is one more message of its window, though it refers to none.
      if (frame !== null && settings.contextTakeover) (this.deflater ??= new MessageDeflater(settings)).append(payload)
      this.writeSharedFrame(frame ?? message.frame)
    }
    if (payload.length < ASYNC_FROM) return write(message.deflatedFrame(settings))
    const done = this.goAway(payload.length, undefined)
    message.deflatedFrameAsync(settings, frame => done(() => write(frame)))
  }

  private wait (bytes: number, callback: SendCallback | undefined, run: () => void): void {
    this.waitingBytes += bytes
    this.waiting.push({ bytes, callback, run })
  }

  /** A message goes to another thread. @returns what to call when it is back, with what to do first */
  private goAway (bytes: number, callback: SendCallback | undefined): (run: () => void) => void {
    const away: Waiting = { bytes, callback, run: noop }
    this.current = away
    this.waitingBytes += bytes
    return run => {
      // Discarded meanwhile.
      if (this.current !== away) return
      this.current = null
      this.waitingBytes -= bytes
      run()
      // Taken off one by one, of a long queue all the rest would be moved each time.
      const { waiting } = this
      let done = 0
      while (this.current === null && done < waiting.length) {
        const next = waiting[done++]!
        this.waitingBytes -= next.bytes
        next.run()
      }
      waiting.splice(0, done)
      if (this.isEnding && this.current === null) super.end()
    }
  }

  override end (): void {
    if (this.current === null) super.end()
    else this.isEnding = true
  }

  override discard (): void {
    const dropped = this.current === null ? this.waiting : [this.current, ...this.waiting]
    this.current = null
    this.waiting = []
    this.waitingBytes = 0
    this.isEnding = false
    this.deflater?.close()
    this.deflater = null
    super.discard()
    const callbacks = dropped.flatMap(({ callback }) => callback ?? [])
    if (callbacks.length > 0) this.call(callbacks, createError('FST_WS_ERR_CLOSED'))
  }
}

function noop (): void {}
