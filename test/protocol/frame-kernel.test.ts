import t from 'tap'
import fc from 'fast-check'
import { CHUNK_SIZE, kernel as maybeKernel, KERNEL_PAGE } from '../../lib/protocol/frame-kernel.js'
import { assemble, embedded } from '../support/assemble.js'
import { binary, continuation, frame, ping, text, type FrameOptions } from '../support/raw-client.js'

// Where these tests run there is WebAssembly: that the decoder does without it is another suite's.
const kernel = maybeKernel!

/** All of the kernel's memory: what is beside the place of a call must stay as it is. */
const memory = Buffer.from(kernel.chunk.buffer)
const TABLE = CHUNK_SIZE
/** Where `unmaskBytes` works. */
const BYTES = TABLE + KERNEL_PAGE
const TABLE_ENTRIES = KERNEL_PAGE / 8

/** Bytes of no short period, the same each time. */
const NOISE = Buffer.alloc(memory.length)
let state = 7
for (let i = 0; i < NOISE.length; i++) {
  state = Math.imul(state, 1103515245) + 12345
  NOISE[i] = state >>> 16
}

/** The memory with noise everywhere but for `bytes` in the chunk. */
function prepare (bytes: Uint8Array, at: number): Buffer {
  memory.set(NOISE)
  memory.set(bytes, at)
  return Buffer.from(memory)
}

/** RFC 6455 §5.3, byte by byte. @returns whether a result is not ASCII */
function unmaskByTheBook (bytes: Buffer, start: number, end: number, key: readonly number[]): boolean {
  let seen = 0
  for (let i = start; i < end; i++) seen |= bytes[i]! ^= key[(i - start) % 4]!
  return seen >= 0x80
}

/** What `scan` promises, said without thinking of speed. Changes `bytes`, table included. @returns how many */
function scanByTheBook (bytes: Buffer, start: number, end: number, max: number): number {
  let at = start
  let count = 0
  while (count < TABLE_ENTRIES) {
    const header = bytes.subarray(at, end)
    if (header.length < 6 || (header[0] !== 0x81 && header[0] !== 0x82) || header[1]! < 0x80 || header[1] === 0xff) break
    const isLong = header[1] === 0xfe
    if (isLong && header.length < 8) break
    const length = isLong ? header.readUInt16BE(2) : header[1]! & 0x7f
    const payload = at + (isLong ? 8 : 6)
    if ((isLong && length < 126) || length > max || payload + length > end) break
    const isNotAscii = unmaskByTheBook(bytes, payload, payload + length, [...bytes.subarray(payload - 4, payload)])
    bytes.writeInt32LE(payload, TABLE + count * 8)
    bytes.writeInt32LE(length * 4 + (header[0] === 0x82 ? 2 : 0) + (isNotAscii ? 1 : 0), TABLE + count * 8 + 4)
    at = payload + length
    count++
  }
  return count
}

/** Fails at the first byte of the memory that is not what it should be. */
function checkMemory (expected: Buffer): void {
  if (memory.equals(expected)) return
  const at = memory.findIndex((byte, index) => byte !== expected[index])
  throw new Error(`byte ${at.toString(16)} is ${memory[at]} instead of ${expected[at]}`)
}

t.test('the module in frame-kernel.ts is what frame-kernel.wat assembles to', async t => {
  t.equal(embedded(), await assemble())
})

t.test('unmask: every length, alignment and place of a byte that is not ASCII, and nothing before or behind', async t => {
  const key = [0x91, 0x02, 0xf3, 0x44]
  const word = Buffer.from(key).readInt32LE()
  const mistakes: string[] = []
  for (let length = 0; length <= 70; length++) {
    for (let start = 3; start < 20; start++) {
      // -1: all are ASCII
      const special = (length * 17 + start * 5) % (length + 1) - 1
      const payload = Buffer.alloc(length, 'a')
      if (special >= 0) payload[special] = 0x80
      const masked = Buffer.from(payload)
      unmaskByTheBook(masked, 0, length, key)
      for (const place of ['chunk', 'bytes'] as const) {
        // `unmaskBytes` begins at the start of its place.
        const at = place === 'chunk' ? start : BYTES
        const around = memory.subarray(at - 3, at + length + 20)
        around.set(NOISE.subarray(0, around.length))
        memory.set(masked, at)
        const expected = Buffer.from(around)
        expected.set(payload, 3)
        if (place === 'chunk') kernel.unmaskChunk(at, at + length, word)
        else kernel.unmaskBytes(length, word)
        if (!around.equals(expected)) mistakes.push(`${length} bytes at ${start} of ${place}`)
      }
      // In a frame of its own, since only the scanner tells.
      const bytes = text(payload, { mask: 0x9102f344 })
      memory.set(bytes, start)
      const count = kernel.scan(start, start + bytes.length, 125)
      if (count !== 1 || (kernel.table[1]! & 1) !== (special >= 0 ? 1 : 0)) mistakes.push(`${length} bytes, ${special} not ASCII`)
    }
  }
  t.same(mistakes, [])
})

