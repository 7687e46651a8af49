import type { Random } from './random.js'

/** Bytes that mean something: first bytes of frames, lengths, masks, borders of UTF-8, of lines, of numbers. */
const BYTES = [
  0x00, 0x01, 0x02, 0x08, 0x09, 0x0a, 0x0d, 0x20, 0x2c, 0x3a, 0x3b, 0x40, 0x41, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x88, 0x89, 0x8a,
  0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xfe, 0xff
]

const WORDS = [0, 1, 125, 126, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]

/** Byte sequences that chance alone would take too long to find. */
const TOKENS = [
  // Borders of UTF-8 (RFC 3629 §4): too long forms, surrogates, beyond U+10FFFF, and the last characters before these.
  'c080', 'c1bf', 'e08080', 'e09fbf', 'e0a080', 'ed9fbf', 'eda080', 'edbfbf', 'ee8080', 'f0808080', 'f08fbfbf', 'f0908080', 'f48fbfbf', 'f4908080', 'f5808080', 'efbbbf',
  // Frames whose lengths are at the borders of their forms, with masks of zeros.
  '81fd00000000', '81fe007d00000000', '81fe007e00000000', '81feffff00000000',
  '82ff000000000000ffff00000000', '82ff000000000001000000000000', '82ff7fffffffffffffff00000000', '82ff800000000000000000000000', '82ff001fffffffffffff00000000',
  '017e007d', '017f000000000000ffff', '827f0000000000010000',
  // Control frames: empty, too long, in fragments, reserved.
  '898000000000', '89fe007e00000000', '098000000000', '8a8000000000', '8b8000000000', '838000000000',
  // Close frames: half a code, codes at the borders, a reason that is not UTF-8.
  '888000000000', '88810000000003', '88820000000003e7', '88820000000003e8', '88820000000003eb', '88820000000003ec', '88820000000003ee', '88820000000003ef',
  '88820000000003f6', '88820000000003f7', '8882000000000bb7', '8882000000000bb8', '8882000000001387', '8882000000001388', '88830000000003e8ff',
  // Fragments: a first, one between, a last; with RSV1, and RSV1 where it must not be.
  '018000000000', '008000000000', '808000000000', '418000000000', 'c18000000000', 'c08000000000', 'c98000000000', '018100000000e2', '808100000000ac', '018200000000eda0', '018200000000f490', '018200000000e09f', '018200000000c0af',
  // Deflate: empty blocks, final blocks, a block without end, a reference to what is not there.
  'c1810000000000', '0000ffff', '010000ffff', '00', '0300', '02', '4a04c200', 'ffff', '060000ffff'
].map(hex => Buffer.from(hex, 'hex')).concat([
  '\r\n', '\r\n\r\n', 'Connection: Upgrade\r\n', 'Upgrade: websocket\r\n', 'Content-Length: 8\r\n', 'Transfer-Encoding: chunked\r\n', 'Expect: 100-continue\r\n',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n', 'Sec-WebSocket-Extensions: permessage-deflate; constructor\r\n', 'Sec-WebSocket-Version: 8\r\n', 'HTTP/1.0', '%zz', 'POST'
].map(text => Buffer.from(text)))

const MOST = 128 * 1024

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer

const MUTATIONS: readonly Mutation[] = [
  function flipBit (bytes, random) {
    bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
    return bytes
  },
  function setByte (bytes, random) {
    bytes[random.below(bytes.length)] = random.chance(0.7) ? random.pick(BYTES) : random.below(256)
    return bytes
  },
  function addToByte (bytes, random) {
    bytes[random.below(bytes.length)]! += random.below(9) - 4
    return bytes
  },
  function setWord (bytes, random) {
    const size = random.pick([2, 4])
    const at = random.below(bytes.length)
    if (at + size > bytes.length) return bytes
    const word = random.pick(WORDS)
    if (size === 2) bytes.writeUInt16BE(word & 0xffff, at)
    else bytes.writeUInt32BE(word, at)
    return bytes
  },
  function insert (bytes, random) {
    const at = random.below(bytes.length + 1)
    const added = random.chance(0.5) ? random.bytes(1 + random.below(4)) : Buffer.alloc(1 + random.below(16), random.pick(BYTES))
    return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)])
  },
  function insertToken (bytes, random) {
    // Between two frames it means more than within one.
    const at = random.pick([0, bytes.length, random.below(bytes.length + 1)])
    return Buffer.concat([bytes.subarray(0, at), random.pick(TOKENS), bytes.subarray(at)])
  },
  function overwriteWithToken (bytes, random) {
    random.pick(TOKENS).copy(bytes, random.below(bytes.length))
    return bytes
  },
  function remove (bytes, random) {
    const at = random.below(bytes.length)
    const count = 1 + random.below(random.chance(0.8) ? 8 : bytes.length - at)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)])
  },
  function truncate (bytes, random) {
    return bytes.subarray(0, 1 + random.below(bytes.length))
  },
  function repeat (bytes, random) {
    const at = random.below(bytes.length)
    const part = bytes.subarray(at, at + 1 + random.below(Math.min(64, bytes.length - at)))
    const copies = Array<Buffer>(1 + random.below(random.chance(0.9) ? 3 : 200)).fill(part)
    return Buffer.concat([bytes.subarray(0, at), ...copies, bytes.subarray(at)])
  },
  function copyOver (bytes, random) {
    const from = random.below(bytes.length)
    bytes.copy(bytes, random.below(bytes.length), from, from + 1 + random.below(32))
    return bytes
  },
  function splice (bytes, random, other) {
    return Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))])
  },
  function insertOther (bytes, random, other) {
    const at = random.below(bytes.length + 1)
    const from = random.below(other.length + 1)
    return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + random.below(64)), bytes.subarray(at)])
  }
]

/** A copy with some of its bytes changed, taken away, or from another conversation. */
export function mutate (bytes: Buffer, random: Random, other: Buffer): Buffer {
  let mutated: Buffer = Buffer.from(bytes)
  for (let i = 1 << random.below(4); i > 0; i--) {
    if (mutated.length === 0) mutated = random.bytes(1)
    mutated = random.pick(MUTATIONS)(mutated, random, other)
    if (mutated.length > MOST) mutated = mutated.subarray(0, MOST)
  }
  return Buffer.from(mutated)
}
