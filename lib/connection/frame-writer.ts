import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { SendCallback } from '../../types/messages.js'
import { EMPTY } from '../common.js'
import { createError } from '../errors.js'
import { countBuffer } from './early-collections.js'
import { SharedBatch, toArray } from './shared-batch.js'
import type { SharedMessage } from './shared-message.js'
import { LONGEST_SPARE, releaseSpare, takeSpare, usesSpare } from './spare-memory.js'
import { continueBatch, flushAfterTurn } from './turn.js'
import { isWanted } from '../optimizations.js'
import { frameHeaderLength, MAX_HEADER_LENGTH, maskPayload, writeFrameHeader } from '../protocol/frame-encoder.js'
import { View } from '../protocol/message-memory.js'
import { receivedBytes } from '../protocol/received-text.js'
import { encodeText, isWrittenFast } from '../protocol/text.js'
import { writeAllDirectly, writeDirectly } from '../socket/direct-writes.js'

/** Size of the scratch buffers, in bytes. All connections copy their frames behind each other into one of them. */
const SCRATCH_SIZE = 64 * 1024

/** Payloads of at least this many bytes are passed by reference, which is cheaper than copying them. */
export const REFERENCE_FROM = 16 * 1024

/** A batch of at least this many bytes is written at once, before the end of the chunk or tick. */
const MAX_BATCH = isWanted('batches') ? 64 * 1024 : 1

const gathersTurns = isWanted('turns')

/** A batch that waits for a full socket is joined once it has more segments than this. */
const MAX_WAITING_SEGMENTS = 64

/** RFC 3629: a UTF-16 code unit takes at most three bytes. */
const MAX_UTF8_PER_UNIT = 3

let scratch = Buffer.allocUnsafeSlow(SCRATCH_SIZE)
let scratchMemory = scratch.buffer
let scratchEnd = 0

function flushTick (writer: FrameWriter): void {
  writer.tickScheduled = false
  writer.flush()
}

export interface FrameWriterOwner {
  /** A batch is handed to the socket. @returns what the socket calls when it has written the batch, or failed to */
  follow (callbacks: SendCallback[]): SendCallback
  /** The batch was handed to the socket. */
  onFlushed (): void
  /** A message cannot be sent: its Blob cannot be read. Nothing that was to follow it is sent. */
  onUnsendable (error: Error): void
  /** Calls a function behind the callbacks of what is written already: sockets call them in a later tick. */
  afterCallbacks (callback: SendCallback): void
  /** Calls a send callback, whatever that throws. */
  callBack (callback: SendCallback, error?: Error | null): void
}

/**
 * The sending half of a connection: gathers frames in a batch and hands them to the socket in few writes.
 *
 * Frames sent while a chunk is processed (`hold` … `release`) leave at its end, others at the end of the tick,
 * frames of broadcasts at the end of the turn of the event loop. All go through one batch, in the order of the calls.
 */
export class FrameWriter {
  private readonly socket: Duplex
  private readonly masked: boolean
  protected readonly owner: FrameWriterOwner

  // The batch: closed segments, then the open one, which is the range of `openScratch` still growing.
  private segments: Buffer[] | SharedBatch | null = null
  private openScratch: Buffer | null = null
  private openStart = 0
  private openEnd = 0
  private batchBytes = 0
  private callbacks: SendCallback[] | null = null

  private held = false
  // The batch has frames that do not wait for the end of the turn.
  private urgent = false
  /** @internal */
  tickScheduled = false
  /** @internal */
  turnScheduled = false

  /**
   * @param masked whether frames are masked, as the client's are (RFC 6455 §5.1)
   */
  constructor (socket: Duplex, masked: boolean, owner: FrameWriterOwner) {
    this.socket = socket
    this.masked = masked
    this.owner = owner
  }

  /** Bytes in the batch and in the socket's queue. */
  get bufferedAmount (): number {
    return this.batchBytes + this.socket.writableLength
  }

  /** Memory that the queue takes, in bytes: more than `bufferedAmount` where many messages wait apart. */
  get queuedCost (): number {
    return this.bufferedAmount
  }

