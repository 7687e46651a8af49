import type { FastifyRequest } from 'fastify'
import type { BrokerAnchor } from '../../types/broker.js'
import type { TopicPosition } from '../../types/topics.js'
import { noop } from '../common.js'
import type { Subprotocol } from '../connection/extras.js'
import type { Session } from '../connection/session.js'
import type { SharedMessage } from '../connection/shared-message.js'
import { createError } from '../errors.js'
import { CloseCode } from '../protocol/close-codes.js'
import { CUT_OFF } from '../topics/connection-receiver.js'
import type { Delivery } from '../topics/delivery.js'
import { EnvelopeKind } from '../topics/envelope.js'
import type { Hub } from '../topics/hub.js'
import { NO_TOPICS, type Join, type LocalTopic, type Receiver, type Subscribed } from '../topics/local-topic.js'
import type { MemberList, MemberNotice } from '../topics/member-view.js'
import { formatPosition, parsePosition } from '../topics/position.js'
import { nextMessageId } from '../topics/publisher.js'
import type { Beats } from './beats.js'
import { readClientMessage, type ClientMessage } from './client-message.js'
import { Decisions } from './decisions.js'
import { frameDelivery, frameNotice } from './delivered.js'
import { Memberships } from './memberships.js'
import type { TopicPolicy } from './policies.js'
import type { TopicsProtocol } from './protocol.js'
import { judge, reasonOf } from './reasons.js'
import { Requests } from './requests.js'
import {
  writeGap, writeHello, writeLost, writePresence, writePublished, writeRefused, writeSubscribed, writeUnsubscribed, type Reason
} from './server-message.js'
import { Turns } from './turns.js'

/** A subscription that the client has asked for, and that is not answered yet. */
interface Attempt {
  readonly topic: string
  readonly since: BrokerAnchor | null
  /** By which presence knows the client again. */
  readonly secret: string | null
  readonly policy: TopicPolicy
  /** Lets the next request of the topic begin, once this one has its turn. */
  onEnd: () => void
}

/** The part of a request that is refused. */
interface Part {
  readonly topic?: string | undefined
  readonly id?: string | undefined
}

/** Sent before the messages of a topic that wait for it, once it is there. */
type Announce = (snapshot: string | null, members: MemberList | null) => void

/** The topics protocol on one connection: docs/topics-protocol.md. */
export class TopicSession implements Receiver, Subprotocol {
  topics: readonly LocalTopic[] = NO_TOPICS
  joining: Map<string, Join> | null = null
  private readonly session: Session
  private readonly request: FastifyRequest
  private readonly protocol: TopicsProtocol
  private readonly hasHandler: boolean
  private readonly hub: Hub
  private readonly requests: Requests
  private readonly decisions: Decisions
  private readonly memberships: Memberships
  private readonly turns = new Turns()
  private readonly attempts = new Map<string, Attempt>()
  /** Messages of live topics that wait until the snapshot and the members are sent. */
  private readonly held = new Map<LocalTopic, Delivery[]>()
  private endBeats: () => void = noop
  private isOver = false

