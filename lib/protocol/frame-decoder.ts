import { constants, isUtf8 } from 'node:buffer'
import { CloseCode, isReceivableCloseCode } from './close-codes.js'
import { InvalidPayloadError, MessageTooBigError, ProtocolError, RateLimitError, WebSocketError } from '../errors.js'
import { isWanted } from './fast-paths.js'
import { MAX_HEADER_LENGTH } from './frame-encoder.js'
import { kernel, KERNEL_PAGE } from './frame-kernel.js'
import { applyMask, maskInto } from './mask.js'
import { CONTROL_BIT, MAX_CONTROL_PAYLOAD, Opcode, RSV1 } from './opcodes.js'
import { isValidUtf8, validateUtf8Prefix } from './utf8.js'

/** What the decoder found, in the order of the bytes. */
export interface FrameSink {
  /** A whole message, put together from its fragments. The bytes belong to the receiver. */
  onMessage (data: Buffer, isBinary: boolean): void
  /** A whole message that is compressed (RFC 7692 §6): still to be inflated and, if it is text, to be checked. */
  onCompressedMessage (data: Buffer, isBinary: boolean): void
  onPing (data: Buffer): void
  onPong (data: Buffer): void
  /** The Close frame. `code` is 1005 if it had none. Nothing follows. */
  onClose (code: number, reason: Buffer): void
  /**
   * The peer broke a rule or a limit; `error.closeCode` says how to fail the connection. Nothing follows, but `onClose`
   * behind a message that was too big: there the peer is still understood.
   */
  onError (error: WebSocketError): void
}

export interface FrameDecoderOptions {
  /** The side that receives: a server requires masks, a client forbids them (RFC 6455 §5.1). */
  role: 'server' | 'client'
  /** Bytes of one message; over it the error is a `MessageTooBigError`. */
  maxPayload: number
}

/** What the peer may still send. */
export interface FrameBudget {
  /**
   * Counts a frame, by its header alone.
   *
   * @param asksForWork whether it begins a message or is a Ping
   * @param bytes on the wire, announced for the most part
   * @returns whether it was still within the limit
   */
  spend (asksForWork: boolean, bytes: number): boolean
}

const FIN = 0x80
const RSV = 0x70
const OPCODE = 0x0f
const MASK = 0x80
const LENGTH = 0x7f

const EMPTY = Buffer.alloc(0)

// A message handed out as a view keeps its whole chunk alive. That is accepted for small chunks, which cost
// no more than a pooled allocation, and where the message is a fair part of the chunk; others are copied.
const VIEW_FROM_CHUNKS_UP_TO = 4096
const VIEW_FROM_SHARE = 4

// Small copies share slabs of this size, in bytes.
const SLAB_SIZE = 8192
const SLAB_UP_TO = 2048

/** Finds the small frames of a chunk, all at once. */
const scanner = isWanted('scan') ? kernel : null

// A chunk below this is not worth the way to the scanner and back (measured on Node 20).
const SCAN_FROM = 256

/** Who has his bytes in the kernel's chunk and is not done with them. */
let kernelTakenBy: FrameDecoder | null = null

/** A socket has read into the kernel's chunk: whoever had his bytes there has lost them. */
export function chunkWasOverwritten (): void {
  kernelTakenBy = null
}

// A message that spans chunks gets a buffer that grows with what has arrived, never with what was announced.
const SMALLEST_MESSAGE_BUFFER = 256
const GROWTH = 4

/**
 * The receiving half of RFC 6455 §5: bytes in any slicing give the same events. Does no I/O and
 * never throws, unless the sink does. Unmasks in place: the chunks belong to the decoder.
 *
 * Retained between calls: the message so far (at most `maxPayload`, in a buffer of at most
 * `GROWTH` times the bytes received), an incomplete header or control frame, and, while paused, the rest of a chunk.
 */
export class FrameDecoder {
  private readonly sink: FrameSink
  private readonly requireMask: boolean
  private readonly maxPayload: number
  private readonly isCompressionAgreed: boolean
  // What cannot be compressed grows by the headers of its blocks. Whether it fits is for who inflates it to say.
  private readonly maxCompressed: number
  private readonly budget: FrameBudget | null

