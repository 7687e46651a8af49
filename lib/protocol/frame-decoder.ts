import { constants, isUtf8 } from 'node:buffer'
import { createError, type WebSocketError } from '../errors.js'
import { decodeClosePayload } from './close-payload.js'
import { MAX_HEADER_LENGTH } from './frame-encoder.js'
import { COPIED_CHUNK, ENDED, LENT_CHUNK, NO_CHUNK, NO_FRAME, OWN_CHUNK, READING, SKIPPING } from './decoder-states.js'
import { checkHeader, headerLengthOf, isCompressed, isFinal, maskingKeyAt, opcodeOf, payloadLengthAt } from './frame-header.js'
import {
  borrowChunk, borrowForCopy, canScan, chunkWasOverwritten, hasChunk, isWorthScanning, returnChunk, scanMessages, sharedChunk, type ScanReceiver
} from './frame-scanner.js'
import type { FrameBudget, FrameDecoderOptions, FrameSink } from './frame-sink.js'
import { applyMask, rotateKey } from './mask.js'
import { compressedLimit, MessageAssembler } from './message-assembler.js'
import { largestCopy, plainMemory, type MessageMemory } from './message-memory.js'
import { CONTROL_BIT, MAX_CONTROL_PAYLOAD, Opcode } from './opcodes.js'
import { deliverText } from './received-text.js'
import { decodeChecked } from './text.js'
import { isValidUtf8 } from './utf8.js'

/** Bytes of a text from which decoding it where it lies saves more than scanning does. */
const STRING_FROM = 512

/**
 * The receiving half of RFC 6455 §5: bytes in any slicing give the same events. Does no I/O and never throws, unless the
 * sink does. Unmasks in place: the chunks belong to the decoder.
 *
 * Retained between calls: the message so far (at most `maxPayload`, in a buffer of at most four times the bytes
 * received, or sixteen where most of them are never written), an incomplete header or control frame, and, while paused, the rest of a chunk.
 */
export class FrameDecoder implements ScanReceiver {
  private readonly memory: MessageMemory
  declare private sink: FrameSink
  declare private requireMask: boolean
  declare private maxPayload: number
  declare private isCompressionAgreed: boolean
  declare private budget: FrameBudget | null
  private phase = READING
  private stopped = false
  /** Bytes that wait: for `resume`, or for the end of the event in which they came. */
  private waiting: Buffer | null = null

  // The chunk that is being decoded, and the offset behind its last byte.
  private source = NO_CHUNK
  private chunkEnd = 0

  /** A header, or the payload of a control frame, that is split between chunks. */
  private partial: Buffer | null = null
  private partialLength = 0

  // The frame whose payload is being read.
  private opcode = 0
  private fin = false
  private remaining = NO_FRAME
  /** The masking key as a word, turned to the next byte; 0 without one. */
  private key = 0

  // The message so far: the opcode of its first frame (0: none), and its bytes, if there are any.
  private messageOpcode = 0
  private isMessageCompressed = false
  private assembler: MessageAssembler | null = null

  /** @param memory holds the messages that are handed out. For the others see `assign` */
  constructor (sink: FrameSink, options: FrameDecoderOptions, isCompressionAgreed = false, budget: FrameBudget | null = null, memory = plainMemory) {
    this.memory = memory
    this.assign(sink, options, isCompressionAgreed, budget)
  }

  /**
   * Decodes another stream from now on. Call it only between messages.
   *
   * @param isCompressionAgreed whether permessage-deflate gives RSV1 its meaning (RFC 7692 §6)
   * @param budget limits all frames but Close frames; over it the error is a `RateLimitError`
   */
  assign (sink: FrameSink, options: FrameDecoderOptions, isCompressionAgreed: boolean, budget: FrameBudget | null): void {
    this.sink = sink
    this.budget = budget
    this.requireMask = options.role === 'server'
    // A longer message than fits into a buffer cannot be handed out, whatever the limit.
    this.maxPayload = Math.min(options.maxPayload, constants.MAX_LENGTH)
    this.isCompressionAgreed = isCompressionAgreed
    this.key = 0
  }

  /** Whether a Close frame or an error ended the stream: further bytes are ignored (RFC 6455 §5.5.1, §7.1.7). */
  get isEnded (): boolean { return this.phase === ENDED }
  /** Whether nothing more can be expected but a Close frame. */
  get isFailed (): boolean { return this.phase !== READING }
  /** Whether `pause` was called, and `resume` not yet. */
  get isPaused (): boolean { return this.stopped }
  /** Whether nothing is retained: a new decoder would go on in the same way. */
  get isBetweenMessages (): boolean {
    const isWhole = this.remaining === NO_FRAME && this.messageOpcode === 0 && this.partial === null
    return isWhole && this.phase === READING && !this.stopped && this.waiting === null && this.source === NO_CHUNK
  }

