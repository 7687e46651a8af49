import { kernel, KERNEL_PAGE, type FrameKernel } from './frame-kernel.js'

// Below this a loop over bytes is faster than copying them into the kernel's memory and back (measured on Node 20).
const KERNEL_FROM = 128

// Where there is no kernel: below this the same loop is faster than making a view of words.
const WORDS_FROM = 160

// One word seen as its four bytes in memory order, so that no byte order is assumed.
const keyBytes = new Uint8Array(4)
const keyWord = new Int32Array(keyBytes.buffer)

/**
 * Masks or unmasks in place (RFC 6455 §5.3): byte `i` of the range is XORed with byte `i % 4` of the key.
 *
 * @param start index of the first byte
 * @param end index after the last byte
 * @param key a word whose lowest byte is for the first byte of the range
 */
export function applyMask (bytes: Uint8Array, start: number, end: number, key: number): void {
  if (kernel === null) maskByWords(bytes, start, end, key)
  else if (end - start < KERNEL_FROM) maskByBytes(bytes, start, end, key)
  else if (bytes === kernel.chunk) kernel.unmaskChunk(start, end, key)
  else maskThroughKernel(kernel, bytes, start, bytes, start, end, key)
}

/**
 * The same, with the result written to `target`; the bytes in the range may change as well. In the same memory `at` may be
 * at or before the start of the range, but not within it.
 */
export function maskInto (target: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number, key: number): void {
  if (kernel !== null && end - start >= KERNEL_FROM && bytes !== kernel.chunk) {
    maskThroughKernel(kernel, target, at, bytes, start, end, key)
  } else {
    applyMask(bytes, start, end, key)
    target.set(view(bytes, start, end), at)
  }
}

/** The key for the bytes that follow after `length` bytes. */
export function rotateKey (key: number, length: number): number {
  const bits = (length & 3) * 8
  return key >>> bits | key << (32 - bits)
}

/** Masks in the kernel's own memory, piece by piece. All pieces but the last are whole words, so the key is the same for each. */
function maskThroughKernel (
  { bytes: memory, unmaskBytes }: FrameKernel, target: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number, key: number
): void {
  for (let from = start; from < end; from += KERNEL_PAGE) {
    const length = Math.min(end - from, KERNEL_PAGE)
    memory.set(view(bytes, from, from + length))
    unmaskBytes(length, key)
    target.set(length === KERNEL_PAGE ? memory : view(memory, 0, length), at + from - start)
  }
}

/** Cheaper than a Buffer's own `subarray`. */
function view (bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

function maskByWords (bytes: Uint8Array, start: number, end: number, key: number): void {
  let i = start
  if (end - start >= WORDS_FROM) {
    for (; ((bytes.byteOffset + i) & 3) !== 0; i++) {
      bytes[i]! ^= key & 0xff
      key = rotateKey(key, 1)
    }
    for (let b = 0; b < 4; b++) keyBytes[b] = key >>> b * 8
    const word = keyWord[0]!
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + i, (end - i) >>> 2)
    for (let w = 0; w < words.length; w++) words[w]! ^= word
    i += words.length * 4
  }
  maskByBytes(bytes, i, end, key)
}

function maskByBytes (bytes: Uint8Array, start: number, end: number, key: number): void {
  const k0 = key & 0xff
  const k1 = key >>> 8 & 0xff
  const k2 = key >>> 16 & 0xff
  const k3 = key >>> 24
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
