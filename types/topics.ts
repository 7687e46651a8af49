import type { WebSocketData } from './messages.js'

/** A place in the history of a topic, as an app sees it: `{ epoch, offset, id }`. A client holds it as one opaque string. */
export interface TopicPosition {
  /** Changes when the broker begins a history anew: offsets of two epochs cannot be compared. */
  readonly epoch: string
  /** Increases from message to message, from 1. 0 is the place before the first one. */
  readonly offset: number
  /** The id of the message at this place; `''` at offset 0. */
  readonly id: string
}

/**
 * The options of `publish`.
 *
 * @see docs/topics.md
 */
export interface PublishOptions {
  /**
   * Identifies the message: publishing it again with the same id, because it is not known whether the first attempt has
   * succeeded, stores it once, within the history's `seconds` and at most 5 minutes. 1–64 printable ASCII characters, no spaces.
   * Default: a new one.
   */
  id?: string | undefined
  /** `true` sends a binary message, `false` a text message. Default: text for a string, binary for anything else. Raw topics only. */
  binary?: boolean | undefined
  /** `false` sends this message as it is. Default `true`, as for `send`; compressed once for all. */
  compress?: boolean | undefined
  /** A connection of this process that does not get the message: mostly its sender. */
  except?: TopicSubscriber | undefined
}

/** A member of a topic with presence. */
export interface TopicMember<Info = unknown> {
  /** Unique within the topic. It stays the same when a client comes back within the grace period. */
  readonly id: string
  /** The value that the declaration's `presence.info` has returned. */
  readonly info: Info
}

/** A message of a topic's history. */
export interface TopicMessage<Message = unknown> {
  /** Its place in the history. */
  readonly position: TopicPosition
  /** The value that was published; a string or a Buffer in a raw topic. */
  readonly message: Message
}

/** The part of a history to read. */
export interface TopicHistoryOptions {
  /** Only messages after this position, as `{ epoch, offset, id }` or as the string that clients hold. Default: the newest ones. */
  since?: TopicPosition | string | undefined
  /** At most this many messages, an integer from 1. Default 100. */
  limit?: number | undefined
}

/** A part of a history. */
export interface TopicHistoryPart<Message = unknown> {
  /** Oldest first. */
  readonly messages: ReadonlyArray<TopicMessage<Message>>
  /** The place of the last message, or of the topic's end if there is none. */
  readonly position: TopicPosition
  /** `false` if messages after `since` are no longer kept. */
  readonly isComplete: boolean
}

/** The members of one topic, on all processes. */
export interface TopicPresence<Info = unknown> {
  /** @returns the members, at most `limit` (default 1000) */
  list (options?: { limit?: number | undefined }): Promise<Array<TopicMember<Info>>>
  /**
   * Counts the members.
   *
   * @returns how many members the topic has on all processes
   */
  count (): Promise<number>
}

/**
 * One topic: `app.websocketServer.topic(name)`. It is there whether anybody has subscribed or not, and keeps nothing.
 *
 * @see docs/topics.md
 */
export interface Topic<Message = WebSocketData, Info = unknown> {
  /** Its name: 1 to 255 bytes of UTF-8. */
  readonly name: string
  /** Connections of this process that have subscribed to it. */
  readonly subscribers: number
  /**
   * Publishes to all subscribers on all processes.
   *
   * @returns when the broker has taken it: its position, or `null` without history
   * @throws {TopicError} (as a rejection) `FST_WS_ERR_PUBLISH` if the broker did not take it within `publishTimeout`. It may
   *   have it all the same: publishing it again with the same `id` stores it once. A rejection that nobody handles is counted in
   *   `stats.topics.failed`, and does not end the process
   * @throws {TypeError} at once, if an argument is not what it may be; what the serializer throws if the message does not fit
   */
  publish (message: Message, options?: PublishOptions): Promise<TopicPosition | null>
  /**
   * Reads the history.
   *
   * @throws {TypeError} (as a rejection) if the topic has none
   */
  history (options?: TopicHistoryOptions): Promise<TopicHistoryPart<Message>>
  /** The members of the topic, if it is declared with `presence`. */
  readonly presence: TopicPresence<Info>
}

/**
 * The members of a connection that have to do with topics.
 *
 * @see docs/topics.md
 */
export interface TopicSubscriber {
  /** The topics that the connection has subscribed to, as of now. */
  readonly subscriptions: ReadonlySet<string>

