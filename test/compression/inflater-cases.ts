import fc from 'fast-check'
import type { Test } from 'tap'
import { constants, deflateRawSync } from 'node:zlib'
import { MessageInflater, type InflaterSettings } from '../../lib/compression/message-inflater.js'
import { WebSocketError } from '../../lib/errors.js'
import { many } from '../support/thorough.js'
import {
  COPY_LENGTH, encodeTokens, expandTokens, KeptDeflater, messageOf, noiseOf, randomFrom, storedBlock, TAIL, textOf, type Token
} from './peer.js'

const MiB = 1024 * 1024

const SETTINGS: InflaterSettings = { windowBits: 15, contextTakeover: true, maxPayload: MiB }

type Way = 'here' | 'on another thread'
const WAYS: readonly Way[] = ['here', 'on another thread']

/** The message, or what went wrong: the same type for both ways. */
async function inflate (inflater: MessageInflater, payload: Buffer, way: Way): Promise<Buffer | WebSocketError> {
  if (way === 'on another thread') {
    return await new Promise(resolve => inflater.inflateAsync(payload, (error, message) => resolve(error ?? message)))
  }
  try {
    return inflater.inflate(payload)!
  } catch (error) {
    if (error instanceof WebSocketError) return error
    throw error
  }
}

function describe (result: Buffer | WebSocketError): string {
  return result instanceof WebSocketError ? `${result.closeCode} ${result.code}` : result.toString('latin1')
}

/** What a new inflater makes of it, both ways; fails if they differ. */
async function inflateAlone (t: Test, payload: Buffer, settings: Partial<InflaterSettings> = {}): Promise<string> {
  const [here, there] = await Promise.all(WAYS.map(async way => describe(await inflate(new MessageInflater({ ...SETTINGS, ...settings }), payload, way))))
  if (here !== there) t.equal(here!.slice(0, 200), there!.slice(0, 200), 'both ways give the same')
  return here!
}

function compress (message: Buffer, options: { finishFlush?: number, level?: number } = {}): Buffer {
  return deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH, ...options }).subarray(0, options.finishFlush === undefined ? -TAIL.length : undefined)
}

const INVALID = '1007 FST_WS_ERR_INVALID_PAYLOAD'
const TOO_BIG = '1009 FST_WS_ERR_MESSAGE_TOO_BIG'

