import t from 'tap'
import fc from 'fast-check'
import { isValidUtf8, validateUtf8Prefix } from '../../lib/protocol/utf8.js'
import { arbitraryCharacter } from '../support/arbitraries.js'

const reference = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function isValid (bytes: Uint8Array): boolean {
  try {
    reference.decode(bytes)
    return true
  } catch {
    return false
  }
}

// For every lead byte of RFC 3629 one of these is a valid second byte, and 0x80 is always a valid third and fourth.
const COMPLETIONS = [0x80, 0x90, 0xa0].flatMap(second => [[second], [second, 0x80], [second, 0x80, 0x80]])

/** Whether some continuation makes the bytes valid: asked of TextDecoder by trying all that could. */
function isViable (bytes: Uint8Array): boolean {
  return isValid(bytes) || (isViableStart(bytes.subarray(0, -1)) && COMPLETIONS.some(completion => isValid(Uint8Array.of(...bytes, ...completion))))
}

const viableStarts = new Map<string, boolean>()

/** The same of bytes with which many others begin: what no continuation makes valid, no longer one does. */
function isViableStart (bytes: Uint8Array): boolean {
  const key = bytes.join()
  let known = viableStarts.get(key)
  if (known === undefined) viableStarts.set(key, known = isViable(bytes))
  return known
}

/** Where the complete characters end: what can be taken away before the rest is no longer whole. */
function completeLength (bytes: Uint8Array): number {
  for (let length = bytes.length; length >= 0; length--) {
    if (isValid(bytes.subarray(0, length))) return length
  }
  return 0
}

function expectedPrefix (bytes: Uint8Array): number {
  return isViable(bytes) ? completeLength(bytes) : -1
}

// Either side of every boundary in RFC 3629 §4, and bytes that never occur.
const BOUNDARIES = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff]
const LEADS = [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfc, 0xfe, 0xff]
const BYTES = Array.from({ length: 256 }, (_, byte) => byte)

function * sequences (): Generator<number[]> {
  yield []
  for (const lead of BYTES) yield [lead]
  for (const lead of BYTES) for (const second of lead < 0xc0 ? BOUNDARIES : BYTES) yield [lead, second]
  for (const lead of LEADS) {
    for (const second of BOUNDARIES) {
      for (const third of BOUNDARIES) {
        yield [lead, second, third]
        if (lead >= 0xf0) for (const fourth of [0x7f, 0x80, 0xbf, 0xc0]) yield [lead, second, third, fourth]
      }
    }
  }
}

t.test('all lead bytes with all second bytes, and all boundaries behind them, as TextDecoder judges them', async t => {
  const mistakes: string[] = []
  let count = 0
  for (const sequence of sequences()) {
    count++
    const bytes = Uint8Array.from(sequence)
    const valid = isValid(bytes)
    if (isValidUtf8(bytes, 0, bytes.length) !== valid) mistakes.push(`isValidUtf8 ${Buffer.from(bytes).toString('hex')}`)
    const expected = valid ? bytes.length : expectedPrefix(bytes)
    const prefix = validateUtf8Prefix(bytes, 0, bytes.length)
    if (prefix !== expected) mistakes.push(`validateUtf8Prefix ${Buffer.from(bytes).toString('hex')}: ${prefix}, not ${expected}`)
  }
  t.ok(count > 20_000, 'no part of the table was lost')
  t.same(mistakes, [])
})

t.test('behind text of any length, and only within the range', async t => {
  const endings: [name: string, hex: string, isValid: boolean, prefix: number][] = [
    ['nothing', '', true, 0],
    ['an ASCII character', '7f', true, 1],
    ['U+0080', 'c280', true, 2],
    ['U+FFFF', 'efbfbf', true, 3],
    ['U+10FFFF', 'f48fbfbf', true, 4],
    ['one byte of two', 'c3', false, 0],
    ['two bytes of three', 'e282', false, 0],
    ['three bytes of four', 'f09f98', false, 0],
    ['a whole character and half of one', 'c3a9c3', false, 2],
    ['a continuation byte alone', '80', false, -1],
    ['an overlong NUL', 'c080', false, -1],
    ['the start of an overlong slash', 'e080', false, -1],
    ['the start of a surrogate', 'eda0', false, -1],
    ['the start of U+110000', 'f490', false, -1],
    ['a lead byte that does not exist', 'f5', false, -1],
    ['a character cut short by another', 'e282c3a9', false, -1]
  ]
  // Around the length from which native code does it, and behind characters of every length.
  for (const before of ['', 'a', 'a'.repeat(59), 'a'.repeat(60), 'a'.repeat(63), 'a'.repeat(64), 'a'.repeat(65), 'é€😀', 'é€😀'.repeat(9), 'a'.repeat(5000)]) {
    const start = 3
    const offset = Buffer.byteLength(before)
    for (const [name, hex, valid, prefix] of endings) {
      // What is outside of the range would change every verdict.
      const bytes = Buffer.concat([Buffer.from('ffc3e2', 'hex'), Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from('80a9ff', 'hex')])
      const end = bytes.length - 3
      if (isValidUtf8(bytes, start, end) !== valid || validateUtf8Prefix(bytes, start, end) !== (prefix === -1 ? -1 : start + offset + prefix)) {
        t.fail(`${name} behind ${offset} bytes: ${isValidUtf8(bytes, start, end)}, ${validateUtf8Prefix(bytes, start, end) - start}`)
      }
    }
  }
})

t.test('C6: byte by byte, the first bad byte is found when it comes, and not before', async t => {
  const arbitraryPiece = fc.oneof(
    { arbitrary: fc.string({ unit: arbitraryCharacter, maxLength: 12 }).map(text => Buffer.from(text)), weight: 4 },
    { arbitrary: fc.array(fc.constantFrom(...LEADS, ...BOUNDARIES), { maxLength: 3 }).map(bytes => Buffer.from(bytes)), weight: 1 }
  )
  let failures = 0
  fc.assert(fc.property(fc.array(arbitraryPiece, { maxLength: 6 }), pieces => {
    const bytes = Buffer.concat(pieces)
    let validated = 0
    for (let end = 1; end <= bytes.length; end++) {
      validated = validateUtf8Prefix(bytes, validated, end)
      if (validated !== expectedPrefix(bytes.subarray(0, end))) return false
      if (validated === -1) {
        failures++
        return true
      }
    }
    return true
  }), { numRuns: 400 })
  t.ok(failures > 50, 'bad bytes were among them')
})
