import { kernel, KERNEL_PAGE } from './frame-kernel.js'

// Below this a loop over bytes is faster than copying them into the kernel's memory and back (measured on Node 20).
const KERNEL_FROM = 128

// Where there is no kernel: below this the same loop is faster than making a view of words.
const WORDS_FROM = 160

// One word seen as its four bytes in memory order, so that no byte order is assumed.
const keyBytes = new Uint8Array(4)
const keyWord = new Int32Array(keyBytes.buffer)

/**
 * Masks or unmasks in place (RFC 6455 §5.3): byte `i` of the range is XORed with `key[i % 4]`.
 *
 * @param start index of the first byte
 * @param end index after the last byte
 * @param k0 the byte of the key for the first byte of the range; the others follow
 */
export function applyMask (bytes: Uint8Array, start: number, end: number, k0: number, k1: number, k2: number, k3: number): void {
  if (kernel === null) applyMaskByWords(bytes, start, end, k0, k1, k2, k3)
  else if (end - start < KERNEL_FROM) applyMaskByBytes(bytes, start, end, k0, k1, k2, k3)
  else if (bytes === kernel.chunk) kernel.unmaskChunk(start, end, toWord(k0, k1, k2, k3))
  else maskInto(bytes, start, bytes, start, end, k0, k1, k2, k3)
}

/**
 * The same, with the result written elsewhere; the bytes in the range may change as well. In the same memory it may be
 * written onto the range or before it, but not to a place that begins within the range.
 */
export function maskInto (
  target: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number, k0: number, k1: number, k2: number, k3: number
): void {
  if (kernel === null || end - start < KERNEL_FROM || bytes === kernel.chunk) {
    applyMask(bytes, start, end, k0, k1, k2, k3)
    target.set(view(bytes, start, end), at)
    return
  }
  const key = toWord(k0, k1, k2, k3)
  const { bytes: memory } = kernel
  // Pieces but the last are whole words, so that the key is the same for each.
  for (let from = start; from < end; from += KERNEL_PAGE) {
    const length = Math.min(end - from, KERNEL_PAGE)
    memory.set(view(bytes, from, from + length))
    kernel.unmaskBytes(length, key)
    target.set(length === KERNEL_PAGE ? memory : view(memory, 0, length), at + from - start)
  }
}

/** The key as it is in the kernel's memory, whose order of bytes is little-endian. */
function toWord (k0: number, k1: number, k2: number, k3: number): number {
  return k0 | k1 << 8 | k2 << 16 | k3 << 24
}

/** Cheaper than a Buffer's own `subarray`. */
function view (bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

function applyMaskByWords (bytes: Uint8Array, start: number, end: number, k0: number, k1: number, k2: number, k3: number): void {
  let i = start
  if (end - start >= WORDS_FROM) {
    while (((bytes.byteOffset + i) & 3) !== 0) {
      bytes[i]! ^= k0
      i++
      const first = k0
      k0 = k1
      k1 = k2
      k2 = k3
      k3 = first
    }
    keyBytes[0] = k0
    keyBytes[1] = k1
    keyBytes[2] = k2
    keyBytes[3] = k3
    const key = keyWord[0]!
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + i, (end - i) >>> 2)
    for (let w = 0; w < words.length; w++) words[w]! ^= key
    i += words.length * 4
  }
  applyMaskByBytes(bytes, i, end, k0, k1, k2, k3)
}

function applyMaskByBytes (bytes: Uint8Array, start: number, end: number, k0: number, k1: number, k2: number, k3: number): void {
  let i = start
  for (; i + 3 < end; i += 4) {
    bytes[i]! ^= k0
    bytes[i + 1]! ^= k1
    bytes[i + 2]! ^= k2
    bytes[i + 3]! ^= k3
  }
  if (i < end) bytes[i]! ^= k0
  if (i + 1 < end) bytes[i + 1]! ^= k1
  if (i + 2 < end) bytes[i + 2]! ^= k2
}
