import type { BroadcastOptions, WebSocketConnection, WebSocketData } from '../../types/connection.js'
import { noop } from '../common.js'
import { sessionOf, type Connection } from '../connection/connection.js'
import type { JsonMessages } from '../connection/json-messages.js'
import { toBytes } from '../connection/payload.js'
import { SharedMessage } from '../connection/shared-message.js'
import { createError } from '../errors.js'
import { Opcode } from '../protocol/opcodes.js'
import { catchRejection, isThenable } from '../thenable.js'

/** Sends one message to all connections that the options let through. @returns how many have queued it */
export function broadcast (connections: Iterable<Connection>, data: WebSocketData, options: BroadcastOptions = {}): number {
  const bytes = toBytes(data)
  const isBinary = options.binary ?? typeof data !== 'string'
  const except = toSet(options.except)
  // A message that nobody gets is not copied.
  let message: SharedMessage | null = null
  let receivers = 0
  for (const connection of connections) {
    if (!isReceiver(connection, except, options)) continue
    message ??= new SharedMessage(isBinary ? Opcode.BINARY : Opcode.TEXT, bytes, options.compress !== false)
    if (sessionOf(connection).outbox.sendShared(message)) receivers++
  }
  return receivers
}

/**
 * Sends one JSON message to all connections that the options let through, written once for each route. Every route has
 * written it before the first connection queues it, so that an error of a serializer leaves nobody with half a broadcast.
 */
export function broadcastJson (connections: Iterable<Connection>, value: unknown, options: BroadcastOptions = {}): number {
  const except = toSet(options.except)
  const messages = new Map<JsonMessages, SharedMessage>()
  const receivers: Connection[] = []
  for (const connection of connections) {
    if (!isReceiver(connection, except, options)) continue
    receivers.push(connection)
    const { json } = sessionOf(connection)
    if (!messages.has(json)) messages.set(json, new SharedMessage(Opcode.TEXT, toBytes(json.write(value)), options.compress !== false))
  }
  return receivers.map(sessionOf).filter(({ outbox, json }) => outbox.sendShared(messages.get(json)!)).length
}

function isReceiver (connection: Connection, except: ReadonlySet<WebSocketConnection> | null, { filter }: BroadcastOptions): boolean {
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

function toSet (except: BroadcastOptions['except']): ReadonlySet<WebSocketConnection> | null {
  if (except === undefined) return null
  // A connection is iterable too, but only asynchronously.
  return new Set(Symbol.iterator in except ? except : [except])
}
