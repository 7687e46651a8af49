import t, { type Test } from 'tap'
import fc from 'fast-check'
import { FrameDecoder } from '../../lib/protocol/frame-decoder.js'
import { CHUNK_SIZE, kernel as maybeKernel, KERNEL_PAGE } from '../../lib/protocol/frame-kernel.js'
import { chunkWasOverwritten } from '../../lib/protocol/frame-scanner.js'
import { MessageMemory } from '../../lib/protocol/message-memory.js'
import { receivedBytes } from '../../lib/protocol/received-text.js'
import { retainedBytes } from '../support/retained-bytes.js'
import { binary, close, continuation, frame, ping, pong, text } from '../support/raw-client.js'
import { arbitrarySlicing, ownCopy, Recorder, slice, toComparable } from './conversation.js'
import { importPlainDecoder } from './plain-decoder.js'

// Where these tests run there is WebAssembly: that the decoder does without it is another suite's.
const kernel = maybeKernel!
const plain = await importPlainDecoder()

/** How often the scanner was asked, and how many frames it found. */
const scans = { calls: 0, frames: 0 }
const { scan } = kernel
Object.assign(kernel, {
  scan (...args: Parameters<typeof scan>): number {
    const count = scan(...args)
    scans.calls++
    scans.frames += count
    return count
  }
})

// --- what is sent

/** Bytes that are not a pattern of period 4, which a wrong masking key could leave alone. */
function bytesOf (length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length)
  let state = seed | 1
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1103515245) + 12345
    bytes[i] = state >>> 16
  }
  return bytes
}

function proseOf (length: number, seed: number): Buffer {
  const unit = ['a', 'plain ', 'é', '€', 'aé€😀'][seed % 5]!
  return Buffer.from(unit.repeat(Math.ceil(length / Buffer.byteLength(unit))))
}

const arbitrarySmall = fc.oneof(
  { arbitrary: fc.nat(30), weight: 6 },
  { arbitrary: fc.constantFrom(0, 1, 63, 64, 65, 125, 126, 127, 200, 512), weight: 3 }
)
const arbitraryLarge = fc.constantFrom(2047, 2049, 4097, 8191, 8193, 16_385, 65_535, 65_536, 70_000)

/** Whole messages one after another, as many and as small as the scanner is for. */
const arbitraryRun = fc.tuple(fc.integer({ min: 1, max: 60 }), arbitrarySmall, fc.nat(1000)).map(([count, length, seed]) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => {
    const size = (length + index * (seed % 7)) % 700
    const options = { mask: (seed * 0x9e3779b1 + index * 0x01020305) >>> 0 }
    return (seed + index) % 3 === 0 ? binary(bytesOf(size, seed + index), options) : text(proseOf(size, seed + index), options)
  })))

const arbitraryOther = fc.tuple(fc.nat(11), fc.oneof({ arbitrary: arbitrarySmall, weight: 5 }, { arbitrary: arbitraryLarge, weight: 2 }), fc.nat(1000)).map(([kind, length, seed]) => {
  const mask = { mask: (seed * 0x9e3779b1) >>> 0 }
  const bytes = bytesOf(length, seed)
  const prose = proseOf(length, seed)
  const cut = seed % (prose.length + 1)
  switch (kind) {
    case 0: case 1: return binary(bytes, mask)
    case 2: case 3: return text(prose, mask)
    case 4: return ping(bytes.subarray(0, 125), mask)
    case 5: return pong(bytes.subarray(0, 125), mask)
    case 6: return Buffer.concat([text(prose.subarray(0, cut), { ...mask, fin: false }), ping('between', mask), continuation(prose.subarray(cut))])
    case 7: return Buffer.concat([binary('', { ...mask, fin: false }), continuation(bytes, { ...mask, fin: false }), continuation('', mask)])
    case 8: case 9: return binary(bytes, { ...mask, rsv: 0x40 })
    case 10: return Buffer.concat([text(bytes.subarray(0, 40), { ...mask, rsv: 0x40, fin: false }), continuation(bytes.subarray(40), mask)])
    default: return text(prose, { ...mask, rsv: 0x40 })
  }
})

