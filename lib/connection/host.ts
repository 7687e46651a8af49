import type { WebSocketConnection, WebSocketRouteConnections } from '../../types/connection.js'
import type { TopicPosition } from '../../types/topics.js'
import type { ConnectionCounts } from './settings.js'

/** The part of a session that the server around it uses. */
export interface HostedSession extends Readonly<ConnectionCounts> {
  readonly connection: WebSocketConnection
  readonly watcher: PongWatcher | null
  readonly maySend: boolean
  close (code: number): void
}

/** Does for connections what concerns topics. */
export interface TopicsOfConnections {
  subscribe (session: HostedSession, topic: unknown): Promise<void>
  unsubscribe (session: HostedSession, topic: unknown): boolean
  isSubscribed (session: HostedSession, topic: unknown): boolean
  subscriptionsOf (session: HostedSession): Set<string>
  publish (session: HostedSession, topic: unknown, message: unknown, options: unknown): Promise<TopicPosition | null>
}

/** Receives the errors and the end of a connection. */
export interface ConnectionHost {
  readonly route: WebSocketRouteConnections | null
  readonly topics: TopicsOfConnections
  /** Something that a listener or a send callback threw, or a rule that the peer broke. */
  onError (session: HostedSession, error: Error): void
  /** The socket is closed. Once. */
  onEnd (session: HostedSession, code: number): void
}

/** Watches whether the peer is alive. */
export interface PongWatcher {
  /** Milliseconds that the last answered Ping of the server took; `undefined` before the first. */
  readonly latency: number | undefined
  /** @returns whether the Pong answers a Ping of the watcher, and not one of the app */
  onPong (payload: Buffer): boolean
  /** The connection is over. */
  stop (): void
}