  /** Bytes of the frame's payload that have not come yet; none between frames. */
  get missing (): number { return Math.max(this.remaining, 0) }
  /** Whether bytes wait for `resume`. */
  get hasRest (): boolean { return this.waiting !== null && this.source === NO_CHUNK }

  /** Stops before the next frame, also in the middle of `decode`; bytes that come are kept until `resume`. */
  pause (): void {
    this.stopped = true
  }

  /** Decodes the bytes that were kept. Inside of an event the running `decode` goes on by itself. */
  resume (): void {
    this.stopped = false
    if (!this.hasRest) return
    const rest = this.waiting!
    this.waiting = null
    this.decode(rest)
  }

  /** Takes nothing but a Close frame from now on. The peer may be in the middle of a message: it gets the time to answer. */
  skipToClose (): void {
    if (this.phase === READING) this.phase = SKIPPING
    this.assembler = null
  }

  /** Drops everything and ignores all further bytes. */
  end (): void {
    this.phase = ENDED
    this.waiting = this.partial = this.assembler = null
  }

  /** The chunk belongs to the decoder from now on. Inside of an event it waits until the running `decode` is done. */
  decode (chunk: Buffer): void {
    if (this.phase === ENDED) return
    if (this.waiting !== null) chunk = Buffer.concat([this.waiting, chunk])
    const isNested = this.source !== NO_CHUNK
    this.waiting = isNested ? chunk : null
    if (isNested) return
    this.source = OWN_CHUNK
    this.decodeRange(chunk, chunk.length)
  }

  /**
   * Decodes bytes of the shared chunk, which is free again when this returns: nothing of it is handed out or kept.
   *
   * @param length bytes from its start
   */
  decodeLent (length: number): void {
    chunkWasOverwritten()
    if (this.phase === ENDED) return
    if (this.source !== NO_CHUNK) return this.failReentered()
    if (this.waiting !== null) return this.decode(this.memory.copy(sharedChunk, 0, length))
    borrowChunk(this)
    this.source = LENT_CHUNK
    this.decodeRange(sharedChunk, length)
  }

  private decodeRange (chunk: Buffer, end: number): void {
    this.chunkEnd = end
    let offset = 0
    try {
      while (this.phase !== ENDED && !this.stopped) {
        if (this.remaining === NO_FRAME) {
          if (this.mayScan(chunk, offset)) {
            offset = this.scan(offset)
            if (this.phase === ENDED || this.stopped) break
          }
          if (offset === end) break
          offset = this.readHeader(chunk, offset)
          if (this.remaining === NO_FRAME) break
        }
        // A frame without payload is complete with its header, at the end of a chunk too.
        if (offset === end && this.remaining > 0) break
        offset = (this.opcode & CONTROL_BIT) !== 0 ? this.readControl(chunk, offset) : this.readData(chunk, offset)
        if (this.source !== OWN_CHUNK && this.isChunkLost()) break
      }
    } finally {
      this.leaveChunk(chunk, offset)
    }
  }

  /** Keeps the rest of the chunk while paused, and goes on with bytes that came inside of an event. */
  private leaveChunk (chunk: Buffer, offset: number): void {
    if (this.source !== OWN_CHUNK) returnChunk(this)
    const isRestKept = this.stopped && this.phase !== ENDED && offset < this.chunkEnd
    const rest = isRestKept ? this.own(chunk, offset, this.chunkEnd) : null
    this.source = NO_CHUNK
    // In-memory streams can deliver the reply to a listener's `send` before that returns.
    const behind = this.waiting
    this.waiting = rest
    if (behind !== null) this.decode(behind)
  }

  /**
   * Whether an event has led to another read into the shared chunk: only if a listener has run the event loop itself, as
   * native addons can. The rest of the chunk is overwritten, and this connection cannot go on.
   */
  private isChunkLost (): boolean {
    if (hasChunk(this)) return false
    if (this.phase !== ENDED) this.failReentered()
    return true
  }

  private failReentered (): void {
    this.fail(createError('FST_WS_ERR_REENTERED', 'a listener has run the event loop'))
  }

  /** Whether to look for whole messages from here on, all at once. */
  private mayScan (chunk: Buffer, offset: number): boolean {
    // With a budget each frame is counted before anything is done for it.
    if (!canScan || this.budget !== null || !this.requireMask || this.partial !== null || this.messageOpcode !== 0 || this.phase !== READING) return false
    if (this.source === LENT_CHUNK) return true
    if (!isWorthScanning(chunk, offset, this.chunkEnd)) return false
    if (this.source === COPIED_CHUNK) return true
    if (!borrowForCopy(this, chunk)) return false
    this.source = COPIED_CHUNK
    return true
  }

