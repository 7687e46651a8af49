import t from 'tap'
import fc from 'fast-check'
import { FrameDecoder } from '../../lib/protocol/frame-decoder.js'
import type { FrameDecoderOptions } from '../../lib/protocol/frame-sink.js'
import { retainedBytes } from '../support/retained-bytes.js'
import { binary, close, continuation, frame, ping, pong, text } from '../support/raw-client.js'
import { arbitraryConversation, arbitrarySlicing, ownCopy, Recorder, RUNS, slice, toComparable, type Conversation, type DecoderEvent } from './conversation.js'

// RSV1 as RFC 7692 §6 gives it a meaning. What is in such a message, the decoder does not know.

const RSV1 = 0x40
const compressed = { rsv: RSV1 }

function decode (chunks: Iterable<Uint8Array>, options: Partial<FrameDecoderOptions> = {}, isAgreed = true): DecoderEvent[] {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 1024 * 1024, ...options }, isAgreed)
  for (const chunk of chunks) decoder.decode(ownCopy(chunk))
  return recorder.events
}

/** The same for every slicing, or a list of those for which it is not. */
function decodeSliced (bytes: Buffer, options: Partial<FrameDecoderOptions> = {}, isAgreed = true): string[] {
  const whole = toComparable(decode([bytes], options, isAgreed))
  for (const size of [1, 2, 3, 7, 100]) {
    const sliced = toComparable(decode(slice(bytes, [size]), options, isAgreed))
    if (sliced.join('\n') !== whole.join('\n')) return [`in pieces of ${size}:`, ...sliced, 'whole:', ...whole]
  }
  return whole
}

const RESERVED = 'error ProtocolError FST_WS_ERR_RESERVED_BITS 1002 reserved bits are set'
const TOO_BIG = (maxPayload: number): string => `error MessageTooBigError FST_WS_ERR_MESSAGE_TOO_BIG 1009 message is longer than ${maxPayload} bytes`

t.test('RFC 7692 §6: RSV1 on a data frame is a compressed message, whose bytes are left as they are', async t => {
  const payload = Buffer.from('f248cdc9c90700', 'hex').toString('latin1')
  const bytes = Buffer.concat([
    text(Buffer.from(payload, 'latin1'), compressed),
    text('plain'),
    binary(Buffer.from(payload, 'latin1'), compressed),
    binary('plain'),
    text('', compressed)
  ])
  t.same(decodeSliced(bytes), [`compressed text ${payload}`, 'message text plain', `compressed binary ${payload}`, 'message binary plain', 'compressed text '])
})

t.test('RFC 7692 §6.1: a fragmented message has RSV1 on its first frame, and control frames may come between', async t => {
  t.same(decodeSliced(Buffer.concat([
    text('\xf2\x48', { ...compressed, fin: false }), ping('1'), continuation('', { fin: false }), pong('2'), continuation('\xcd'),
    text('a', { fin: false }), ping('3'), continuation('b'),
    binary('', { ...compressed, fin: false }), continuation('xyz')
  ])), [
    'ping 1', 'pong 2', `compressed text ${Buffer.from('\xf2\x48\xcd').toString('latin1')}`,
    'ping 3', 'message text ab',
    'compressed binary xyz'
  ])
})

t.test('a compressed message is no text yet: bytes that are not UTF-8 are no error here, and are one in the next plain message', async t => {
  t.same(decodeSliced(Buffer.concat([text(Buffer.of(0xff, 0xfe), { ...compressed, fin: false }), continuation(Buffer.of(0xc0))])), ['compressed text \xff\xfe\xc0'])
  t.same(decodeSliced(Buffer.concat([text(Buffer.of(0xff), compressed), text(Buffer.of(0xff))])),
    ['compressed text \xff', 'error InvalidPayloadError FST_WS_ERR_INVALID_PAYLOAD 1007 text is not UTF-8'])
})

t.test('C9: RSV1 on a continuation frame is an error, whatever the first frame had', async t => {
  for (const first of [0, RSV1]) {
    const bytes = Buffer.concat([text('a', { rsv: first, fin: false }), continuation('b', compressed)])
    t.same(decodeSliced(bytes), [RESERVED], `first frame ${first}`)
  }
  t.same(decodeSliced(continuation('b', compressed)), [RESERVED], 'without a message')
})

t.test('C9: RSV1 on a control frame is an error', async t => {
  for (const bytes of [ping('a', compressed), pong('a', compressed), close(1000, '', compressed)]) t.same(decodeSliced(bytes), [RESERVED])
  t.same(decodeSliced(Buffer.concat([text('a', { ...compressed, fin: false }), ping('', compressed)])), [RESERVED], 'within a compressed message')
})

t.test('C9: RSV2, RSV3 and RSV1 on a reserved opcode are errors, also where compression was agreed on', async t => {
  for (const rsv of [0x10, 0x20, 0x30, 0x50, 0x60, 0x70]) t.same(decodeSliced(text('a', { rsv })), [RESERVED], `RSV ${rsv}`)
  for (const opcode of [3, 4, 5, 6, 7]) t.same(decodeSliced(frame(opcode, 'a', compressed)), [RESERVED], `opcode ${opcode}`)
})