  private ended = false
  private isSkipping = false
  private stopped = false
  private decoding = false
  private rest: Buffer | null = null
  // What came inside of an event.
  private behind: Buffer | null = null

  // Up to where there are bytes in the chunk that is being decoded, and whether that is lent: nothing of it may be handed out.
  private chunkEnd = 0
  private isLent = false
  private hasKernel = false

  // An incomplete header.
  private header: Buffer | null = null
  private headerLength = 0

  // The frame whose payload is being read. `remaining` is -1 between frames.
  private opcode = 0
  private fin = false
  private remaining = -1
  private key0 = 0
  private key1 = 0
  private key2 = 0
  private key3 = 0

  // The control frame whose payload spans chunks.
  private control: Buffer | null = null
  private controlLength = 0

  // The message so far: opcode of its first frame (0: none), its bytes, and up to where they are known to be UTF-8.
  private messageOpcode = 0
  private isCompressed = false
  private message: Buffer | null = null
  private messageLength = 0
  private validated = 0

  /**
   * @param isCompressionAgreed whether permessage-deflate gives RSV1 its meaning (RFC 7692 §6)
   * @param budget what limits the frames, but for Close frames; over it the error is a `RateLimitError`
   */
  constructor (sink: FrameSink, options: FrameDecoderOptions, isCompressionAgreed = false, budget: FrameBudget | null = null) {
    this.sink = sink
    this.budget = budget
    this.requireMask = options.role === 'server'
    // More than fits into a buffer cannot be handed out, whatever the limit.
    this.maxPayload = Math.min(options.maxPayload, constants.MAX_LENGTH)
    this.isCompressionAgreed = isCompressionAgreed
    this.maxCompressed = Math.min(this.maxPayload + Math.floor(this.maxPayload / 8) + MAX_CONTROL_PAYLOAD, constants.MAX_LENGTH)
  }

  /** Bytes held between calls: capacity, not only content. */
  get retainedBytes (): number {
    return (this.message?.length ?? 0) + (this.rest?.length ?? 0) + (this.behind?.length ?? 0) + (this.header?.length ?? 0) + (this.control?.length ?? 0)
  }

  /** Bytes of the payloads of the current message. */
  private get messageLimit (): number {
    return this.isCompressed ? this.maxCompressed : this.maxPayload
  }

  /** Whether a Close frame or an error ended the stream: further bytes are ignored (RFC 6455 §5.5.1, §7.1.7). */
  get isEnded (): boolean {
    return this.ended
  }

  /** Whether `pause` was called, and `resume` not yet. */
  get isPaused (): boolean {
    return this.stopped
  }

  /** Whether there are bytes that wait for `resume`. */
  get hasRest (): boolean {
    return this.rest !== null
  }

  /** Stops before the next frame, also in the middle of `decode`; bytes that come are kept until `resume`. */
  pause (): void {
    this.stopped = true
  }

  /** Decodes what was kept, then goes on. Inside of an event the running `decode` goes on by itself. */
  resume (): void {
    this.stopped = false
    if (!this.decoding && this.rest !== null) this.decode(EMPTY)
  }

  /** Whether there is nothing more to expect but, maybe, a Close frame. */
  get isFailed (): boolean {
    return this.ended || this.isSkipping
  }

  /**
   * Takes nothing but a Close frame from now on. For a message that is too big: the peer, which may be in the middle of it,
   * shall have the time to answer.
   */
  skipToClose (): void {
    this.isSkipping = true
    this.message = null
    this.messageLength = this.validated = 0
  }

  /** Forgets everything and ignores all further bytes. */
  end (): void {
    this.ended = true
    this.rest = this.behind = this.header = this.control = this.message = null
  }

