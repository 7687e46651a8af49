import t from 'tap'
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { encodeClosePayload } from '../../lib/protocol/close-payload.js'
import { encodeFrame, frameHeaderLength, maskPayload, writeFrameHeader, MAX_HEADER_LENGTH } from '../../lib/protocol/frame-encoder.js'
import { encodeAnyFrame } from '../support/encode-frame.js'
import { close, frame } from '../support/raw-client.js'
import { arbitraryConversation, decodeAll, RUNS, toComparable } from './conversation.js'

t.test('RFC 6455 §5.7: the examples', async t => {
  const hex = (frame: Buffer): string => frame.toString('hex')
  t.equal(hex(encodeFrame(0x1, Buffer.from('Hello'))), '810548656c6c6f', 'a single-frame unmasked text message')
  t.equal(hex(encodeAnyFrame(0x1, Buffer.from('Hel'), { fin: false })), '010348656c', 'the first fragment of an unmasked text message')
  t.equal(hex(encodeFrame(0x0, Buffer.from('lo'))), '80026c6f', 'and its second')
  t.equal(hex(encodeFrame(0x9, Buffer.from('Hello'))), '890548656c6c6f', 'a Ping')
  t.equal(hex(encodeFrame(0x2, Buffer.alloc(256)).subarray(0, 4)), '827e0100', 'the header of 256 bytes')
  t.equal(hex(encodeFrame(0x2, Buffer.alloc(65536)).subarray(0, 10)), '827f0000000000010000', 'the header of 64 KiB')
})

t.test('RFC 6455 §5.2: the shortest length form, at every boundary up to the longest that a number can say', async t => {
  const cases: [length: number, unmasked: string, masked: string][] = [
    [0, '8200', '8280'],
    [1, '8201', '8281'],
    [125, '827d', '82fd'],
    [126, '827e007e', '82fe007e'],
    [127, '827e007f', '82fe007f'],
    [65535, '827effff', '82feffff'],
    [65536, '827f0000000000010000', '82ff0000000000010000'],
    [2 ** 32 - 1, '827f00000000ffffffff', '82ff00000000ffffffff'],
    [2 ** 32, '827f0000000100000000', '82ff0000000100000000'],
    [Number.MAX_SAFE_INTEGER, '827f001fffffffffffff', '82ff001fffffffffffff']
  ]
  for (const [length, unmasked, masked] of cases) {
    const target = Buffer.alloc(MAX_HEADER_LENGTH + 3)
    const end = writeFrameHeader(target, 3, 0x2, true, length, false)
    t.equal(target.subarray(3, end).toString('hex'), unmasked, `${length} bytes`)
    t.equal(frameHeaderLength(length, false), end - 3)
    const maskedEnd = writeFrameHeader(target, 3, 0x2, true, length, true)
    t.equal(target.subarray(3, maskedEnd).toString('hex'), masked, `${length} masked bytes`)
    t.equal(frameHeaderLength(length, true), maskedEnd - 3 + 4, 'with room for the key')
    t.same(target.subarray(0, 3), Buffer.alloc(3), 'nothing written before the offset')
  }
})

t.test('a fragment has no FIN, and RSV bits stay where the caller puts them', async t => {
  const target = Buffer.alloc(2, 0xff)
  writeFrameHeader(target, 0, 0x1, false, 5, false)
  t.same(target, Buffer.of(0x01, 5))
  writeFrameHeader(target, 0, 0x1 | 0x40, true, 5, false)
  t.same(target, Buffer.of(0xc1, 5))
})

t.test('what is encoded is what the RFC says, and the payload given stays as it was', async () => {
  fc.assert(fc.property(arbitraryConversation, fc.boolean(), ({ frames }, masked) => {
    for (const { opcode, fin, payload } of frames) {
      const before = Buffer.from(payload)
      const encoded = encodeAnyFrame(opcode, payload, { fin, masked })
      const key = masked ? encoded.readUInt32BE(encoded.length - payload.length - 4) : null
      if (!encoded.equals(frame(opcode, payload, { fin, mask: key }))) return false
      if (!payload.equals(before)) return false
    }
    return true
  }), { numRuns: RUNS })
})

t.test('encode, then decode, gives the conversation back, whichever side speaks', async () => {
  fc.assert(fc.property(arbitraryConversation, fc.constantFrom('server' as const, 'client' as const), ({ frames, events }, role) => {
    const masked = role === 'server'
    const bytes = frames.map(({ opcode, fin, payload }) => encodeAnyFrame(opcode, payload, { fin, masked }))
    return isDeepStrictEqual(toComparable(decodeAll(bytes, { role })), toComparable(events))
  }), { numRuns: RUNS })
})

t.test('RFC 6455 §5.3: each masked frame has a fresh key that cannot be foretold', async t => {
  const keys = new Set<number>()
  const seen = [0, 0, 0, 0]
  const target = Buffer.alloc(4 + 8)
  for (let i = 0; i < 1000; i++) {
    target.fill(0)
    maskPayload(target, 0, 8)
    const key = target.readUInt32BE(0)
    keys.add(key)
    for (let byte = 0; byte < 4; byte++) seen[byte]! |= target[byte]!
    if (target.readUInt32BE(4) !== key || target.readUInt32BE(8) !== key) return t.fail('the payload is not masked with the key before it')
  }
  t.ok(keys.size > 990, 'hardly a key came twice')
  t.same(seen, [0xff, 0xff, 0xff, 0xff], 'every bit of the key varies')
})

t.test('RFC 6455 §5.5.1: the payload of a Close frame', async t => {
  t.equal(encodeClosePayload(undefined, Buffer.alloc(0)).length, 0, 'no code, no payload')
  t.equal(encodeClosePayload(1000, Buffer.alloc(0)).toString('hex'), '03e8')
  t.equal(encodeClosePayload(4999, Buffer.from('né')).toString('hex'), '13876ec3a9')
  t.same(encodeFrame(0x8, encodeClosePayload(1001, Buffer.from('x'.repeat(123)))), close(1001, 'x'.repeat(123), { mask: null }))
})
