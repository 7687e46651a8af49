import type { BroadcastOptions, WebSocketConnection } from '../../types/connection.js'
import type { WebSocketData } from '../../types/messages.js'
import { noop } from '../common.js'
import { findSession } from '../connection/connection.js'
import type { JsonMessages } from '../connection/json-messages.js'
import { checkMessageOptions } from '../connection/message-options.js'
import { toBytes } from '../connection/payload.js'
import type { Session } from '../connection/session.js'
import { SharedMessage } from '../connection/shared-message.js'
import { createError, describe } from '../errors.js'
import { Opcode } from '../protocol/opcodes.js'
import { catchRejection, isThenable } from '../thenable.js'

type Options = BroadcastOptions<WebSocketConnection>

/** Connections, and `null` where one was. */
type Sessions = readonly (Session | null)[]

/** The connections that a broadcast can reach. */
export interface BroadcastScope {
  readonly sessions: { readonly all: Sessions }
  /** Whether the connection is, or was, one of them. */
  has (session: Session): boolean
  /** Completes "a connection of", in an error about one that is not. */
  readonly others: string
}

/** Sends one message to all connections that the options let through. @returns how many have queued it */
export function broadcast (scope: BroadcastScope, data: WebSocketData, options: Options = {}): number {
  checkBroadcastOptions('broadcast', options)
  const bytes = toBytes(data)
  const isBinary = options.binary ?? typeof data !== 'string'
  const except = toSet(options.except)
  // A message that nobody gets is not copied.
  let message: SharedMessage | null = null
  let receivers = 0
  for (const session of candidates(scope, options.to)) {
    if (session === null || !isReceiver(session, except, options)) continue
    message ??= new SharedMessage(isBinary ? Opcode.BINARY : Opcode.TEXT, bytes, options.compress !== false)
    if (session.outbox.sendShared(message)) receivers++
  }
  return receivers
}

/**
 * Sends one JSON message to all connections that the options let through, written once for each route. Every route has
 * written it before the first connection queues it, so that an error of a serializer leaves nobody with half a broadcast.
 */
export function broadcastJson (scope: BroadcastScope, value: unknown, options: Options = {}): number {
  checkBroadcastOptions('broadcastJson', options)
  const except = toSet(options.except)
  const messages = new Map<JsonMessages, SharedMessage>()
  const receivers: Session[] = []
  for (const session of candidates(scope, options.to)) {
    if (session === null || !isReceiver(session, except, options)) continue
    receivers.push(session)
    const { json } = session
    if (!messages.has(json)) messages.set(json, new SharedMessage(Opcode.TEXT, toBytes(json.write(value)), options.compress !== false))
  }
  return receivers.filter(({ outbox, json }) => outbox.sendShared(messages.get(json)!)).length
}

/** @returns the connections that a filter lets through, before anything happens to one of them */
export function select (sessions: Sessions, filter: unknown): Session[] {
  checkFilter(filter)
  return sessions.filter(session => session !== null).filter(session => isReceiver(session, null, { filter: filter as Options['filter'] }))
}

/** @throws {TypeError} if `to` is not an iterable of connections that the broadcast can reach */
function candidates (scope: BroadcastScope, to: unknown): Sessions {
  if (to === undefined) return scope.sessions.all
  if (typeof to !== 'object' || to === null || !(Symbol.iterator in to)) {
    throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'to' must be an iterable of connections, such as a Set or an array, not ${describe(to)}`)
  }
  const members: ReadonlySet<unknown> = to instanceof Set ? to : new Set(to as Iterable<unknown>)
  return Array.from(members, member => {
    const session = findSession(member)
    if (session === null) {
      const hint = to instanceof Map ? ': pass the keys() or values() of a Map' : ''
      throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'to' must have connections as its elements, not ${describe(member)}${hint}`)
    }
    if (!scope.has(session)) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'to' has a connection of ${scope.others}`)
    return session
  })
}

function isReceiver ({ connection }: Session, except: ReadonlySet<unknown> | null, { filter }: Options): boolean {
  if (except !== null && except.has(connection)) return false
  if (filter === undefined) return true
  const verdict = filter(connection)
  // A promise is true: everybody would get the message.
  if (isThenable(verdict)) {
    catchRejection(verdict, noop)
    throw createError('FST_WS_ERR_INVALID_ARGUMENT', "'filter' has to return a boolean, and not a promise")
  }
  return verdict
}

function checkBroadcastOptions (method: string, options: Options): void {
  checkMessageOptions(method, options)
  checkFilter(options.filter)
}

function checkFilter (filter: unknown): void {
  if (filter === undefined || typeof filter === 'function') return
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'filter' must be a function, not ${describe(filter)}`)
}

/** @throws {TypeError} if it is neither a connection nor an iterable of connections */
function toSet (except: unknown): ReadonlySet<unknown> | null {
  if (except === undefined) return null
  // A connection is iterable too, but only asynchronously.
  const isIterable = typeof except === 'object' && except !== null && Symbol.iterator in except
  const members = new Set(isIterable ? except as Iterable<unknown> : [except])
  for (const member of members) {
    if (findSession(member) === null) {
      throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'except' must be a connection or an iterable of connections, not ${describe(isIterable ? except : member)}`)
    }
  }
  return members
}
