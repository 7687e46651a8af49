import t from 'tap'
import fc from 'fast-check'
import { constants } from 'node:buffer'
import { kernel } from '../../lib/protocol/frame-kernel.js'
import { FrameDecoder } from '../../lib/protocol/frame-decoder.js'
import { MessageMemory } from '../../lib/protocol/message-memory.js'
import { encodeAnyFrame } from '../support/encode-frame.js'
import { retainedBytes } from '../support/retained-bytes.js'
import { binary, close, continuation, frame, ping, pong, text } from '../support/raw-client.js'
import {
  arbitraryConversation, arbitrarySlicing, createDecoder, decodeAll, ownCopy, RUNS, slice, toComparable,
  type Conversation, type DecoderEvent,
  Recorder
} from './conversation.js'

type Role = 'server' | 'client'

const arbitraryRole = fc.constantFrom<Role>('server', 'client')

/** The conversation as its sender puts it on the wire, framed by the test's own encoder. */
function bytesOf ({ frames }: Conversation, role: Role, mask = 0x9a3c51e7): Buffer {
  return Buffer.concat(frames.map(({ opcode, fin, payload }, index) =>
    frame(opcode, payload, { fin, mask: role === 'server' ? (mask + index * 0x01020305) >>> 0 : null })))
}

function equalEvents (actual: readonly DecoderEvent[], expected: readonly DecoderEvent[]): boolean {
  const comparable = toComparable(expected)
  const found = toComparable(actual)
  return found.length === comparable.length && found.every((event, index) => event === comparable[index])
}

function errorOf (events: readonly DecoderEvent[]): string {
  const last = events.at(-1)
  return last?.type === 'error' ? `${last.closeCode} ${last.name} ${last.code}` : `no error: ${JSON.stringify(toComparable(events))}`
}

// --- bytes in any slicing

t.test('encode, slice anywhere, decode: the same events for any conversation, in both roles', async () => {
  fc.assert(fc.property(arbitraryConversation, arbitraryRole, arbitrarySlicing, (conversation, role, sizes) =>
    equalEvents(decodeAll(slice(bytesOf(conversation, role), sizes), { role }), conversation.events)
  ), { numRuns: 3 * RUNS })
})

t.test('encode, cut in two anywhere, decode: the same events', async t => {
  const conversation: Conversation = {
    frames: [
      { opcode: 0x1, fin: false, payload: Buffer.from('aé€😀').subarray(0, 8) },
      { opcode: 0x9, fin: true, payload: Buffer.from('are you there?') },
      { opcode: 0x0, fin: false, payload: Buffer.alloc(0) },
      { opcode: 0x0, fin: true, payload: Buffer.concat([Buffer.from('aé€😀').subarray(8), Buffer.from('x'.repeat(126))]) },
      { opcode: 0x2, fin: true, payload: Buffer.alloc(0) },
      { opcode: 0xa, fin: true, payload: Buffer.alloc(0) },
      { opcode: 0x2, fin: true, payload: Buffer.alloc(300, 'binary') },
      { opcode: 0x8, fin: true, payload: Buffer.concat([Buffer.of(0x03, 0xe8), Buffer.from('bye')]) }
    ],
    events: [
      { type: 'ping', data: Buffer.from('are you there?') },
      { type: 'message', data: Buffer.from('aé€😀' + 'x'.repeat(126)), isBinary: false },
      { type: 'message', data: Buffer.alloc(0), isBinary: true },
      { type: 'pong', data: Buffer.alloc(0) },
      { type: 'message', data: Buffer.alloc(300, 'binary'), isBinary: true },
      { type: 'close', code: 1000, reason: Buffer.from('bye') }
    ]
  }
  for (const role of ['server', 'client'] as const) {
    const bytes = bytesOf(conversation, role)
    const wrong: number[] = []
    for (let cut = 0; cut <= bytes.length; cut++) {
      if (!equalEvents(decodeAll([bytes.subarray(0, cut), bytes.subarray(cut)], { role }), conversation.events)) wrong.push(cut)
    }
    t.same(wrong, [], `no cut makes a difference for the ${role}`)
  }
})

