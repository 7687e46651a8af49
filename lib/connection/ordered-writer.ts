import type { SendCallback } from '../../types/messages.js'
import { noop } from '../common.js'
import { createError } from '../errors.js'
import { encodeText } from '../protocol/text.js'
import { FrameWriter, REFERENCE_FROM } from './frame-writer.js'
import { readBlob, type BlobLike } from './payload.js'
import type { SharedMessage } from './shared-message.js'

/** Memory that a waiting message takes in addition to its bytes. */
const WAITING_OVERHEAD = 256

interface Waiting {
  readonly bytes: number
  readonly callback: SendCallback | undefined
  readonly run: () => void
}

/**
 * A writer for frames whose payload is not there yet, because it is read from a Blob or compressed on another thread.
 * While one is made, all that is sent behind it waits: the order is that of the calls.
 */
export class OrderedWriter extends FrameWriter {
  // The frame that is being made, and the frames behind it.
  private current: Waiting | null = null
  private waiting: Waiting[] = []
  private waitingBytes = 0
  private isEnding = false

  override get bufferedAmount (): number {
    return super.bufferedAmount + this.waitingBytes
  }

  override get queuedCost (): number {
    return this.bufferedAmount + this.waiting.length * WAITING_OVERHEAD
  }

  override get isSaturated (): boolean {
    return super.isSaturated || this.waitingBytes > 0
  }

  /** Whether frames wait for one that is being made. */
  protected get isBusy (): boolean {
    return this.current !== null
  }

  override writeText (opcode: number, text: string, fin: boolean, callback: SendCallback | undefined, compress = false): number {
    if (this.current === null) return super.writeText(opcode, text, fin, callback, compress)
    const payload = encodeText(text)
    this.writeBytes(opcode, payload, fin, callback, compress)
    return payload.length
  }

  override writeBytes (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, compress = false): void {
    if (this.current === null) return this.process(opcode, payload, fin, callback, compress)
    // As in a writer without a queue, the caller may change a small payload right after the call.
    const kept = payload.length < REFERENCE_FROM ? Buffer.from(payload) : payload
    this.wait(kept.length, callback, () => this.process(opcode, kept, fin, callback, compress))
  }

  override writeShared (message: SharedMessage): void {
    if (this.current === null) return this.processShared(message)
    this.wait(message.length, undefined, () => this.processShared(message))
  }

  /** Queues a frame whose payload is read first. */
  writeBlob (opcode: number, blob: BlobLike, fin: boolean, callback: SendCallback | undefined, compress: boolean): void {
    const read = (): void => {
      const done = this.goAway(blob.size, callback)
      readBlob(blob).then(
        payload => done(() => this.process(opcode, payload, fin, callback, compress)),
        (error: Error) => done(() => this.fail(error, callback))
      )
    }
    if (this.current === null) read()
    else this.wait(blob.size, callback, read)
  }

  /** Writes a frame whose turn it is. */
  protected process (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, _compress: boolean): void {
    super.writeBytes(opcode, payload, fin, callback)
  }

  protected processShared (message: SharedMessage): void {
    super.writeShared(message)
  }

  /** Starts making a frame. @returns a function that goes on with the queue after it has run its argument */
  protected goAway (bytes: number, callback: SendCallback | undefined): (run: () => void) => void {
    const away: Waiting = { bytes, callback, run: noop }
    this.current = away
    this.waitingBytes += bytes
    return run => {
      // Discarded meanwhile.
      if (this.current !== away) return
      this.current = null
      this.waitingBytes -= bytes
      run()
      // `shift` would move the rest of a long queue each time.
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

  private wait (bytes: number, callback: SendCallback | undefined, run: () => void): void {
    this.waitingBytes += bytes
    this.waiting.push({ bytes, callback, run })
  }

  /** Drops a message that cannot be sent, and all behind it: the peer would see a gap, or half a message. */
  private fail (error: Error, callback: SendCallback | undefined): void {
    const dropped = this.waiting
    this.waiting = []
    this.waitingBytes = 0
    if (callback !== undefined) this.call([callback], error)
    this.callAll(dropped)
    this.owner.onUnsendable(error)
  }

  override whenWritten (callback: SendCallback): void {
    if (this.current === null) super.whenWritten(callback)
    else this.wait(0, callback, () => super.whenWritten(callback))
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
    super.discard()
    this.callAll(dropped)
  }

  private callAll (dropped: readonly Waiting[]): void {
    const callbacks = dropped.flatMap(({ callback }) => callback ?? [])
    if (callbacks.length > 0) this.call(callbacks, createError('FST_WS_ERR_CLOSED'))
  }
}