/** All that an inflater does, by whatever way of zlib's. */
export function inflaterCases (t: Test): void {
  // --- what a peer sends

  t.test('thousands of messages of a peer with a kept stream, for every window and both takeovers', async t => {
    for (const contextTakeover of [true, false]) {
      for (let windowBits = 8; windowBits <= 15; windowBits++) {
        const random = randomFrom(windowBits * 2 + Number(contextTakeover))
        const inflater = new MessageInflater({ windowBits, contextTakeover, maxPayload: MiB })
        const peer = new KeptDeflater({ windowBits, contextTakeover })
        const wrong: string[] = []
        for (let i = 0; i < many(150, 1000); i++) {
          const message = messageOf(random)
          const result = await inflate(inflater, await peer.deflate(message), WAYS[Number(i % 6 === 0)]!)
          if (result instanceof WebSocketError || !result.equals(message)) wrong.push(`${i}: ${message.length} bytes, ${describe(result).slice(0, 60)}`)
        }
        inflater.close()
        peer.close()
        t.same(wrong, [], `window ${windowBits}, takeover ${contextTakeover}`)
      }
    }
  })

  t.test('copies from any distance within the window, across messages, for every window from 8 on', async t => {
    for (let windowBits = 8; windowBits <= 15; windowBits++) {
      const size = 1 << windowBits
      const random = randomFrom(windowBits)
      const inflater = new MessageInflater({ windowBits, contextTakeover: true, maxPayload: MiB })
      let before = Buffer.alloc(0)
      const wrong: number[] = []
      for (let i = 0; i < 120; i++) {
        const tokens: Token[] = []
        let known = before.length
        for (let j = random(60); j >= 0; j--) {
          const isCopy = known > 0 && random(3) > 0
          // The far end of the window more often than not.
          tokens.push(isCopy ? { distance: random(2) === 0 ? Math.min(known, size) : 1 + random(Math.min(known, size)) } : random(256))
          known += isCopy ? COPY_LENGTH : 1
        }
        // What fills the window quickly.
        if (i % 10 === 0) for (let j = 0; j < size / 8; j++) tokens.push(random(256))
        const expected = expandTokens(before, tokens)
        before = Buffer.concat([before, expected]).subarray(-size)
        const result = await inflate(inflater, encodeTokens(tokens), WAYS[Number(i % 4 === 0)]!)
        if (result instanceof WebSocketError || !result.equals(expected)) wrong.push(i)
      }
      inflater.close()
      t.same(wrong, [], `window ${windowBits}`)
    }
  })

  t.test('a copy from behind the window is an error, not somebody else\'s memory', async t => {
    for (const windowBits of [8, 9, 12, 15]) {
      const size = 1 << windowBits
      const content = noiseOf(3 * size, randomFrom(windowBits))
      for (const [distance, isValid] of [[size, true], [size + 1, false], [2 * size, false]] as const) {
        if (distance > 32768) continue
        for (const way of WAYS) {
          const inflater = new MessageInflater({ windowBits, contextTakeover: true, maxPayload: MiB })
          await inflate(inflater, compress(content), way)
          const tail = content.subarray(content.length - distance)
          t.equal(describe(await inflate(inflater, encodeTokens([{ distance }]), way)), isValid ? tail.subarray(0, COPY_LENGTH).toString('latin1') : INVALID,
            `window ${windowBits}, distance ${distance}, ${way}`)
          inflater.close()
        }
      }
    }
  })

  t.test('RFC 7692 §7.1.1.2: without takeover no message knows of the one before, of this connection or another', async t => {
    const secret = Buffer.from('the secret of another connection')
    // What is given up half-way leaves nothing behind; the tail would end what was left open.
    const first = new MessageInflater({ ...SETTINGS, contextTakeover: false })
    t.equal(first.inflate(compress(Buffer.alloc(5000, secret)), 1000), null)
    const second = new MessageInflater({ ...SETTINGS, contextTakeover: false })
    t.equal(describe(await inflate(second, Buffer.concat([TAIL, encodeTokens([{ distance: 5 }])]), 'here')), INVALID)
    for (const way of WAYS) {
      const other = new MessageInflater({ ...SETTINGS, contextTakeover: false })
      const inflater = new MessageInflater({ ...SETTINGS, contextTakeover: false })
      t.equal(describe(await inflate(other, compress(secret), way)), secret.toString())
      t.equal(describe(await inflate(inflater, encodeTokens([{ distance: 5 }]), way)), INVALID, `before the first message, ${way}`)
      t.equal(describe(await inflate(other, encodeTokens([{ distance: 5 }]), way)), INVALID, `its own, ${way}`)
      t.equal(describe(await inflate(other, compress(secret), way)), secret.toString(), 'and that spoils nothing')
    }
    const keeping = new MessageInflater(SETTINGS)
    t.equal(describe(await inflate(keeping, encodeTokens([{ distance: 5 }]), 'here')), INVALID, 'nor with takeover')
  })

  t.test('C8: more connections than there are contexts, in turn: each keeps its own history', async t => {
    const settings: InflaterSettings = { windowBits: 9, contextTakeover: true, maxPayload: MiB }
    const inflaters = Array.from({ length: 1200 }, () => new MessageInflater(settings))
    let wrong = 0
    for (let round = 0; round < 4; round++) {
      for (const [index, inflater] of inflaters.entries()) {
        const own = Buffer.from(String(index).padStart(4, '0'))
        const expected = round === 0 ? own : own.subarray(0, COPY_LENGTH)
        // Four bytes first, then three times the first three of them.
        const distance = 4 + (round - 1) * COPY_LENGTH
        const message = inflater.inflate(round === 0 ? encodeTokens([...own]) : encodeTokens([{ distance }]))
        if (!message!.equals(expected)) wrong++
      }
    }
    t.ok(inflaters.filter(({ context }) => context !== null).length <= 1024, 'there are no more contexts than that')
    for (const inflater of inflaters) inflater.close()
    t.ok(inflaters.every(({ context }) => context === null))
    t.equal(wrong, 0)
  })

  // --- the examples

  t.test('RFC 7692 §7.2.3.1: one compressed block', async t => {
    t.equal(await inflateAlone(t, Buffer.from('f248cdc9c90700', 'hex')), 'Hello')
  })

  t.test('RFC 7692 §7.2.3.2: sharing the window', async t => {
    for (const way of WAYS) {
      const inflater = new MessageInflater(SETTINGS)
      for (const payload of ['f248cdc9c90700', 'f200110000', 'f200110000']) {
        t.equal(describe(await inflate(inflater, Buffer.from(payload, 'hex'), way)), 'Hello', `${payload} ${way}`)
      }
      const without = new MessageInflater({ ...SETTINGS, contextTakeover: false })
      await inflate(without, Buffer.from('f248cdc9c90700', 'hex'), way)
      t.equal(describe(await inflate(without, Buffer.from('f200110000', 'hex'), way)), INVALID, `${way}, without takeover`)
    }
  })

  t.test('RFC 7692 §7.2.3.3: a block without compression', async t => {
    t.equal(await inflateAlone(t, Buffer.from('000500faff48656c6c6f00', 'hex')), 'Hello')
    const noise = noiseOf(200_000, randomFrom(1))
    t.ok(await inflateAlone(t, compress(noise, { level: 0 })) === noise.toString('latin1'), 'and many of them')
  })

  t.test('RFC 7692 §7.2.3.4: a block with BFINAL, an empty header behind it or not', async t => {
    t.equal(await inflateAlone(t, Buffer.from('f348cdc9c9070000', 'hex')), 'Hello')
    t.equal(await inflateAlone(t, Buffer.from('f348cdc9c90700', 'hex')), 'Hello')
    const stored = storedBlock(Buffer.from('Hello'), true)
    t.equal(await inflateAlone(t, stored), 'Hello', 'stored')
    t.equal(await inflateAlone(t, Buffer.concat([stored, Buffer.of(0)])), 'Hello', 'stored, with the header')
    for (const size of [10, 5000, 300_000]) {
      const message = textOf(size, randomFrom(size))
      const final = compress(message, { finishFlush: constants.Z_FINISH })
      t.ok(await inflateAlone(t, final) === message.toString('latin1'), `${size} bytes, as zlib ends them`)
    }
  })

  t.test('RFC 7692 §7.2.3.4: what is behind a block with BFINAL is part of the message, and may refer to what is before it', async t => {
    const hello = Buffer.from('f348cdc9c90700', 'hex')
    for (const way of WAYS) {
      const inflater = new MessageInflater(SETTINGS)
      t.equal(describe(await inflate(inflater, Buffer.concat([hello, compress(Buffer.from(', world'))]), way)), 'Hello, world', way)
      t.equal(describe(await inflate(inflater, Buffer.concat([hello, encodeTokens([{ distance: 5 }])]), way)), 'HelloHel', `${way}: within the message`)
      t.equal(describe(await inflate(inflater, Buffer.concat([hello, encodeTokens([{ distance: 25 }])]), way)), 'HelloHel', `${way}: to the message before`)
      t.equal(describe(await inflate(inflater, encodeTokens([{ distance: 3 }], true), way)), 'Hel', `${way}: from a final block`)
      t.equal(describe(await inflate(inflater, encodeTokens([{ distance: 3 }]), way)), 'Hel', `${way}: behind it, in the next message`)
    }
  })

  t.test('C9: several blocks with BFINAL are inflated, very many are not, and the limit is the same on both threads', async t => {
    const final = Buffer.from('f348cdc9c90700', 'hex')
    let most = 0
    for (let count = 1; count <= 40; count++) {
      const result = await inflateAlone(t, Buffer.concat(Array<Buffer>(count).fill(final)))
      if (result === 'Hello'.repeat(count)) most = count
      else t.equal(result, INVALID, `${count} of them`)
    }
    t.ok(most >= 8 && most < 40, `at most ${most}`)
    // Each would cost a new start of zlib.
    t.equal(await inflateAlone(t, Buffer.concat(Array<Buffer>(200_000).fill(storedBlock(Buffer.alloc(0), true)))), INVALID)
  })

  t.test('RFC 7692 §7.2.3.5: two blocks, with an empty one between them', async t => {
    t.equal(await inflateAlone(t, Buffer.from('f24805000000ffffcac9c90700', 'hex')), 'Hello')
  })

  t.test('RFC 7692 §7.2.3.6: an empty message, as it should be and as it may be', async t => {
    t.equal(await inflateAlone(t, Buffer.of(0)), '')
    t.equal(await inflateAlone(t, Buffer.alloc(0)), '', 'no octet at all: the tail is an empty block')
    t.equal(await inflateAlone(t, Buffer.from('0200', 'hex')), '', 'an empty block with fixed codes')
    t.equal(await inflateAlone(t, Buffer.from('0300', 'hex')), '', 'with BFINAL')
    for (const way of WAYS) {
      const inflater = new MessageInflater(SETTINGS)
      await inflate(inflater, Buffer.from('f248cdc9c90700', 'hex'), way)
      await inflate(inflater, Buffer.of(0), way)
      t.equal(describe(await inflate(inflater, Buffer.from('f200110000', 'hex'), way)), 'Hello', `${way}: it leaves the window as it is`)
    }
  })

  // --- bad streams

  t.test('C9: a stream that ends early is an error, wherever it is cut', async t => {
    const message = textOf(400, randomFrom(3))
    const payload = compress(message)
    const wrong: number[] = []
    for (let end = 1; end < payload.length; end++) {
      const result = await inflateAlone(t, payload.subarray(0, end))
      // A cut that leaves whole blocks is none that can be seen; zlib makes one block of this.
      if (result !== INVALID) wrong.push(end)
    }
    t.same(wrong, [])
    t.equal(await inflateAlone(t, storedBlock(Buffer.alloc(20)).subarray(0, 15)), INVALID, 'within a stored block')
  })

  t.test('C9: the tail that should have been left out is an error', async t => {
    t.equal(await inflateAlone(t, Buffer.concat([compress(Buffer.from('Hello')), TAIL])), INVALID)
    t.equal(await inflateAlone(t, TAIL), INVALID)
  })

  t.test('C9: streams that are no deflate are errors', async t => {
    for (const [what, hex] of Object.entries({
      'block type 3': '06',
      'lengths of a stored block that do not match': '0005000000',
      'a zlib header': '789cf348cdc9c907000000ffff',
      'a gzip header': '1f8b0800000000000003',
      'a copy from before the start': encodeTokens([{ distance: 1 }]).toString('hex'),
      'bad code lengths': '04fffffffffffffffff0',
      'something behind a final block': 'f348cdc9c9070006'
    })) t.equal(await inflateAlone(t, Buffer.from(hex, 'hex')), INVALID, what)
  })

  t.test('C9: any bytes are a message or an error, the same on both threads, and the next connection is not hurt', async t => {
    const hello = Buffer.from('f248cdc9c90700', 'hex')
    let messages = 0
    await fc.assert(fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        // A message with some bytes changed gets deeper into zlib.
        fc.tuple(fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })).map(([seed, changes]) => {
          const payload = Buffer.from(compress(textOf(300, randomFrom(seed))))
          for (const [at, byte] of changes) payload[at % payload.length] = byte
          return payload
        })
      ), fc.boolean(),
      async (bytes, contextTakeover) => {
        const payload = Buffer.from(bytes)
        const settings = { ...SETTINGS, contextTakeover, maxPayload: 1000 }
        const [here, there] = await Promise.all(WAYS.map(way => inflate(new MessageInflater(settings), payload, way)))
        if (here instanceof Buffer) messages++
        const next = new MessageInflater(settings)
        return describe(here!) === describe(there!) && describe(await inflate(next, hello, 'here')) === 'Hello'
      }
    ), { numRuns: 700 })
    t.ok(messages > 20 && messages < 600, `${messages} were messages`)
  })

  // --- limits

  t.test('C9: maxPayload counts inflated bytes: exactly so many may come, one more is 1009', async t => {
    for (const maxPayload of [1, 2, 100, 1000, 65535, 65536, 65537, 262144, 262145]) {
      for (const [what, filling] of [['zeros', (length: number) => Buffer.alloc(length)], ['noise', (length: number) => noiseOf(length, randomFrom(length))]] as const) {
        const message = filling(maxPayload)
        t.ok(await inflateAlone(t, compress(message), { maxPayload }) === message.toString('latin1'), `${maxPayload} bytes of ${what}`)
        t.equal(await inflateAlone(t, compress(filling(maxPayload + 1)), { maxPayload }), TOO_BIG, `one more than ${maxPayload} of ${what}`)
      }
    }
    t.equal(await inflateAlone(t, Buffer.of(0), { maxPayload: 0 }), '', 'an empty message under a limit of none')
    t.equal(await inflateAlone(t, compress(Buffer.from('a')), { maxPayload: 0 }), TOO_BIG)
    t.equal(await inflateAlone(t, compress(Buffer.alloc(3 * MiB)), { maxPayload: Infinity }).then(result => result.length), 3 * MiB, 'Infinity is no limit')
  })

  t.test('C9: blocks with BFINAL do not start the count anew', async t => {
    const final = compress(Buffer.alloc(400), { finishFlush: constants.Z_FINISH })
    t.equal(await inflateAlone(t, Buffer.concat([final, final]), { maxPayload: 800 }), '\0'.repeat(800))
    t.equal(await inflateAlone(t, Buffer.concat([final, final]), { maxPayload: 799 }), TOO_BIG)
    t.equal(await inflateAlone(t, Buffer.concat([final, final, final]), { maxPayload: 800 }), TOO_BIG)
  })

  t.test('what is over the limit of this thread is left to the other, with the same history', async t => {
    const inflater = new MessageInflater({ ...SETTINGS, maxPayload: 100_000 })
    const peer = new KeptDeflater(SETTINGS)
    const random = randomFrom(4)
    for (let i = 0; i < 30; i++) {
      const message = textOf(i % 3 === 0 ? 30_000 : 3000, random)
      const payload = await peer.deflate(message)
      const here = inflater.inflate(payload, 10_000)
      t.equal(here === null, message.length > 10_000, `${message.length} bytes`)
      const inflated = here ?? await inflate(inflater, payload, 'on another thread')
      t.ok(inflated instanceof Buffer && inflated.equals(message))
    }
    t.throws(() => inflater.inflate(compress(Buffer.alloc(100_001)), 200_000), /longer than 100000 bytes/, 'a limit above that of the message has no effect')
    t.throws(() => inflater.inflate(Buffer.of(0x06), 10), /cannot be inflated/, 'what is wrong is found here')
    peer.close()
  })

  t.test('C8: nothing is held before the first message, nothing without takeover, and little for little', async t => {
    const inflater = new MessageInflater(SETTINGS)
    t.equal(inflater.retainedBytes, 0)
    inflater.inflate(compress(Buffer.alloc(1000, 'a')))
    t.ok(inflater.retainedBytes > 0 && inflater.retainedBytes <= 2000, `${inflater.retainedBytes} bytes for 1000`)
    for (const way of WAYS) await inflate(inflater, compress(Buffer.alloc(500_000)), way)
    t.ok(inflater.retainedBytes <= 1.25 * 32768)
    const forgetting = new MessageInflater({ ...SETTINGS, contextTakeover: false })
    for (const way of WAYS) await inflate(forgetting, compress(Buffer.alloc(500_000)), way)
    t.equal(forgetting.retainedBytes, 0)
  })

  t.test('a message is the receiver\'s: later ones do not change it', async t => {
    for (const contextTakeover of [true, false]) {
      const inflater = new MessageInflater({ ...SETTINGS, contextTakeover })
      const random = randomFrom(5)
      const expected = Array.from({ length: 50 }, () => messageOf(random))
      const messages = expected.map(message => inflater.inflate(compress(message))!)
      t.ok(messages.every((message, index) => message.equals(expected[index]!)), `takeover ${contextTakeover}`)
    }
  })
}
