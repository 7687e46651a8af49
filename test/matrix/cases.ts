import { Buffer } from 'node:buffer'

/** Every client program knows these too: what it sends, it compares with what comes back. */
export const TEXT = 'Grüße, 你好, 👋'
export const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
export const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 255))
export const DIGITS = '0123456789'.repeat(30_000)
export const CLOSE_REASON = 'bye, 世界'
export const PING = 'are you there?'
export const REFUSALS = [401, 403, 503] as const
export const refusalBody = (status: number): string => JSON.stringify({ refused: status })

/** The cases of a client program, in its order; each is a path of the server, and a connection of its own. */
export const CASES = [
  'text', 'binary', 'empty', 'large', 'fragments', 'fragmented', 'cut', 'compressed', 'ping', 'pong', 'close', 'closed',
  'refused/401', 'refused/403', 'refused/503'
] as const

export type Case = typeof CASES[number]

/** What a client has to send in a case: the server compares it with what arrives. */
export const EXPECTED: Partial<Record<Case, (string | Buffer)[]>> = {
  text: [TEXT],
  binary: [BYTES],
  empty: ['', Buffer.alloc(0)],
  large: [LARGE],
  fragments: [TEXT],
  fragmented: [TEXT],
  cut: [TEXT],
  compressed: [DIGITS, LARGE, DIGITS]
}

/** One line of a client program. */
export interface Outcome {
  case: Case
  /** The client's library has no way to do this, and why. */
  cannot?: string
  /** What was not as it should be. */
  error?: string
  /** The close code and reason that the client saw. */
  code?: number
  reason?: string
  /** What the client saw of a refusal. */
  status?: number
  body?: string
}