  /** The chunk belongs to the decoder from now on. Inside of an event it waits until the running `decode` is done. */
  decode (chunk: Buffer): void {
    if (this.ended) return
    if (this.decoding) {
      this.behind = this.behind === null ? chunk : Buffer.concat([this.behind, chunk])
      return
    }
    if (this.rest !== null) {
      chunk = chunk.length === 0 ? this.rest : Buffer.concat([this.rest, chunk])
      this.rest = null
    }
    this.decodeRange(chunk, chunk.length)
  }

  /**
   * Decodes what is in the kernel's chunk, which is free again when this returns: nothing of it is handed out or kept.
   *
   * @param length bytes of it
   */
  decodeLent (length: number): void {
    chunkWasOverwritten()
    if (this.ended) return
    if (this.decoding) return this.failReentered()
    const { chunk } = kernel!
    if (this.rest !== null) return this.decode(copy(chunk, 0, length))
    this.isLent = true
    try {
      this.decodeRange(chunk, length)
    } finally {
      this.isLent = false
    }
  }

  private decodeRange (chunk: Buffer, end: number): void {
    this.decoding = true
    this.chunkEnd = end
    let offset = 0
    if (this.isLent) this.takeKernel()
    try {
      while (!this.ended && !this.stopped) {
        if (this.remaining === -1) {
          if (this.mayScan(chunk, offset)) {
            if (!this.hasKernel) {
              this.takeKernel()
              kernel!.chunk.set(chunk)
            }
            offset = this.scan(offset)
            if (this.ended || this.stopped) break
          }
          offset = this.readHeader(chunk, offset)
          if (this.remaining === -1) break
        }
        // A frame without payload is complete with its header, at the end of a chunk too.
        if (offset === end && this.remaining > 0) break
        offset = (this.opcode & CONTROL_BIT) !== 0 ? this.readControl(chunk, offset) : this.readData(chunk, offset)
        if (this.hasKernel && this.isKernelLost()) break
      }
    } finally {
      this.decoding = false
      if (this.hasKernel && kernelTakenBy === this) kernelTakenBy = null
      this.hasKernel = false
      if (this.stopped && !this.ended && offset < end) {
        this.rest = this.own(chunk, offset, end)
      }
      if (this.behind !== null) this.decodeBehind(this.behind)
    }
  }

  /** Streams in memory can hand on the answer to what a listener sends before that returns. */
  private decodeBehind (chunk: Buffer): void {
    this.behind = null
    this.isLent = false
    this.decode(chunk)
  }

  private takeKernel (): void {
    kernelTakenBy = this
    this.hasKernel = true
  }

  /**
   * Whether an event has led to another read: only if a listener has run the event loop itself, as native addons can.
   * What was left of the chunk is overwritten, and this connection cannot go on.
   */
  private isKernelLost (): boolean {
    if (kernelTakenBy === this) return false
    if (!this.ended) this.failReentered()
    return true
  }

  private failReentered (): void {
    this.fail(new WebSocketError('a listener has run the event loop', 'FST_WS_ERR_REENTERED', CloseCode.INTERNAL_ERROR))
  }

  /** Whether to look for whole messages from here on, all at once. */
  private mayScan (chunk: Buffer, offset: number): boolean {
    // With a budget each frame is counted before anything is done for it.
    if (scanner === null || this.budget !== null || !this.requireMask || this.headerLength > 0 || this.messageOpcode !== 0 || this.isSkipping) return false
    if (this.isLent) return true
    // An event that leads to another decoder finds the kernel taken: that one does without.
    if (this.chunkEnd - offset < SCAN_FROM || this.chunkEnd > KERNEL_PAGE || (kernelTakenBy !== null && !this.hasKernel)) return false
    // What is large against the chunk is handed out as a view of it.
    const length = chunk[offset + 1]! & LENGTH
    return length < 126 || (length === 126 && (chunk[offset + 2]! << 8 | chunk[offset + 3]!) * VIEW_FROM_SHARE <= this.chunkEnd)
  }

