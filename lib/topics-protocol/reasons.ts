import { createError, RefusedError, TopicError } from '../errors.js'
import type { Reason } from './server-message.js'

/** The same request may succeed later. */
const PASSING: readonly string[] = ['FST_WS_ERR_PUBLISH', 'FST_WS_ERR_SUBSCRIBE', 'FST_WS_ERR_PRESENCE', 'FST_WS_ERR_MAX_TOPICS', 'FST_WS_ERR_POLICY']

/** Mistakes in the app's code: their messages are for its log, and not for clients. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError]

const MAX_LENGTH = 1_000

/** Why a request is refused, and what the app's log gets of it. */
export interface Judgement {
  readonly reason: Reason
  /** The app's decision has failed, and is no decision. */
  readonly failure: unknown
}

/** @param thrown by the app's code, or by ours */
export function judge (thrown: unknown): Judgement {
  if (isFailure(thrown)) return { reason: reasonOf(createError('FST_WS_ERR_POLICY')), failure: thrown }
  return { reason: reasonOf(thrown), failure: null }
}

export function reasonOf (thrown: unknown): Reason {
  const code = read(thrown, 'code')
  const message = read(thrown, 'message')
  const known = typeof code === 'string' && code !== '' ? code : 'FST_WS_ERR_REFUSED'
  const text = typeof message === 'string' ? message : String(thrown)
  return { code: known.slice(0, MAX_LENGTH), message: text.slice(0, MAX_LENGTH), retry: PASSING.includes(known) }
}

/** An error that the app has not thrown to refuse: a mistake, what the system reports, or one with a status of the server's side. */
function isFailure (thrown: unknown): boolean {
  if (thrown instanceof RefusedError || thrown instanceof TopicError || !(thrown instanceof Error)) return false
  const status = read(thrown, 'statusCode') ?? read(thrown, 'status')
  if (typeof status === 'number') return status >= 500
  return MISTAKES.some(Mistake => thrown instanceof Mistake) || typeof read(thrown, 'syscall') === 'string'
}

function read (value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