  /** Whether the queue has reached the socket's high-water mark. */
  get isSaturated (): boolean {
    return this.batchBytes + this.socket.writableLength >= this.socket.writableHighWaterMark
  }

  /** Keeps frames in the batch until `release`. */
  hold (): void {
    this.held = true
  }

  release (): void {
    this.held = false
    // A batch of broadcasts alone waits for the end of the turn, as those of the other receivers do.
    if (this.urgent) this.flush()
  }

  /** Queues a frame; writers that compress read `_compress`. @returns bytes of the payload before compression */
  writeText (opcode: number, text: string, fin: boolean, callback: SendCallback | undefined, _compress = false): number {
    const bound = text.length * MAX_UTF8_PER_UNIT
    if (bound > REFERENCE_FROM) {
      const bytes = receivedBytes(text)
      const isReused = bound <= LONGEST_SPARE && !this.masked && isWrittenThrough(this.socket) && (bytes !== null || isWrittenFast(text))
      if (isReused) return this.writeIntoSpare(opcode, text, bytes, fin, callback)
      const payload = encodeText(text)
      countBuffer(payload.length)
      this.writeBytes(opcode, payload, fin, callback)
      return payload.length
    }
    // The length of the header depends on that of the payload. If both bounds give the same, one pass over the text is enough.
    const sameClass = frameHeaderLength(text.length, this.masked) === frameHeaderLength(bound, this.masked)
    const length = sameClass ? -1 : Buffer.byteLength(text)
    const offset = this.reserve(bound + MAX_HEADER_LENGTH)
    const payloadAt = offset + frameHeaderLength(sameClass ? bound : length, this.masked)
    const written = scratch.write(text, payloadAt)
    writeFrameHeader(scratch, offset, opcode, fin, written, this.masked)
    if (this.masked) maskPayload(scratch, payloadAt - 4, written)
    this.extend(offset, payloadAt + written)
    this.queued(callback)
    return written
  }

  /** The text is encoded in one pass, or copied if its bytes are known, into memory that is used again, with the header in front of it. */
  private writeIntoSpare (opcode: number, text: string, bytes: Buffer | null, fin: boolean, callback: SendCallback | undefined): number {
    const buffer = takeSpare(this, MAX_HEADER_LENGTH + (bytes?.length ?? text.length * MAX_UTF8_PER_UNIT))
    const written = bytes === null ? buffer.write(text, MAX_HEADER_LENGTH) : bytes.copy(buffer, MAX_HEADER_LENGTH)
    const start = MAX_HEADER_LENGTH - frameHeaderLength(written, false)
    writeFrameHeader(buffer, start, opcode, fin, written, false)
    this.append(buffer.subarray(start, MAX_HEADER_LENGTH + written))
    this.queued(callback)
    return written
  }

  /** Queues a frame. Payloads of `REFERENCE_FROM` bytes and more are passed on by reference, unless they are masked. */
  writeBytes (opcode: number, payload: Uint8Array, fin: boolean, callback: SendCallback | undefined, _compress = false): void {
    const length = payload.length
    const headerLength = frameHeaderLength(length, this.masked)
    if (length < REFERENCE_FROM) {
      const offset = this.reserve(headerLength + length)
      writeFrameHeader(scratch, offset, opcode, fin, length, this.masked)
      scratch.set(payload, offset + headerLength)
      if (this.masked) maskPayload(scratch, offset + headerLength - 4, length)
      this.extend(offset, offset + headerLength + length)
    } else if (this.masked) {
      const frame = Buffer.allocUnsafeSlow(headerLength + length)
      countBuffer(frame.length)
      writeFrameHeader(frame, 0, opcode, fin, length, true)
      frame.set(payload, headerLength)
      maskPayload(frame, headerLength - 4, length)
      this.append(frame)
    } else {
      const offset = this.reserve(headerLength)
      writeFrameHeader(scratch, offset, opcode, fin, length, false)
      this.extend(offset, offset + headerLength)
      this.append(Buffer.from(payload.buffer, payload.byteOffset, length))
    }
    this.queued(callback)
  }