t.test('encode, decode byte by byte: the same events', async () => {
  fc.assert(fc.property(arbitraryConversation, arbitraryRole, (conversation, role) =>
    equalEvents(decodeAll(slice(bytesOf(conversation, role), [1]), { role }), conversation.events)
  ), { numRuns: RUNS / 3 })
})

t.test('bytes that break a rule give the same events and the same error in any slicing', async t => {
  let errors = 0
  fc.assert(fc.property(arbitraryMutation(), arbitraryRole, arbitrarySlicing, fc.constantFrom(100, 5000, Infinity), ({ mutate, conversation }, role, sizes, maxPayload) => {
    const bytes = mutate(bytesOf(conversation, role))
    const whole = decodeAll([bytes], { role, maxPayload })
    if (whole.at(-1)?.type === 'error') errors++
    return equalEvents(decodeAll(slice(bytes, sizes), { role, maxPayload }), whole) &&
      (bytes.length > 5000 || equalEvents(decodeAll(slice(bytes, [1]), { role, maxPayload }), whole))
  }), { numRuns: 2 * RUNS })
  t.ok(errors > RUNS / 2, 'most of them did break one')
})

t.test('every event comes with the byte that completes it', async t => {
  const expected: [bytes: Buffer, event: string][] = [
    [text(''), 'message text '],
    [ping('x'), 'ping x'],
    [binary('abc'), 'message binary abc'],
    [pong(''), 'pong '],
    [close(1000), 'close 1000 ']
  ]
  const { decoder, events } = createDecoder()
  for (const [bytes, event] of expected) {
    const before = events.length
    for (const [index, byte] of bytes.entries()) {
      t.equal(events.length, before, `not before byte ${index + 1} of ${bytes.length}`)
      decoder.decode(Buffer.of(byte))
    }
    t.same(toComparable(events.slice(before)), [event])
  }
})

// --- pausing

interface Step {
  /** Pauses at this event, counted from the last one at which it did. */
  pauseAfter: number
  /** Chunks that come while it is paused. */
  chunksMeanwhile: number
  /** Resumes inside of the event itself. */
  atOnce: boolean
}

const arbitrarySteps = fc.array(fc.record({ pauseAfter: fc.nat(3), chunksMeanwhile: fc.nat(4), atOnce: fc.boolean() }), { minLength: 1, maxLength: 8 })

/** Decodes with pauses at events and between chunks; fails if anything comes while it is paused. */
function decodeWithPauses (chunks: readonly Buffer[], steps: readonly Step[], role: Role): DecoderEvent[] {
  const { decoder, recorder, events } = createDecoder({ role })
  let step = 0
  let eventsLeft = steps[0]!.pauseAfter
  let chunksLeft = 0
  recorder.onEvent = () => {
    if (decoder.isPaused) throw new Error('an event came while the decoder was paused')
    if (eventsLeft-- > 0) return
    const { atOnce, chunksMeanwhile } = steps[step++ % steps.length]!
    eventsLeft = steps[step % steps.length]!.pauseAfter
    decoder.pause()
    if (atOnce) decoder.resume()
    else chunksLeft = chunksMeanwhile
  }
  for (const [index, chunk] of chunks.entries()) {
    // Between chunks as well, wherever they happen to be cut.
    if (index % 5 === 4 && !decoder.isPaused) {
      decoder.pause()
      chunksLeft = 1
    }
    decoder.decode(ownCopy(chunk))
    while (decoder.isPaused && chunksLeft-- <= 0) decoder.resume()
  }
  while (decoder.isPaused) decoder.resume()
  return events
}

t.test('pause and resume anywhere: the same events, and none while paused', async () => {
  fc.assert(fc.property(arbitraryConversation, arbitraryRole, arbitrarySlicing, arbitrarySteps, (conversation, role, sizes, steps) =>
    equalEvents(decodeWithPauses(slice(bytesOf(conversation, role), sizes), steps, role), conversation.events)
  ), { numRuns: 3 * RUNS })
})