t.test('unmask: the whole chunk or page, up to its last byte and no further', async () => {
  for (const [start, end] of [[0, CHUNK_SIZE], [1, CHUNK_SIZE], [15, CHUNK_SIZE - 1], [CHUNK_SIZE - 1, CHUNK_SIZE], [CHUNK_SIZE - 17, CHUNK_SIZE], [0, KERNEL_PAGE], [9, 9]] as const) {
    const expected = prepare(Buffer.alloc(0), 0)
    unmaskByTheBook(expected, start, end, [0xde, 0xc0, 0xad, 0x8b])
    kernel.unmaskChunk(start, end, Buffer.of(0xde, 0xc0, 0xad, 0x8b).readInt32LE())
    checkMemory(expected)
  }
  const expected = prepare(Buffer.alloc(0), 0)
  unmaskByTheBook(expected, BYTES, BYTES + KERNEL_PAGE, [1, 2, 3, 4])
  kernel.unmaskBytes(KERNEL_PAGE, 0x04030201)
  checkMemory(expected)
})

const arbitraryOptions: fc.Arbitrary<FrameOptions> = fc.record({ mask: fc.nat(0xffffffff) })

const arbitraryPayload = fc.tuple(
  fc.oneof({ arbitrary: fc.nat(40), weight: 6 }, { arbitrary: fc.constantFrom(124, 125, 126, 127, 128, 300, 1000), weight: 3 }, { arbitrary: fc.constantFrom(20_000, 65_535), weight: 1 }),
  fc.nat(1000),
  fc.boolean()
).map(([length, from, isAscii]) => {
  const payload = Buffer.from(NOISE.subarray(from, from + length))
  if (isAscii) for (let i = 0; i < length; i++) payload[i]! &= 0x7f
  return payload
})

const arbitraryMessage = fc.tuple(fc.constantFrom(0x1, 0x2), arbitraryPayload, arbitraryOptions)
  .map(([opcode, payload, options]) => frame(opcode, payload, options))

/** What `scan` must leave to the decoder, some of which looks like what it may take. */
const arbitraryOther = fc.tuple(fc.constantFrom<(payload: Buffer, options: FrameOptions) => Buffer>(
  (payload, options) => text(payload, { ...options, fin: false }),
  (payload, options) => continuation(payload, options),
  (payload, options) => ping(payload.subarray(0, 125), options),
  (payload, options) => frame(0x8, payload.subarray(0, 125), options),
  (payload, options) => binary(payload, { ...options, rsv: 0x40 }),
  (payload, options) => text(payload, { ...options, rsv: 0x10 }),
  payload => binary(payload, { mask: null }),
  (payload, options) => frame(0x3, payload, options),
  (payload, options) => text(payload.subarray(0, 125), { ...options, lengthBytes: 2 }),
  (payload, options) => text(payload.subarray(0, 300), { ...options, lengthBytes: 8 }),
  (payload, options) => binary(payload, { ...options, announce: 2n ** 32n + 5n }),
  payload => payload
), arbitraryPayload, arbitraryOptions).map(([create, payload, options]) => create(payload, options))

t.test('scan: finds and unmasks what a naive reading finds, and touches nothing else', async () => {
  fc.assert(fc.property(
    fc.array(fc.oneof({ arbitrary: arbitraryMessage, weight: 9 }, { arbitrary: arbitraryOther, weight: 1 }), { maxLength: 30 }),
    fc.nat(20), fc.oneof(fc.constant(0), fc.nat(30)), fc.constantFrom(0, 1, 125, 126, 127, 1000, 65_535, 65_536),
    (frames, start, missing, max) => {
      const bytes = Buffer.concat(frames).subarray(0, CHUNK_SIZE - start)
      const end = Math.max(start, start + bytes.length - missing)
      const expected = prepare(bytes, start)
      const count = scanByTheBook(expected, start, end, max)
      const found = kernel.scan(start, end, max)
      if (found !== count) throw new Error(`${found} instead of ${count}`)
      checkMemory(expected)
    }
  ), { numRuns: 300 })
})