/** What nothing follows, if anything is wrong with it at all; small frames follow all the same. */
const arbitraryEnd = fc.constantFrom(
  close(), close(1000, 'bye'), close(4000), close(1005), frame(0x8, 'x'),
  text(Buffer.of(0x61, 0xff)), text(Buffer.from('eda080', 'hex')), text(Buffer.from('aé').subarray(0, 2)),
  text('not masked', { mask: null }), binary('', { rsv: 0x20 }), frame(0x3), frame(0xb), ping('', { fin: false }),
  continuation('of nothing'), binary('shorter', { lengthBytes: 2 }), binary('shorter', { lengthBytes: 8 }),
  text('', { announce: 2n ** 63n }), text('', { announce: 1n << 40n }),
  Buffer.concat([text('open', { fin: false }), text('another')])
)

interface Traffic {
  bytes: Buffer
  maxPayload: number
}

const arbitraryTraffic: fc.Arbitrary<Traffic> = fc.record({
  parts: fc.array(fc.oneof({ arbitrary: arbitraryRun, weight: 3 }, { arbitrary: arbitraryOther, weight: 2 }), { maxLength: 10 }),
  end: fc.option(arbitraryEnd),
  behind: fc.oneof(fc.constant(Buffer.alloc(0)), arbitraryRun),
  missing: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(20), weight: 1 }),
  maxPayload: fc.oneof({ arbitrary: fc.constant(1 << 20), weight: 4 }, { arbitrary: fc.constantFrom(0, 30, 125, 126, 400, 65_535, Infinity), weight: 1 })
}).map(({ parts, end, behind, missing, maxPayload }) => {
  const bytes = Buffer.concat([...parts, ...(end === null ? [] : [end]), behind])
  return { bytes: bytes.subarray(0, Math.max(0, bytes.length - missing)), maxPayload }
})

// --- how it is read

type Decoder = FrameDecoder

/** A chunk that is the decoder's own, with other bytes around it that are none of its business. */
function decodeOwn (decoder: Decoder, chunk: Buffer): void {
  const all = Buffer.alloc(chunk.length + 64, 0xa5)
  const own = Buffer.from(all.buffer, 32, chunk.length)
  own.set(chunk)
  decoder.decode(own)
  if (all.subarray(0, 32).some(byte => byte !== 0xa5) || all.subarray(-32).some(byte => byte !== 0xa5)) throw new Error('wrote beside the chunk')
}

/** As a lent read does it: what the chunk has behind it is old, and the next read overwrites it. */
function decodeLent (decoder: Decoder, chunk: Buffer): void {
  kernel.chunk.set(chunk)
  decoder.decodeLent(chunk.length)
  kernel.chunk.fill(0xa5)
}

type Read = (decoder: Decoder, chunk: Buffer, index: number) => void

interface Plan {
  sizes: readonly number[]
  /** The n-th number is the events until the n-th pause. */
  pauseAfter: readonly number[]
  /** Chunks that come while it is paused; with 0 it is resumed inside of the event. */
  chunksMeanwhile: readonly number[]
  /** At each so many-th event another connection's bytes are decoded inside of it. */
  visitorEvery: number
  /** Whether text is wanted as strings. */
  takesStrings: boolean
}

const arbitraryPlan: fc.Arbitrary<Plan> = fc.record({
  sizes: fc.oneof({ arbitrary: arbitrarySlicing, weight: 2 }, { arbitrary: fc.constantFrom([CHUNK_SIZE], [KERNEL_PAGE], [1400], [255, 256, 257]), weight: 1 }),
  pauseAfter: fc.oneof(fc.constant([]), fc.array(fc.nat(40), { minLength: 1, maxLength: 6 })),
  chunksMeanwhile: fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
  visitorEvery: fc.constantFrom(0, 0, 1, 5),
  takesStrings: fc.boolean()
})

const VISITOR = Buffer.concat(Array.from({ length: 30 }, (_, index) => text(`visitor ${index}`, { mask: index * 0x10203 })))