  /** Queues a message that many connections share, until the end of this turn of the event loop. */
  writeShared (message: SharedMessage): void {
    this.writeSharedFrame(message.frame)
  }

  protected writeSharedFrame (frame: Buffer): void {
    const { segments } = this
    // Longer frames are never joined.
    if (!gathersTurns || frame.length >= REFERENCE_FROM || this.openScratch !== null || Array.isArray(segments)) {
      this.append(frame)
    } else {
      this.segments = continueBatch(segments, frame)
      this.batchBytes += frame.length
    }
    if (this.batchBytes >= MAX_BATCH) return this.flush()
    if (!gathersTurns) return this.queued(undefined)
    if (this.turnScheduled) return
    this.turnScheduled = true
    flushAfterTurn(this)
  }

  /**
   * Hands the batch to the socket, or only large pieces while the socket is full: in its queue each piece costs far more
   * than the bytes of a short frame.
   */
  flush (): void {
    this.urgent = false
    const { socket } = this
    // Almost all have nothing queued, which costs less to read.
    const isFull = socket.writableLength > 0 && socket.writableNeedDrain
    if (isFull) this.prepareToWait()
    if (!isFull || this.batchBytes >= MAX_BATCH) this.write()
  }

  /** Prepares the batch for waiting longer than this turn. */
  private prepareToWait (): void {
    if (this.batchBytes === 0) return
    this.closeOpenSegment()
    const segments = this.ownSegments()
    if (segments.length > MAX_WAITING_SEGMENTS) this.segments = [Buffer.concat(segments, this.batchBytes)]
  }

  /** Hands the batch to the socket, however full that is. */
  write (): void {
    if (this.batchBytes === 0) return
    const { segments, openScratch } = this
    const last = this.takeOpenSegment()
    const bytes = this.batchBytes
    const callbacks = this.takeCallbacks()
    const done = callbacks === null ? undefined : this.owner.follow(callbacks)
    this.segments = null
    this.batchBytes = 0

    if (segments === null) {
      this.writeRange(last!, openScratch!, this.openStart, done)
    } else if (last === null && bytes < REFERENCE_FROM && segments instanceof SharedBatch) {
      this.writeSegment(segments.joined(), done)
    } else {
      const all = toArray(segments)
      if (last !== null) all.push(last)
      if (all.length === 1) this.writeSegment(all[0]!, done)
      else if (bytes < REFERENCE_FROM) this.writeRange(this.join(all, bytes), scratch, scratchEnd - bytes, done)
      else this.writeSegments(all, done)
    }
    if (usesSpare(this)) releaseSpare(isWrittenThrough(this.socket))
    this.owner.onFlushed()
  }

  /** Writes a range of `memory`, a scratch buffer. */
  private writeRange (range: Buffer, memory: Buffer, start: number, done: SendCallback | undefined): void {
    const isTaken = this.writeSegment(range, done)
    // Bytes that the kernel has taken free their place, unless another frame lies behind them.
    if (isTaken && memory === scratch && scratchEnd === start + range.length) scratchEnd = start
  }

  /** @returns whether the socket holds no reference to the bytes */
  private writeSegment (segment: Buffer, done: SendCallback | undefined): boolean {
    const { socket } = this
    if (done === undefined && writeDirectly(socket, segment)) return socket.writableLength === 0
    socket.write(segment, done)
    return isWrittenThrough(socket)
  }

  private writeSegments (segments: Buffer[], done: SendCallback | undefined): void {
    if (done === undefined && writeAllDirectly(this.socket, segments)) return
    const last = segments.length - 1
    this.socket.cork()
    for (let i = 0; i < last; i++) this.socket.write(segments[i]!)
    this.socket.write(segments[last]!, done)
    this.socket.uncork()
  }

