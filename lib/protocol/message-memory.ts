import { Buffer } from 'node:buffer'
import { EMPTY, noop } from '../common.js'

/** A message handed out as a view keeps its whole chunk alive: that of a small chunk costs no more than a copy would. */
const VIEW_FROM_CHUNKS_UP_TO = 4096

/** In a larger chunk, a message is handed out as a view if it is at least one part in this many of the chunk. */
const VIEW_FROM_SHARE = 4

/** Bytes of the slabs that small copies share. */
export const SLAB_SIZE = 8192
const SLAB_UP_TO = 2048

type ViewConstructor = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer

/**
 * The class of which `buffer.subarray()` makes its results (`Symbol.species`). Calling it takes half the time that `subarray`
 * takes, which is a good part of what a short message costs.
 */
export const View = findViewConstructor()

function findViewConstructor (): ViewConstructor {
  const species = Reflect.get(Buffer, Symbol.species) as ViewConstructor | undefined
  const isView = typeof species === 'function' && Buffer.isBuffer(Reflect.construct(species, [EMPTY.buffer, 0, 0]))
  return isView ? species : function (...range: [ArrayBuffer, number, number]) { return Buffer.from(...range) } as unknown as ViewConstructor
}

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
  private slabMemory: ArrayBufferLike = EMPTY.buffer
  private slabEnd = 0
  /** Where the last `copyShared` has copied to. */
  shared: ArrayBufferLike = EMPTY.buffer

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

  /**
   * Copies messages, each of which will be handed out as a view, into `shared`. @returns the offset of the first
   *
   * @param areSeveral whether it is more than one: protecting memory takes a tenth of the time of a message of 16 KiB on Node 26
   */
  copyShared (bytes: Buffer, start: number, end: number, areSeveral: boolean): number {
    const length = end - start
    if (length > SLAB_UP_TO) {
      const copy = this.allocate(length)
      if (areSeveral) this.allocator.protect(copy)
      bytes.copy(copy, 0, start, end)
      this.shared = copy.buffer
      return copy.byteOffset
    }
    const offset = this.takeFromSlab(length)
    bytes.copy(this.slab, offset, start, end)
    this.shared = this.slabMemory
    return offset
  }

  copy (bytes: Buffer, start: number, end: number): Buffer {
    const length = end - start
    if (length <= SLAB_UP_TO) {
      const offset = this.copyShared(bytes, start, end, false)
      return new View(this.shared, offset, length)
    }
    const copy = this.allocate(length)
    bytes.copy(copy, 0, start, end)
    return copy
  }

  /** @returns the offset in `slab` */
  private takeFromSlab (length: number): number {
    if (this.slabEnd + length > SLAB_SIZE || this.slab === EMPTY) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
      this.slabMemory = this.slab.buffer
      this.allocator.protect(this.slab)
      this.slabEnd = 0
    }
    const start = this.slabEnd
    this.slabEnd += length
    return start
  }
}

/** Bytes of the largest message that is better copied out of a chunk of this length than handed out as a view of it. */
export function largestCopy (chunkLength: number): number {
  return Math.floor(chunkLength / VIEW_FROM_SHARE)
}

/** The memory of decoders that are given no other. */
export const plainMemory = new MessageMemory({ allocate: Buffer.allocUnsafeSlow, protect: noop })
