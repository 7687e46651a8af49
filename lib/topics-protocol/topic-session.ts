import type { FastifyRequest } from 'fastify'
import type { BrokerAnchor } from '../../types/broker.js'
import type { TopicPosition } from '../../types/topics.js'
import { noop } from '../common.js'
import type { Subprotocol } from '../connection/extras.js'
import type { Session } from '../connection/session.js'
import { createError } from '../errors.js'
import { CloseCode } from '../protocol/close-codes.js'
import { isThenable, toPromise } from '../thenable.js'
import { CUT_OFF } from '../topics/connection-receiver.js'
import type { Delivery } from '../topics/delivery.js'
import { EnvelopeKind } from '../topics/envelope.js'
import type { Hub } from '../topics/hub.js'
import type { Join, LocalTopic, Receiver, Subscribed } from '../topics/local-topic.js'
import { formatPosition, parsePosition } from '../topics/position.js'
import { nextMessageId } from '../topics/publisher.js'
import type { Beats } from './beats.js'
import { readClientMessage, type ClientMessage } from './client-message.js'
import { frameDelivery } from './delivered.js'
import type { TopicPolicy } from './policies.js'
import type { TopicsProtocol } from './protocol.js'
import { judge, reasonOf } from './reasons.js'
import { Requests } from './requests.js'
import { writeGap, writeHello, writeLost, writePublished, writeRefused, writeSubscribed, writeUnsubscribed, type Beginning, type Reason } from './server-message.js'
import { Turns } from './turns.js'

/** A subscription that the client has asked for, and that is not answered yet. */
interface Attempt {
  readonly topic: string
  readonly since: BrokerAnchor | null
  readonly policy: TopicPolicy
  /** Lets the next request of the topic begin, once this one has its turn. */
  onEnd: () => void
}

/** The topics protocol on one connection: docs/topics-protocol.md. */
export class TopicSession implements Receiver, Subprotocol {
  readonly topics: LocalTopic[] = []
  joining: Map<string, Join> | null = null
  private readonly session: Session
  private readonly request: FastifyRequest
  private readonly protocol: TopicsProtocol
  private readonly hasHandler: boolean
  private readonly hub: Hub
  private readonly requests: Requests
  private readonly turns = new Turns()
  private readonly attempts = new Map<string, Attempt>()
  /** Messages of live topics that wait until the snapshot is sent. */
  private readonly held = new Map<LocalTopic, Delivery[]>()
  /** End the time limits of what the app decides. */
  private readonly deadlines = new Set<() => void>()
  private endBeats: () => void = noop
  private isOver = false

  constructor (session: Session, request: FastifyRequest, protocol: TopicsProtocol, hasHandler: boolean) {
    this.session = session
    this.request = request
    this.protocol = protocol
    this.hasHandler = hasHandler
    this.hub = protocol.hub
    this.requests = new Requests(session)
  }

  begin (beats: Beats): void {
    const { session, hub } = this
    session.extras.subprotocol = this
    hub.receivers.set(session, this)
    this.endBeats = beats.add(session.outbox)
    const { maxSubscriptions } = hub.settings
    this.send(writeHello({ id: session.extras.id, beat: beats.interval, maxSubscriptions, maxMessage: session.settings.maxPayload }))
  }

  end (): void {
    if (this.isOver) return
    this.isOver = true
    this.endBeats()
    // Nobody waits for these any more, and a timer would keep the process.
    for (const end of this.deadlines) end()
    for (const attempt of this.attempts.values()) this.endAttempt(attempt)
    this.held.clear()
    this.hub.forget(this)
  }

  // --- messages of the client

  receive (data: Buffer, isBinary: boolean): boolean {
    if (isBinary) {
      if (this.hasHandler) return false
      this.refuse('message', {}, createError('FST_WS_ERR_BINARY_MESSAGE', 'the route has no binary messages'))
      return true
    }
    const parsed = this.session.json.parse(data, false)
    if ('error' in parsed) {
      this.refuse('message', {}, parsed.error)
      return true
    }
    const message = readClientMessage(parsed.value, this.hub.settings)
    if (message.kind === 'own' && this.hasHandler) return false
    if (!this.isOver) this.handle(message, data.length)
    return true
  }

  private handle (message: ClientMessage, bytes: number): void {
    switch (message.kind) {
      case 'beat': return
      case 'own': return this.refuse('message', {}, createError('FST_WS_ERR_UNKNOWN_MESSAGE', 'the route has no messages of its own'))
      case 'subscribe':
        for (const { topic, since } of message.topics) this.subscribe(topic, since)
        return
      case 'unsubscribe':
        for (const topic of message.topics) this.unsubscribe(topic)
        return
      case 'publish': return this.publish(message.topic, message.message, message.id, bytes)
      case 'presence': return this.refuse('presence', { topic: message.topic }, createError('FST_WS_ERR_NO_PRESENCE'))
      case 'refused': {
        const { request, topic, id, code, message: text } = message.refusal
        this.send(writeRefused(request, { topic, id }, reasonOf({ code, message: text })))
      }
    }
  }

  // --- subscribing

