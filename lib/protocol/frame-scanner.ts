import { EMPTY } from '../common.js'
import { isWanted } from '../optimizations.js'
import { MAX_HEADER_LENGTH } from './frame-encoder.js'
import { payloadLengthAt } from './frame-header.js'
import { CHUNK_SIZE, kernel, KERNEL_PAGE } from './frame-kernel.js'
import { largestCopy, SLAB_SIZE, View, type MessageMemory } from './message-memory.js'
import { forgetReceived } from './received-text.js'

// All decoders of a thread share the chunk of the WebAssembly kernel. A decoder borrows it for one call: it has received
// its bytes there, or copies them there so that all small frames are found and unmasked by one call of the kernel.

/** Bytes of a chunk below which calling into WebAssembly costs more than it saves (measured on Node 20). */
const SCAN_FROM = 256

const scanner = isWanted('scan') ? kernel : null

/** The decoder whose bytes occupy the shared chunk. */
let borrower: object | null = null

/** Whether the kernel can look for frames at all. */
export const canScan = scanner !== null

/** Records that new bytes were written into the shared chunk: a decoder that is not done with it has lost its own. */
export function chunkWasOverwritten (): void {
  borrower = null
  forgetReceived()
}

/** The chunk that all decoders share; nothing where there is no kernel. */
export const sharedChunk = kernel === null ? EMPTY : kernel.chunk

/**
 * Bytes of the shared chunk that one read fills at most, but in the middle of a long frame: as many as in Node's own chunks, and
 * a header. So a message of 64 KiB, a size that many clients choose, is read in one piece, and needs no `MessageAssembler`.
 */
export const USUAL_READ = 64 * 1024 + MAX_HEADER_LENGTH

/** Takes the shared chunk, with the bytes that are already there. */
export function borrowChunk (decoder: object): void {
  borrower = decoder
}

/** Whether nobody has overwritten the decoder's bytes since it has borrowed the chunk. */
export function hasChunk (decoder: object): boolean {
  return borrower === decoder
}

export function returnChunk (decoder: object): void {
  if (borrower === decoder) borrower = null
}

/** Whether a chunk is long enough, but not too long, to be copied, and the frame at `offset` not one to be handed out as a view. */
export function isWorthScanning (chunk: Buffer, offset: number, end: number): boolean {
  if (end - offset < SCAN_FROM || end > CHUNK_SIZE) return false
  return payloadLengthAt(chunk, offset) <= largestCopy(end)
}

/** Takes the shared chunk for a copy of these bytes, if no decoder has borrowed it. */
export function borrowForCopy (decoder: object, bytes: Buffer): boolean {
  if (borrower !== null) return false
  borrowChunk(decoder)
  sharedChunk.set(bytes)
  return true
}

/** Receives the messages that `scanMessages` finds. */
export interface ScanReceiver {
  /** @returns whether to go on */
  onScanned (data: Buffer, isText: boolean, isAscii: boolean): boolean
}

/**
 * Hands over the whole, uncompressed messages of one masked frame each that lie in the shared chunk one behind the other.
 *
 * @param longest bytes of a message; a longer one ends the scan
 * @param isChunkKept whether the rest of the chunk is needed as it was, should the receiver stop
 * @returns the offset behind the last message that was handed over
 */
export function scanMessages (
  receiver: ScanReceiver, memory: MessageMemory, offset: number, end: number, longest: number, isChunkKept: boolean
): number {
  const { chunk, table, scan } = scanner!
  const count = scan(offset, end, Math.min(longest, KERNEL_PAGE))
  for (let next = 0; next < count;) {
    // Neighbours share a copy of the bytes from the first to the last, headers included.
    const first = next
    const start = table[first * 2]!
    let groupEnd = start + (table[first * 2 + 1]! >>> 2)
    while (++next < count) {
      const nextEnd = table[next * 2]! + (table[next * 2 + 1]! >>> 2)
      if (nextEnd - start > SLAB_SIZE) break
      groupEnd = nextEnd
    }
    const shift = memory.copyShared(chunk, start, groupEnd, next - first > 1) - start
    // A receiver may lead to another scan, which copies to other memory.
    const { shared } = memory
    for (let i = first; i < next; i++) {
      const at = table[i * 2]!
      const description = table[i * 2 + 1]!
      const length = description >>> 2
      const data = new View(shared, at + shift, length)
      offset = at + length
      if (!receiver.onScanned(data, (description & 2) === 0, (description & 1) === 0)) {
        if (isChunkKept && hasChunk(receiver)) remask(i + 1, count)
        return offset
      }
    }
  }
  return offset
}

/** Masks again the payloads from one entry of the kernel's table to another. */
function remask (first: number, end: number): void {
  const { chunk, table, unmaskChunk } = kernel!
  for (let i = first; i < end; i++) {
    const at = table[i * 2]!
    unmaskChunk(at, at + (table[i * 2 + 1]! >>> 2), chunk.readInt32LE(at - 4))
  }
}
