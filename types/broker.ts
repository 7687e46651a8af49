/** Names a message's place in the history of a topic. */
export interface BrokerPosition {
  /** Changes whenever the broker begins a history anew: offsets of two epochs cannot be compared. Letters, digits, `-` and `_`. */
  readonly epoch: string
  /** Increases from message to message, from 1. 0 stands for the place before the first one. */
  readonly offset: number
}

/** How much of a topic is kept. */
export interface TopicHistory {
  /** At least this many of the newest messages are kept, an integer from 1. */
  readonly messages: number
  /** Seconds for which messages are kept, an integer from 1. */
  readonly seconds: number
}

/** A message as a broker delivers it, live or from its history. */
export interface BrokerMessage {
  /** The id with which it was published. */
  readonly id: string
  /** As it was published. The receiver may keep the memory, and nobody writes to it. */
  readonly data: Buffer
  /** `null` where the topic has no history. */
  readonly position: BrokerPosition | null
  /**
   * The offset of the message before it in the same topic and epoch; 0 if there was none. `null` where the topic has no history,
   * or the broker does not know.
   */
  readonly previous: number | null
}

/** The message to publish. */
export interface BrokerPublication {
  /**
   * Unique within the topic. A broker stores an id once, within the history's `seconds` and at most 5 minutes: publishing it again resolves with
   * the position of the first time, and announces nothing.
   */
  readonly id: string
  /** The broker does not look into it. It is not changed until the promise settles. */
  readonly data: Buffer
  /** `null`: the message is not kept. Then it has no position, in a topic with history too. */
  readonly history: TopicHistory | null
}

/** A part of a topic's history, read at one moment. */
export interface BrokerRead {
  /** Up to where the history went at that moment. Offset 0: nothing was published in this epoch. */
  readonly top: BrokerPosition
  /** The id of the message at `top`; `null` at offset 0, or if the broker no longer knows it, which outlives the message at best. */
  readonly topId: string | null
  /** Messages after the position that was asked for, oldest first, at most `limit` of them. Without a position: the newest. */
  readonly messages: readonly BrokerMessage[]
  /**
   * Whether nothing is missing between that position and the first of `messages`: the epoch is the same, and the message at the
   * position has the same id and is still kept, or is the one at `top` with `topId`; or offset 0 is the position, and the first
   * message ever is still kept, or there was none. `true` without a position.
   */
  readonly isComplete: boolean
}

/** A place to read from: what a client, or a process, has seen last. */
export interface BrokerAnchor extends BrokerPosition {
  /** The id of the message there. `''` at offset 0. */
  readonly id: string
}

/** One member of a topic. */
export interface BrokerMember {
  /** Unique within the topic. */
  readonly id: string
  /** The process whose lease keeps it. */
  readonly process: string
  /** Information about the member. The broker does not look into it. */
  readonly data: Buffer
}

/** A member of a topic, by its name. */
export interface BrokerMemberName {
  /** The topic that has the member. */
  readonly topic: string
  /** Unique within the topic. */
  readonly id: string
}

/** A member to add. */
export interface BrokerEntry {
  /** The topic that gets the member. */
  readonly topic: string
  /** Unique within the topic. */
  readonly id: string
  /** Information about the member. The broker does not look into it. */
  readonly data: Buffer
}

/**
 * Members of topics, kept by one lease for each process. A process whose lease has ended, by the broker's own clock, has no
 * members any more: `list` and `count` leave them out at once, and any process removes them.
 */
export interface BrokerPresence {
  /**
   * Begins or renews the lease of a process, for `ttl` milliseconds.
   *
   * @returns whether the lease was still there; if not, the process enters its members again
   */
  renew (process: string, ttl: number): Promise<boolean>
  /** Ends the lease, and removes the members that still belong to it. */
  release (process: string): Promise<void>
  /**
   * Adds members, or takes them over from another process.
   *
   * @returns for each, whether it was not there before; a member whose process has no lease any more was not
   */
  enter (process: string, members: readonly BrokerEntry[]): Promise<boolean[]>
  /**
   * Removes members, those that belong to another process by now excepted.
   *
   * @returns for each, whether it was removed
   */
  leave (process: string, members: readonly BrokerMemberName[]): Promise<boolean[]>
  /** @returns the members of a topic, at most `limit` */
  list (topic: string, limit: number): Promise<BrokerMember[]>
  /** @returns how many members a topic has */
  count (topic: string): Promise<number>
  /** @returns processes whose leases have ended, and that may still have members to be removed */
  expired (): Promise<string[]>
  /**
   * Removes the members of a process whose lease has ended; nothing happens if it has been renewed. If several processes do
   * this at a time, each member is in the result of one of them. Called again after a failure, it goes on.
   *
   * @returns the members removed by this call
   */
  sweep (process: string): Promise<readonly BrokerMemberName[]>
}

/** Functions that a broker calls, never before `start` is called and never after `close` is. */
export interface BrokerEvents {
  /** A message of a topic that this process has subscribed to. In the broker's order for each topic. */
  message (topic: string, message: BrokerMessage): void
  /**
   * Live messages may have been lost, of these topics or of all, until now: the broker receives them again. Called after the
   * subscriptions have been made again, and before any message that has come over them: an engine that has gone back to an
   * older state is noticed by this alone. It may be called more than once.
   */
  interrupted (topics?: readonly string[]): void
  /**
   * Whether the broker can be reached has changed.
   *
   * @param error why it cannot
   */
  state (isUp: boolean, error?: Error): void
}

/**
 * Carries messages between processes. One object is for one app: methods are called after `start` has resolved and before
 * `close` is called. A promise that a method returns settles, by rejection too, when the broker's own timeouts pass; the
 * caller waits no longer than its `publishTimeout`.
 *
 * @see docs/topics.md
 */
export interface Broker {
  /** In log lines and metrics: `'redis'`. */
  readonly name: string
  /** Connects. Rejects if the broker cannot be reached or cannot be used, with an error that says so. */
  start (events: BrokerEvents): Promise<void>
  /** Resolves when the broker has confirmed it: every message that is published later, by any process, is delivered. */
  subscribe (topics: readonly string[]): Promise<void>
  /** Ends subscriptions. Resolves when the broker has confirmed it; messages of these topics may still arrive until then. */
  unsubscribe (topics: readonly string[]): Promise<void>
  /**
   * Resolves when the broker has the message: with its position, or `null` without history. Rejects if it does not, or may not,
   * have it; at once where the broker is known to be away.
   */
  publish (topic: string, message: BrokerPublication): Promise<BrokerPosition | null>
  /**
   * Reads history.
   *
   * @param since `null`: the newest messages
   * @param limit 0: only `top` is asked for
   */
  read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead>
  /** The members of topics. */
  readonly presence: BrokerPresence
  /** Ends what the broker has opened, and not the client that the app has given it. Resolves also if the broker hangs. */
  close (): Promise<void>
}
