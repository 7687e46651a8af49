import t from 'tap'
import fc from 'fast-check'
import { applyMask } from '../../lib/protocol/mask.js'

/** RFC 6455 §5.3, word for word: octet i of the data is XORed with octet i modulo 4 of the key. */
function maskByTheBook (bytes: Uint8Array, start: number, end: number, key: readonly number[]): Uint8Array {
  return bytes.map((byte, index) => index >= start && index < end ? byte ^ key[(index - start) % 4]! : byte)
}

const KEY = [0x37, 0xfa, 0x21, 0x3d] as const

t.test('RFC 6455 §5.7: the masked "Hello"', async t => {
  const bytes = Buffer.from('7f9f4d5158', 'hex')
  applyMask(bytes, 0, bytes.length, ...KEY)
  t.equal(bytes.toString(), 'Hello')
})

t.test('every length up to some words, at every alignment of the memory and of the range', async t => {
  const mistakes: string[] = []
  for (const alignment of [0, 1, 2, 3, 4, 5, 6, 7]) {
    for (const start of [0, 1, 2, 3]) {
      for (let length = 0; length <= 340; length += length < 12 || (length > 150 && length < 180) ? 1 : 7) {
        const bytes = new Uint8Array(new ArrayBuffer(alignment + start + length + 9), alignment)
        for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7 + 3
        const expected = maskByTheBook(bytes, start, start + length, KEY)
        applyMask(bytes, start, start + length, ...KEY)
        if (Buffer.compare(bytes, expected) !== 0) mistakes.push(`alignment ${alignment}, start ${start}, length ${length}`)
      }
    }
  }
  t.same(mistakes, [], 'masked the range, and nothing before or behind it')
})

t.test('any bytes, range and key; masking twice gives the bytes back', async () => {
  const byte = fc.nat(255)
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 600, size: 'max' }), fc.nat(20), fc.nat(20), fc.tuple(byte, byte, byte, byte),
    (bytes, fromStart, fromEnd, key) => {
      const start = Math.min(fromStart, bytes.length)
      const end = Math.max(start, bytes.length - fromEnd)
      const masked = bytes.slice()
      applyMask(masked, start, end, ...key)
      if (Buffer.compare(masked, maskByTheBook(bytes, start, end, key)) !== 0) return false
      applyMask(masked, start, end, ...key)
      return Buffer.compare(masked, bytes) === 0
    }
  ), { numRuns: 500 })
})