t.test('a paused decoder delivers nothing of a chunk that is already there, until it is resumed', async t => {
  const { decoder, recorder, events } = createDecoder()
  recorder.onEvent = () => decoder.pause()
  decoder.decode(Buffer.concat([text('1'), ping('2'), text('3'), close(1000)]))
  t.same(toComparable(events), ['message text 1'])
  t.equal(retainedBytes(decoder) > 0, true, 'the rest counts as retained')
  decoder.resume()
  t.same(toComparable(events), ['message text 1', 'ping 2'])
  decoder.decode(Buffer.alloc(0))
  t.equal(events.length, 2)
  decoder.resume()
  decoder.resume()
  t.same(toComparable(events), ['message text 1', 'ping 2', 'message text 3', 'close 1000 '])
  t.equal(retainedBytes(decoder), 0)
})

t.test('what is kept while paused is gone after end()', async t => {
  const { decoder, events } = createDecoder()
  decoder.pause()
  decoder.decode(text('never heard'))
  decoder.end()
  decoder.resume()
  decoder.decode(text('neither'))
  t.same(events, [])
  t.equal(retainedBytes(decoder), 0)
})

// --- what is handed out

t.test('what was handed out belongs to its receiver: no later bytes overwrite it, and writing into it changes nothing else', async () => {
  fc.assert(fc.property(arbitraryConversation, arbitraryRole, arbitrarySlicing, (conversation, role, sizes) => {
    const { decoder, recorder, events } = createDecoder({ role })
    const copies: DecoderEvent[] = []
    recorder.onEvent = event => {
      copies.push('data' in event ? { ...event, data: Buffer.from(event.data) } : event)
      if ('data' in event) event.data.fill(copies.length)
    }
    for (const chunk of slice(bytesOf(conversation, role), sizes)) decoder.decode(ownCopy(chunk))
    return equalEvents(copies, conversation.events) &&
      events.every((event, index) => !('data' in event) || event.data.every(byte => byte === index + 1))
  }), { numRuns: RUNS })
})

t.test('chunks are unmasked in place: a small message is a view of its chunk, not a copy', async t => {
  const { decoder, events } = createDecoder()
  const chunk = ownCopy(text('in place'))
  decoder.decode(chunk)
  const [event] = events
  t.ok(event?.type === 'message' && event.data.buffer === chunk.buffer)
  t.equal(chunk.subarray(6).toString(), 'in place')
})

t.test('C2: what is handed out pins little more than itself, whatever it came in', async t => {
  // Whoever keeps one message keeps all the memory behind it.
  const mayPin = (data: Buffer): number => Math.max(8192, 4 * data.length)
  const tiny = Array.from({ length: 8000 }, (_, index) => index % 2 === 0 ? text('x') : ping('y'))
  const cases: [name: string, chunks: Buffer[]][] = [
    ['tiny messages in one large chunk', [Buffer.concat(tiny)]],
    ['a tiny message behind a large one', [Buffer.concat([binary(Buffer.alloc(100_000)), text('x')])]],
    ['a message of many small fragments', [
      binary('', { fin: false }),
      ...Array.from({ length: 3000 }, () => continuation('1234567', { fin: false })),
      continuation('')
    ]],
    ['a message whose buffer has just grown', [binary(Buffer.alloc(4097), { fin: false }), continuation(Buffer.alloc(4097 * 4), { fin: false }), continuation('')]]
  ]
  for (const [name, chunks] of cases) {
    const events = decodeAll(chunks)
    const tooMuch = events.filter(event => 'data' in event && event.data.buffer.byteLength > mayPin(event.data))
    t.ok(events.length > 0 && tooMuch.length === 0, `${name}: ${tooMuch.length} of ${events.length} pin too much`)
  }
})

// --- what is retained

