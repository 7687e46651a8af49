import type { Broker, BrokerAnchor, BrokerMember, BrokerMessage, BrokerRead } from '../../types/broker.js'
import type { TopicPosition, TopicStats } from '../../types/topics.js'
import { noop } from '../common.js'
import type { HostedSession } from '../connection/host.js'
import { createError, type TopicError } from '../errors.js'
import type { TopicLimits } from '../options/settings.js'
import { BrokerSubscriptions } from './broker-subscriptions.js'
import { CutOff } from './cut-off.js'
import { Deadlines } from './deadlines.js'
import { Delivery } from './delivery.js'
import { decodeEnvelope, encodeEnvelope, EnvelopeKind } from './envelope.js'
import { GuardedBroker } from './guarded-broker.js'
import { HistoryFeed, type FeedSettings, type Joined } from './history-feed.js'
import { LocalTopic, NO_TOPICS, type Join, type Receiver, type Subscribed } from './local-topic.js'
import { Presence } from './presence.js'
import { nextMessageId, Publisher } from './publisher.js'
import { RAW, type Declarations, type TopicSettings } from './settings.js'
import { TopicCounters } from './stats.js'
import { Startup } from './startup.js'

/** Bytes and messages of history that are kept here for each topic that somebody has resumed. */
const CACHE = { messages: 1_000, bytes: 4 * 1024 * 1024 }

export type SubscribeCallback = (result: Subscribed | Error) => void

/** Receives the events that the app logs. */
export interface HubEvents {
  /** The broker was lost, or is back. */
  onState (isUp: boolean, error: Error | null): void
}

/** All topics of one app on this process. */
export class Hub {
  readonly broker: Broker
  readonly settings: TopicLimits
  readonly counters = new TopicCounters()
  declarations: Declarations | null = null
  /** The receivers of connections that have subscribed, or that speak the topics protocol. */
  readonly receivers = new Map<HostedSession, Receiver>()
  readonly presence: Presence
  private readonly topics = new Map<string, LocalTopic>()
  private readonly subscriptions: BrokerSubscriptions
  private readonly publisher: Publisher
  /** Time limits of what the broker has to do. */
  readonly deadlines: Deadlines
  private readonly feedSettings: FeedSettings
  private readonly startup: Startup
  private readonly cutOff: CutOff
  private readonly events: HubEvents
  /** Messages of histories, as they are framed for everybody who resumes. */
  private readonly replays = new WeakMap<BrokerMessage, Delivery>()
  /** How often the broker was lost. */
  private outages = 0
  private isClosed = false

  constructor (broker: Broker, settings: TopicLimits, events: HubEvents) {
    this.broker = new GuardedBroker(broker)
    this.settings = settings
    this.events = events
    this.subscriptions = new BrokerSubscriptions(this.broker, topic => this.dropped(topic))
    this.publisher = new Publisher(this.broker, this.counters, settings.publishTimeout)
    this.deadlines = new Deadlines(settings.publishTimeout)
    this.feedSettings = { deadlines: this.deadlines, maxCachedMessages: CACHE.messages, maxCachedBytes: CACHE.bytes, onRead: () => { this.counters.reads++ } }
    this.cutOff = new CutOff(settings.cutOffTimeout, () => [...this.receivers.values()].filter(({ topics }) => topics.length > 0))
    this.startup = new Startup(this.broker, settings.waitForBroker)
    // Changes of members have no place in a history, and those of the last moment are announced while the app closes.
    this.presence = new Presence({
      broker: this.broker.presence,
      publish: (name, payload) => this.publisher.publish(name, nextMessageId(), encodeEnvelope(EnvelopeKind.PRESENCE, payload, true), RAW, null),
      notify: (name, notice) => this.topics.get(name)?.tellMembers(notice)
    })
  }

  // --- the app's life

  /** @throws {TopicError} (as a rejection) `FST_WS_ERR_BROKER` if the broker cannot be reached within `waitForBroker` */
  start (): Promise<void> {
    return this.startup.start({
      message: (topic, message) => this.onMessage(topic, message),
      interrupted: topics => this.onInterrupted(topics),
      state: (isUp, error) => this.onState(isUp, error ?? null)
    })
  }

