import type { ConnectionEvents, SubscriberConnection } from './connections.js'
import type { Keys } from './keys.js'
import { Link } from './link.js'
import { Pending } from './pending.js'

/** Channels of one command. */
const BATCH = 512

/** Somebody who waits until topics are subscribed. */
interface Waiter {
  left: number
  /** Topics that were unsubscribed meanwhile. */
  readonly dropped: Set<string>
  resolve (dropped: ReadonlySet<string>): void
  reject (error: Error): void
}

export interface SubscriberEvents {
  /** Opens a connection to the node. */
  open (events: ConnectionEvents): Promise<SubscriberConnection>
  /** Makes sure that messages come through the connection. It is subscribed to the topic without a name. */
  check: (() => Promise<void>) | null
  /** @returns the topics that are to be there when the connection is up */
  topics (): string[]
  message (topic: string, data: Buffer): void
  /** The connection is up, and subscribed to these topics. */
  up (topics: string[]): void
  down (error: Error): void
  /** Slots have moved away from the node. */
  moved (): void
}

/** The connection to one node that messages come through. */
export class Subscriber {
  readonly #link: Link<SubscriberConnection>
  readonly #keys: Keys
  readonly #isSharded: boolean
  #pending: Pending | null = null
  /** The changes to be made: subscribe, or unsubscribe. */
  readonly #changes = new Map<string, boolean>()
  readonly #waiters = new Map<string, Waiter[]>()
  #isWorking = false
  /** Rejects what waits for something else than an answer of the connection. */
  #breaks: (error: Error) => void = () => {}
  /** Why there is no connection. */
  #why = 'it has not been reached yet'

  /** @param timeout milliseconds for an answer */
  constructor (keys: Keys, isSharded: boolean, timeout: number, events: SubscriberEvents) {
    this.#keys = keys
    this.#isSharded = isSharded
    let topics: string[] = []
    this.#link = new Link<SubscriberConnection>({
      open: closed => events.open({
        closed,
        moved: () => events.moved(),
        message: (channel, data) => {
          const topic = keys.topicOf(channel.toString())
          if (topic !== null) events.message(topic, data)
        }
      }),
      prepare: async connection => {
        this.#pending = new Pending(timeout, true, () => connection.ping(), error => this.#link.break(error))
        if (events.check !== null) {
          await this.#send(connection, this.#pending, [''], true)
          await this.#unlessBroken(events.check())
        }
        topics = events.topics()
        for (let i = 0; i < topics.length; i += BATCH) await this.#send(connection, this.#pending, topics.slice(i, i + BATCH), true)
      },
      up: () => events.up(topics),
      down: error => {
        this.#why = error.message
        this.#pending?.end(error)
        this.#pending = null
        this.#fail(error)
        this.#breaks(error)
        events.down(error)
      }
    })
  }

  /** Connects. Rejects if that fails, and does not try again. */
  start (): Promise<void> {
    return this.#link.start()
  }

  /** Connects, as often as it takes. */
  keep (): void {
    this.#link.keep()
  }

  get isUp (): boolean {
    return this.#link.opened !== null
  }

  /** Ends the connection as if it had broken. */
  break (error: Error): void {
    this.#link.break(error)
  }

  /**
   * Rejects if the server does not confirm it: then nothing of it is tried again.
   *
   * @returns when the server has confirmed it, topics that were unsubscribed meanwhile
   */
  subscribe (topics: readonly string[]): Promise<ReadonlySet<string>> {
    if (!this.isUp) return Promise.reject(new Error(`Redis cannot be reached: ${this.#why}`))
    if (topics.length === 0) return Promise.resolve(new Set())
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { left: topics.length, dropped: new Set(), resolve, reject }
      for (const topic of topics) {
        this.#changes.set(topic, true)
        const waiters = this.#waiters.get(topic)
        if (waiters === undefined) this.#waiters.set(topic, [waiter])
        else waiters.push(waiter)
      }
      this.#work()
    })
  }

  unsubscribe (topics: readonly string[]): void {
    if (!this.isUp) return
    for (const topic of topics) {
      this.#changes.set(topic, false)
      for (const { dropped } of this.#waiters.get(topic) ?? []) dropped.add(topic)
      this.#confirm([topic])
    }
    this.#work()
  }

  close (): void {
    this.#link.close()
    this.#why = 'the broker is closed'
    const error = new Error(this.#why)
    this.#pending?.end(error)
    this.#fail(error)
    this.#breaks(error)
  }

  #unlessBroken (promise: Promise<void>): Promise<void> {
    return Promise.race([promise, new Promise<never>((_resolve, reject) => { this.#breaks = reject })])
  }

  #fail (error: Error): void {
    this.#changes.clear()
    const waiting = new Set([...this.#waiters.values()].flat())
    this.#waiters.clear()
    for (const { reject } of waiting) reject(error)
  }

  /** One command after the other: some clients mix up what they are subscribed to otherwise. What comes meanwhile is joined. */
  #work (): void {
    if (this.#isWorking) return
    this.#isWorking = true
    this.#drain().catch(error => {
      // The state of the subscriptions is not known any more.
      this.#link.break(error as Error)
      this.#fail(error as Error)
    }).finally(() => {
      this.#isWorking = false
      if (this.#changes.size > 0 && this.isUp) this.#work()
    })
  }

  async #drain (): Promise<void> {
    while (this.#changes.size > 0) {
      const connection = this.#link.opened
      if (connection === null) return
      const [[, isWanted]] = this.#changes as unknown as [[string, boolean]]
      const topics: string[] = []
      for (const [topic, isWantedToo] of this.#changes) {
        if (isWantedToo !== isWanted || topics.length === BATCH) break
        topics.push(topic)
        this.#changes.delete(topic)
      }
      await this.#send(connection, this.#pending!, topics, isWanted)
      if (isWanted) this.#confirm(topics)
    }
  }

  #confirm (topics: string[]): void {
    for (const topic of topics) {
      // Unsubscribed meanwhile: nobody waits.
      for (const waiter of this.#waiters.get(topic) ?? []) if (--waiter.left === 0) waiter.resolve(waiter.dropped)
      this.#waiters.delete(topic)
    }
  }

  async #send (connection: SubscriberConnection, pending: Pending, topics: string[], isWanted: boolean): Promise<void> {
    const groups = this.#isSharded ? this.#groups(topics) : [topics]
    await Promise.all(groups.map(group => {
      const channels = group.map(topic => this.#keys.channel(topic))
      return pending.track(isWanted ? connection.subscribe(channels, this.#isSharded) : connection.unsubscribe(channels, this.#isSharded))
    }))
  }

  /** A command is for channels of one slot. */
  #groups (topics: string[]): string[][] {
    const groups = new Map<number, string[]>()
    for (const topic of topics) {
      const partition = this.#keys.partitionOf(topic)
      const group = groups.get(partition)
      if (group === undefined) groups.set(partition, [topic])
      else group.push(topic)
    }
    return [...groups.values()]
  }
}
