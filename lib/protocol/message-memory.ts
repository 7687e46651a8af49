import { EMPTY } from '../common.js'

/** A message handed out as a view keeps its whole chunk alive: that of a small chunk costs no more than a copy would. */
const VIEW_FROM_CHUNKS_UP_TO = 4096

/** In a larger chunk, a message is handed out as a view if it is at least one part in this many of the chunk. */
const VIEW_FROM_SHARE = 4

/** Bytes of the slabs that small copies share. */
export const SLAB_SIZE = 8192
const SLAB_UP_TO = 2048

/** Makes a buffer with memory of its own, whatever is in it. @throws {RangeError} if there is not that much memory */
export type Allocate = (length: number) => Buffer

/**
 * The memory of messages that are handed out: as a view of what was received, or as a copy. Decoders share one. How
 * memory is allocated is for the layer above to say.
 */
export class MessageMemory {
  readonly allocate: Allocate
  // Node's own pool for small buffers has grown in new versions, and one message keeps its whole slab alive.
  private slab = EMPTY
  private slabEnd = 0

  constructor (allocate: Allocate = Buffer.allocUnsafeSlow) {
    this.allocate = allocate
  }

  /** The range as a buffer that the receiver may keep: a view, unless that would keep far more alive than it shows. */
  own (bytes: Buffer, start: number, end: number): Buffer {
    if (start === end) return EMPTY
    // A chunk may itself be a view: those of an HTTP/2 stream are views of all that its session has read.
    const kept = bytes.buffer.byteLength
    if (kept <= VIEW_FROM_CHUNKS_UP_TO || (end - start) * VIEW_FROM_SHARE >= kept) return bytes.subarray(start, end)
    return this.copy(bytes, start, end)
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
export const plainMemory = new MessageMemory()