  constructor (session: Session, request: FastifyRequest, protocol: TopicsProtocol, hasHandler: boolean) {
    this.session = session
    this.request = request
    this.protocol = protocol
    this.hasHandler = hasHandler
    this.hub = protocol.hub
    this.requests = new Requests(session)
    this.decisions = new Decisions(session, protocol.decisions)
    this.memberships = new Memberships(session, protocol.hub)
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
    this.decisions.end()
    for (const attempt of this.attempts.values()) this.endAttempt(attempt)
    this.held.clear()
    this.memberships.end()
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
        for (const { topic, since } of message.topics) this.subscribe(topic, since, message.client)
        return
      case 'unsubscribe':
        for (const topic of message.topics) this.unsubscribe(topic)
        return
      case 'publish': return this.publish(message.topic, message.message, message.id, bytes)
      case 'presence': return this.list(message.topic)
      case 'refused': {
        const { request, topic, id, code, message: text } = message.refusal
        this.send(writeRefused(request, { topic, id }, reasonOf({ code, message: text })))
      }
    }
  }

  // --- subscribing

  private subscribe (topic: string, since: unknown, secret: string | null): void {
    const refuse = (error: Error): void => this.refuse('subscribe', { topic }, error)
    if (this.attempts.has(topic) || this.isLive(topic)) return refuse(createError('FST_WS_ERR_SUBSCRIBED'))
    // Attempts that are with the hub are counted in both.
    const { maxSubscriptions } = this.hub.settings
    if (this.topics.length + this.attempts.size >= maxSubscriptions) {
      return refuse(createError('FST_WS_ERR_MAX_SUBSCRIPTIONS', `the connection has ${maxSubscriptions} topics`))
    }
    const anchor = typeof since === 'string' ? parsePosition(since) : null
    if (anchor === null && since !== null) return refuse(createError('FST_WS_ERR_INVALID_POSITION'))
    const policy = this.policyOf(topic)
    if (policy === null) return refuse(createError('FST_WS_ERR_UNKNOWN_TOPIC', `there is no topic '${topic}'`))
    const attempt: Attempt = { topic, since: anchor, secret, policy, onEnd: noop }
    this.attempts.set(topic, attempt)
    this.turns.run(topic, () => this.authorize(attempt))
  }

  /** @returns a promise that resolves when the attempt has ended */
  private authorize (attempt: Attempt): Promise<void> | undefined {
    if (!this.isPending(attempt)) return undefined
    const { topic, policy } = attempt
    const { connection } = this.session
    return new Promise(resolve => {
      attempt.onEnd = resolve
      // An attempt that the client has given up counts until the app has decided.
      const finish = this.requests.begin(0)
      const refuse = (error: unknown): void => {
        finish()
        if (!this.isPending(attempt)) return
        this.endAttempt(attempt)
        this.refuseFor('subscribe', { topic }, error)
      }
      this.decisions.ask(() => policy.authorizeSubscribe(connection, this.request), () => {
        const { member } = policy
        const isMember = member !== null && this.isPending(attempt)
        this.decisions.ask(() => isMember ? member(connection, this.request) : null, info => {
          finish()
          if (this.isPending(attempt)) this.join(attempt, info)
        }, refuse)
      }, refuse)
    })
  }

  /** @param info JSON, about the client as a member; `null` in a topic without presence */
  private join (attempt: Attempt, info: string | null): void {
    const { topic, since, secret, policy } = attempt
    const answer = (result: Subscribed | Error): void => {
      if (!this.isPending(attempt)) return
      this.endAttempt(attempt)
      if (result instanceof Error) return this.refuse('subscribe', { topic }, result)
      if (info !== null) {
        // The client itself is in its list.
        this.held.set(result.topic, [])
        this.memberships.enter(result.topic, secret, info)
      }
      this.start(result, policy)
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
  private start ({ topic, at, isRecovered, messages }: Subscribed, policy: TopicPolicy | null): void {
    const beginning = { at: at === null ? null : formatPosition(at), recovered: isRecovered, missed: messages.length }
    const snapshot = isRecovered === true || policy === null ? null : policy.snapshot
    this.hold(topic, [...messages], snapshot, (snapshot, presence) => this.send(writeSubscribed(topic.name, { ...beginning, snapshot, presence })), error => {
      this.refuseFor('subscribe', { topic: topic.name }, error)
    })
  }

  /**
   * Sends nothing of a topic before its snapshot and its members are there.
   *
   * @param take reads the snapshot; `null` if none is needed
   * @param announce sends both
   * @param fail says that there are none, which ends the subscription
   */
  private hold (topic: LocalTopic, held: Delivery[], take: TopicPolicy['snapshot'], announce: Announce, fail: (error: Error) => void): void {
    this.held.set(topic, held)
    const then = <T> (next: (result: T) => void) => (result: T | Error): void => {
      if (this.held.get(topic) !== held) return
      if (!(result instanceof Error)) return next(result)
      this.forgetTopic(topic.name)
      this.hub.unsubscribe(this, topic.name)
      fail(result)
    }
    const release = (snapshot: string | null, members: MemberList | null): void => {
      this.held.delete(topic)
      announce(snapshot, members)
      for (const delivery of held) this.deliver(frameDelivery(topic, delivery))
    }
    // The members come last: until then, changes of them need not be kept.
    const list = (snapshot: string | null): void => {
      if (this.memberships.has(topic)) this.memberships.list(topic, then(members => release(snapshot, members)))
      else release(snapshot, null)
    }
    if (take === null) list(null)
    else this.protocol.snapshots.take(topic.name, take, then(list))
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
    this.memberships.leave(name)
  }

  private isLive (name: string): boolean {
    const topic = this.hub.find(name)
    return topic !== undefined && this.topics.includes(topic)
  }

  private list (name: string): void {
    const refuse = (error: Error): void => this.refuse('presence', { topic: name }, error)
    const topic = this.hub.find(name)
    if (topic === undefined || !this.topics.includes(topic)) return refuse(createError('FST_WS_ERR_NOT_SUBSCRIBED'))
    if (!this.memberships.has(topic)) return refuse(createError('FST_WS_ERR_NO_PRESENCE'))
    const finish = this.requests.begin(0)
    this.memberships.list(topic, list => {
      finish()
      if (list instanceof Error) refuse(list)
      // The list of `subscribed` is still to come, or nothing is.
      else if (this.memberships.has(topic) && !this.held.has(topic)) this.send(writePresence(name, list))
    })
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
    this.turns.run(topic, () => this.decisions.ask(() => policy.acceptPublish(this.session.connection, message, this.request), accepted => {
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

  // --- messages of the server

  private send (text: string): void {
    if (this.session.maySend) this.session.outbox.send(text, undefined, undefined)
  }

  private refuse (request: string, part: Part, error: Error): void {
    this.send(writeRefused(request, part, reasonOf(error)))
  }

  /** Refuses because of what the app has thrown, which may be a mistake of its own. */
  private refuseFor (request: string, part: Part, error: unknown): void {
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

  private deliver (message: SharedMessage): void {
    const { session } = this
    if (session.outbox.sendShared(message) || !session.maySend) return
    // The app is in the middle of a fragmented message (RFC 6455 §5.4). The client comes back and gets what it misses.
    session.close(CloseCode.TRY_AGAIN_LATER, 'a fragmented message is under way')
  }

  // --- as a receiver of topics

  onMessage (topic: LocalTopic, delivery: Delivery): void {
    const held = this.held.size === 0 ? undefined : this.held.get(topic)
    if (held === undefined) this.deliver(frameDelivery(topic, delivery))
    else held.push(delivery)
  }

  onGap (topic: LocalTopic): void {
    this.send(writeGap(topic.name))
  }

  onLost (topic: LocalTopic, at: BrokerAnchor): void {
    if (this.held.has(topic)) {
      // The client has not got the beginning of the topic yet: it begins anew.
      this.forgetTopic(topic.name)
      this.hub.unsubscribe(this, topic.name)
      return this.refuse('subscribe', { topic: topic.name }, createError('FST_WS_ERR_SUBSCRIBE', 'messages were lost meanwhile'))
    }
    const snapshot = this.policyOf(topic.name)?.snapshot ?? null
    if (snapshot === null) return this.send(writeLost(topic.name, formatPosition(at), null))
    this.hold(topic, [], snapshot, (text, members) => {
      this.send(writeLost(topic.name, formatPosition(at), text))
      // Changes were not sent meanwhile.
      if (members !== null) this.send(writePresence(topic.name, members))
    }, error => {
      this.send(writeUnsubscribed(topic.name, this.explain('subscribe', topic.name, error)))
    })
  }

  onMembers (topic: LocalTopic, notice: MemberNotice): void {
    if (this.memberships.has(topic) && !this.held.has(topic)) this.deliver(frameNotice(topic, notice))
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
