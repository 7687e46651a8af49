import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { PerMessageDeflateOptions, WebSocketConnection } from '../../lib/index.js'
import { noiseOf, randomFrom, textOf } from '../compression/peer.js'
import { startApp } from '../support/app.js'
import { many } from '../support/thorough.js'

const KiB = 1024

/** All agreements that differ in more than a number: takeover each way, and the smallest, a middle and the largest window. */
export const COMBINATIONS: readonly Required<Pick<PerMessageDeflateOptions, 'serverNoContextTakeover' | 'clientNoContextTakeover' | 'serverMaxWindowBits' | 'clientMaxWindowBits'>>[] =
  [9, 12, 15].flatMap(serverMaxWindowBits => [8, 12, 15].flatMap(clientMaxWindowBits =>
    [false, true].flatMap(serverNoContextTakeover => [false, true].map(clientNoContextTakeover =>
      ({ serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits })))))

/** From 16 bytes to 128 KiB; the long ones are seldom, since they are what takes the time. */
const SIZES = [16, 16, 17, 50, 64, 125, 126, 127, 128, 200, 256, 300, 511, 512, 700, 1000, 1023, 1024, 1025, 1500, 2048, 3000, 4096, 5000]
const LONG_SIZES = [8 * KiB, 16 * KiB, 20_000, 32 * KiB - 1, 32 * KiB, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 100_000, 128 * KiB]

/** For each combination and client. In the thorough run it is thousands, which takes minutes. */
export const MESSAGES_EACH = many(60, 2000)

/** For a reader of many that come at once. */
const MESSAGES_AT_ONCE = many(150, 2000)

/** Messages that shrink well, badly, and not at all; text is UTF-8 with characters of every length. */
export function messagesOf (seed: number, count = MESSAGES_EACH): (string | Buffer)[] {
  const random = randomFrom(seed)
  return Array.from({ length: count }, (_, index) => {
    const size = index % 15 === 7 ? LONG_SIZES[random(LONG_SIZES.length)]! : SIZES[index % SIZES.length]!
    switch (random(5)) {
      case 0: return noiseOf(size, random)
      case 1: return Buffer.alloc(size, random(256))
      case 2: return textOf(size, random)
      case 3: return noiseOf(size >> 1, random).toString('hex')
      default: return textOf(size, random).toString()
    }
  })
}

/** The messages that `/feed` sends. */
export function feedOf (seed: number): (string | Buffer)[] {
  return messagesOf(seed, MESSAGES_AT_ONCE)
}

export function isSame (a: string | Buffer, b: string | Buffer): boolean {
  return typeof a === 'string' ? a === b : Buffer.isBuffer(b) && a.equals(b)
}

/** Identifies a message in few bytes, in the same way on both sides. */
export function digest (message: string | Buffer): string {
  return `${typeof message === 'string' ? 'text' : 'binary'} ${createHash('sha1').update(message).digest('hex')}`
}

/** One route for each combination, at `/0`, `/1`, …: each sends back what it gets. */
export function combinationRoutes (app: FastifyInstance): void {
  for (const [index, combination] of COMBINATIONS.entries()) {
    app.get(`/${index}`, { websocket: { perMessageDeflate: { ...combination, threshold: 0 }, maxPayload: 256 * KiB, origin: '*' } }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  }
  // Sends its messages when the client asks for them, and expects no other message.
  app.get('/feed', { websocket: { perMessageDeflate: { threshold: 0 }, origin: '*' } }, (connection: WebSocketConnection) => {
    connection.on('message', data => { for (const message of feedOf(Number(data.toString()))) connection.send(message) })
  })
}

export async function startCombinations (t: Test): Promise<string> {
  return (await startApp(t, combinationRoutes)).url
}