/** A change of valid bytes, so that most of them still pass for frames. */
function arbitraryMutation (): fc.Arbitrary<{ conversation: Conversation, mutate: (bytes: Buffer) => Buffer }> {
  const arbitraryChange = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('flip', 'set', 'remove', 'insert', 'repeat'),
    value: fc.nat(255)
  })
  return fc.record({ conversation: arbitraryConversation, changes: fc.array(arbitraryChange, { minLength: 1, maxLength: 4 }) })
    .map(({ conversation, changes }) => ({
      conversation,
      mutate: bytes => changes.reduce((mutated, { at, kind, value }) => {
        if (mutated.length === 0) return mutated
        const index = at % mutated.length
        const before = mutated.subarray(0, index)
        switch (kind) {
          case 'flip': return Buffer.concat([before, Buffer.of(mutated[index]! ^ (1 << (value & 7))), mutated.subarray(index + 1)])
          case 'set': return Buffer.concat([before, Buffer.of(value), mutated.subarray(index + 1)])
          case 'remove': return Buffer.concat([before, mutated.subarray(index + 1 + (value & 31))])
          case 'insert': return Buffer.concat([before, Buffer.alloc(1 + (value & 31), value), mutated.subarray(index)])
          default: return Buffer.concat([mutated.subarray(0, index + (value & 31)), mutated.subarray(index)])
        }
      }, bytes)
    }))
}

/** Frames made of fields at random: most are legal by themselves, and wrong only where they stand. */
const arbitraryFrames = fc.array(fc.record({
  opcode: fc.oneof({ arbitrary: fc.constantFrom(0, 0, 0, 1, 2, 9, 10), weight: 20 }, { arbitrary: fc.nat(15), weight: 1 }),
  fin: fc.oneof({ arbitrary: fc.boolean(), weight: 1 }, { arbitrary: fc.constant(true), weight: 1 }),
  rsv: fc.oneof({ arbitrary: fc.constant(0), weight: 30 }, { arbitrary: fc.constantFrom(0x40, 0x20, 0x10), weight: 1 }),
  payload: fc.uint8Array({ maxLength: 140 }),
  announce: fc.oneof({ arbitrary: fc.constant(undefined), weight: 15 }, { arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), weight: 1 }, { arbitrary: fc.constantFrom(127n, 70_000n, 2n ** 31n, 2n ** 40n), weight: 1 })
}), { maxLength: 40 })

/** More than any one call needs beside the message: an incomplete header, and an incomplete control frame. */
const FIXED_COST = 14 + 125

/** Decodes, and looks after every chunk at what is held. @returns what is wrong, or nothing */
function checkBounds (chunks: readonly Buffer[], role: Role, maxPayload: number): string | undefined {
  const { decoder, recorder, events } = createDecoder({ role, maxPayload })
  let isOver = false
  let wasRefused = false
  let problem: string | undefined
  recorder.onEvent = event => {
    // A peer whose message was too big is still understood: its Close frame may follow.
    if (isOver && !(event.type === 'close' && wasRefused)) problem ??= `${event.type} after the end`
    wasRefused = event.type === 'error' && event.name === 'MessageTooBigError'
    isOver = event.type === 'close' || event.type === 'error'
    if (event.type === 'message' && event.data.length > maxPayload) problem ??= `a message of ${event.data.length} bytes, over ${maxPayload}`
  }
  let received = 0
  for (const chunk of chunks) {
    received += chunk.length
    decoder.decode(ownCopy(chunk))
    const retained = retainedBytes(decoder)
    if (retained > maxPayload + FIXED_COST) problem ??= `${retained} bytes retained with a limit of ${maxPayload}`
    if (retained > 4 * received + 256 + FIXED_COST) problem ??= `${retained} bytes retained for ${received} received`
    if (isOver && retained > (decoder.isEnded ? 0 : FIXED_COST)) problem ??= `${retained} bytes retained after ${events.at(-1)!.type}`
    if (decoder.isFailed !== isOver) problem ??= `isFailed is ${String(decoder.isFailed)}`
    if (decoder.isEnded !== isOver && !wasRefused) problem ??= `isEnded is ${String(decoder.isEnded)}`
  }
  return problem
}

