import type { FastifyRequest } from 'fastify'
import type { WebSocketConnection } from '../../types/connection.js'

/** Decides what the clients of one topic may do. What its methods throw, or reject with, refuses the client. */
export interface TopicPolicy {
  authorizeSubscribe (connection: WebSocketConnection, request: FastifyRequest): unknown
  /**
   * @param message as the client has sent it
   * @returns what is published, or a promise of it; `null`: nothing is
   */
  acceptPublish (connection: WebSocketConnection, message: unknown, request: FastifyRequest): unknown
  /** Makes the information about a member: JSON, or a promise of it. `null` where the topic has no presence */
  readonly member: ((connection: WebSocketConnection, request: FastifyRequest) => string | Promise<string>) | null
  /** @returns the state of the topic, or a promise of it. `null` where the app has declared none */
  readonly snapshot: (() => unknown) | null
}

/** The declared topics, as the protocol asks for them. */
export interface Policies {
  /** @returns `null` if no declaration matches the name: then clients neither subscribe nor publish */
  policyOf (name: string): TopicPolicy | null
}