  /**
   * Decodes the whole messages that the scanner finds from here on: most of what a chunk of small messages consists of.
   * Returns the offset behind them, from which on the chunk is as it was.
   */
  private scan (offset: number): number {
    const { chunk, table, scan } = scanner!
    const limit = this.isLent ? KERNEL_PAGE : Math.floor(this.chunkEnd / VIEW_FROM_SHARE)
    const count = scan(offset, this.chunkEnd, Math.min(this.maxPayload, limit))
    for (let next = 0; next < count;) {
      // Neighbours share a copy of what lies between them, headers and all.
      const first = next
      const start = table[first * 2]!
      let groupEnd = start + (table[first * 2 + 1]! >>> 2)
      while (++next < count) {
        const nextEnd = table[next * 2]! + (table[next * 2 + 1]! >>> 2)
        if (nextEnd - start > SLAB_SIZE) break
        groupEnd = nextEnd
      }
      const group = copy(chunk, start, groupEnd)
      for (let i = first; i < next; i++) {
        const at = table[i * 2]! - start
        const description = table[i * 2 + 1]!
        const data = group.subarray(at, at + (description >>> 2))
        const isText = (description & 2) === 0
        if (isText && (description & 1) !== 0 && !isUtf8(data)) {
          this.fail(new InvalidPayloadError('text is not UTF-8'))
          return offset
        }
        offset = start + at + data.length
        this.sink.onMessage(data, !isText)
        if (this.ended || this.isKernelLost()) return offset
        if (this.stopped || this.isSkipping) {
          if (this.isLent) remask(i + 1, count)
          return offset
        }
      }
    }
    return offset
  }

  /** Reads a header, if it is complete, into the fields of the frame. Returns the offset behind what it took. */
  private readHeader (chunk: Buffer, offset: number): number {
    if (this.headerLength === 0) {
      const available = this.chunkEnd - offset
      if (available >= 2) {
        const needed = headerLengthOf(chunk[offset + 1]!)
        if (available >= needed) {
          this.parseHeader(chunk, offset)
          return offset + needed
        }
      } else if (available === 0) {
        return offset
      }
    }
    const header = this.header ??= Buffer.allocUnsafe(MAX_HEADER_LENGTH)
    while (offset < this.chunkEnd) {
      header[this.headerLength++] = chunk[offset++]!
      if (this.headerLength >= 2 && this.headerLength === headerLengthOf(header[1]!)) {
        this.headerLength = 0
        this.header = null
        this.parseHeader(header, 0)
        return offset
      }
    }
    return offset
  }