/** Reads all of it, with pauses and visitors. @returns what was found, and how it ended */
function read (Decoder: typeof FrameDecoder, { bytes, maxPayload }: Traffic, { sizes, pauseAfter, chunksMeanwhile, visitorEvery, takesStrings }: Plan, readChunk: Read): string[] {
  const recorder = new Recorder()
  recorder.takesStrings = takesStrings
  const decoder = new Decoder(recorder, { role: 'server', maxPayload }, true)
  let eventsLeft = pauseAfter[0] ?? Infinity
  let pauses = 0
  let chunksLeft = 0
  recorder.onEvent = () => {
    if (decoder.isPaused) throw new Error('an event came while the decoder was paused')
    if (visitorEvery > 0 && recorder.events.length % visitorEvery === 0) visit()
    if (eventsLeft-- > 0) return
    chunksLeft = chunksMeanwhile[pauses % chunksMeanwhile.length]!
    eventsLeft = pauseAfter[++pauses % pauseAfter.length]!
    decoder.pause()
    if (chunksLeft === 0) decoder.resume()
  }
  for (const [index, chunk] of slice(bytes, sizes.map(size => Math.min(size, CHUNK_SIZE))).entries()) {
    if (decoder.isPaused && --chunksLeft < 0) decoder.resume()
    readChunk(decoder, chunk, index)
  }
  while (decoder.isPaused) decoder.resume()
  return [...toComparable(recorder.events), `ended ${String(decoder.isEnded)}, failed ${String(decoder.isFailed)}`]
}

/** Another connection, in memory or with TLS, to which a listener has led. */
function visit (): void {
  const recorder = new Recorder()
  new FrameDecoder(recorder, { role: 'server', maxPayload: 1000 }).decode(ownCopy(VISITOR))
  if (!recorder.events.every((event, index) => 'data' in event && event.data.toString() === `visitor ${index}`) || recorder.events.length !== 30) {
    throw new Error(`a visitor's messages are wrong: ${toComparable(recorder.events).join()}`)
  }
}

function checkSame (found: readonly string[], expected: readonly string[], way: string): void {
  const length = Math.max(found.length, expected.length)
  for (let i = 0; i < length; i++) {
    if (found[i] !== expected[i]) {
      throw new Error(`${way}, event ${i} of ${expected.length}: ${JSON.stringify(found[i]?.slice(0, 80))} instead of ${JSON.stringify(expected[i]?.slice(0, 80))}`)
    }
  }
}

const UNHURRIED: Plan = { sizes: [Infinity], pauseAfter: [], chunksMeanwhile: [1], visitorEvery: 0, takesStrings: false }

t.test('the same events with and without the fast paths, whatever the slicing, the pauses and what listeners lead to', async t => {
  const kinds = new Set<string>()
  fc.assert(fc.property(arbitraryTraffic, arbitraryPlan, arbitraryPlan, (traffic, one, other) => {
    const expected = read(plain.FrameDecoder, traffic, UNHURRIED, decodeOwn)
    for (const event of expected) kinds.add(event.split(' ', 1)[0]!)
    checkSame(read(plain.FrameDecoder, traffic, one, decodeOwn), expected, 'without fast paths')
    checkSame(read(FrameDecoder, traffic, one, decodeOwn), expected, 'chunks of its own')
    checkSame(read(FrameDecoder, traffic, other, decodeLent), expected, 'lent chunks')
    // What came while the socket was paused, or while somebody else listened.
    checkSame(read(FrameDecoder, traffic, one, (decoder, chunk, index) => (index % 3 === 1 ? decodeOwn : decodeLent)(decoder, chunk)), expected, 'both')
  }), { numRuns: 100 })
  t.same([...kinds].sort(), ['close', 'compressed', 'ended', 'error', 'message', 'ping', 'pong'], 'all kinds of events came')
})

t.test('headers that are cut at every byte between two chunks', async t => {
  const small = Array.from({ length: 24 }, (_, index) => index % 2 === 0 ? text('é'.repeat(index)) : binary(Buffer.alloc(index, 0xf0)))
  const bytes = Buffer.concat([...small, ping('p'), text('x'.repeat(300)), continuation('of nothing'), ...small])
  const traffic = { bytes, maxPayload: 1000 }
  const expected = read(plain.FrameDecoder, traffic, UNHURRIED, decodeOwn)
  t.match(expected.at(-2), /FST_WS_ERR_FRAGMENTATION/)
  for (const readChunk of [decodeOwn, decodeLent]) {
    for (let cut = 1; cut < bytes.length; cut++) checkSame(read(FrameDecoder, traffic, { ...UNHURRIED, sizes: [cut, Infinity] }, readChunk), expected, `cut at ${cut}`)
  }
})

const UNITS = ['ascii', 'é', '€', '😀', 'aé€😀', '\ufeff', '\ufffd', 'é\ufffd']
/** What makes text invalid, or is a part of a character at its end. */
const FAULTS = ['ff', 'c080', 'eda080', 'edb080', 'f4908080', 'c3', 'e282', 'f09f98']