t.test('scan: anything at all in the two bytes that decide', async t => {
  const wrong: string[] = []
  const bytes = Buffer.alloc(160)
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      bytes.fill(0x55)
      bytes[0] = first
      bytes[1] = second
      // For those with two bytes of length: 130 of payload.
      if ((second & 0x7f) === 126) bytes.writeUInt16BE(130, 2)
      memory.set(bytes, 1)
      const isTaken = (first === 0x81 || first === 0x82) && second >= 0x80 && second !== 0xff
      const count = kernel.scan(1, 161, 65_535)
      // What follows in the bytes is no frame.
      if (count !== (isTaken ? 1 : 0)) wrong.push(`${first} ${second}: ${count}`)
      if (!isTaken && memory.compare(bytes, 0, 160, 1, 161) !== 0) wrong.push(`${first} ${second}: changed`)
    }
  }
  t.same(wrong, [])
})

t.test('scan: a frame that is cut off anywhere is left alone, though its other bytes lie behind the end', async t => {
  const wrong: string[] = []
  for (const payload of [Buffer.alloc(0), Buffer.alloc(1, 'x'), Buffer.alloc(20, 'x'), Buffer.alloc(200, 'x')]) {
    const bytes = text(payload)
    for (let cut = 0; cut <= bytes.length; cut++) {
      // In the middle, and where the chunk ends: there the table is behind it, and becomes what the frame lacks.
      for (const start of [100, CHUNK_SIZE - 13 - cut]) {
        memory.set(NOISE)
        memory.set(binary('before', { mask: 0x01020304 }), start)
        memory.set(bytes, start + 12)
        const count = kernel.scan(start, start + 12 + cut, 65_535)
        if (count !== (cut === bytes.length ? 2 : 1)) wrong.push(`${payload.length} bytes cut at ${cut}, from ${start}`)
        const isUntouched = memory.subarray(start + 12, Math.min(CHUNK_SIZE, start + 12 + bytes.length)).equals(bytes.subarray(0, Math.min(bytes.length, CHUNK_SIZE - start - 12)))
        if (cut < bytes.length && !isUntouched) wrong.push(`${payload.length} bytes cut at ${cut}, from ${start}: changed`)
      }
    }
  }
  t.same(wrong, [])
})

t.test('scan: more frames than the table has room for', async t => {
  const all = Buffer.concat(Array.from({ length: Math.floor(KERNEL_PAGE / 6) }, (_, index) => frame(index % 3 === 0 ? 0x2 : 0x1, '', { mask: index })))
  const expected = prepare(all, 0)
  t.equal(kernel.scan(0, all.length, 0), TABLE_ENTRIES)
  t.equal(scanByTheBook(expected, 0, all.length, 0), TABLE_ENTRIES)
  checkMemory(expected)
  // The rest with the next call, which begins the table anew.
  const next = TABLE_ENTRIES * 6
  t.equal(kernel.scan(next, all.length, 0), all.length / 6 - TABLE_ENTRIES)
  t.equal(scanByTheBook(expected, next, all.length, 0), all.length / 6 - TABLE_ENTRIES)
  checkMemory(expected)
})

t.test('scan: the largest frames there can be, up to the last byte of the chunk', async t => {
  const LARGEST = 65_535
  const payload = NOISE.subarray(0, LARGEST)
  const one = binary(payload, { mask: 0xfedcba98 })
  const bytes = Buffer.concat([text(NOISE.subarray(0, CHUNK_SIZE - 3 * one.length - 8)), one, one, one])
  t.equal(bytes.length, CHUNK_SIZE)
  const expected = prepare(bytes, 0)
  t.equal(kernel.scan(one.length, CHUNK_SIZE, LARGEST), 0, 'not in the middle of a frame')
  t.equal(kernel.scan(CHUNK_SIZE - one.length, CHUNK_SIZE, LARGEST - 1), 0, 'not over the limit')
  t.equal(kernel.scan(0, CHUNK_SIZE, KERNEL_PAGE), 4)
  scanByTheBook(expected, 0, CHUNK_SIZE, KERNEL_PAGE)
  checkMemory(expected)
  t.ok(kernel.chunk.subarray(CHUNK_SIZE - LARGEST).equals(payload))
})
