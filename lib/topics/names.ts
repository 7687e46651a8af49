import { createError, describe } from '../errors.js'
import { isId } from './position.js'

const MAX_BYTES = 255

/** @throws {TypeError} if it cannot be the name of a topic */
export function checkTopicName (name: unknown): string {
  if (typeof name !== 'string') throw createError('FST_WS_ERR_INVALID_ARGUMENT', `the name of a topic must be a string, not ${describe(name)}`)
  const problem = problemOfName(name)
  if (problem !== null) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `the name of a topic ${problem}`)
  return name
}

/** @returns why it cannot be the name of a topic, behind "the name of a topic"; `null` if it can */
export function problemOfName (name: string): string | null {
  if (name === '') return 'must not be empty'
  if (name.length > MAX_BYTES || Buffer.byteLength(name) > MAX_BYTES) return `must have at most ${MAX_BYTES} bytes of UTF-8`
  // Half a surrogate pair has no form in UTF-8: two such names would be one for a broker.
  if (!isWellFormed(name)) return 'must be well-formed Unicode'
  return null
}

function isWellFormed (text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** @throws {TypeError} if it cannot be the id of a message */
export function checkMessageId (id: unknown): string {
  if (isId(id)) return id
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'id' must be 1 to 64 printable ASCII characters without spaces, not ${describe(id)}`)
}