t.test('long texts as strings are those that come as bytes, and what is not UTF-8 is found wherever it is', async t => {
  const texts = UNITS.flatMap(unit => [511, 512, 513, 4096, 65_535, 65_536, 70_000].map(length => Buffer.from(unit.repeat(length)).subarray(0, length - length % Buffer.byteLength(unit))))
  const valid = Buffer.concat(texts.flatMap(bytes => [text(bytes), text('short'), binary(bytes)]))
  const traffics = [valid]
  for (const fault of FAULTS) {
    for (const at of [0, 3000, 5000, 8000]) {
      const bytes = Buffer.from('aé€😀'.repeat(800))
      traffics.push(Buffer.concat([text('before'), text(Buffer.concat([bytes.subarray(0, at), Buffer.from(fault, 'hex'), bytes.subarray(at)])), text('behind')]))
    }
  }
  for (const bytes of traffics) {
    const traffic = { bytes, maxPayload: 1 << 20 }
    const expected = read(plain.FrameDecoder, traffic, UNHURRIED, decodeOwn)
    for (const sizes of [[CHUNK_SIZE], [65_550], [1400, 60_000]]) {
      for (const readChunk of [decodeOwn, decodeLent]) {
        checkSame(read(FrameDecoder, traffic, { ...UNHURRIED, sizes, takesStrings: true }, readChunk), expected, `in ${String(sizes)}`)
        if (bytes !== valid) continue
        checkSame(read(FrameDecoder, traffic, { ...UNHURRIED, sizes, takesStrings: true, pauseAfter: [0, 3] }, readChunk), expected, `in ${String(sizes)}, with pauses`)
      }
    }
    if (bytes !== valid) t.match(expected.at(-2), / 1007 /)
  }
})

t.test('a long text that is wanted as a string takes no memory of messages', async t => {
  for (const readChunk of [decodeOwn, decodeLent]) {
    const allocated: number[] = []
    const memory = new MessageMemory({ allocate (length) { allocated.push(length); return Buffer.allocUnsafeSlow(length) }, protect () {} })
    const recorder = new Recorder()
    const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 100_000 }, false, null, memory)
    recorder.takesStrings = true
    for (let i = 0; i < 3; i++) readChunk(decoder, text('é'.repeat(32 * 1024)))
    t.same(allocated, [])
    t.equal(recorder.texts, 3)
    recorder.takesStrings = false
    readChunk(decoder, text('é'.repeat(32 * 1024)))
    t.equal(recorder.texts, 3, 'and as bytes when those are wanted')
    t.equal(recorder.events.length, 4)
  }
})

t.test('the bytes of a text are known while it is delivered, unless they are overwritten', async t => {
  const found: unknown[] = []
  for (const readChunk of [decodeOwn, decodeLent]) {
    const message = 'é€'.repeat(1000)
    const look = (text: string): void => { found.push(receivedBytes(text)?.equals(Buffer.from(message))) }
    const recorder = new Recorder()
    recorder.takesStrings = true
    recorder.onEvent = event => {
      if (event.type !== 'message') return
      look(message)
      look(message.replace('é', 'ö'))
      // As when a listener runs the event loop.
      if (readChunk === decodeLent) chunkWasOverwritten()
      else visit()
      look(message)
    }
    const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 10_000 })
    readChunk(decoder, text(message))
    look(message)
    t.same(found.splice(0), [true, undefined, readChunk === decodeLent ? undefined : true, undefined])
  }
})

t.test('the scanner is used: for small messages it finds them all, and there is one call for a chunk', async t => {
  const bytes = Buffer.concat(Array.from({ length: 500 }, (_, index) => text(`message ${index}`)))
  for (const [name, readChunk] of [['lent', decodeLent], ['own', decodeOwn]] as const) {
    const before = { ...scans }
    const found = read(FrameDecoder, { bytes, maxPayload: 1000 }, UNHURRIED, readChunk)
    t.equal(found.length, 501, name)
    t.equal(scans.frames - before.frames, 500)
    t.ok(scans.calls - before.calls <= 2, `${scans.calls - before.calls} calls`)
  }
})

