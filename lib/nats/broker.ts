import type { Broker, BrokerAnchor, BrokerEvents, BrokerPosition, BrokerPresence, BrokerPublication, BrokerRead } from '../../types/broker.js'
import type { NatsConnection } from './client.js'
import { explain, Histories } from './histories.js'
import { JetStream } from './jetstream.js'
import { Names } from './names.js'
import type { NatsSettings } from './options.js'
import { NatsPresence } from './presence.js'
import { encodePlain, Subscriptions } from './subscriptions.js'

/** Milliseconds from one look at the connection to the next: a line can die without a word. */
const LOOK_INTERVAL = 5_000

export class NatsBroker implements Broker {
  readonly name = 'nats'
  readonly presence: BrokerPresence
  private readonly connection: NatsConnection
  private readonly timeout: number
  private readonly settings: NatsSettings
  private readonly names: Names
  private readonly jetstream: JetStream
  private readonly histories: Histories
  private subscriptions: Subscriptions | null = null
  private events: BrokerEvents | null = null
  private isUp = false
  private timer: NodeJS.Timeout | null = null

  constructor (settings: NatsSettings) {
    this.settings = settings
    this.connection = settings.connection
    this.timeout = settings.timeout
    this.names = new Names(settings.prefix)
    this.jetstream = new JetStream(this.connection, this.timeout)
    this.histories = new Histories(this.jetstream, this.names, settings)
    const presence = new NatsPresence(this.jetstream, this.names)
    this.presence = {
      renew: (process, ttl) => this.call(() => presence.renew(process, ttl)),
      release: process => this.call(() => presence.release(process)),
      enter: (process, members) => this.call(() => presence.enter(process, members)),
      leave: (process, members) => this.call(() => presence.leave(process, members)),
      list: (topic, limit) => this.call(() => presence.list(topic, limit)),
      count: topic => this.call(() => presence.count(topic)),
      expired: () => this.call(() => presence.expired()),
      sweep: process => this.call(() => presence.sweep(process))
    }
  }

  async start (events: BrokerEvents): Promise<void> {
    if (this.connection.isClosed()) throw new Error('NATS: the connection is closed')
    try {
      await within(this.timeout, this.connection.rtt())
      if (this.connection.info?.headers === false) throw new Error('this server has no headers, which NATS has since 2.2')
      await this.begin()
    } catch (error) {
      throw explain(error)
    }
    this.events = events
    this.isUp = true
    this.subscriptions = new Subscriptions(this.connection, this.names, this.histories, events)
    this.watch().catch(() => {})
    this.timer = setInterval(() => { this.look().catch(() => {}) }, LOOK_INTERVAL).unref()
  }

  async subscribe (topics: readonly string[]): Promise<void> {
    await this.call(async () => {
      this.open.add(topics)
      // The answer to a Ping comes behind what was sent before it.
      await this.connection.flush()
    })
  }

  async unsubscribe (topics: readonly string[]): Promise<void> {
    await this.call(async () => {
      this.open.delete(topics)
      await this.connection.flush()
    })
  }

  publish (topic: string, message: BrokerPublication): Promise<BrokerPosition | null> {
    return this.call(async () => {
      if (message.history !== null) return this.histories.publish(topic, message, message.history)
      this.connection.publish(this.names.plain(topic), encodePlain(message.id, message.data))
      await this.connection.flush()
      return null
    })
  }

  read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    return this.call(() => this.histories.read(topic, since, limit))
  }

  async close (): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
    this.events = null
    this.subscriptions?.close()
    this.subscriptions = null
  }

  private get open (): Subscriptions {
    if (this.subscriptions === null) throw new Error('the broker is closed')
    return this.subscriptions
  }

  /** Makes the stream of the state, if there is none: it may be gone with the server's data. */
  private async begin (): Promise<void> {
    await this.jetstream.ensureStream({
      name: this.names.stateStream,
      subjects: [this.names.states],
      allow_direct: true,
      max_msgs_per_subject: 1,
      storage: this.settings.storage,
      num_replicas: this.settings.replicas,
      retention: 'limits'
    })
    await this.histories.refresh()
  }

  private async call<T> (fn: () => Promise<T>): Promise<T> {
    if (this.subscriptions === null) throw new Error('the broker is closed')
    // The client would keep what is published until it is connected again, without a limit.
    if (!this.isUp || this.connection.isClosed()) throw new Error('NATS: the server cannot be reached')
    try {
      return await within(this.timeout * 2, fn())
    } catch (error) {
      throw explain(error)
    }
  }

  private async watch (): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (this.events === null) return
      if (type === 'disconnect' || type === 'close') this.down(new Error('NATS: the connection was lost'))
      else if (type === 'reconnect') await this.up()
      // Messages were dropped on their way to a subscription that is too slow.
      else if (type === 'slowConsumer') this.interrupted()
    }
  }

  private async look (): Promise<void> {
    if (!this.isUp) return this.up()
    try {
      await within(this.timeout, this.connection.rtt())
    } catch (error) {
      if (!this.isUp || this.events === null) return
      this.down(explain(error))
      await this.connection.reconnect()
    }
  }

  private down (error: Error): void {
    if (!this.isUp) return
    this.isUp = false
    this.events?.state(false, error)
  }

  /** The client has made its subscriptions again. JetStream may need a moment longer than the server: then `look` tries again. */
  private async up (): Promise<void> {
    if (this.events === null || this.connection.isClosed()) return
    try {
      await within(this.timeout, this.connection.flush())
      await this.begin()
    } catch {
      this.retrySoon()
      return
    }
    if (this.events === null) return
    if (!this.isUp) {
      this.isUp = true
      this.events.state(true)
    }
    this.interrupted()
  }

  private retrySoon (): void {
    setTimeout(() => { if (!this.isUp) this.up().catch(() => {}) }, 200).unref()
  }

  private interrupted (): void {
    this.subscriptions?.interrupted()
    this.events?.interrupted()
  }
}

/** Waits for a promise, up to `timeout` milliseconds. */
async function within<T> (timeout: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  promise.catch(() => {})
  try {
    return await Promise.race([promise, new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout)
    })])
  } finally {
    clearTimeout(timer)
  }
}
