import type { Broker } from '../../types/broker.js'
import { Pauses } from '../pauses.js'
import type { LocalTopic } from './local-topic.js'

/** Milliseconds for which a topic that nobody here wants stays subscribed: clients that reconnect find it live. */
const LINGER = 5_000

/** Makes the broker's subscriptions what the receivers of this process want: many topics with one call. */
export class BrokerSubscriptions {
  private readonly broker: Pick<Broker, 'subscribe' | 'unsubscribe'>
  private readonly onDropped: (topic: LocalTopic) => void
  private joining: LocalTopic[] = []
  private flushing: NodeJS.Immediate | null = null
  private readonly failed = new Set<LocalTopic>()
  private retrying: NodeJS.Timeout | null = null
  private readonly pauses = new Pauses({ first: 250, most: 5_000, jitter: 0 })
  /** Topics that nobody wants, and when they are dropped, in this order. */
  private readonly idle = new Map<LocalTopic, number>()
  private dropping: NodeJS.Timeout | null = null
  private isClosed = false

  /** @param onDropped is called when this process is no longer subscribed to a topic */
  constructor (broker: Pick<Broker, 'subscribe' | 'unsubscribe'>, onDropped: (topic: LocalTopic) => void) {
    this.broker = broker
    this.onDropped = onDropped
  }

  /** Subscribes to a topic, with others of this turn of the event loop. */
  join (topic: LocalTopic): void {
    this.joining.push(topic)
    this.flushing ??= setImmediate(this.flush)
  }

  /** A topic may have become wanted or not. */
  update (topic: LocalTopic): void {
    if (topic.isWanted) {
      this.idle.delete(topic)
    } else if (!this.isClosed && !this.idle.has(topic)) {
      this.idle.set(topic, performance.now() + LINGER)
      this.dropping ??= setTimeout(this.dropIdle, LINGER).unref()
    }
  }

  /** Drops the topic that nobody has wanted for the longest time. @returns whether there was one */
  dropOldest (): boolean {
    const [oldest] = this.idle.keys()
    if (oldest === undefined) return false
    this.drop([oldest])
    return true
  }

  /** The broker can be reached again: what failed is tried at once. */
  retry (): void {
    if (this.retrying !== null) clearTimeout(this.retrying)
    this.retrying = null
    const topics = [...this.failed]
    this.failed.clear()
    if (!this.isClosed) this.subscribe(topics)
  }

  close (): void {
    this.isClosed = true
    if (this.flushing !== null) clearImmediate(this.flushing)
    if (this.retrying !== null) clearTimeout(this.retrying)
    if (this.dropping !== null) clearTimeout(this.dropping)
    this.failed.clear()
    this.idle.clear()
    this.joining = []
  }

  private readonly flush = (): void => {
    this.flushing = null
    const topics = this.joining
    this.joining = []
    this.subscribe(topics.filter(isKept))
  }

  private subscribe (topics: LocalTopic[]): void {
    if (topics.length === 0) return
    this.broker.subscribe(topics.map(({ name }) => name)).then(
      () => {
        this.pauses.reset()
        if (!this.isClosed) for (const topic of topics.filter(isKept)) topic.begin()
      },
      () => {
        if (this.isClosed) return
        for (const topic of topics.filter(isKept)) this.failed.add(topic)
        const pause = this.pauses.next()
        this.retrying ??= setTimeout(() => this.retry(), pause).unref()
      }
    )
  }

  private readonly dropIdle = (): void => {
    this.dropping = null
    const now = performance.now()
    const due: LocalTopic[] = []
    for (const [topic, at] of this.idle) {
      if (at > now + 1) {
        this.dropping = setTimeout(this.dropIdle, at - now).unref()
        break
      }
      due.push(topic)
    }
    if (due.length > 0) this.drop(due)
  }

  private drop (topics: LocalTopic[]): void {
    for (const topic of topics) {
      this.idle.delete(topic)
      this.failed.delete(topic)
      this.onDropped(topic)
    }
    // A broker that keeps a subscription delivers messages that nobody looks at.
    this.broker.unsubscribe(topics.map(({ name }) => name)).catch(() => {})
  }
}

/** Topics can be dropped while their subscription is on its way: by `maxTopics`, or by a broker that takes long. */
function isKept (topic: LocalTopic): boolean {
  return topic.state !== 'dropped'
}
