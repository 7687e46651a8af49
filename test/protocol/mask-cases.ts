import type { Test } from 'tap'
import fc from 'fast-check'

export type MaskFunctions = typeof import('../../lib/protocol/mask.js')

/** RFC 6455 §5.3, word for word: octet i of the data is XORed with octet i modulo 4 of the key. */
function maskByTheBook (bytes: Uint8Array, start: number, end: number, key: readonly number[]): Uint8Array {
  return bytes.map((byte, index) => index >= start && index < end ? byte ^ key[(index - start) % 4]! : byte)
}

/** The first byte is the lowest. */
function toWord ([k0, k1, k2, k3]: readonly [number, number, number, number]): number {
  return k0 | k1 << 8 | k2 << 16 | k3 << 24
}

const KEY = [0x37, 0xfa, 0x21, 0x3d] as const

/** All bytes of a length at an alignment of the memory, with others around them. */
function bytesAt (alignment: number, length: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(alignment + length + 9), alignment)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + 3) ^ (i >>> 8)
  return bytes
}

/** Where the ways to do it change: whole words, the shortest for each, and pieces of 64 KiB. */
const LENGTHS = [0, 1, 3, 4, 5, 15, 16, 17, 127, 128, 129, 159, 160, 161, 1000, 65_535, 65_536, 65_537, 65_539, 131_072, 131_075, 200_001]

export function maskCases (t: Test, { applyMask, maskInto }: MaskFunctions): void {
  t.test('RFC 6455 §5.7: the masked "Hello"', async t => {
    const bytes = Buffer.from('7f9f4d5158', 'hex')
    applyMask(bytes, 0, bytes.length, toWord(KEY))
    t.equal(bytes.toString(), 'Hello')
  })

  t.test('every length up to some words, at every alignment of the memory and of the range', async t => {
    const mistakes: string[] = []
    for (const alignment of [0, 1, 2, 3, 4, 5, 6, 7]) {
      for (const start of [0, 1, 2, 3]) {
        for (let length = 0; length <= 340; length += length < 12 || (length > 120 && length < 180) ? 1 : 7) {
          const bytes = bytesAt(alignment, start + length)
          const expected = maskByTheBook(bytes, start, start + length, KEY)
          applyMask(bytes, start, start + length, toWord(KEY))
          if (Buffer.compare(bytes, expected) !== 0) mistakes.push(`alignment ${alignment}, start ${start}, length ${length}`)
        }
      }
    }
    t.same(mistakes, [], 'masked the range, and nothing before or behind it')
  })

  t.test('in place: lengths over 64 KiB, from any start', async t => {
    const mistakes: string[] = []
    for (const length of LENGTHS) {
      for (const [alignment, start] of [[0, 0], [1, 0], [0, 3], [3, 2]] as const) {
        const bytes = bytesAt(alignment, start + length)
        const expected = maskByTheBook(bytes, start, start + length, KEY)
        applyMask(bytes, start, start + length, toWord(KEY))
        if (Buffer.compare(bytes, expected) !== 0) mistakes.push(`alignment ${alignment}, start ${start}, length ${length}`)
      }
    }
    t.same(mistakes, [])
  })

  t.test('elsewhere: the target gets the range and nothing else, and what is around the source stays', async t => {
    const mistakes: string[] = []
    for (const length of LENGTHS) {
      for (const [start, at] of [[0, 0], [1, 0], [0, 5], [3, 2]] as const) {
        const bytes = bytesAt(1, start + length)
        const masked = maskByTheBook(bytes, start, start + length, KEY)
        const target = bytesAt(3, at + length).map(byte => byte ^ 0xff)
        const expected = target.slice()
        expected.set(masked.subarray(start, start + length), at)
        const around = [bytes.slice(0, start), bytes.slice(start + length)]
        maskInto(target, at, bytes, start, start + length, toWord(KEY))
        if (Buffer.compare(target, expected) !== 0) mistakes.push(`from ${start} to ${at}, length ${length}`)
        if (Buffer.compare(bytes.subarray(0, start), around[0]!) !== 0 || Buffer.compare(bytes.subarray(start + length), around[1]!) !== 0) {
          mistakes.push(`from ${start}, length ${length}: changed what is beside the source`)
        }
      }
    }
    t.same(mistakes, [])
  })

  t.test('within one memory: onto itself, and towards its start', async t => {
    const mistakes: string[] = []
    for (const length of LENGTHS) {
      for (const back of [0, 1, 3, 4, 100, 70_000]) {
        const start = back + 2
        const bytes = bytesAt(0, start + length)
        const masked = maskByTheBook(bytes, start, start + length, KEY).slice(start, start + length)
        const behind = bytes.slice(start + length)
        maskInto(bytes, start - back, bytes, start, start + length, toWord(KEY))
        if (Buffer.compare(bytes.subarray(start - back, start - back + length), masked) !== 0) mistakes.push(`${back} back, length ${length}`)
        if (Buffer.compare(bytes.subarray(start + length), behind) !== 0) mistakes.push(`${back} back, length ${length}: changed what is behind`)
      }
    }
    t.same(mistakes, [])
  })

  t.test('any bytes, range and key; masking twice gives the bytes back', async () => {
    const byte = fc.nat(255)
    fc.assert(fc.property(
      fc.uint8Array({ maxLength: 600, size: 'max' }), fc.nat(20), fc.nat(20), fc.tuple(byte, byte, byte, byte),
      (bytes, fromStart, fromEnd, key) => {
        const start = Math.min(fromStart, bytes.length)
        const end = Math.max(start, bytes.length - fromEnd)
        const masked = bytes.slice()
        applyMask(masked, start, end, toWord(key))
        if (Buffer.compare(masked, maskByTheBook(bytes, start, end, key)) !== 0) return false
        const back = new Uint8Array(end - start)
        maskInto(back, 0, masked, start, end, toWord(key))
        return Buffer.compare(back, bytes.subarray(start, end)) === 0
      }
    ), { numRuns: 300 })
  })
}