  /** The rules of RFC 6455 §5.2, §5.4 and §5.5 for a complete header. Sets `remaining` unless one is broken. */
  private parseHeader (bytes: Buffer, at: number): void {
    const first = bytes[at]!
    const second = bytes[at + 1]!
    const opcode = first & OPCODE
    const fin = (first & FIN) !== 0
    const masked = (second & MASK) !== 0
    let length = second & LENGTH
    let position = at + 2

    // RFC 7692 §6: RSV1 is for the first frame of a data message; later ones and control frames have it clear.
    const isCompressed = (first & RSV) === RSV1 && this.isCompressionAgreed && (opcode === Opcode.TEXT || opcode === Opcode.BINARY)
    if ((first & RSV) !== 0 && !isCompressed) {
      return this.fail(new ProtocolError('reserved bits are set', 'FST_WS_ERR_RESERVED_BITS'))
    }
    if (masked !== this.requireMask) {
      return this.fail(new ProtocolError(masked ? 'frame from the server is masked' : 'frame from the client is not masked', 'FST_WS_ERR_MASK_REQUIRED'))
    }

    if ((opcode & CONTROL_BIT) !== 0) {
      if (opcode > Opcode.PONG) {
        return this.fail(new ProtocolError(`opcode ${opcode} is reserved`, 'FST_WS_ERR_INVALID_OPCODE'))
      }
      if (!fin) return this.fail(new ProtocolError('control frame is fragmented', 'FST_WS_ERR_CONTROL_FRAME'))
      if (length > MAX_CONTROL_PAYLOAD) {
        return this.fail(new ProtocolError('control frame is longer than 125 bytes', 'FST_WS_ERR_CONTROL_FRAME'))
      }
    } else {
      if (opcode > Opcode.BINARY) {
        return this.fail(new ProtocolError(`opcode ${opcode} is reserved`, 'FST_WS_ERR_INVALID_OPCODE'))
      }
      if ((opcode === Opcode.CONTINUATION) !== (this.messageOpcode !== 0)) {
        return this.fail(new ProtocolError(
          opcode === Opcode.CONTINUATION ? 'continuation frame without a message' : 'new message before the last fragment of the previous one',
          'FST_WS_ERR_FRAGMENTATION'
        ))
      }
      if (length === 126) {
        length = bytes.readUInt16BE(position)
        position += 2
        if (length < 126) return this.fail(new ProtocolError('payload length is not in its shortest form', 'FST_WS_ERR_FRAME_LENGTH'))
      } else if (length === 127) {
        const high = bytes.readUInt32BE(position)
        length = high * 0x100000000 + bytes.readUInt32BE(position + 4)
        position += 8
        if (high > 0x7fffffff) return this.fail(new ProtocolError('top bit of the payload length is set', 'FST_WS_ERR_FRAME_LENGTH'))
        if (length < 65536) return this.fail(new ProtocolError('payload length is not in its shortest form', 'FST_WS_ERR_FRAME_LENGTH'))
      }
      if (opcode !== Opcode.CONTINUATION) this.isCompressed = isCompressed
    }

    if (masked) {
      this.key0 = bytes[position]!
      this.key1 = bytes[position + 1]!
      this.key2 = bytes[position + 2]!
      this.key3 = bytes[position + 3]!
    }
    this.opcode = opcode
    this.fin = fin
    this.remaining = length

    // As soon as the length is announced, before any payload, and over all fragments (RFC 6455 §10.4).
    if ((opcode & CONTROL_BIT) === 0 && this.messageLength + length > this.messageLimit && !this.isSkipping) {
      this.refuse(new MessageTooBigError(`message is longer than ${this.maxPayload} bytes`))
    }
    if (this.budget !== null && !this.isSkipping && opcode !== Opcode.CLOSE) {
      // Nothing was done for the frame yet: it is masked, and not kept anywhere.
      const bytes = length + position - at + (masked ? 4 : 0)
      const asksForWork = opcode === Opcode.PING || opcode === Opcode.TEXT || opcode === Opcode.BINARY
      if (!this.budget.spend(asksForWork, bytes)) this.refuse(new RateLimitError('more is sent than the rate limit allows'))
    }
  }

  private readControl (chunk: Buffer, offset: number): number {
    const end = Math.min(offset + this.remaining, this.chunkEnd)
    this.unmask(chunk, offset, end)
    this.remaining -= end - offset
    if (this.remaining > 0 || this.control !== null) {
      const control = this.control ??= Buffer.allocUnsafe(MAX_CONTROL_PAYLOAD)
      chunk.copy(control, this.controlLength, offset, end)
      this.controlLength += end - offset
      if (this.remaining > 0) return end
      const payload = control.subarray(0, this.controlLength)
      this.control = null
      this.controlLength = 0
      this.finishControl(payload)
      return end
    }
    this.finishControl(this.own(chunk, offset, end))
    return end
  }

  private finishControl (payload: Buffer): void {
    this.remaining = -1
    if (this.opcode !== Opcode.CLOSE && this.isSkipping) return
    if (this.opcode === Opcode.PING) return this.sink.onPing(payload)
    if (this.opcode === Opcode.PONG) return this.sink.onPong(payload)
    this.finishClose(payload)
  }

  /** RFC 6455 §5.5.1 and §7.4. */
  private finishClose (payload: Buffer): void {
    if (payload.length === 0) {
      this.end()
      return this.sink.onClose(CloseCode.NO_STATUS_RECEIVED, payload)
    }
    if (payload.length === 1) {
      return this.fail(new ProtocolError('close frame with half a status code', 'FST_WS_ERR_CLOSE_PAYLOAD'))
    }
    const code = payload.readUInt16BE(0)
    if (!isReceivableCloseCode(code)) {
      return this.fail(new ProtocolError(`close frame with invalid status code ${code}`, 'FST_WS_ERR_CLOSE_PAYLOAD'))
    }
    if (!isValidUtf8(payload, 2, payload.length)) {
      return this.fail(new InvalidPayloadError('reason of the close frame is not UTF-8'))
    }
    this.end()
    this.sink.onClose(code, payload.subarray(2))
  }