const arbitraryLimit = fc.constantFrom(0, 1, 100, 125, 126, 1000, 65_536, 1_000_000, Infinity)

t.test('C2: on random bytes the decoder never throws and never retains more than its limit', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400, size: 'max' }), arbitraryRole, arbitraryLimit, arbitrarySlicing, (bytes, role, maxPayload, sizes) => {
    const problem = checkBounds(slice(Buffer.from(bytes), sizes), role, maxPayload)
    if (problem !== undefined) throw new Error(problem)
  }), { numRuns: 4 * RUNS })
})

t.test('C2: on random frames the decoder never throws and never retains more than its limit', async () => {
  fc.assert(fc.property(arbitraryFrames, arbitraryRole, arbitraryLimit, arbitrarySlicing, (frames, role, maxPayload, sizes) => {
    const bytes = Buffer.concat(frames.map(({ opcode, fin, rsv, payload, announce }) =>
      frame(opcode, payload, { fin, rsv, mask: role === 'server' ? 0x01020304 : null, ...(announce === undefined ? {} : { announce }) })))
    const problem = checkBounds(slice(bytes, sizes), role, maxPayload)
    if (problem !== undefined) throw new Error(problem)
  }), { numRuns: 4 * RUNS })
})

t.test('C2: on mutated valid bytes the decoder never throws and never retains more than its limit', async () => {
  fc.assert(fc.property(arbitraryMutation(), arbitraryRole, arbitraryLimit, arbitrarySlicing, ({ conversation, mutate }, role, maxPayload, sizes) => {
    const problem = checkBounds(slice(mutate(bytesOf(conversation, role)), sizes), role, maxPayload)
    if (problem !== undefined) throw new Error(problem)
  }), { numRuns: 2 * RUNS })
})

t.test('C1: behind a message that is too big the Close frame is understood, and nothing else', async t => {
  const tooBig = binary(Buffer.alloc(300, 1), { fin: false })
  const behind = Buffer.concat([ping('p'), continuation('more'), text('a message'), close(1001, 'bye'), ping('after')])
  for (const size of [1, 7, 1000]) {
    const { decoder, events } = createDecoder({ maxPayload: 100 })
    for (const chunk of slice(Buffer.concat([tooBig, behind]), [size])) {
      decoder.decode(ownCopy(chunk))
      t.ok(retainedBytes(decoder) <= FIXED_COST)
    }
    t.same(events.map(({ type }) => type), ['error', 'close'], `in pieces of ${size} bytes`)
    t.match(events, [{ closeCode: 1009 }, { code: 1001, reason: Buffer.from('bye') }])
    t.ok(decoder.isEnded)
  }
})

t.test('C11: what breaks a rule behind a message that is too big is the end, and no second error', async t => {
  for (const wrong of [frame(0x3), text('not masked', { mask: null }), continuation('of nothing'), close(1004)]) {
    const { decoder, events } = createDecoder({ maxPayload: 100 })
    decoder.decode(Buffer.concat([binary(Buffer.alloc(101)), wrong, close(1000)]))
    t.same(events.map(({ type }) => type), ['error'])
    t.ok(decoder.isEnded)
  }
})

t.test('C1: a length that is only announced takes no memory', async t => {
  for (const length of [126, 65_535, 2 ** 20, 2 ** 31, constants.MAX_LENGTH]) {
    const { decoder, events } = createDecoder({ maxPayload: Infinity })
    decoder.decode(binary('', { announce: length }))
    t.equal(retainedBytes(decoder), 0, `nothing for the header of ${length} bytes`)
    decoder.decode(Buffer.alloc(100))
    t.ok(retainedBytes(decoder) <= 400, `${retainedBytes(decoder)} bytes for 100 of ${length}`)
    t.same(events, [])
  }
})

