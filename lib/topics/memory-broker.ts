import { randomBytes } from 'node:crypto'
import type { Broker, BrokerAnchor, BrokerEvents, BrokerMessage, BrokerPosition, BrokerPresence, BrokerPublication, BrokerRead } from '../../types/broker.js'
import { NO_CONTEXT, runInContext } from '../async-context.js'
import { MemoryHistory } from './memory-history.js'
import { MemoryPresence } from './memory-presence.js'

/** Milliseconds between two looks for topics whose history has expired. */
const SWEEP_INTERVAL = 10_000

/** Topics share counters of the histories that were dropped: this many of them, a power of two. */
const DROP_COUNTERS = 4_096

/** The state that `MemoryBroker`s share, each of which stands for a process. An app that is alone has a bus of its own. */
export class MemoryBus {
  readonly presence: BrokerPresence
  private readonly now: () => number
  private readonly name = randomBytes(6).toString('base64url')
  private readonly brokers = new Set<MemoryBroker>()
  private readonly histories = new Map<string, MemoryHistory>()
  /**
   * How many histories were dropped, by a hash of their topics. The epoch of a topic contains its counter: so a topic that
   * was always empty keeps its epoch, one that is begun anew gets another, and nothing is kept for either.
   */
  private readonly drops = new Uint32Array(DROP_COUNTERS)
  /** Messages that were published while another one was being delivered. */
  private readonly waiting: Array<[topic: string, message: BrokerMessage]> = []
  private isDelivering = false
  private timer: NodeJS.Timeout | null = null

  /** @param now milliseconds on a clock that never goes back */
  constructor (now: () => number = () => performance.now()) {
    this.now = now
    this.presence = new MemoryPresence(now)
  }

  attach (broker: MemoryBroker): void {
    this.brokers.add(broker)
    this.schedule()
  }

  detach (broker: MemoryBroker): void {
    this.brokers.delete(broker)
    if (this.brokers.size === 0) this.unschedule()
  }

  publish (topic: string, publication: BrokerPublication): BrokerPosition | null {
    const { id, data, history } = publication
    if (history === null) {
      this.deliver(topic, { id, data: Buffer.from(data), position: null, previous: null })
      return null
    }
    const now = this.now()
    let kept = this.histories.get(topic)
    if (kept === undefined) {
      this.histories.set(topic, kept = new MemoryHistory(this.epochOf(topic), now))
      this.schedule()
    }
    const message = kept.add(publication, history, now)
    if (typeof message === 'number') return { epoch: kept.epoch, offset: message }
    this.deliver(topic, message)
    return message.position
  }

  read (topic: string, since: BrokerAnchor | null, limit: number): BrokerRead {
    const history = this.histories.get(topic)
    if (history !== undefined) return history.read(since, limit, this.now())
    const epoch = this.epochOf(topic)
    return { top: { epoch, offset: 0 }, topId: null, messages: [], isComplete: since === null || (since.epoch === epoch && since.offset === 0) }
  }

  /** Drops histories that nobody needs: expired, and without a subscriber whose next message has to follow the last one. */
  sweep (): void {
    const now = this.now()
    for (const [topic, history] of this.histories) {
      if (!history.expire(now) || this.hasSubscriber(topic)) continue
      this.histories.delete(topic)
      this.drops[hash(topic)]!++
    }
    if (this.histories.size === 0) this.unschedule()
  }

  private hasSubscriber (topic: string): boolean {
    for (const broker of this.brokers) if (broker.isSubscribed(topic)) return true
    return false
  }

  private epochOf (topic: string): string {
    return `${this.name}-${this.drops[hash(topic)]!.toString(36)}`
  }

  /** A message that is published by the receiver of another one comes after it, for all receivers. */
  private deliver (topic: string, message: BrokerMessage): void {
    this.waiting.push([topic, message])
    if (this.isDelivering) return
    this.isDelivering = true
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
        for (const broker of this.brokers) broker.deliver(next[0], next[1])
      }
    } finally {
      this.isDelivering = false
    }
  }

  private schedule (): void {
    if (this.timer !== null || this.histories.size === 0 || this.brokers.size === 0) return
    // The timer would keep the stores of whoever publishes first.
    this.timer = runInContext(NO_CONTEXT, startTimer, undefined, this, SWEEP_INTERVAL)
  }

  private unschedule (): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
  }
}

/** The broker of an app that is alone: history and members are kept in memory, and end with the process. */
export class MemoryBroker implements Broker {
  readonly name = 'memory'
  readonly presence: BrokerPresence
  private readonly bus: MemoryBus
  private readonly topics = new Set<string>()
  private events: BrokerEvents | null = null

  constructor (bus = new MemoryBus()) {
    this.bus = bus
    this.presence = bus.presence
  }

  async start (events: BrokerEvents): Promise<void> {
    this.events = events
    this.bus.attach(this)
  }

  async subscribe (topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.topics.add(topic)
  }

  async unsubscribe (topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.topics.delete(topic)
  }

  async publish (topic: string, publication: BrokerPublication): Promise<BrokerPosition | null> {
    return this.bus.publish(topic, publication)
  }

  async read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    return this.bus.read(topic, since, limit)
  }

  async close (): Promise<void> {
    this.events = null
    this.topics.clear()
    this.bus.detach(this)
  }

  /** @internal */
  isSubscribed (topic: string): boolean {
    return this.topics.has(topic)
  }

  /** @internal */
  deliver (topic: string, message: BrokerMessage): void {
    if (this.topics.has(topic)) this.events?.message(topic, message)
  }
}

/** FNV-1a over the code units. */
function hash (topic: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < topic.length; index++) value = Math.imul(value ^ topic.charCodeAt(index), 0x01000193)
  return value >>> 0 & DROP_COUNTERS - 1
}

function startTimer (bus: MemoryBus, interval: number): NodeJS.Timeout {
  return setInterval(sweep, interval, bus).unref()
}

function sweep (bus: MemoryBus): void {
  bus.sweep()
}