  private scan (offset: number): number {
    const isLent = this.source === LENT_CHUNK
    let longest = isLent ? this.maxPayload : Math.min(this.maxPayload, largestCopy(this.chunkEnd))
    if (this.mayBeString(this.chunkEnd - offset)) longest = Math.min(longest, STRING_FROM - 1)
    return scanMessages(this, this.memory, offset, this.chunkEnd, longest, isLent)
  }

  /** Whether a text of this length, in bytes, is decoded where it lies: then it needs no memory of its own. */
  private mayBeString (length: number): boolean { return length >= STRING_FROM && this.sink.takesStrings }

  /** @internal A message of the scanner. @returns whether to go on with the next */
  onScanned (data: Buffer, isText: boolean, isAscii: boolean): boolean {
    if (isText && !isAscii && !isUtf8(data)) this.fail(createError('FST_WS_ERR_INVALID_PAYLOAD'))
    else this.sink.onMessage(data, !isText)
    return !this.isChunkLost() && this.phase === READING && !this.stopped
  }

  /** Reads a header, if it is complete, into the fields of the frame. Returns the offset behind the bytes that it took. */
  private readHeader (chunk: Buffer, offset: number): number {
    const available = this.chunkEnd - offset
    if (this.partial === null && available >= 2) {
      const needed = headerLengthOf(chunk[offset + 1]!)
      if (available >= needed) {
        this.startFrame(chunk, offset, needed)
        return offset + needed
      }
    }
    const header = this.partial ??= Buffer.allocUnsafe(MAX_HEADER_LENGTH)
    while (offset < this.chunkEnd) {
      header[this.partialLength++] = chunk[offset++]!
      if (this.partialLength >= 2 && this.partialLength === headerLengthOf(header[1]!)) {
        this.startFrame(header, 0, this.takePartial().length)
        return offset
      }
    }
    return offset
  }

  private takePartial (): Buffer {
    const bytes = this.partial!.subarray(0, this.partialLength)
    this.partial = null
    this.partialLength = 0
    return bytes
  }

  /** Begins the frame with this header, which sets `remaining`, unless the header breaks a rule. */
  private startFrame (bytes: Buffer, at: number, headerLength: number): void {
    const fault = checkHeader(bytes, at, this.requireMask, this.isCompressionAgreed, this.messageOpcode !== 0)
    if (fault !== null) return this.fail(fault)
    const first = bytes[at]!
    const length = payloadLengthAt(bytes, at)
    this.opcode = opcodeOf(first)
    this.fin = isFinal(first)
    this.remaining = length
    if (this.requireMask) this.key = maskingKeyAt(bytes, at + headerLength - 4)
    if (this.opcode === Opcode.TEXT || this.opcode === Opcode.BINARY) this.isMessageCompressed = isCompressed(first)
    if (this.phase === READING) this.checkLimits(headerLength, length)
  }

  /** Refuses a frame by its header alone, before anything is unmasked or kept (RFC 6455 §10.4). */
  private checkLimits (headerLength: number, length: number): void {
    const { opcode, budget } = this
    if ((opcode & CONTROL_BIT) === 0 && (this.assembler?.length ?? 0) + length > this.messageLimit) {
      this.refuse(createError('FST_WS_ERR_MESSAGE_TOO_BIG', `message is longer than ${this.maxPayload} bytes`))
    } else if (budget !== null && opcode !== Opcode.CLOSE) {
      const asksForWork = opcode === Opcode.PING || opcode === Opcode.TEXT || opcode === Opcode.BINARY
      if (!budget.spend(asksForWork, headerLength + length)) this.refuse(createError('FST_WS_ERR_RATE_LIMIT', 'more is sent than the rate limit allows'))
    }
  }

  /** Bytes that the frames of the current message may have. */
  private get messageLimit (): number {
    return this.isMessageCompressed ? compressedLimit(this.maxPayload) : this.maxPayload
  }

  private readControl (chunk: Buffer, offset: number): number {
    const end = Math.min(offset + this.remaining, this.chunkEnd)
    if (this.key !== 0) applyMask(chunk, offset, end, this.key)
    this.key = rotateKey(this.key, end - offset)
    this.remaining -= end - offset
    if (this.remaining === 0 && this.partial === null) {
      this.finishControl(this.own(chunk, offset, end))
      return end
    }
    this.partial ??= Buffer.allocUnsafe(MAX_CONTROL_PAYLOAD)
    this.partialLength += chunk.copy(this.partial, this.partialLength, offset, end)
    if (this.remaining === 0) this.finishControl(this.takePartial())
    return end
  }