  private subscribe (topic: string, since: unknown): void {
    const refuse = (error: Error): void => this.refuse('subscribe', { topic }, error)
    if (this.attempts.has(topic) || this.isLive(topic)) return refuse(createError('FST_WS_ERR_SUBSCRIBED'))
    // Those that are with the hub are in both.
    const { maxSubscriptions } = this.hub.settings
    if (this.topics.length + this.attempts.size >= maxSubscriptions) {
      return refuse(createError('FST_WS_ERR_MAX_SUBSCRIPTIONS', `the connection has ${maxSubscriptions} topics`))
    }
    const anchor = since === null ? null : typeof since === 'string' ? parsePosition(since) : undefined
    if (anchor === undefined || (anchor === null && since !== null)) return refuse(createError('FST_WS_ERR_INVALID_POSITION'))
    const policy = this.policyOf(topic)
    if (policy === null) return refuse(createError('FST_WS_ERR_UNKNOWN_TOPIC', `there is no topic '${topic}'`))
    const attempt: Attempt = { topic, since: anchor, policy, onEnd: noop }
    this.attempts.set(topic, attempt)
    this.turns.run(topic, () => this.authorize(attempt))
  }

  /** @returns a promise that resolves when the attempt has ended */
  private authorize (attempt: Attempt): Promise<void> | undefined {
    if (!this.isPending(attempt)) return undefined
    const { topic, policy } = attempt
    return new Promise(resolve => {
      attempt.onEnd = resolve
      // An attempt that the client has given up counts until the app has decided.
      const finish = this.requests.begin(0)
      this.ask(() => policy.authorizeSubscribe(this.session.connection, this.request), () => {
        finish()
        if (this.isPending(attempt)) this.join(attempt)
      }, error => {
        finish()
        if (!this.isPending(attempt)) return
        this.endAttempt(attempt)
        this.refuseFor('subscribe', { topic }, error)
      })
    })
  }

  private join (attempt: Attempt): void {
    const { topic, since, policy } = attempt
    const answer = (result: Subscribed | Error): void => {
      if (!this.isPending(attempt)) return
      this.endAttempt(attempt)
      if (result instanceof Error) this.refuse('subscribe', { topic }, result)
      else this.start(result, policy)
    }
    // The app was faster.
    if (this.isLive(topic) || this.joining?.has(topic) === true) answer(createError('FST_WS_ERR_SUBSCRIBED'))
    else this.hub.subscribe(this, topic, since, answer)
  }

  private isPending (attempt: Attempt): boolean {
    return this.attempts.get(attempt.topic) === attempt
  }

  private endAttempt (attempt: Attempt): void {
    this.attempts.delete(attempt.topic)
    attempt.onEnd()
  }

  /** The topic is live. */
  private start (subscribed: Subscribed, policy: TopicPolicy | null): void {
    const { topic, at, isRecovered, messages } = subscribed
    const beginning: Beginning = { at: at === null ? null : formatPosition(at), recovered: isRecovered, missed: messages.length, snapshot: null, presence: null }
    if (isRecovered === true || policy === null || policy.snapshot === null) {
      this.send(writeSubscribed(topic.name, beginning))
      for (const delivery of messages) this.deliver(topic, delivery)
      return
    }
    this.hold(topic, [...messages], policy.snapshot, snapshot => this.send(writeSubscribed(topic.name, { ...beginning, snapshot })), error => {
      this.refuseFor('subscribe', { topic: topic.name }, error)
    })
  }

  /**
   * Sends nothing of a topic before its snapshot is there.
   *
   * @param announce sends the snapshot
   * @param fail says that there is none, which ends the subscription
   */
  private hold (
    topic: LocalTopic, held: Delivery[], snapshot: NonNullable<TopicPolicy['snapshot']>, announce: (snapshot: string) => void, fail: (error: Error) => void
  ): void {
    this.held.set(topic, held)
    this.protocol.snapshots.take(topic.name, snapshot, result => {
      if (this.held.get(topic) !== held) return
      this.held.delete(topic)
      if (result instanceof Error) {
        this.hub.unsubscribe(this, topic.name)
        fail(result)
      } else {
        announce(result)
        for (const delivery of held) this.deliver(topic, delivery)
      }
    })
  }

  private unsubscribe (name: string): void {
    this.forgetTopic(name)
    this.hub.unsubscribe(this, name)
    this.send(writeUnsubscribed(name, null))
  }

  /** Drops what this session keeps of a topic that ends. */
  private forgetTopic (name: string): void {
    const attempt = this.attempts.get(name)
    if (attempt !== undefined) this.endAttempt(attempt)
    const topic = this.hub.find(name)
    if (topic !== undefined) this.held.delete(topic)
  }

  private isLive (name: string): boolean {
    const topic = this.hub.find(name)
    return topic !== undefined && this.topics.includes(topic)
  }

  // --- publishing