t.test('C2, C7: a message in many fragments costs its bytes, and the empty ones nothing', async t => {
  const { decoder, events } = createDecoder({ maxPayload: 1024 * 1024 })
  decoder.decode(binary('', { fin: false }))
  const empty = Buffer.concat(Array.from({ length: 1000 }, () => continuation('', { fin: false })))
  for (let i = 0; i < 100; i++) decoder.decode(Buffer.from(empty))
  t.equal(retainedBytes(decoder), 0, 'nothing for 100 001 empty fragments')
  const small = Buffer.concat(Array.from({ length: 1000 }, () => continuation('x', { fin: false })))
  let most = 0
  for (let i = 1; i <= 100; i++) {
    decoder.decode(Buffer.from(small))
    most = Math.max(most, retainedBytes(decoder) / (i * 1000))
  }
  t.ok(most <= 4, `at most ${most} times the payload of fragments of one byte`)
  t.same(events, [], 'and no limit on their number')
  decoder.decode(continuation('!'))
  t.equal(events.length, 1)
  t.equal(retainedBytes(decoder), 0)
})

// --- limits

t.test('C1: over the limit as soon as the length is announced, or the sum over the fragments is', async t => {
  const tooBig = '1009 MessageTooBigError FST_WS_ERR_MESSAGE_TOO_BIG'
  for (const maxPayload of [0, 1, 125, 126, 65_535, 65_536, 2 ** 31, 2 ** 32]) {
    const withLimit = (...chunks: Buffer[]): DecoderEvent[] => decodeAll(chunks, { maxPayload })
    t.equal(errorOf(withLimit(binary('', { announce: maxPayload + 1 }))), tooBig, `${maxPayload} + 1 of ${maxPayload}`)
    t.equal(errorOf(withLimit(text('', { announce: maxPayload + 1, fin: false }))), tooBig, 'in a first fragment too')
    t.same(withLimit(binary('', maxPayload === 0 ? { fin: false } : { announce: maxPayload })), [], 'the limit itself is allowed')
    if (maxPayload > 0) {
      t.equal(errorOf(withLimit(binary('x', { fin: false }), continuation('', { announce: maxPayload }))), tooBig, 'the sum over it')
    }
    t.same(withLimit(binary('', { fin: false }), ping('x'.repeat(125))).map(event => event.type), ['ping'], 'a control frame does not count')
  }
})

t.test('C1: a message that no buffer could hold is refused when it is announced, without a limit too', async t => {
  for (const maxPayload of [Infinity, Number.MAX_SAFE_INTEGER]) {
    const announce = BigInt(constants.MAX_LENGTH) + 1n
    t.equal(errorOf(decodeAll([binary('', { announce })], { maxPayload })), '1009 MessageTooBigError FST_WS_ERR_MESSAGE_TOO_BIG')
  }
})

t.test('a message for which there is no memory ends the connection, not the process', async t => {
  // As if the system refused: really using up the memory would be no good neighbour.
  const memory = new MessageMemory({
    allocate (size) {
      if (size > 2 ** 20) throw new RangeError('Array buffer allocation failed')
      return Buffer.allocUnsafeSlow(size)
    },
    protect () {}
  })
  const recorder = new Recorder()
  const { events } = recorder
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: Infinity }, false, null, memory)
  decoder.decode(binary('', { announce: 2 ** 31 }))
  for (let i = 0; i < 20; i++) decoder.decode(Buffer.alloc(64 * 1024))
  t.equal(errorOf(events), '1009 MessageTooBigError FST_WS_ERR_MESSAGE_TOO_BIG')
  t.equal(retainedBytes(decoder), 0)
})

// --- the rules