  private finishControl (payload: Buffer): void {
    this.remaining = NO_FRAME
    if (this.opcode === Opcode.CLOSE) {
      const { fault, code, reason } = decodeClosePayload(payload)
      if (fault !== null) return this.fail(fault)
      this.end()
      this.sink.onClose(code, reason)
    } else if (this.phase === READING) {
      if (this.opcode === Opcode.PING) this.sink.onPing(payload)
      else this.sink.onPong(payload)
    }
  }

  private readData (chunk: Buffer, offset: number): number {
    const isFirst = this.messageOpcode === 0
    if (isFirst) this.messageOpcode = this.opcode
    // The common case: the message is one frame, and all of it is here.
    const isWhole = isFirst && this.fin && this.chunkEnd - offset >= this.remaining
    return isWhole && this.phase === READING ? this.readWholeMessage(chunk, offset) : this.readPiece(chunk, offset)
  }

  private readWholeMessage (chunk: Buffer, offset: number): number {
    const end = offset + this.remaining
    const isText = this.messageOpcode === Opcode.TEXT
    if (this.key !== 0) applyMask(chunk, offset, end, this.key)
    this.remaining = NO_FRAME
    this.messageOpcode = 0
    if (this.isMessageCompressed) this.sink.onCompressedMessage(this.own(chunk, offset, end), !isText)
    else if (isText && this.mayBeString(end - offset)) this.readString(chunk, offset, end)
    else if (isText && !isValidUtf8(chunk, offset, end)) this.fail(createError('FST_WS_ERR_INVALID_PAYLOAD'))
    else this.sink.onMessage(this.own(chunk, offset, end), !isText)
    return end
  }

  private readString (chunk: Buffer, start: number, end: number): void {
    const text = decodeChecked(chunk, start, end)
    if (text === undefined) this.fail(createError('FST_WS_ERR_INVALID_PAYLOAD'))
    else deliverText(this.sink, text, chunk, start, end)
  }

  private readPiece (chunk: Buffer, offset: number): number {
    const end = Math.min(offset + this.remaining, this.chunkEnd)
    this.remaining -= end - offset
    if (this.phase === READING) this.keepPiece(chunk, offset, end)
    if (this.remaining > 0 || this.phase === ENDED) return end
    this.remaining = NO_FRAME
    if (this.fin) this.finishMessage()
    return end
  }

  /** Adds a piece to the message. Text fails at its first byte that is not UTF-8 (RFC 6455 §8.1). */
  private keepPiece (chunk: Buffer, start: number, end: number): void {
    if (end > start) {
      this.assembler ??= new MessageAssembler(this.memory, this.messageLimit)
      // The header of the last fragment announces how long the message is.
      const announced = this.fin ? this.assembler.length + end - start + this.remaining : Infinity
      if (!this.assembler.append(chunk, start, end, this.key, announced)) {
        return this.fail(createError('FST_WS_ERR_MESSAGE_TOO_BIG', 'message is longer than there is memory for'))
      }
      this.key = rotateKey(this.key, end - start)
    }
    const { assembler } = this
    if (assembler === null || this.messageOpcode !== Opcode.TEXT || this.isMessageCompressed) return
    const isLast = this.fin && this.remaining === 0
    const isText = (start === end || assembler.isTextSoFar()) && (!isLast || assembler.isWholeText())
    if (!isText) this.fail(createError('FST_WS_ERR_INVALID_PAYLOAD'))
  }

  private finishMessage (): void {
    const isBinary = this.messageOpcode === Opcode.BINARY
    this.messageOpcode = 0
    if (this.phase === SKIPPING) return
    const message = this.assembler === null ? Buffer.alloc(0) : this.assembler.take()
    this.assembler = null
    if (this.isMessageCompressed) this.sink.onCompressedMessage(message, isBinary)
    else this.sink.onMessage(message, isBinary)
  }

  /** The range of the chunk as a buffer that the receiver may keep. */
  private own (chunk: Buffer, start: number, end: number): Buffer {
    return this.source === LENT_CHUNK ? this.memory.copy(chunk, start, end) : this.memory.own(chunk, start, end)
  }

  private refuse (error: WebSocketError): void {
    this.skipToClose()
    this.sink.onError(error)
  }

  /** Ends the stream. Only the first error is reported. */
  private fail (error: WebSocketError): void {
    const isFirst = this.phase === READING
    this.end()
    if (isFirst) this.sink.onError(error)
  }
}
