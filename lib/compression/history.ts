import { EMPTY } from '../common.js'

/**
 * The last bytes of the messages in one direction: all that context takeover needs (RFC 7692 §7.2.1). Given to zlib as
 * its dictionary, this LZ77 window replaces a context, and takes only the memory of its content.
 */
export class History {
  private readonly size: number
  private buffer: Buffer = EMPTY
  private end = 0

  /** @param windowBits base-2 logarithm of the window's size in bytes */
  constructor (windowBits: number) {
    this.size = 1 << windowBits
  }

  /** The window, up to `2 ** windowBits` bytes; valid until the next `append`. */
  get dictionary (): Buffer {
    return this.buffer.subarray(Math.max(0, this.end - this.size), this.end)
  }

  /** Bytes held: capacity, not only content. */
  get retainedBytes (): number {
    return this.buffer.length
  }

  append (bytes: Uint8Array): void {
    const added = bytes.length > this.size ? bytes.subarray(bytes.length - this.size) : bytes
    if (this.end + added.length > this.buffer.length) {
      // The part of the window that stays moves to the front: seldom, with room for a quarter more.
      const dictionary = this.dictionary
      const kept = dictionary.subarray(Math.max(0, dictionary.length + added.length - this.size))
      const needed = kept.length + added.length
      const capacity = Math.min(this.size + (this.size >>> 2), 2 * needed)
      const buffer = capacity > this.buffer.length ? Buffer.allocUnsafeSlow(capacity) : this.buffer
      kept.copy(buffer, 0)
      this.buffer = buffer
      this.end = kept.length
    }
    this.buffer.set(added, this.end)
    this.end += added.length
  }
}
