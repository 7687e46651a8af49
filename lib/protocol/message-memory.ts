import { EMPTY, noop } from '../common.js'

/** A message handed out as a view keeps its whole chunk alive: that of a small chunk costs no more than a copy would. */
const VIEW_FROM_CHUNKS_UP_TO = 4096

/** In a larger chunk, a message is handed out as a view if it is at least one part in this many of the chunk. */
const VIEW_FROM_SHARE = 4

/** Bytes of the slabs that small copies share. */
export const SLAB_SIZE = 8192
const SLAB_UP_TO = 2048

/** How the layer above provides memory. */
export interface Allocator {
  /** Makes a buffer with memory of its own, whatever is in it. @throws {RangeError} if there is not that much memory */
  readonly allocate: (length: number) => Buffer
  /** Called with memory that several messages share, so that no receiver of one can take it away from the others. */
  readonly protect: (memory: Buffer) => void
}

/**
 * The memory of messages that are handed out: as a view of what was received, or as a copy. All decoders share one. The
 * layer above decides how memory is allocated.
 */
export class MessageMemory {
  private readonly allocator: Allocator
  // Node's own pool for small buffers has grown in new versions, and one message keeps its whole slab alive.
  private slab = EMPTY
  private slabEnd = 0

  constructor (allocator: Allocator) {
    this.allocator = allocator
  }

  /** Memory for one message. @throws {RangeError} if there is not that much */
  allocate (length: number): Buffer {
    return this.allocator.allocate(length)
  }

  /** A message in a chunk, as a buffer that the receiver may keep. */
  own (chunk: Buffer, start: number, end: number): Buffer {
    const message = this.trim(chunk, start, end)
    // A chunk may itself be a view: those of an HTTP/2 stream are views of all that its session has read.
    const isShared = end < chunk.length || chunk.length < chunk.buffer.byteLength
    if (isShared && message.buffer === chunk.buffer) this.allocator.protect(chunk)
    return message
  }

  /** The range as a view, unless that would keep far more alive than it shows. */
  trim (bytes: Buffer, start: number, end: number): Buffer {
    if (start === end) return Buffer.alloc(0)
    const kept = bytes.buffer.byteLength
    const isView = kept <= VIEW_FROM_CHUNKS_UP_TO || (end - start) * VIEW_FROM_SHARE >= kept
    return isView ? bytes.subarray(start, end) : this.copy(bytes, start, end)
  }

  /** A copy of several messages, each of which will be handed out as a view of it. */
  copyShared (bytes: Buffer, start: number, end: number): Buffer {
    const copy = this.copy(bytes, start, end)
    if (copy.length > SLAB_UP_TO) this.allocator.protect(copy)
    return copy
  }

  copy (bytes: Buffer, start: number, end: number): Buffer {
    const length = end - start
    const target = length > SLAB_UP_TO ? this.allocate(length) : this.takeFromSlab(length)
    bytes.copy(target, 0, start, end)
    return target
  }

  private takeFromSlab (length: number): Buffer {
    if (this.slabEnd + length > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
      this.allocator.protect(this.slab)
      this.slabEnd = 0
    }
    const start = this.slabEnd
    this.slabEnd += length
    return this.slab.subarray(start, this.slabEnd)
  }
}

/** Bytes of the largest message that is better copied out of a chunk of this length than handed out as a view of it. */
export function largestCopy (chunkLength: number): number {
  return Math.floor(chunkLength / VIEW_FROM_SHARE)
}

/** The memory of decoders that are given no other. */
export const plainMemory = new MessageMemory({ allocate: Buffer.allocUnsafeSlow, protect: noop })