  /**
   * Subscribes to a topic: messages that are published from now on, by any process, are sent to the connection. It ends with the
   * connection, or by `unsubscribe`. Nobody is asked whether the client may: that is the app's own decision.
   *
   * @returns when it is live on all processes; at once if it is already
   * @throws {TopicError} (as a rejection) `FST_WS_ERR_SUBSCRIBE` if the broker did not confirm it within `publishTimeout`,
   *   `FST_WS_ERR_MAX_SUBSCRIPTIONS`, `FST_WS_ERR_MAX_TOPICS`, or `FST_WS_ERR_UNSUBSCRIBED` if it was ended before. A rejection
   *   that nobody handles does not end the process
   * @throws {NotOpenError} (as a rejection) `FST_WS_ERR_NOT_OPEN` if the connection is closing or closed
   * @throws {TypeError} at once, if it is no name of a topic: 1 to 255 bytes of UTF-8
   */
  subscribe (topic: string): Promise<void>

  /**
   * Unsubscribes: no message that is published later, and none that is on its way here, is sent to the connection.
   *
   * @returns whether it had subscribed
   */
  unsubscribe (topic: string): boolean

  /** Whether the connection has subscribed to this topic, as of now. */
  isSubscribed (topic: string): boolean

  /** Publishes to all subscribers on all processes but this connection. See `Topic.publish`. */
  publish (topic: string, message: unknown, options?: PublishOptions): Promise<TopicPosition | null>
}

/** The members of `app.websocketServer` that have to do with topics. */
export interface TopicServer {
  /** Publishes to all subscribers on all processes: text or bytes in a raw topic, a value in a declared one. See `Topic.publish`. */
  publish (topic: string, message: unknown, options?: PublishOptions): Promise<TopicPosition | null>
  /**
   * One topic, by its name.
   *
   * @throws {TypeError} if it is no name of a topic: 1 to 255 bytes of UTF-8
   */
  topic (name: string): Topic<unknown>
}

/**
 * Figures of topics since the plugin was registered: `app.websocketServer.stats.topics`.
 *
 * @see docs/observability.md
 */
export interface TopicStats {
  /** The name of the broker: `'memory'` by default. */
  readonly broker: string
  /** Whether the broker can be reached. */
  readonly isUp: boolean
  /** Topics that this process has subscribed to. */
  readonly topics: number
  /** Subscriptions of its connections. */
  readonly subscriptions: number
  /** Messages of this process that the broker has taken. */
  readonly published: number
  /**
   * Messages of this process that the broker has not taken, or not in time: one that it takes after `publishTimeout` has failed,
   * as its publisher knows it, and is not in `published`.
   */
  readonly failed: number
  /** Messages handed to connections, each counted once for each connection. */
  readonly delivered: number
  /** `gap` events of all subscribers: messages of a topic without history were missed. */
  readonly gaps: number
  /** Subscriptions that went on behind the position that the client came with. */
  readonly recovered: number
  /** Subscribers that could not go on, since messages of a topic with history were gone. */
  readonly reset: number
  /** Reads of histories at the broker. */
  readonly reads: number
  /** Times that the broker was lost and is back. */
  readonly reconnects: number
  /** Messages of other versions of this package that this one does not know. */
  readonly skipped: number
  /** Milliseconds from `publish` until the broker has the message, within a quarter; `null` before the first. */
  readonly publishLatency: {
    /** The median. */
    readonly p50: number | null
    /** The 99th percentile. */
    readonly p99: number | null
  }
}

/**
 * Limits of topics: the plugin's option `topics`.
 *
 * @see docs/topics.md
 */
export interface TopicOptions {
  /** Topics of one connection at a time. An integer from 1. Default 128. */
  maxSubscriptions?: number | undefined
  /** Topics that this process subscribes to at a time. An integer from 1. Default 100,000. */
  maxTopics?: number | undefined
  /** Milliseconds in which the broker has to take a message, or to confirm a subscription. Default 5 s. */
  publishTimeout?: number | undefined
  /** Milliseconds for which `app.ready()` waits for the broker, before it fails. Default 5 s. */
  waitForBroker?: number | undefined
  /**
   * Milliseconds without the broker after which clients that have subscribed are closed with 1013, so that they find a process
   * that can reach it. `false`: they stay. Default 30 s.
   */
  cutOffTimeout?: false | number | undefined
}
