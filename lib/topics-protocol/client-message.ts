import type { ErrorCode } from '../errors.js'
import { problemOfName } from '../topics/names.js'
import { isId } from '../topics/position.js'

/** The limits of one connection, as `hello` names them. */
export interface MessageLimits {
  /** Topics of one connection, and of one message. */
  readonly maxSubscriptions: number
}

/** A request, or a part of it, that is not done. */
export interface Refusal {
  readonly request: RequestName | 'message'
  readonly topic?: string
  readonly id?: string
  readonly code: ErrorCode
  readonly message: string
}

export type RequestName = 'subscribe' | 'unsubscribe' | 'publish' | 'presence'

/** A topic, and the position behind which the client wants to go on, as it came. */
export interface Wanted {
  readonly topic: string
  readonly since: unknown
}

/** A message of a client, checked for its form; docs/topics-protocol.md has the meaning. */
export type ClientMessage =
  | { readonly kind: 'beat' }
  /** A message of the route, and not of the protocol. */
  | { readonly kind: 'own', readonly message: unknown }
  | { readonly kind: 'subscribe', readonly topics: readonly Wanted[], readonly client: string | null }
  | { readonly kind: 'unsubscribe', readonly topics: readonly string[] }
  | { readonly kind: 'publish', readonly topic: string, readonly message: unknown, readonly id: string | null }
  | { readonly kind: 'presence', readonly topic: string }
  | { readonly kind: 'refused', readonly refusal: Refusal }

type JsonObject = Readonly<Record<string, unknown>>

const REQUESTS: readonly RequestName[] = ['subscribe', 'unsubscribe', 'publish', 'presence']

const CLIENT = /^[\x21-\x7E]{16,64}$/
const CONTROL = /\p{Cc}/u

/** @param value the parsed text */
export function readClientMessage (value: unknown, limits: MessageLimits): ClientMessage {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('message', 'FST_WS_ERR_UNKNOWN_MESSAGE', 'a message is a JSON object')
  }
  const object = value as JsonObject
  const [request, another] = REQUESTS.filter(name => Object.hasOwn(object, name))
  if (request === undefined) {
    if (Object.hasOwn(object, 'message')) return { kind: 'own', message: object.message }
    if (Object.keys(object).length === 0) return { kind: 'beat' }
    return refuse('message', 'FST_WS_ERR_UNKNOWN_MESSAGE', `a message has one of the members ${REQUESTS.join(', ')}, or is {}`)
  }
  if (another !== undefined) return refuse('message', 'FST_WS_ERR_UNKNOWN_MESSAGE', `a message is either ${request} or ${another}`)
  switch (request) {
    case 'subscribe': return readSubscribe(object, limits)
    case 'unsubscribe': return readUnsubscribe(object, limits)
    case 'publish': return readPublish(object)
    case 'presence': return readPresence(object)
  }
}

function readSubscribe ({ subscribe, client }: JsonObject, { maxSubscriptions }: MessageLimits): ClientMessage {
  if (typeof subscribe !== 'object' || subscribe === null || Array.isArray(subscribe)) {
    return invalid('subscribe', 'subscribe is an object with topics as its members')
  }
  const names = Object.keys(subscribe)
  const problem = problemOfCount(names.length, maxSubscriptions)
  if (problem !== null) return invalid('subscribe', problem)
  if (client !== undefined && client !== null && !(typeof client === 'string' && CLIENT.test(client))) {
    return invalid('subscribe', 'client is a string of 16 to 64 printable ASCII characters')
  }
  for (const name of names) {
    const reason = problemOfTopic(name)
    if (reason !== null) return refuse('subscribe', 'FST_WS_ERR_TOPIC_NAME', reason)
  }
  return { kind: 'subscribe', topics: names.map(topic => ({ topic, since: (subscribe as JsonObject)[topic] })), client: client ?? null }
}

function readUnsubscribe ({ unsubscribe }: JsonObject, { maxSubscriptions }: MessageLimits): ClientMessage {
  if (!Array.isArray(unsubscribe)) return invalid('unsubscribe', 'unsubscribe is an array of topics')
  const problem = problemOfCount(unsubscribe.length, maxSubscriptions)
  if (problem !== null) return invalid('unsubscribe', problem)
  for (const name of unsubscribe) {
    const reason = problemOfTopic(name)
    if (reason !== null) return refuse('unsubscribe', 'FST_WS_ERR_TOPIC_NAME', reason)
  }
  return { kind: 'unsubscribe', topics: unsubscribe as string[] }
}

function readPublish (object: JsonObject): ClientMessage {
  const { publish: topic, message, id } = object
  const hasId = id !== undefined && id !== null
  const isValidId = isId(id)
  const named = isValidId ? { id } : {}
  const reason = problemOfTopic(topic)
  if (reason !== null) return refuse('publish', 'FST_WS_ERR_TOPIC_NAME', reason, named)
  const part = { ...named, topic: topic as string }
  if (hasId && !isValidId) return refuse('publish', 'FST_WS_ERR_INVALID_ID', 'id is a string of 1 to 64 printable ASCII characters without spaces', part)
  if (!Object.hasOwn(object, 'message')) return refuse('publish', 'FST_WS_ERR_INVALID_REQUEST', 'publish has a member message', part)
  return { kind: 'publish', topic: topic as string, message, id: isValidId ? id : null }
}

function readPresence ({ presence: topic }: JsonObject): ClientMessage {
  const reason = problemOfTopic(topic)
  return reason === null ? { kind: 'presence', topic: topic as string } : refuse('presence', 'FST_WS_ERR_TOPIC_NAME', reason)
}

/** @returns why it cannot be the name of a topic; `null` if it can */
function problemOfTopic (name: unknown): string | null {
  if (typeof name !== 'string') return 'a topic is a string'
  const problem = problemOfName(name)
  if (problem !== null) return `the name of a topic ${problem}`
  // Apps may have some in raw topics. From a client they are rather an attempt to forge lines of a log.
  return CONTROL.test(name) ? 'the name of a topic must not have control characters' : null
}

function problemOfCount (count: number, maxSubscriptions: number): string | null {
  if (count === 0) return 'at least one topic is named'
  return count > maxSubscriptions ? `at most ${maxSubscriptions} topics are named` : null
}

function invalid (request: RequestName, message: string): ClientMessage {
  return refuse(request, 'FST_WS_ERR_INVALID_REQUEST', message)
}

function refuse (request: Refusal['request'], code: ErrorCode, message: string, part: { topic?: string, id?: string } = {}): ClientMessage {
  return { kind: 'refused', refusal: { request, ...part, code, message } }
}
