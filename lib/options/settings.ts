import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AsyncApiInfo, AsyncApiServer, AsyncApiSecurityScheme, AsyncApiTransform } from '../../types/asyncapi.js'
import type { Broker } from '../../types/broker.js'
import type {
  CompatibilityOptions, InvalidMessageHandler, OriginPolicy, SelectSubprotocol, VerifyClient, WebSocketErrorHandler, WebSocketPluginOptions
} from '../../types/options.js'
import type { DeflatePolicy } from '../protocol/permessage-deflate.js'

// Options with every default filled in. Every layer may import these types, and the module imports none of the layers
// above the protocol.

/** permessage-deflate: the terms that are negotiated, and how the server compresses. */
export interface DeflateSettings extends DeflatePolicy {
  /** Bytes. */
  readonly threshold: number
  readonly level: number
  readonly memLevel: number
}

/** How much one client may send. `Infinity` where there is no limit. */
export interface RateLimitSettings {
  /** Messages and Pings: at most this many at once, and on average in a window. */
  readonly messages: number
  /** Bytes of all frames on the wire, headers included; limited as messages are. */
  readonly bytes: number
  /** Milliseconds. */
  readonly window: number
}

export interface HeartbeatSettings {
  /** Milliseconds from one Ping to the next. */
  readonly interval: number
  /** Milliseconds in which something has to come after a Ping. */
  readonly timeout: number
}

/** The options of a route. */
export interface RouteSettings {
  /** Bytes of one message. */
  readonly maxPayload: number
  /** Bytes queued to one connection. */
  readonly maxBufferedAmount: number
  /** Connections of this route. */
  readonly maxConnections: number
  readonly rateLimit: RateLimitSettings | null
  readonly heartbeat: HeartbeatSettings | null
  /** Milliseconds. `Infinity` for none. */
  readonly idleTimeout: number
  readonly perMessageDeflate: DeflateSettings | null
  /** `null` if the app declares none. */
  readonly protocols: readonly string[] | SelectSubprotocol | null
  readonly origin: OriginPolicy
  readonly onInvalidMessage: InvalidMessageHandler | null
  readonly errorHandler: WebSocketErrorHandler | null
  /** `null`: the route does not speak the topics protocol. */
  readonly topics: TopicsProtocolSettings | null
}

/** How a route speaks the topics protocol. */
export interface TopicsProtocolSettings {
  /** Milliseconds from one beat of the server to the next. */
  readonly beat: number
}

/** Limits of topics. */
export interface TopicLimits {
  /** Topics of one connection. */
  readonly maxSubscriptions: number
  /** Topics that this process has subscribed to. */
  readonly maxTopics: number
  /** Milliseconds in which the broker has to take a message, or confirm a subscription. */
  readonly publishTimeout: number
  /** Milliseconds for which `app.ready()` waits for the broker. */
  readonly waitForBroker: number
  /** Milliseconds without the broker after which clients with subscriptions are closed; `Infinity`: never. */
  readonly cutOffTimeout: number
}

/** The parts of `app.asyncapi()` that no route declares. */
export interface AsyncApiSettings {
  readonly info: AsyncApiInfo
  readonly servers: Record<string, AsyncApiServer> | null
  readonly id: string | null
  readonly defaultContentType: string | null
  readonly securitySchemes: Record<string, AsyncApiSecurityScheme> | null
  /** The URL that serves the document. */
  readonly route: string | null
  readonly transform: AsyncApiTransform | null
}

/** The options of the plugin. */
export interface PluginSettings {
  /** The defaults of all routes. */
  readonly route: RouteSettings
  /** Connections of all routes. */
  readonly maxConnections: number
  /** Milliseconds. */
  readonly handshakeTimeout: number
  /** Milliseconds. */
  readonly closeTimeout: number
  /** Milliseconds over which `app.close()` spreads its Close frames; 0: all at once. */
  readonly drainTime: number
  readonly preClose: NonNullable<WebSocketPluginOptions['preClose']> | null
  readonly verifyClient: VerifyClient | null
  readonly handleProtocols: NonNullable<CompatibilityOptions['handleProtocols']> | null
  readonly clientTracking: boolean
  readonly server: HttpServer | HttpsServer | null
  readonly asyncapi: AsyncApiSettings
  /** `null`: this process alone. */
  readonly broker: Broker | null
  readonly topics: TopicLimits
  /** Names of options of `ws` that were given and have no effect. */
  readonly withoutEffect: readonly string[]
}

export const HANDSHAKE_TIMEOUT = 10_000
export const CLOSE_TIMEOUT = 10_000

/** docs/compression.md has the measurements behind these values. */
export const DEFLATE_DEFAULTS: DeflateSettings = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 12,
  clientMaxWindowBits: 12,
  threshold: 1024,
  level: 3,
  memLevel: 5
}

export const HEARTBEAT_DEFAULTS: HeartbeatSettings = { interval: 30_000, timeout: 30_000 }

export const RATE_LIMIT_DEFAULTS: RateLimitSettings = { messages: Infinity, bytes: Infinity, window: 1000 }

export const ROUTE_DEFAULTS: RouteSettings = {
  maxPayload: 1024 * 1024,
  maxBufferedAmount: 16 * 1024 * 1024,
  maxConnections: Infinity,
  rateLimit: null,
  heartbeat: HEARTBEAT_DEFAULTS,
  idleTimeout: Infinity,
  perMessageDeflate: null,
  protocols: null,
  origin: 'same-origin',
  onInvalidMessage: null,
  errorHandler: null,
  topics: null
}

export const TOPICS_PROTOCOL_DEFAULTS: TopicsProtocolSettings = { beat: 25_000 }

export const TOPIC_DEFAULTS: TopicLimits = {
  maxSubscriptions: 128,
  maxTopics: 100_000,
  publishTimeout: 5_000,
  waitForBroker: 5_000,
  cutOffTimeout: 30_000
}

export const ASYNCAPI_INFO_DEFAULTS: AsyncApiInfo = { title: 'WebSocket API', version: '1.0.0' }
