import { Buffer } from 'node:buffer'
import { isWanted } from '../optimizations.js'

// The memory of a buffer comes from the C library. That of Linux (glibc) maps large buffers one by one at first, and returns
// free memory at the end of its heap to the kernel. Both cost page faults, up to one for each 4 KiB of each message.
// When glibc has freed a mapped buffer, it takes later ones of up to that size from its heap, and keeps free memory of twice
// the size there (mallopt(3), M_MMAP_THRESHOLD), unless the environment sets its limits.

/** Bytes of that buffer: with twice as many, the heap keeps what lies between two collections (`early-collections.ts`). */
const SIZE = 24 * 1024 * 1024

/** The method is there since Node 22. */
type Memory = ArrayBufferLike & { transfer?: (length: number) => unknown }

let isDone = !isWanted('kept-memory')

/** Makes the C library keep the memory of large messages. The buffer is never written, so it takes no memory itself. */
export function keepMemory (): void {
  if (isDone) return
  isDone = true
  const memory: Memory = Buffer.allocUnsafeSlow(SIZE).buffer
  // Frees it at once; elsewhere the next collection does.
  memory.transfer?.(0)
}
