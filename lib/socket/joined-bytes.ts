import { EMPTY } from '../common.js'

/** Bytes of the first buffer. */
const SMALLEST_BUFFER = 1024

/** Bounds the room that is not needed, and keeps the bytes that are copied again proportional to those that were added. */
const GROWTH = 1.25

/** Chunks that wait, in one buffer. As a chunk of its own a single byte takes some 400, and a part of a larger buffer keeps that alive. */
export class JoinedBytes {
  length = 0
  private buffer = EMPTY

  add (chunk: Uint8Array): void {
    const needed = this.length + chunk.length
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(Math.ceil(needed * GROWTH), SMALLEST_BUFFER))
      this.buffer.copy(larger, 0, 0, this.length)
      this.buffer = larger
    }
    this.buffer.set(chunk, this.length)
    this.length = needed
  }

  /** @returns all that was added, and keeps nothing */
  take (): Buffer {
    const bytes = this.buffer.subarray(0, this.length)
    this.buffer = EMPTY
    this.length = 0
    return bytes
  }
}
