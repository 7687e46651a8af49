import type { BrokerAnchor } from '../../types/broker.js'
import { noop } from '../common.js'
import type { Delivery } from './delivery.js'
import type { HistoryFeed } from './history-feed.js'
import type { MemberNotice } from './member-view.js'
import type { TopicSettings } from './settings.js'

/** How a subscription has begun. */
export interface Subscribed {
  readonly topic: LocalTopic
  /** The position behind which messages follow, the missed ones first; `null` without history. */
  readonly at: BrokerAnchor | null
  /** Whether everything since the position that the receiver came with follows; `null` if it came with none. */
  readonly isRecovered: boolean | null
  /** The missed messages. The receiver gets them from here, and not as `onMessage`. */
  readonly messages: readonly Delivery[]
}

/** The topics of a receiver that has none. */
export const NO_TOPICS: readonly LocalTopic[] = []

/** An attempt to subscribe. */
export interface Join {
  /** Whoever has asked for it. */
  readonly callbacks: Array<(result: Subscribed | Error) => void>
  /** Ends the part of the attempt that is under way. */
  cancel: () => void
  /** Ends the wait for the time limit. */
  readonly inTime: () => void
}

/** A subscriber of topics: a connection, or the session of the topics protocol on it. */
export interface Receiver {
  /** Kept by the hub: the topics that are live for this receiver. */
  topics: readonly LocalTopic[]
  /** Kept by the hub: subscriptions that are not live yet. `null` while there are none. */
  joining: Map<string, Join> | null
  onMessage (topic: LocalTopic, delivery: Delivery): void
  /** Messages of a topic without history were missed. */
  onGap (topic: LocalTopic): void
  /** Messages of a topic with history are gone. Those behind `at` follow. */
  onLost (topic: LocalTopic, at: BrokerAnchor): void
  /** The members of a topic have changed. */
  onMembers (topic: LocalTopic, notice: MemberNotice): void
  /** The app has subscribed the receiver. Called as the topic gets live, before its first message. */
  onSubscribedByApp (subscribed: Subscribed): void
  /** The app has unsubscribed it. */
  onUnsubscribedByApp (topic: LocalTopic): void
  /** This process is cut off from the broker: the client is better off with another one. */
  onCutOff (): void
}

/** `joining` until the broker has confirmed the subscription, `live` then, and `dropped` when this process wants it no more. */
export type TopicState = 'joining' | 'live' | 'dropped'

/** One topic that this process has subscribed to. */
export class LocalTopic {
  readonly name: string
  readonly settings: TopicSettings
  state: TopicState = 'joining'
  /** Set where the topic has history. */
  feed: HistoryFeed | null = null
  /** Attempts to subscribe that are under way. */
  joins = 0
  /** Functions to call when the topic is live; `null` while there are none. */
  private waiting: Set<() => void> | null = null
  /** The bare receiver while there is one: a Set costs more than everything else. */
  private receivers: Receiver | Set<Receiver> | null = null

  constructor (name: string, settings: TopicSettings) {
    this.name = name
    this.settings = settings
  }

  get size (): number {
    const { receivers } = this
    if (receivers === null) return 0
    return receivers instanceof Set ? receivers.size : 1
  }

  /** Whether somebody here needs the broker's messages. */
  get isWanted (): boolean {
    return this.receivers !== null || this.joins > 0
  }

  add (receiver: Receiver): void {
    const { receivers } = this
    if (receivers === null) this.receivers = receiver
    else if (receivers instanceof Set) receivers.add(receiver)
    else this.receivers = new Set([receivers, receiver])
  }

  delete (receiver: Receiver): void {
    const { receivers } = this
    if (receivers === receiver) this.receivers = null
    else if (receivers instanceof Set && receivers.delete(receiver) && receivers.size === 0) this.receivers = null
  }

  /** @param except gets nothing @returns how many receivers there were */
  deliver (delivery: Delivery, except: Receiver | null): number {
    const { receivers } = this
    if (receivers === null) return 0
    if (!(receivers instanceof Set)) {
      if (receivers === except) return 0
      receivers.onMessage(this, delivery)
      return 1
    }
    let delivered = 0
    for (const receiver of receivers) {
      if (receiver === except) continue
      receiver.onMessage(this, delivery)
      delivered++
    }
    return delivered
  }

  /** Calls a function for each receiver that there is now, and that is still there when its turn comes. */
  forEach (callback: (receiver: Receiver) => void): void {
    const { receivers } = this
    if (receivers === null) return
    if (receivers instanceof Set) {
      for (const receiver of [...receivers]) if (receivers.has(receiver)) callback(receiver)
    } else {
      callback(receivers)
    }
  }

  tellGap (): void {
    this.forEach(receiver => receiver.onGap(this))
  }

  tellLost (at: BrokerAnchor): void {
    this.forEach(receiver => receiver.onLost(this, at))
  }

  tellMembers (notice: MemberNotice): void {
    this.forEach(receiver => receiver.onMembers(this, notice))
  }

  /** Calls back when the topic is live, at once if it is. @returns a function that ends the wait */
  whenLive (callback: () => void): () => void {
    if (this.state === 'live') {
      callback()
      return noop
    }
    this.waiting ??= new Set()
    this.waiting.add(callback)
    return () => { this.waiting?.delete(callback) }
  }

  /** The broker has confirmed the subscription. */
  begin (): void {
    this.state = 'live'
    this.feed?.start()
    const { waiting } = this
    this.waiting = null
    if (waiting !== null) for (const callback of waiting) callback()
  }
}