t.test('what breaks a rule, and the error it causes', async t => {
  const server: [name: string, bytes: Buffer, error: string][] = [
    ['an unmasked frame', text('x', { mask: null }), '1002 ProtocolError FST_WS_ERR_MASK_REQUIRED'],
    ['RSV1', text('x', { rsv: 0x40 }), '1002 ProtocolError FST_WS_ERR_RESERVED_BITS'],
    ['RSV2', ping('x', { rsv: 0x20 }), '1002 ProtocolError FST_WS_ERR_RESERVED_BITS'],
    ['RSV3', binary('x', { rsv: 0x10 }), '1002 ProtocolError FST_WS_ERR_RESERVED_BITS'],
    ...[0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf].map(opcode =>
      [`opcode ${opcode}`, frame(opcode, 'x'), '1002 ProtocolError FST_WS_ERR_INVALID_OPCODE'] as [string, Buffer, string]),
    ['a fragmented Ping', ping('x', { fin: false }), '1002 ProtocolError FST_WS_ERR_CONTROL_FRAME'],
    ['a fragmented Close', close(1000, '', { fin: false }), '1002 ProtocolError FST_WS_ERR_CONTROL_FRAME'],
    ['a Ping of 126 bytes', ping('x'.repeat(126)), '1002 ProtocolError FST_WS_ERR_CONTROL_FRAME'],
    ['a Pong with a 64-bit length', pong('x', { lengthBytes: 8 }), '1002 ProtocolError FST_WS_ERR_CONTROL_FRAME'],
    ['a continuation of nothing', continuation('x'), '1002 ProtocolError FST_WS_ERR_FRAGMENTATION'],
    ['a continuation of a finished message', Buffer.concat([text('x'), continuation('x')]), '1002 ProtocolError FST_WS_ERR_FRAGMENTATION'],
    ['a message inside of another', Buffer.concat([text('x', { fin: false }), text('x')]), '1002 ProtocolError FST_WS_ERR_FRAGMENTATION'],
    ['0 bytes, said in 16 bits', text('', { lengthBytes: 2 }), '1002 ProtocolError FST_WS_ERR_FRAME_LENGTH'],
    ['125 bytes, said in 16 bits', text('x'.repeat(125), { lengthBytes: 2 }), '1002 ProtocolError FST_WS_ERR_FRAME_LENGTH'],
    ['65535 bytes, said in 64 bits', text('x'.repeat(65535), { lengthBytes: 8 }), '1002 ProtocolError FST_WS_ERR_FRAME_LENGTH'],
    ['the top bit of the length', binary('', { announce: 2n ** 63n }), '1002 ProtocolError FST_WS_ERR_FRAME_LENGTH'],
    ['half a close code', frame(0x8, 'x'), '1002 ProtocolError FST_WS_ERR_CLOSE_PAYLOAD'],
    ['close code 1005', close(1005), '1002 ProtocolError FST_WS_ERR_CLOSE_PAYLOAD'],
    ['a close reason that is not UTF-8', close(1000, Buffer.of(0xff)), '1007 InvalidPayloadError FST_WS_ERR_INVALID_PAYLOAD'],
    ['text that is not UTF-8', text(Buffer.of(0xff)), '1007 InvalidPayloadError FST_WS_ERR_INVALID_PAYLOAD'],
    ['text that ends within a character', text(Buffer.of(0xc3)), '1007 InvalidPayloadError FST_WS_ERR_INVALID_PAYLOAD']
  ]
  for (const [name, bytes, error] of server) t.equal(errorOf(decodeAll([bytes])), error, name)
  t.equal(errorOf(decodeAll([text('x')], { role: 'client' })), '1002 ProtocolError FST_WS_ERR_MASK_REQUIRED', 'a masked frame from a server')
})

t.test('nothing follows a Close frame or an error', async t => {
  const behind = Buffer.concat([text('x'), ping('x'), close(1001), text('x', { mask: null })])
  for (const last of [close(), close(1000, 'bye'), text(Buffer.of(0xff)), ping('x', { fin: false }), close(999)]) {
    const { decoder, events } = createDecoder()
    decoder.decode(Buffer.concat([last, behind]))
    decoder.decode(Buffer.from(behind))
    t.equal(events.length, 1, toComparable(events).join())
    t.equal(decoder.isEnded, true)
    t.equal(retainedBytes(decoder), 0)
  }
})