  /** Many small buffers cost more in one `writev` than copying them does. */
  private join (segments: Buffer[], bytes: number): Buffer {
    const start = this.reserve(bytes)
    let end = start
    for (const segment of segments) end += segment.copy(scratch, end)
    scratchEnd = end
    return scratch.subarray(start, end)
  }

  /** Calls back when all that was sent before is written; with an error if it never is. */
  whenWritten (callback: SendCallback): void {
    const { socket } = this
    if (this.batchBytes > 0) {
      if (this.callbacks === null) this.callbacks = [callback]
      else this.callbacks.push(callback)
    } else if (socket.writableLength === 0) {
      this.owner.afterCallbacks(callback)
    } else {
      const done = this.owner.follow([callback])
      // The socket calls back in the order of its writes, or when it has ended.
      if (socket.writableEnded) socket.once('finish', done)
      else socket.write(EMPTY, done)
    }
  }

  /** Hands the batch to the socket, and ends that (RFC 6455 §7.1.1). */
  end (): void {
    this.write()
    this.socket.end()
  }

  /** Drops the batch. */
  discard (): void {
    this.segments = this.openScratch = null
    this.batchBytes = 0
    if (usesSpare(this)) releaseSpare(false)
    const callbacks = this.takeCallbacks()
    if (callbacks !== null) this.call(callbacks, createError('FST_WS_ERR_CLOSED'))
  }

  /** Makes room in the scratch buffer. @returns the offset */
  private reserve (bytes: number): number {
    if (scratchEnd + bytes > SCRATCH_SIZE) {
      scratch = Buffer.allocUnsafeSlow(SCRATCH_SIZE)
      scratchMemory = scratch.buffer
      scratchEnd = 0
    }
    return scratchEnd
  }

  /** Adds a range of the scratch buffer to the batch. */
  private extend (start: number, end: number): void {
    if (this.openScratch === scratch && this.openEnd === start) {
      this.openEnd = end
    } else {
      this.closeOpenSegment()
      this.openScratch = scratch
      this.openStart = start
      this.openEnd = end
    }
    scratchEnd = end
    this.batchBytes += end - start
  }

  /** Adds bytes to the batch by reference. */
  private append (bytes: Buffer): void {
    this.closeOpenSegment()
    if (this.segments === null) this.segments = [bytes]
    else this.ownSegments().push(bytes)
    this.batchBytes += bytes.length
  }

  private closeOpenSegment (): void {
    const segment = this.takeOpenSegment()
    if (segment === null) return
    if (this.segments === null) this.segments = [segment]
    else this.ownSegments().push(segment)
  }

  /** @returns the closed segments, in an array of this writer alone */
  private ownSegments (): Buffer[] {
    this.segments = toArray(this.segments)
    return this.segments
  }

  private takeOpenSegment (): Buffer | null {
    const { openScratch } = this
    if (openScratch === null) return null
    this.openScratch = null
    if (openScratch !== scratch) return openScratch.subarray(this.openStart, this.openEnd)
    return new View(scratchMemory, this.openStart, this.openEnd - this.openStart)
  }

  private queued (callback: SendCallback | undefined): void {
    if (callback !== undefined) {
      if (this.callbacks === null) this.callbacks = [callback]
      else this.callbacks.push(callback)
    }
    if (this.batchBytes >= MAX_BATCH) {
      this.flush()
    } else if (this.held) {
      this.urgent = true
    } else if (!this.tickScheduled) {
      this.tickScheduled = true
      process.nextTick(flushTick, this)
    }
  }

  private takeCallbacks (): SendCallback[] | null {
    const { callbacks } = this
    this.callbacks = null
    return callbacks
  }

  protected call (callbacks: Iterable<SendCallback>, error?: Error | null): void {
    for (const callback of callbacks) this.owner.callBack(callback, error)
  }
}

/**
 * Whether the socket holds no reference to the bytes it was given. Only a plain TCP or Unix socket writes synchronously,
 * and its `writableLength` counts bytes until the kernel has taken them.
 */
function isWrittenThrough (socket: Duplex): boolean {
  return socket.writableLength === 0 && socket instanceof Socket && !(socket instanceof TLSSocket)
}