t.test('a chunk with more small messages than the scanner has room for', async () => {
  const bytes = Buffer.concat(Array.from({ length: Math.floor(KERNEL_PAGE / 6) }, (_, index) => frame(index % 2 === 0 ? 0x1 : 0x2, '', { mask: index })))
  const traffic = { bytes, maxPayload: 10 }
  const expected = read(plain.FrameDecoder, traffic, UNHURRIED, decodeOwn)
  checkSame(read(FrameDecoder, traffic, UNHURRIED, decodeOwn), expected, 'own')
  checkSame(read(FrameDecoder, traffic, UNHURRIED, decodeLent), expected, 'lent')
  // Paused behind the last that had room, and in the middle.
  for (const pauseAfter of [8191, 8192, 4000]) {
    checkSame(read(FrameDecoder, traffic, { ...UNHURRIED, pauseAfter: [pauseAfter] }, decodeLent), expected, `paused after ${pauseAfter}`)
  }
})

t.test('paused in a lent chunk: what is left is kept, and counts, and is not the chunk', async t => {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 1000 })
  recorder.onEvent = () => decoder.pause()
  const messages = Array.from({ length: 40 }, (_, index) => index % 4 === 3 ? ping(`${index}`) : text(`${index}`.repeat(5)))
  decodeLent(decoder, Buffer.concat(messages))
  t.equal(recorder.events.length, 1)
  t.equal(retainedBytes(decoder), Buffer.concat(messages.slice(1)).length)
  for (let i = 2; i <= 40; i++) {
    decoder.resume()
    t.equal(recorder.events.length, i)
  }
  t.same(recorder.events.map(event => 'data' in event && event.data.toString()), messages.map((_, index) => index % 4 === 3 ? `${index}` : `${index}`.repeat(5)))
  t.equal(retainedBytes(decoder), 0)
})

t.test('C2: what is handed out of a lent chunk pins little more than itself, and never the chunk', async t => {
  const tiny = Array.from({ length: 3000 }, (_, index) => index % 20 === 0 ? ping('y') : text('x'))
  for (const chunk of [Buffer.concat(tiny), binary(Buffer.alloc(60_000)), Buffer.concat([binary(Buffer.alloc(9000)), ...tiny])]) {
    const recorder = new Recorder()
    decodeLent(new FrameDecoder(recorder, { role: 'server', maxPayload: 100_000 }), chunk)
    t.ok(recorder.events.length > 0)
    t.same(recorder.events.filter(event => !('data' in event) || event.data.buffer === kernel.chunk.buffer || event.data.buffer.byteLength > Math.max(8192, 4 * event.data.length)), [])
  }
})

t.test('messages of one scan do not move when a listener leads to copies for another connection', async t => {
  const messages = Array.from({ length: 60 }, (_, index) => `message ${index}`.padEnd(100, '.'))
  for (const readChunk of [decodeLent, decodeOwn]) {
    const recorder = new Recorder()
    // A Ping in a long chunk is copied, to where small copies go: those of the scan are elsewhere.
    recorder.onEvent = () => new FrameDecoder(new Recorder(), { role: 'server', maxPayload: 10_000 }).decode(ownCopy(Buffer.concat([ping('z'), binary(Buffer.alloc(9000))])))
    readChunk(new FrameDecoder(recorder, { role: 'server', maxPayload: 1000 }), Buffer.concat(messages.map(message => text(message))))
    t.same(toComparable(recorder.events), messages.map(message => `message text ${message}`))
  }
})

t.test('memory that only one message has is the app\'s alone; what several share is protected', async t => {
  for (const [lengths, areProtected] of [[[5000], false], [[16_384], false], [[2000, 2000], true], [[5000, 40, 5000], true], [[40], true]] as const) {
    const protectedMemory = new Set<ArrayBufferLike>()
    const memory = new MessageMemory({ allocate: Buffer.allocUnsafeSlow, protect (bytes) { protectedMemory.add(bytes.buffer) } })
    const recorder = new Recorder()
    decodeLent(new FrameDecoder(recorder, { role: 'server', maxPayload: 100_000 }, false, null, memory), Buffer.concat(lengths.map(length => binary(Buffer.alloc(length)))))
    const buffers = recorder.events.map(event => 'data' in event && event.data.buffer)
    t.equal(buffers.length, lengths.length)
    const isSame = new Set(buffers).size < buffers.length
    t.equal(buffers.some(buffer => protectedMemory.has(buffer as ArrayBufferLike)), areProtected, `${lengths.join()}`)
    t.ok(areProtected || !isSame)
  }
})

// --- a listener that runs the event loop