  private readData (chunk: Buffer, offset: number): number {
    if (this.messageOpcode === 0) {
      this.messageOpcode = this.opcode
      if (this.isSkipping) return this.skipData(offset)
      // The common case: the message is one frame, and all of it is here.
      if (this.fin && this.chunkEnd - offset >= this.remaining) return this.readWholeMessage(chunk, offset)
    } else if (this.isSkipping) {
      return this.skipData(offset)
    }

    const end = Math.min(offset + this.remaining, this.chunkEnd)
    this.remaining -= end - offset
    if (!this.append(chunk, offset, end)) return end

    const isText = this.messageOpcode === Opcode.TEXT && !this.isCompressed
    if (isText && end > offset) {
      this.validated = validateUtf8Prefix(this.message!, this.validated, this.messageLength)
      if (this.validated === -1) {
        this.fail(new InvalidPayloadError('text is not UTF-8'))
        return end
      }
    }

    if (this.remaining > 0) return end
    this.remaining = -1
    if (this.fin) {
      if (isText && this.validated !== this.messageLength) {
        this.fail(new InvalidPayloadError('text is not UTF-8'))
        return end
      }
      this.finishMessage()
    }
    return end
  }

  private readWholeMessage (chunk: Buffer, offset: number): number {
    const end = offset + this.remaining
    const isText = this.messageOpcode === Opcode.TEXT
    this.unmask(chunk, offset, end)
    this.remaining = -1
    this.messageOpcode = 0
    if (this.isCompressed) {
      this.sink.onCompressedMessage(this.own(chunk, offset, end), !isText)
      return end
    }
    if (isText && !isValidUtf8(chunk, offset, end)) {
      this.fail(new InvalidPayloadError('text is not UTF-8'))
      return end
    }
    this.sink.onMessage(this.own(chunk, offset, end), !isText)
    return end
  }

  private finishMessage (): void {
    const isBinary = this.messageOpcode === Opcode.BINARY
    const buffer = this.message ?? EMPTY
    const length = this.messageLength
    this.messageOpcode = 0
    this.message = null
    this.messageLength = 0
    this.validated = 0
    if (this.isCompressed) this.sink.onCompressedMessage(ownOf(buffer, 0, length), isBinary)
    else this.sink.onMessage(ownOf(buffer, 0, length), isBinary)
  }

  /** Adds a piece of payload to the message, unmasked. @returns whether there was memory for it; otherwise the connection has failed */
  private append (chunk: Buffer, start: number, end: number): boolean {
    const needed = this.messageLength + end - start
    if (needed === 0) return true
    let buffer = this.message
    if (buffer === null || buffer.length < needed) {
      // With the last fragment's header the size is known: no more than that.
      const final = this.fin ? needed + this.remaining : Infinity
      try {
        buffer = allocate(Math.min(final, this.messageLimit, Math.max(needed * GROWTH, SMALLEST_MESSAGE_BUFFER)))
      } catch {
        // One message that is too large for this machine ends its connection, not the process.
        this.fail(new MessageTooBigError('message is longer than there is memory for'))
        return false
      }
      if (this.message !== null) this.message.copy(buffer, 0, 0, this.messageLength)
      this.message = buffer
    }
    if (this.requireMask) {
      maskInto(buffer, this.messageLength, chunk, start, end, this.key0, this.key1, this.key2, this.key3)
      this.turnKey(end - start)
    } else {
      chunk.copy(buffer, this.messageLength, start, end)
    }
    this.messageLength = needed
    return true
  }