t.test('C9: RSV1 without an agreement is an error', async t => {
  for (const bytes of [text('a', compressed), binary('', compressed), text('a', { ...compressed, fin: false })]) {
    t.same(decodeSliced(bytes, {}, false), [RESERVED])
  }
})

t.test('RFC 6455 §5.4: the rules of fragments hold for compressed messages too', async t => {
  const error = (message: string): string[] => [`error ProtocolError FST_WS_ERR_FRAGMENTATION 1002 ${message}`]
  t.same(decodeSliced(Buffer.concat([text('a', { ...compressed, fin: false }), text('b', compressed)])),
    error('new message before the last fragment of the previous one'))
  t.same(decodeSliced(Buffer.concat([text('a', { fin: false }), text('b', compressed)])), error('new message before the last fragment of the previous one'))
  t.same(decodeSliced(text('a', { ...compressed, mask: null })), ['error ProtocolError FST_WS_ERR_MASK_REQUIRED 1002 frame from the client is not masked'])
})

t.test('a message that cannot be compressed is a little longer than maxPayload, and still comes whole', async t => {
  for (const maxPayload of [0, 1, 100, 1000, 5000, 70_000]) {
    const length = maxPayload + 5
    const content = Buffer.from(Array.from({ length }, (_, index) => index * 7 & 0xff))
    const expected = [`compressed binary ${content.toString('latin1')}`]
    t.ok(decodeSliced(binary(content, compressed), { maxPayload }).join() === expected.join(), `${length} bytes under a limit of ${maxPayload}`)
    const half = length >> 1
    const fragments = Buffer.concat([
      binary(content.subarray(0, half), { ...compressed, fin: false }), continuation(content.subarray(half, -1), { fin: false }), continuation(content.subarray(-1))
    ])
    t.ok(decodeSliced(fragments, { maxPayload }).join() === expected.join(), 'in fragments')
  }
})

t.test('C1: what cannot be within maxPayload even if it was not compressible fails with its header', async t => {
  const maxPayload = 1000
  for (const announce of [2 * maxPayload, 2 ** 31, 2 ** 53]) {
    t.same(decodeSliced(binary('', { ...compressed, announce: BigInt(announce) }), { maxPayload }), [TOO_BIG(maxPayload)], `${announce} bytes announced`)
  }
  const sum = Buffer.concat([binary(Buffer.alloc(900), { ...compressed, fin: false }), continuation('', { announce: 1100 })])
  t.same(decodeSliced(sum, { maxPayload }), [TOO_BIG(maxPayload)], 'fragments are added up')
})

t.test('C1: the allowance is for compressed messages alone', async t => {
  const maxPayload = 1000
  const over = Buffer.alloc(maxPayload + 1)
  t.same(decodeSliced(binary(over), { maxPayload }), [TOO_BIG(maxPayload)])
  const behind = Buffer.concat([binary('x', { ...compressed, fin: false }), continuation('y'), binary(over)])
  t.same(decodeSliced(behind, { maxPayload }), ['compressed binary xy', TOO_BIG(maxPayload)], 'behind one as well')
  t.same(decodeSliced(Buffer.concat([binary(over.subarray(1), { fin: false }), continuation('y')]), { maxPayload }), [TOO_BIG(maxPayload)])
})

t.test('C2: what is held of a compressed message grows with what came, not with what was announced', async t => {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 64 * 1024 * 1024 }, true)
  decoder.decode(ownCopy(binary(Buffer.alloc(10), { ...compressed, announce: 32 * 1024 * 1024 })))
  t.ok(retainedBytes(decoder) <= 1024, `${retainedBytes(decoder)} bytes for 10`)
})

/** A conversation in which some messages are compressed, as far as the decoder knows. */
const arbitraryMixture = fc.record({ conversation: arbitraryConversation, flags: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }) })

function bytesOf ({ frames }: Conversation, flags: readonly boolean[]): Buffer {
  let messages = 0
  return Buffer.concat(frames.map(({ opcode, fin, payload }) => {
    const isFirst = opcode === 0x1 || opcode === 0x2
    const rsv = isFirst && flags[messages++ % flags.length]! ? RSV1 : 0
    return frame(opcode, payload, { fin, rsv })
  }))
}

function eventsOf ({ events }: Conversation, flags: readonly boolean[]): DecoderEvent[] {
  let messages = 0
  return events.map(event => event.type === 'message' && flags[messages++ % flags.length]! ? { ...event, type: 'compressed' } : event)
}

t.test('any conversation, some messages compressed, in any slicing', async () => {
  fc.assert(fc.property(arbitraryMixture, arbitrarySlicing, ({ conversation, flags }, sizes) => {
    const events = toComparable(decode(slice(bytesOf(conversation, flags), sizes), { maxPayload: 64 * 1024 * 1024 }))
    return events.join('\n') === toComparable(eventsOf(conversation, flags)).join('\n')
  }), { numRuns: 2 * RUNS })
})