const REENTERED = 'error WebSocketError FST_WS_ERR_REENTERED 1011 a listener has run the event loop'
const FIRST = Buffer.concat(Array.from({ length: 30 }, (_, index) => text(`first ${index}`)))
const SECOND = Buffer.concat(Array.from({ length: 40 }, (_, index) => text(`second ${index}`, { mask: 0x01020304 })))

interface Reader {
  decoder: FrameDecoder
  events: () => string[]
  /** Once, inside of the third event. */
  then: (nested: () => void) => void
}

function reader (): Reader {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 1000 })
  return {
    decoder,
    events: () => toComparable(recorder.events),
    then (nested) { recorder.onEvent = () => { if (recorder.events.length === 3) nested() } }
  }
}

const first = (count: number): string[] => Array.from({ length: count }, (_, index) => `message text first ${index}`)
const second = (count: number): string[] => Array.from({ length: count }, (_, index) => `message text second ${index}`)

/** The chunk stays as the nested read has left it. */
function lend (decoder: FrameDecoder, bytes: Buffer): void {
  kernel.chunk.set(bytes)
  decoder.decodeLent(bytes.length)
}

/** The kernel is free again: the next connection has its fast paths, and is right. */
function checkUnharmed (t: Test): void {
  for (const decode of [decodeLent, decodeOwn]) {
    const { decoder, events } = reader()
    const { frames } = scans
    decode(decoder, SECOND)
    t.same(events(), second(40), 'another connection goes on')
    t.equal(scans.frames - frames, 40, 'with the scanner')
  }
}

t.test('a read of the same connection inside of a listener: it fails with 1011', async t => {
  for (const decode of [lend, decodeOwn]) {
    const a = reader()
    a.then(() => lend(a.decoder, SECOND))
    decode(a.decoder, FIRST)
    t.same(a.events(), [...first(3), REENTERED])
    t.ok(a.decoder.isEnded)
    lend(a.decoder, SECOND)
    t.equal(a.events().length, 4, 'nothing follows')
    checkUnharmed(t)
  }
})

t.test('a read of another connection inside of a listener: the first fails with 1011, and no other', async t => {
  for (const decode of [lend, decodeOwn]) {
    const a = reader()
    const b = reader()
    a.then(() => lend(b.decoder, SECOND))
    decode(a.decoder, FIRST)
    t.same(a.events(), [...first(3), REENTERED])
    t.same(b.events(), second(40))
    t.notOk(b.decoder.isFailed)
    lend(b.decoder, FIRST)
    t.same(b.events(), [...second(40), ...first(30)], 'and goes on')
    checkUnharmed(t)
  }
})

t.test('a read that its own connection ignores overwrites the chunk as well', async t => {
  const a = reader()
  const over = reader()
  over.decoder.end()
  a.then(() => lend(over.decoder, SECOND))
  lend(a.decoder, FIRST)
  t.same(a.events(), [...first(3), REENTERED])
  checkUnharmed(t)
})

t.test('paused, and overwritten before the listener returns: what is kept is not what came later', async t => {
  const a = reader()
  const b = reader()
  a.then(() => {
    a.decoder.pause()
    lend(b.decoder, SECOND)
  })
  lend(a.decoder, FIRST)
  a.decoder.resume()
  t.same(a.events(), [...first(3), REENTERED])
  t.same(b.events(), second(40))
  checkUnharmed(t)
})

t.test('two connections that read inside of each other: both have lost their bytes', async t => {
  const a = reader()
  const b = reader()
  a.then(() => lend(b.decoder, SECOND))
  b.then(() => lend(a.decoder, FIRST))
  lend(a.decoder, FIRST)
  t.same(a.events(), [...first(3), REENTERED])
  t.same(b.events(), [...second(3), REENTERED])
  checkUnharmed(t)
})

t.test('chunks of its own that come inside of a listener wait for those before them', async t => {
  // Streams in memory can hand on the answer to what a listener sends before that returns.
  for (const isPaused of [false, true]) {
    const a = reader()
    a.then(() => {
      if (isPaused) a.decoder.pause()
      decodeOwn(a.decoder, SECOND)
      decodeOwn(a.decoder, SECOND)
    })
    decodeOwn(a.decoder, FIRST)
    if (isPaused) {
      t.same(a.events(), first(3))
      a.decoder.resume()
    }
    t.same(a.events(), [...first(30), ...second(40), ...second(40)])
    t.equal(retainedBytes(a.decoder), 0)
  }
})