  /** Unmasks a piece of the frame's payload in place. */
  private unmask (chunk: Buffer, start: number, end: number): void {
    if (!this.requireMask) return
    applyMask(chunk, start, end, this.key0, this.key1, this.key2, this.key3)
    this.turnKey(end - start)
  }

  /** So that the key's first byte is for what follows. */
  private turnKey (length: number): void {
    const { key0, key1, key2, key3 } = this
    switch (length & 3) {
      case 1:
        this.key0 = key1; this.key1 = key2; this.key2 = key3; this.key3 = key0
        break
      case 2:
        this.key0 = key2; this.key1 = key3; this.key2 = key0; this.key3 = key1
        break
      case 3:
        this.key0 = key3; this.key1 = key0; this.key2 = key1; this.key3 = key2
    }
  }

  /** The range of the chunk as a buffer that the receiver may keep. */
  private own (chunk: Buffer, start: number, end: number): Buffer {
    if (start === end) return EMPTY
    return this.isLent ? copy(chunk, start, end) : ownOf(chunk, start, end)
  }

  private skipData (offset: number): number {
    const end = Math.min(offset + this.remaining, this.chunkEnd)
    this.remaining -= end - offset
    if (this.remaining > 0) return end
    this.remaining = -1
    if (this.fin) this.messageOpcode = 0
    return end
  }

  private refuse (error: WebSocketError): void {
    this.skipToClose()
    this.sink.onError(error)
  }

  private fail (error: WebSocketError): void {
    const wasRefused = this.isSkipping
    this.end()
    // One error is told, the first.
    if (!wasRefused) this.sink.onError(error)
  }
}

function headerLengthOf (second: number): number {
  const length = second & LENGTH
  return (length < 126 ? 2 : length === 126 ? 4 : 10) + ((second & MASK) !== 0 ? 4 : 0)
}

/** The range as a buffer that the receiver may keep: a view, unless that would pin far more than it shows. */
function ownOf (bytes: Buffer, start: number, end: number): Buffer {
  if (start === end) return EMPTY
  // A chunk may be itself a view of more: those of an HTTP/2 stream are, of all that its session has read.
  const kept = bytes.buffer.byteLength
  if (kept <= VIEW_FROM_CHUNKS_UP_TO || (end - start) * VIEW_FROM_SHARE >= kept) return bytes.subarray(start, end)
  return copy(bytes, start, end)
}

/** Makes what the scanner has found, from one entry of its table to another, what it was. */
function remask (first: number, end: number): void {
  const { chunk, table, unmaskChunk } = kernel!
  for (let i = first; i < end; i++) {
    const at = table[i * 2]!
    unmaskChunk(at, at + (table[i * 2 + 1]! >>> 2), chunk.readInt32LE(at - 4))
  }
}

// Node's own pool for small buffers is too large in new versions for what one of them may keep alive.
let slab = Buffer.alloc(0)
let slabEnd = 0

// V8 collects young buffers once there are 32 MiB of them. Where its own heap is small, that much outside of it starts a
// collection of everything each time, which costs more than the messages do. Garbage in the heap, in proportion to the
// buffers, brings the short collection before that (measured on Node 20; docs/performance.md).
const hastens = isWanted('early-scavenges')
const HASTENS_FROM = 4096
const BYTES_PER_ELEMENT = 64
const MOST_ELEMENTS = 8192
const nursery = { garbage: [] as unknown[] }

function allocate (length: number): Buffer {
  if (hastens && length >= HASTENS_FROM) nursery.garbage = new Array(Math.min(Math.floor(length / BYTES_PER_ELEMENT), MOST_ELEMENTS))
  return Buffer.allocUnsafeSlow(length)
}

function copy (bytes: Buffer, start: number, end: number): Buffer {
  const length = end - start
  let target: Buffer
  if (length > SLAB_UP_TO) {
    target = allocate(length)
  } else {
    if (slabEnd + length > slab.length) {
      slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
      slabEnd = 0
    }
    target = slab.subarray(slabEnd, slabEnd + length)
    slabEnd += length
  }
  bytes.copy(target, 0, start, end)
  return target
}
