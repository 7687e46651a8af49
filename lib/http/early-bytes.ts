/** Bytes from which on the client is held back; Node reads up to 64 KiB at once, which may come on top. */
const ENOUGH = 32 * 1024

/** Bytes of the first buffer that chunks are copied to. */
const SMALLEST_BUFFER = 1024

const NOTHING = Buffer.alloc(0)

/**
 * What is read behind a handshake that is not answered yet, in one buffer: as a chunk of its own, a single byte takes
 * half a KiB.
 */
export class EarlyBytes {
  private buffer: Buffer = NOTHING
  private length = 0

  get isFull (): boolean {
    return this.length >= ENOUGH
  }

  /** @param chunk is ours from now on */
  add (chunk: Buffer): void {
    const { buffer, length } = this
    const needed = length + chunk.length
    if (length === 0) {
      this.buffer = chunk
    } else {
      if (needed > buffer.length) {
        // What is full does not grow any more.
        const capacity = Math.max(needed, Math.min(2 * needed, ENOUGH), SMALLEST_BUFFER)
        this.buffer = Buffer.allocUnsafeSlow(capacity)
        buffer.copy(this.buffer, 0, 0, length)
      }
      chunk.copy(this.buffer, length)
    }
    this.length = needed
  }

  /** @returns all that was added, and keeps nothing */
  take (): Buffer {
    const bytes = this.buffer.subarray(0, this.length)
    this.buffer = NOTHING
    this.length = 0
    return bytes
  }
}
