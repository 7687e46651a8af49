import type { Test } from 'tap'
import { constants, inflateRawSync } from 'node:zlib'
import { MessageDeflater, type DeflaterSettings } from '../../lib/compression/message-deflater.js'
import { many } from '../support/thorough.js'
import { KeptInflater, messageOf, noiseOf, randomFrom, TAIL, textOf } from './peer.js'

const SETTINGS: DeflaterSettings = { windowBits: 12, contextTakeover: true, level: 3, memLevel: 5 }

/** What `deflate` gives is valid only until its next call. */
function deflateSync (deflater: MessageDeflater, message: Buffer): Buffer | null {
  const payload = deflater.deflate(message)
  return payload === null ? null : Buffer.from(payload)
}

function deflateAsync (deflater: MessageDeflater, message: Buffer): Promise<Buffer | null> {
  return new Promise(resolve => deflater.deflateAsync(message, resolve))
}

/** What a peer without any context makes of it. */
function inflateAlone (payload: Buffer): Buffer {
  return inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH })
}

/** All that a deflater does, by whatever way of zlib's. */
export function deflaterCases (t: Test): void {
  t.test('a peer with a kept stream of the agreed window reads thousands of messages, for every window and both takeovers', async t => {
    for (const contextTakeover of [true, false]) {
      for (let windowBits = 9; windowBits <= 15; windowBits++) {
        const random = randomFrom(windowBits * 2 + Number(contextTakeover))
        const deflater = new MessageDeflater({ windowBits, contextTakeover, level: 1 + random(9), memLevel: 1 + random(9) })
        const shared = new MessageDeflater({ windowBits, contextTakeover: false, level: 6, memLevel: 8 })
        const peer = new KeptInflater({ windowBits, contextTakeover })
        const counts = { sync: 0, async: 0, shared: 0, plain: 0 }
        const wrong: string[] = []
        for (let i = 0; i < many(150, 1000); i++) {
          const message = messageOf(random)
          const way = i % 7 === 0 ? 'async' : i % 5 === 0 ? 'shared' : 'sync'
          let payload: Buffer | null
          if (way === 'shared') {
            // As a broadcast does it: compressed by another deflater, and noted by that of the connection.
            payload = deflateSync(shared, message)
            if (payload !== null) deflater.append(message)
          } else {
            payload = way === 'sync' ? deflateSync(deflater, message) : await deflateAsync(deflater, message)
          }
          // Then it is sent as it is, and the peer's context is none the wiser.
          counts[payload === null ? 'plain' : way]++
          if (payload === null) continue
          if (payload.length > message.length && message.length > 0) wrong.push(`${i} ${way} grew from ${message.length} to ${payload.length}`)
          const inflated = await peer.inflate(payload)
          if (!inflated.equals(message)) wrong.push(`${i} ${way}: ${message.length} bytes`)
        }
        peer.close()
        t.same(wrong, [], `window ${windowBits}, takeover ${contextTakeover}: ${JSON.stringify(counts)}`)
        t.ok(Object.values(counts).every(count => count > 0), 'all ways were gone')
      }
    }
  })

  t.test('RFC 7692 §7.1.1.1: with takeover a message costs less the second time, without it exactly the same', async t => {
    const message = textOf(1500, randomFrom(1))
    const keeping = new MessageDeflater(SETTINGS)
    const first = deflateSync(keeping, message)!
    const second = deflateSync(keeping, message)!
    t.ok(second.length * 4 < first.length, `${first.length}, then ${second.length} bytes`)

    const forgetting = new MessageDeflater({ ...SETTINGS, contextTakeover: false })
    t.ok(deflateSync(forgetting, message)!.equals(first))
    t.ok(deflateSync(forgetting, message)!.equals(first))
    t.ok((await deflateAsync(forgetting, message))!.equals(first))
    forgetting.append(message)
    t.ok(deflateSync(forgetting, message)!.equals(first), 'nor does it note what others have compressed')
    t.ok(inflateAlone(first).equals(message), 'which anybody can read')
  })

  t.test('a message that was appended can be referred to', async t => {
    const message = textOf(1500, randomFrom(2))
    const deflater = new MessageDeflater(SETTINGS)
    deflater.append(message)
    t.ok(deflater.deflate(message)!.length < 50)
  })

  t.test('the window limits what is referred to', async t => {
    // A peer with this window would not know any more what was 600 bytes before.
    for (const [windowBits, shrinks] of [[9, false], [10, true]] as const) {
      const deflater = new MessageDeflater({ ...SETTINGS, windowBits })
      const message = Buffer.from(noiseOf(300, randomFrom(3)).toString('hex'))
      const first = deflater.deflate(message)!.length
      const second = deflater.deflate(message)!.length
      t.equal(second * 4 < first, shrinks, `window ${windowBits}: ${first}, then ${second} bytes`)
    }
  })

  t.test('RFC 7692 §7.2.1: the tail is left out, and the message ends with the header of an empty block', async t => {
    const deflater = new MessageDeflater(SETTINGS)
    for (const payload of [deflateSync(deflater, Buffer.from('HelloHelloHello'))!, (await deflateAsync(deflater, Buffer.from('HelloHelloHello')))!]) {
      t.not(payload.subarray(-4).toString('hex'), '0000ffff')
      t.equal(payload.at(-1), 0)
    }
  })

  t.test('RFC 7692 §7.2.3.6: an empty message is one octet, 0x00', async t => {
    const deflater = new MessageDeflater(SETTINGS)
    t.equal(deflater.deflate(Buffer.alloc(0))!.toString('hex'), '00')
    t.equal(deflater.retainedBytes, 0)
  })

  t.test('a message that would not shrink is not compressed, and leaves the history alone', async t => {
    const deflater = new MessageDeflater(SETTINGS)
    const noise = noiseOf(5000, randomFrom(4))
    t.equal(deflater.deflate(noise), null)
    t.equal(await deflateAsync(deflater, noise), null)
    t.equal(deflater.retainedBytes, 0)
    // If it were in the history, this would shrink to a few bytes that no peer could read.
    t.equal(deflater.deflate(noise), null)
    t.equal(deflater.deflate(Buffer.from('Hello')), null, 'the example of RFC 7692 §7.2.3.1 is longer than its message')
    const stored = new MessageDeflater({ ...SETTINGS, level: 0 })
    t.equal(stored.deflate(textOf(5000, randomFrom(5))), null, 'level 0 never shrinks anything')
  })

  t.test('large messages, and such whose output ends with a chunk, come whole and end with one flush', async t => {
    const random = randomFrom(6)
    const wrong: number[] = []
    // Half of each is noise: the output goes through every length around zlib's buffers of 256 bytes.
    for (let length = 240; length < 1100; length++) {
      const message = Buffer.concat([noiseOf(length >> 1, random), Buffer.alloc(length - (length >> 1), 'x')])
      const payload = new MessageDeflater(SETTINGS).deflate(message)
      if (payload === null || !inflateAlone(payload).equals(message)) wrong.push(length)
    }
    const large = textOf(3 * 1024 * 1024, random)
    const deflater = new MessageDeflater(SETTINGS)
    if (!inflateAlone((await deflateAsync(deflater, large))!).equals(large)) wrong.push(large.length)
    t.same(wrong, [])
  })

  t.test('on this thread and on another, in turn, each refers to what the other has done', async t => {
    const deflater = new MessageDeflater(SETTINGS)
    const message = textOf(1500, randomFrom(7))
    const first = deflateSync(deflater, message)!
    const lengths: number[] = []
    for (let i = 0; i < 6; i++) {
      const payload = i % 3 === 0 ? await deflateAsync(deflater, message) : deflateSync(deflater, message)
      lengths.push(payload!.length)
    }
    t.ok(lengths.every(length => length * 4 < first.length), `${first.length}, then ${lengths.join(', ')} bytes`)
  })

  t.test('C8: more connections than there are contexts, in turn: each peer still reads its own', async t => {
    const settings: DeflaterSettings = { windowBits: 9, contextTakeover: true, level: 1, memLevel: 1 }
    const random = randomFrom(9)
    const pairs = Array.from({ length: 1200 }, () => ({ deflater: new MessageDeflater(settings), peer: new KeptInflater(settings), own: textOf(200, random) }))
    let wrong = 0
    let shrunk = 0
    for (let round = 0; round < 3; round++) {
      for (const { deflater, peer, own } of pairs) {
        const payload = deflater.deflate(own)
        if (payload === null || !(await peer.inflate(Buffer.from(payload))).equals(own)) wrong++
        else if (round > 0 && payload.length < 30) shrunk++
      }
    }
    t.ok(pairs.filter(({ deflater }) => deflater.context !== null).length <= 1024, 'there are no more contexts than that')
    for (const { deflater, peer } of pairs) {
      deflater.close()
      if (deflater.context !== null) t.fail('a context is left')
      peer.close()
    }
    t.equal(wrong, 0)
    t.equal(shrunk, 2 * pairs.length, 'and what went before is referred to, context or not')
  })

  t.test('C8: what zlib refuses is reported as "send it as it is", on both threads, and never thrown', async t => {
    // zlib knows no such window: the constructor throws before anything is done.
    const deflater = new MessageDeflater({ ...SETTINGS, windowBits: 99 })
    t.equal(deflater.deflate(Buffer.alloc(100)), null)
    let isSync = true
    const result = new Promise<Buffer | null>(resolve => {
      deflater.deflateAsync(Buffer.alloc(100), compressed => {
        t.notOk(isSync, 'the callback is never called before the call returns')
        resolve(compressed)
      })
    })
    isSync = false
    t.equal(await result, null)
  })

  t.test('C8: nothing is held before the first message, nothing without takeover, and little for little', async t => {
    const deflater = new MessageDeflater({ ...SETTINGS, windowBits: 15 })
    t.equal(deflater.retainedBytes, 0)
    deflater.deflate(Buffer.alloc(1024, 'a'))
    t.ok(deflater.retainedBytes <= 2048, `${deflater.retainedBytes} bytes for 1024`)
    for (let i = 0; i < 100; i++) deflater.deflate(Buffer.alloc(5000, 'a'))
    t.ok(deflater.retainedBytes <= 1.25 * 32768)
    const forgetting = new MessageDeflater({ ...SETTINGS, contextTakeover: false })
    forgetting.deflate(Buffer.alloc(1024, 'a'))
    await deflateAsync(forgetting, Buffer.alloc(100_000, 'a'))
    t.equal(forgetting.retainedBytes, 0)
  })
}