t.test('C6: text fails at its first bad byte, in whatever frame or chunk that is', async t => {
  const cases: [name: string, good: string, bad: number][] = [
    ['a continuation byte first', '', 0x80],
    ['an overlong form of two', '6162', 0xc0],
    ['an overlong form of three', 'c3a9e0', 0x9f],
    ['an overlong form of four', 'f0', 0x8f],
    ['a surrogate', 'e282aced', 0xa0],
    ['a code point beyond U+10FFFF', 'f4', 0x90],
    ['a lead byte beyond', '', 0xf5],
    ['no third byte', '61e282', 0x61],
    ['no fourth byte', 'f09f98', 0xc3]
  ]
  for (const [name, hex, bad] of cases) {
    const good = Buffer.from(hex, 'hex')
    for (const before of [0, 1, 63, 64, 5000]) {
      const payload = Buffer.concat([Buffer.alloc(before, 'x'), good, Buffer.of(bad), Buffer.alloc(100, 'y')])
      const badAt = before + good.length
      for (const fragmentSize of [1, 3, 64, payload.length]) {
        if (before === 5000 && fragmentSize < 64) continue
        const bytes = Buffer.concat(slice(payload, [fragmentSize]).map((piece, index) => frame(index === 0 ? 0x1 : 0x0, piece, { fin: false, announce: piece.length })))
        const { decoder, recorder, events } = createDecoder()
        let decoded = 0
        let failedAt = -1
        recorder.onEvent = () => { failedAt = decoded }
        // Each fragment's header is 6 or 8 bytes; the bad byte's place on the wire follows.
        const headerLength = fragmentSize < 126 ? 6 : 8
        const expected = headerLength * (Math.floor(badAt / fragmentSize) + 1) + badAt
        for (const byte of bytes) {
          decoder.decode(Buffer.of(byte))
          decoded++
        }
        if (failedAt !== expected || !errorOf(events).startsWith('1007')) {
          t.fail(`${name} behind ${before} bytes in fragments of ${fragmentSize}: ${errorOf(events)} at byte ${failedAt}, not ${expected}`)
        }
      }
    }
  }
})

t.test('the encoder of this package and that of the test agree about what is decoded', async t => {
  for (const length of [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537]) {
    const payload = Buffer.alloc(length, 'payload')
    const expected = toComparable([{ type: 'message', data: payload, isBinary: true }])
    t.same(toComparable(decodeAll([encodeAnyFrame(0x2, payload, { masked: true })])), expected, `${length} bytes`)
    t.same(toComparable(decodeAll([binary(payload)])), expected)
  }
})

t.test('told to skip by an event in the middle of many small messages: only the Close frame is still heard', async t => {
  const bytes = Buffer.concat([...Array.from({ length: 100 }, (_, i) => text(`message ${i}`)), close(4001)])
  for (const isLent of [false, true]) {
    const events: string[] = []
    const sink = {
      takesStrings: false,
      onText (): void { events.push('string') },
      onMessage (data: Buffer): void {
        events.push(data.toString())
        if (events.length === 3) decoder.skipToClose()
      },
      onCompressedMessage (): void { events.push('compressed') },
      onPing (): void { events.push('ping') },
      onPong (): void { events.push('pong') },
      onClose (code: number): void { events.push(`close ${code}`) },
      onError (error: Error): void { events.push(error.message) }
    }
    const decoder = new FrameDecoder(sink, { role: 'server', maxPayload: 1024 })
    if (isLent) {
      if (kernel === null) continue
      kernel.chunk.set(bytes)
      decoder.decodeLent(bytes.length)
    } else {
      decoder.decode(Buffer.from(bytes))
    }
    t.same(events, ['message 0', 'message 1', 'message 2', 'close 4001'], isLent ? 'lent' : 'own')
  }
})
