import t from 'tap'
import fc from 'fast-check'
import { History } from '../../lib/compression/history.js'

const arbitraryWindowBits = fc.integer({ min: 8, max: 15 })

/** Lengths around the size of the window, and everything small. */
function arbitraryLengths (windowBits: number): fc.Arbitrary<number[]> {
  const size = 1 << windowBits
  return fc.array(fc.oneof(
    { arbitrary: fc.nat(40), weight: 4 },
    { arbitrary: fc.nat(size), weight: 3 },
    { arbitrary: fc.constantFrom(size - 1, size, size + 1, size >>> 2, (size >>> 2) + 1, 2 * size, 3 * size + 7), weight: 2 }
  ), { maxLength: 60 })
}

const arbitraryRun = arbitraryWindowBits.chain(windowBits => fc.record({ windowBits: fc.constant(windowBits), lengths: arbitraryLengths(windowBits) }))

let stamp = 0
/** Bytes unlike those of the calls before. */
function fresh (length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (stamp = (Math.imul(stamp, 1103515245) + 12345) & 0x7fffffff) >>> 16
  return bytes
}

t.test('whatever is appended, the dictionary is the end of all of it, as long as the window', async () => {
  fc.assert(fc.property(arbitraryRun, ({ windowBits, lengths }) => {
    const history = new History(windowBits)
    let everything = Buffer.alloc(0)
    for (const length of lengths) {
      const bytes = fresh(length)
      history.append(bytes)
      // Changed behind its back: a history that kept it by reference would show that.
      everything = Buffer.concat([everything, bytes]).subarray(-(1 << windowBits))
      bytes.fill(0)
      if (!history.dictionary.equals(everything)) return false
    }
    return true
  }), { numRuns: 500 })
})

t.test('C8: it holds at most a quarter more than the window, nothing at first, and little for little', async t => {
  fc.assert(fc.property(arbitraryRun, ({ windowBits, lengths }) => {
    const history = new History(windowBits)
    if (history.retainedBytes !== 0) return false
    let total = 0
    for (const length of lengths) {
      history.append(fresh(length))
      total += length
      if (history.retainedBytes > Math.min(2 * total, 1.25 * (1 << windowBits))) return false
      // What it says is what the dictionary's memory really is.
      if (history.dictionary.length > 0 && history.dictionary.buffer.byteLength !== history.retainedBytes) return false
    }
    return true
  }), { numRuns: 300 })
  const history = new History(15)
  history.append(Buffer.alloc(100))
  t.ok(history.retainedBytes <= 200, 'a hundred bytes do not cost a window')
})

t.test('many small messages do not move the window each time', async t => {
  const history = new History(15)
  history.append(Buffer.alloc(1 << 15))
  let moves = 0
  let before = history.dictionary.byteOffset
  for (let i = 0; i < 4000; i++) {
    history.append(Buffer.alloc(20))
    // It goes forward through the buffer, until it starts anew.
    const { byteOffset } = history.dictionary
    if (byteOffset < before) moves++
    before = byteOffset
  }
  t.ok(moves > 1 && moves <= 4000 * 20 / (1 << 13) + 1, `moved ${moves} times`)
})
