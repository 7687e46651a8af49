import type { AsyncContext } from '../async-context.js'
import type { WebSocketConnection } from '../../types/connection.js'
import type { InflaterSettings } from '../compression/message-inflater.js'
import type { InvalidMessageError } from '../errors.js'
import type { RateLimitSettings } from '../options/settings.js'
import type { DeflatingSettings } from './deflating-writer.js'
import type { JsonMessages } from './json-messages.js'

/** The settings of all connections of a route. */
export interface ConnectionSettings {
  /** The server's side requires masks and sends none; the client's is the other way round (RFC 6455 §5.1). */
  readonly role: 'server' | 'client'
  /** Bytes. */
  readonly maxPayload: number
  /** Bytes that may be queued to a peer that does not read. */
  readonly maxBufferedAmount: number
  readonly rateLimit: RateLimitSettings | null
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly json: JsonMessages
  /** Decides about a message that is not what `json` listeners get; `null`: the connection is closed. */
  readonly onInvalidMessage: ((error: InvalidMessageError, connection: WebSocketConnection, data: Buffer) => unknown) | null
}

/** The result of the negotiation in the handshake. */
export interface Agreement {
  readonly protocol: string
  readonly extensions: string
  readonly url: string
  /** In which the app's code is called. */
  readonly context: AsyncContext
  /** permessage-deflate, each way; `null` without it. */
  readonly deflate: { readonly sending: DeflatingSettings, readonly receiving: InflaterSettings } | null
}

/** Messages and bytes of their payloads, each way. */
export interface ConnectionCounts {
  messagesReceived: number
  bytesReceived: number
  messagesSent: number
  bytesSent: number
}
