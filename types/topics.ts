import type { AnyWebSocketConnection } from './connection.js'
import type { WebSocketData } from './messages.js'

/** A place in the history of a topic, as an app sees it: `{ epoch, offset, id }`. A client holds it as one opaque string. */
export interface TopicPosition {
  readonly epoch: string
  readonly offset: number
  readonly id: string
}

/** The options of `publish`. */
export interface PublishOptions {
  /**
   * Identifies the message: publishing it again with the same id, because it is not known whether the first attempt has
   * succeeded, stores it once, within the history's `seconds` and at most 5 minutes. 1–64 printable ASCII characters.
   * Default: a new one.
   */
  id?: string | undefined
  /** `true` sends a binary message, `false` a text message. Default: text for a string, binary for anything else. Raw topics only. */
  binary?: boolean | undefined
  /** `false` sends this message as it is. Default `true`, as for `send`; compressed once for all. */
  compress?: boolean | undefined
  /** A connection of this process that does not get the message: mostly its sender. */
  except?: AnyWebSocketConnection | undefined
}

/** A member of a topic with presence. */
export interface TopicMember<Info = unknown> {
  /** Unique within the topic. It stays the same when a client comes back within the grace period. */
  readonly id: string
  /** What the declaration's `presence.info` has returned. */
  readonly info: Info
}

/** A message of a topic's history. */
export interface TopicMessage<Message = unknown> {
  readonly position: TopicPosition
  /** The value that was published; a string or a Buffer in a raw topic. */
  readonly message: Message
}

/** The members of one topic, on all processes. */
export interface TopicPresence<Info = unknown> {
  /** @returns the members, at most `limit` (default 1000) */
  list (options?: { limit?: number | undefined }): Promise<Array<TopicMember<Info>>>
  count (): Promise<number>
}

/** One topic: `app.websocketServer.topic(name)`. It is there whether anybody has subscribed or not, and keeps nothing. */
export interface Topic<Message = WebSocketData, Info = unknown> {
  readonly name: string
  /** Connections of this process that have subscribed to it. */
  readonly subscribers: number
  /**
   * Publishes to all subscribers on all processes.
   *
   * @returns when the broker has taken it: its position, or `null` without history
   * @throws {PublishError} (as a rejection) `FST_WS_ERR_PUBLISH` if the broker did not take it within `publishTimeout`. It may
   *   have it all the same: the same `id` again does no harm
   */
  publish (message: Message, options?: PublishOptions): Promise<TopicPosition | null>
  /**
   * Reads history, oldest first: the messages after `since`, or the newest without it, at most `limit` (default 100). `position`
   * is that of the last message, or of the topic's end; `isComplete` is `false` if messages after `since` are no longer kept.
   *
   * @throws {TypeError} (as a rejection) if the topic has no history
   */
  history (options?: { since?: TopicPosition | string | undefined, limit?: number | undefined }): Promise<{
    readonly messages: ReadonlyArray<TopicMessage<Message>>
    readonly position: TopicPosition
    readonly isComplete: boolean
  }>
  readonly presence: TopicPresence<Info>
}