  private publish (topic: string, message: unknown, id: string | null, bytes: number): void {
    const policy = this.policyOf(topic)
    const part = { topic, id: id ?? undefined }
    if (policy === null) return this.refuse('publish', part, createError('FST_WS_ERR_UNKNOWN_TOPIC', `there is no topic '${topic}'`))
    const finish = this.requests.begin(bytes)
    const refuse = (error: unknown): void => {
      finish()
      this.refuseFor('publish', part, error)
    }
    this.turns.run(topic, () => this.ask(() => policy.acceptPublish(this.session.connection, message, this.request), accepted => {
      const messageId = id ?? nextMessageId()
      // The next message of the topic does not wait until the broker has this one: the broker keeps their order.
      this.store(topic, messageId, accepted).then(position => {
        finish()
        this.send(writePublished(messageId, topic, position === null ? null : formatPosition(position)))
      }, refuse)
    }, refuse))
  }

  /** @param message `null`: nothing is published */
  private store (topic: string, id: string, message: unknown): Promise<TopicPosition | null> {
    if (message === null || message === undefined) return Promise.resolve(null)
    try {
      const text = this.hub.settingsOf(topic).write(message)
      return this.hub.publish(topic, id, EnvelopeKind.TEXT, Buffer.from(text), true, null)
    } catch (error) {
      // A client can nest arrays more deeply than the stack reaches.
      return Promise.reject(error instanceof RangeError ? createError('FST_WS_ERR_INVALID_MESSAGE', 'the message is nested too deeply') : error as Error)
    }
  }

  private policyOf (topic: string): TopicPolicy | null {
    return this.protocol.policies?.policyOf(topic) ?? null
  }

  /** Calls a function of the app, which may be asynchronous. @returns a promise that settles behind the result, if it is */
  private ask (decide: () => unknown, then: (decision: unknown) => void, otherwise: (error: unknown) => void): Promise<void> | undefined {
    let decision: unknown
    try {
      decision = this.session.run(undefined, decide)
    } catch (error) {
      otherwise(error)
      return undefined
    }
    if (!isThenable(decision)) {
      then(decision)
      return undefined
    }
    // Messages of a client that has left are published, and nobody waits for it.
    if (this.isOver) return toPromise(decision).then(then, otherwise)
    const inTime = new Promise((resolve, reject) => {
      const end = this.protocol.decisions.add(() => {
        this.deadlines.delete(end)
        reject(createError('FST_WS_ERR_POLICY', 'the app did not decide in time'))
      })
      this.deadlines.add(end)
      toPromise(decision as PromiseLike<unknown>).then(resolve, reject).finally(() => {
        this.deadlines.delete(end)
        end()
      })
    })
    return inTime.then(then, otherwise)
  }

  // --- messages of the server

  private send (text: string): void {
    if (this.session.maySend) this.session.outbox.send(text, undefined, undefined)
  }

  private refuse (request: string, part: { topic?: string | undefined, id?: string | undefined }, error: Error): void {
    this.send(writeRefused(request, part, reasonOf(error)))
  }

  /** Refuses because of what the app has thrown, which may be a mistake of its own. */
  private refuseFor (request: string, part: { topic?: string | undefined, id?: string | undefined }, error: unknown): void {
    this.send(writeRefused(request, part, this.explain(request, part.topic, error)))
  }

  /** @returns the reason as the client gets it: mistakes of the app are for its log */
  private explain (request: string, topic: string | undefined, error: unknown): Reason {
    const { reason, failure } = judge(error)
    if (failure !== null) {
      this.request.log.error({ connectionId: this.session.extras.id, topic, err: failure }, `the app could not decide about ${request}`)
    }
    return reason
  }

  private deliver (topic: LocalTopic, delivery: Delivery): void {
    const { session } = this
    if (session.outbox.sendShared(frameDelivery(topic, delivery)) || !session.maySend) return
    // The app is in the middle of a fragmented message (RFC 6455 §5.4). The client comes back and gets what it misses.
    session.close(CloseCode.TRY_AGAIN_LATER, 'a fragmented message is under way')
  }

  // --- as a receiver of topics

  onMessage (topic: LocalTopic, delivery: Delivery): void {
    const held = this.held.size === 0 ? undefined : this.held.get(topic)
    if (held === undefined) this.deliver(topic, delivery)
    else held.push(delivery)
  }

  onGap (topic: LocalTopic): void {
    this.send(writeGap(topic.name))
  }

  onLost (topic: LocalTopic, at: BrokerAnchor): void {
    const snapshot = this.policyOf(topic.name)?.snapshot ?? null
    if (snapshot === null) return this.send(writeLost(topic.name, formatPosition(at), null))
    this.hold(topic, [], snapshot, text => this.send(writeLost(topic.name, formatPosition(at), text)), error => {
      this.send(writeUnsubscribed(topic.name, this.explain('subscribe', topic.name, error)))
    })
  }

  onSubscribedByApp (subscribed: Subscribed): void {
    this.start(subscribed, null)
  }

  onUnsubscribedByApp (topic: LocalTopic): void {
    this.forgetTopic(topic.name)
    this.send(writeUnsubscribed(topic.name, reasonOf(createError('FST_WS_ERR_UNSUBSCRIBED', 'the app has ended the subscription'))))
  }

  onCutOff (): void {
    this.session.close(CloseCode.TRY_AGAIN_LATER, CUT_OFF)
  }
}