  /** Waits for messages that are on their way to the broker, and leaves it. @param timeout milliseconds for both */
  async close (timeout: number): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    this.subscriptions.close()
    this.cutOff.close()
    for (const receiver of this.receivers.values()) this.forget(receiver)
    for (const topic of this.topics.values()) topic.feed?.stop()
    this.topics.clear()
    await this.startup.close(timeout, async () => {
      await this.presence.close().catch(noop)
      await this.publisher.finished()
    })
  }

  get isUp (): boolean {
    return this.startup.isStarted && !this.cutOff.isDown
  }

  get stats (): TopicStats {
    return this.counters.summarize(this.topics.size, this.broker.name, this.isUp)
  }

  /** How a topic is kept. */
  settingsOf (name: string): TopicSettings {
    return this.declarations?.settingsOf(name) ?? RAW
  }

  find (name: string): LocalTopic | undefined {
    return this.topics.get(name)
  }

  // --- publishing

  /** @param except does not get the message @throws what `settings.write` throws */
  publish (name: string, id: string, kind: EnvelopeKind, payload: Uint8Array, compress: boolean, except: Receiver | null): Promise<TopicPosition | null> {
    const data = encodeEnvelope(kind, payload, compress)
    const hand = (): Promise<TopicPosition | null> => {
      if (this.isClosed) return rejected(createError('FST_WS_ERR_PUBLISH', `the app is closing: the message for topic '${name}' was not published`))
      const isHere = except !== null && this.topics.has(name)
      return this.publisher.publish(name, id, data, this.settingsOf(name), isHere ? except : null)
    }
    if (this.startup.isStarted) return hand()
    const published = this.startup.whenStarted().then(hand)
    published.catch(noop)
    return published
  }

  // --- subscribing

  /**
   * Subscribes a receiver. The callback is called at the moment when the topic gets live for it: whoever sends the missed
   * messages in the callback keeps their order. It is called once, and never before this function returns, unless the topic
   * was live for the receiver.
   *
   * @param since where to go on; `null`: from now on
   */
  subscribe (receiver: Receiver, name: string, since: BrokerAnchor | null, callback: SubscribeCallback): void {
    if (this.isClosed) return callback(createError('FST_WS_ERR_SUBSCRIBE', `the app is closing: topic '${name}' was not subscribed`))
    const existing = this.topics.get(name)
    if (existing !== undefined && receiver.topics.includes(existing)) {
      return callback({ topic: existing, at: existing.feed?.position ?? null, isRecovered: null, messages: [] })
    }
    const pending = receiver.joining?.get(name)
    if (pending !== undefined) {
      pending.callbacks.push(callback)
      return
    }
    const refusal = this.refusalOf(receiver, name, existing)
    if (refusal !== null) return callback(refusal)
    const topic = existing ?? this.create(name)
    const join: Join = {
      callbacks: [callback],
      cancel: noop,
      inTime: this.deadlines.add(() => {
        this.endJoin(receiver, topic, createError('FST_WS_ERR_SUBSCRIBE', `the broker did not confirm the subscription to topic '${name}' within ${this.settings.publishTimeout} ms`))
      })
    }
    receiver.joining ??= new Map()
    receiver.joining.set(name, join)
    topic.joins++
    this.subscriptions.update(topic)
    join.cancel = topic.whenLive(() => this.joinLive(receiver, topic, join, since))
  }

  /** @returns whether the receiver had subscribed, or was about to */
  unsubscribe (receiver: Receiver, name: string): boolean {
    const topic = this.topics.get(name)
    if (topic === undefined) return false
    if (receiver.joining?.has(name) === true) {
      this.endJoin(receiver, topic, createError('FST_WS_ERR_UNSUBSCRIBED', `topic '${name}' was unsubscribed before it was live`))
      return true
    }
    const place = receiver.topics.indexOf(topic)
    if (place === -1) return false
    receiver.topics = receiver.topics.toSpliced(place, 1)
    this.detach(receiver, topic)
    return true
  }

  /** The receiver is over. */
  forget (receiver: Receiver): void {
    for (const name of [...receiver.joining?.keys() ?? []]) {
      const topic = this.topics.get(name)
      if (topic !== undefined) this.endJoin(receiver, topic, createError('FST_WS_ERR_UNSUBSCRIBED', `the connection was closed before topic '${name}' was live`))
    }
    const { topics } = receiver
    receiver.topics = NO_TOPICS
    for (const topic of topics) this.detach(receiver, topic)
  }

  private refusalOf (receiver: Receiver, name: string, existing: LocalTopic | undefined): TopicError | null {
    const { maxSubscriptions, maxTopics } = this.settings
    if (receiver.topics.length + (receiver.joining?.size ?? 0) >= maxSubscriptions) {
      return createError('FST_WS_ERR_MAX_SUBSCRIPTIONS', `the connection has ${maxSubscriptions} topics (maxSubscriptions): '${name}' was not subscribed`)
    }
    if (existing === undefined && this.topics.size >= maxTopics && !this.subscriptions.dropOldest()) {
      return createError('FST_WS_ERR_MAX_TOPICS', `this process has ${maxTopics} topics (maxTopics): '${name}' was not subscribed`)
    }
    return null
  }

  private create (name: string): LocalTopic {
    const topic = new LocalTopic(name, this.settingsOf(name))
    if (topic.settings.history !== null) topic.feed = this.createFeed(topic)
    this.topics.set(name, topic)
    if (this.startup.isStarted) this.subscriptions.join(topic)
    else this.startup.whenStarted().then(() => this.subscriptions.join(topic), noop)
    return topic
  }

  private createFeed (topic: LocalTopic): HistoryFeed {
    const sink = {
      deliver: (message: BrokerMessage): void => this.deliver(topic, message),
      lost: (at: BrokerAnchor): void => {
        this.counters.reset += topic.size
        topic.tellLost(at)
      }
    }
    const feed = new HistoryFeed(topic.name, this.broker, sink, this.feedSettings)
    feed.outages = this.outages
    return feed
  }

  private joinLive (receiver: Receiver, topic: LocalTopic, join: Join, since: BrokerAnchor | null): void {
    if (topic.feed === null) return this.completeJoin(receiver, topic, null, since !== null)
    join.cancel = noop
    const cancel = topic.feed.join(since, joined => {
      if (joined instanceof Error) this.endJoin(receiver, topic, createError('FST_WS_ERR_SUBSCRIBE', `the history of topic '${topic.name}' could not be read: ${joined.message}`, { cause: joined }))
      else this.completeJoin(receiver, topic, joined, since !== null)
    })
    // Unless it has called back at once.
    if (receiver.joining?.get(topic.name) === join) join.cancel = cancel
  }

  private completeJoin (receiver: Receiver, topic: LocalTopic, joined: Joined | null, isResuming: boolean): void {
    const join = this.takeJoin(receiver, topic)
    if (join === undefined) return
    topic.add(receiver)
    // V8 gives an array that grows half as much again, and 16 places more.
    receiver.topics = receiver.topics.concat(topic)
    this.counters.subscriptions++
    const isRecovered = isResuming ? joined?.isRecovered ?? false : null
    if (isRecovered !== null) this.counters[isRecovered ? 'recovered' : 'reset']++
    const [first, ...others] = join.callbacks
    const at = joined === null ? null : joined.at
    first!({ topic, at, isRecovered, messages: joined === null ? [] : joined.messages.flatMap(message => this.replay(message)) })
    for (const callback of others) callback({ topic, at: topic.feed?.position ?? null, isRecovered: null, messages: [] })
  }

  private endJoin (receiver: Receiver, topic: LocalTopic, error: Error): void {
    const join = this.takeJoin(receiver, topic)
    if (join === undefined) return
    join.cancel()
    this.subscriptions.update(topic)
    for (const callback of join.callbacks) callback(error)
  }

  private takeJoin (receiver: Receiver, topic: LocalTopic): Join | undefined {
    const join = receiver.joining?.get(topic.name)
    if (join === undefined) return undefined
    receiver.joining!.delete(topic.name)
    if (receiver.joining!.size === 0) receiver.joining = null
    topic.joins--
    join.inTime()
    return join
  }

  private detach (receiver: Receiver, topic: LocalTopic): void {
    topic.delete(receiver)
    this.counters.subscriptions--
    this.subscriptions.update(topic)
  }

  private dropped (topic: LocalTopic): void {
    topic.state = 'dropped'
    topic.feed?.stop()
    this.topics.delete(topic.name)
    this.presence.forget(topic.name)
  }

  // --- the broker

  private onMessage (name: string, message: BrokerMessage): void {
    const topic = this.topics.get(name)
    if (topic === undefined) return
    // A message that has no position, in a topic with history, takes no part in its order.
    if (topic.feed === null || message.position === null) return this.deliver(topic, message)
    // It has come over a new connection, and the broker has not come to say so: the history may be another one.
    if (topic.feed.outages !== this.outages) topic.feed.interrupted(this.outages)
    topic.feed.receive(message)
  }

  private deliver (topic: LocalTopic, message: BrokerMessage): void {
    const envelope = decodeEnvelope(message.data)
    if (envelope === null) {
      this.counters.skipped++
    } else if (envelope.kind === EnvelopeKind.PRESENCE) {
      this.presence.receive(topic.name, envelope.payload)
    } else {
      this.counters.delivered += topic.deliver(new Delivery(message, envelope), this.publisher.takeException(topic.name, message.id))
    }
  }

  private replay (message: BrokerMessage): Delivery[] {
    let delivery = this.replays.get(message)
    if (delivery === undefined) {
      const envelope = decodeEnvelope(message.data)
      if (envelope === null || envelope.kind === EnvelopeKind.PRESENCE) return []
      delivery = new Delivery(message, envelope)
      this.replays.set(message, delivery)
    }
    this.counters.delivered++
    return [delivery]
  }

  private onInterrupted (names: readonly string[] | undefined): void {
    this.presence.interrupted(names)
    const topics = names === undefined ? this.topics.values() : names.flatMap(name => this.topics.get(name) ?? [])
    for (const topic of topics) {
      if (topic.state !== 'live') continue
      if (topic.feed !== null) {
        topic.feed.interrupted(this.outages)
      } else {
        this.counters.gaps += topic.size
        topic.tellGap()
      }
    }
  }

  private onState (isUp: boolean, error: Error | null): void {
    if (this.isClosed || isUp !== this.cutOff.isDown) return
    if (isUp) this.counters.reconnects++
    else this.outages++
    this.cutOff.change(isUp)
    if (isUp) this.subscriptions.retry()
    if (isUp) this.presence.up()
    this.events.onState(isUp, error)
  }

  /** Reads history, for the app. */
  read (name: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    return this.readInTime('history', name, () => {
      this.counters.reads++
      return this.broker.read(name, since, limit)
    })
  }

  /** Reads the members of a topic, for the app. */
  readMembers (name: string, limit: number): Promise<BrokerMember[]> {
    return this.readInTime('members', name, () => this.broker.presence.list(name, limit))
  }

  countMembers (name: string): Promise<number> {
    return this.readInTime('members', name, () => this.broker.presence.count(name))
  }

  private async readInTime<Result> (part: string, name: string, read: () => Promise<Result>): Promise<Result> {
    await this.startup.whenStarted()
    return new Promise((resolve, reject) => {
      const inTime = this.deadlines.add(() => reject(createError('FST_WS_ERR_SUBSCRIBE', `the broker did not read the ${part} of topic '${name}' within ${this.settings.publishTimeout} ms`)))
      read().then(resolve, reject).finally(inTime)
    })
  }
}

function rejected (error: Error): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(noop)
  return promise
}
