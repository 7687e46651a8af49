import { randomBytes } from 'node:crypto'
import type { Broker, BrokerAnchor, BrokerMessage, BrokerRead } from '../../types/broker.js'
import { noop } from '../common.js'
import { Backoff } from './backoff.js'
import { Chain, type ChainOwner } from './chain.js'
import type { Deadlines } from './deadlines.js'
import { HistoryGap } from './history-gap.js'
import { isSamePlace } from './position.js'
import { RecentMessages } from './recent-messages.js'
import { createError } from '../errors.js'

/** How a receiver joins: the messages that it has missed, behind `at`. */
export interface Joined {
  readonly at: BrokerAnchor
  readonly messages: readonly BrokerMessage[]
  /** `false`: the position that it came with is no longer kept, and `at` is the top. */
  readonly isRecovered: boolean
}

/** Gets the messages of one topic with history, in order. */
export interface FeedSink {
  deliver (message: BrokerMessage): void
  /** Messages before `at` are gone. */
  lost (at: BrokerAnchor): void
}

export interface FeedSettings {
  /** For each read of the broker, and for a receiver that joins. */
  readonly deadlines: Deadlines
  readonly maxCachedMessages: number
  readonly maxCachedBytes: number
  readonly onRead?: () => void
}

/** Milliseconds for which messages are kept for receivers that come back, after the last one did. */
const CACHE_TIME = 30_000

/** A receiver that waits for a read. */
interface Join {
  readonly since: BrokerAnchor
  readonly callback: (joined: Joined | Error) => void
  readonly inTime: () => void
  /** How many reads the chain had begun when the receiver came. */
  readonly chainReads: number
}

/** The messages of one topic with history on this process: in order, and from any place in the history on. */
export class HistoryFeed implements ChainOwner {
  /** How many outages of the broker it has looked at the history since. */
  outages = 0
  private readonly topic: string
  private readonly broker: Pick<Broker, 'read'>
  private readonly sink: FeedSink
  private readonly settings: FeedSettings
  private readonly chain = new Chain(this)
  private readonly backoff = new Backoff()
  private joins: Set<Join> | null = null
  /** Functions that end the waits for reads under way. */
  private reading: ReadonlyArray<() => void> = NONE
  private chainReads = 0
  /** Kept while receivers come that have missed something. */
  private recent: RecentMessages | null = null
  private dropping: NodeJS.Timeout | null = null
  /** The read for those who join that is under way. */
  private gap: HistoryGap | null = null
  private gaps = 0
  private error: Error | null = null
  private isStopped = false

  constructor (topic: string, broker: Pick<Broker, 'read'>, sink: FeedSink, settings: FeedSettings) {
    this.topic = topic
    this.broker = broker
    this.sink = sink
    this.settings = settings
  }

  /** The place of the last message that was delivered; `null` before the history has been read. */
  get position (): BrokerAnchor | null {
    return this.chain.last
  }

  /** The broker has confirmed the subscription. */
  start (): void {
    this.chain.start()
  }

  /** A live message with a position. It may come before `start`. */
  receive (message: BrokerMessage): void {
    this.chain.receive(message)
  }

  /** Live messages may have been missed, or the history may be another one. @param outages how often the broker was lost by now */
  interrupted (outages = this.outages): void {
    this.outages = outages
    this.backoff.reset()
    this.chain.interrupted()
  }

  /**
   * Calls back at a moment when `messages` end where live delivery goes on: whoever sends them and adds its receiver in the
   * callback misses nothing and gets nothing twice. Reads of the broker are shared.
   *
   * @param since where to go on; `null`: from now on
   * @returns a function that ends the attempt
   */
  join (since: BrokerAnchor | null, callback: (joined: Joined | Error) => void): () => void {
    const joined = this.answer(since, this.chainReads)
    if (joined !== null) {
      callback(joined)
      return noop
    }
    const join: Join = {
      since: since ?? BEGIN,
      callback,
      inTime: this.settings.deadlines.add(() => this.end(join, this.error ?? this.late())),
      chainReads: this.chainReads
    }
    if (this.joins === null) {
      this.joins = new Set()
      // With all that come in this turn.
      setImmediate(() => this.serve())
    }
    this.joins.add(join)
    return () => { this.remove(join) }
  }

  /** Ends the feed, and all that wait for it. */
  stop (): void {
    if (this.isStopped) return
    this.isStopped = true
    this.chain.stop()
    this.backoff.reset()
    this.drop()
    for (const inTime of this.reading) inTime()
    for (const join of this.joins ?? []) this.end(join, createError('FST_WS_ERR_UNSUBSCRIBED'))
  }

  // --- the chain's owner

  /** @internal */
  deliver (message: BrokerMessage): void {
    this.recent?.push(message)
    this.sink.deliver(message)
  }

  /** @internal */
  lost (at: BrokerAnchor): void {
    this.drop()
    this.sink.lost(at)
  }

  /** @internal */
  read (since: BrokerAnchor | null, limit: number): void {
    this.chainReads++
    this.request(since, limit).then(
      read => {
        this.chain.onRead(read)
        if (this.chain.isLive) this.backoff.reset()
        this.serve()
      },
      () => this.chain.onReadFailed()
    )
  }

  /** @internal */
  later (): void {
    this.backoff.schedule(() => {
      this.chain.retry()
      this.serve()
    })
  }

  /** @internal */
  isKnown (message: BrokerMessage): boolean {
    return this.recent?.has(message) ?? false
  }

  /** @internal */
  unknownId (): string {
    return `?${randomBytes(9).toString('base64url')}`
  }

  // --- receivers that join

  /** @returns `null` if the history has to be read first */
  private answer (since: BrokerAnchor | null, chainReads: number): Joined | null {
    const { last } = this.chain
    if (last === null) return null
    if (since === null || since === BEGIN) return { at: last, messages: [], isRecovered: true }
    if (isSamePlace(since, last)) return { at: since, messages: [], isRecovered: true }
    const messages = this.recent?.after(since) ?? null
    if (messages !== null) {
      this.dropping?.refresh()
      return { at: since, messages, isRecovered: true }
    }
    const isGone = since.epoch !== last.epoch || since.offset === last.offset || this.covers(since) ||
      (since.offset > last.offset && this.chain.isLive && this.chainReads > chainReads)
    return isGone ? { at: last, messages: [], isRecovered: false } : null
  }

  /** Whether a place would be known if there were a message. */
  private covers ({ offset }: BrokerAnchor): boolean {
    return this.recent !== null && offset >= this.recent.begin.offset && offset < this.chain.last!.offset
  }

  /** Calls back those who can be answered, and reads for the others. */
  private serve (): void {
    for (const join of [...this.joins ?? []]) {
      const joined = this.joins?.has(join) === true ? this.answer(join.since, join.chainReads) : null
      if (joined !== null) this.end(join, joined)
    }
    this.recent?.trim()
    const { last } = this.chain
    if (this.joins === null || last === null) return
    const behind = [...this.joins].filter(({ since }) => since.offset < last.offset)
    // The others have seen more than this process: its next message is late, or lost.
    if (behind.length < this.joins.size && this.chain.isLive) this.chain.interrupted()
    if (behind.length > 0 && this.gap === null && !this.backoff.isPending) this.fill(behind, last)
  }

  /** Reads from the place of one of those who are behind on, so that all who are not farther behind are served. */
  private fill (behind: readonly Join[], last: BrokerAnchor): void {
    this.recent ??= new RecentMessages(last, { messages: this.settings.maxCachedMessages, bytes: this.settings.maxCachedBytes })
    this.dropping ??= setTimeout(() => this.dropIdle(), CACHE_TIME).unref()
    // The oldest position serves most, unless it is a made-up one. Then the first that has come gets its turn.
    const oldest = this.gaps++ % 2 === 0 ? behind.reduce((a, b) => b.since.offset < a.since.offset ? b : a) : behind[0]!
    const gap = this.gap = new HistoryGap(oldest.since, this.recent)
    this.fillOn(gap)
  }

  private fillOn (gap: HistoryGap): void {
    this.request(gap.from, gap.limit).then(
      read => {
        // Unless the cache was dropped meanwhile.
        const result = this.gap === gap ? gap.add(read) : 'void'
        if (result === 'more') return this.fillOn(gap)
        if (this.gap !== gap) return
        this.gap = null
        if (result === 'gone') this.reject(gap.since)
        else if (result === 'other') this.chain.interrupted()
        if (result === 'other' || result === 'late') this.later()
        this.serve()
      },
      () => {
        if (this.gap !== gap) return
        this.gap = null
        this.later()
      }
    )
  }

  /** A position is no longer kept. */
  private reject (since: BrokerAnchor): void {
    const { last } = this.chain
    for (const join of [...this.joins ?? []]) {
      if (last !== null && isSamePlace(join.since, since)) this.end(join, { at: last, messages: [], isRecovered: false })
    }
  }

  private end (join: Join, result: Joined | Error): void {
    if (this.remove(join)) join.callback(result)
  }

  private remove (join: Join): boolean {
    if (this.joins?.delete(join) !== true) return false
    if (this.joins.size === 0) this.joins = null
    join.inTime()
    return true
  }

  private dropIdle (): void {
    if (this.joins === null) this.drop()
    else this.dropping?.refresh()
  }

  /** Forgets the recent messages. */
  private drop (): void {
    if (this.dropping !== null) clearTimeout(this.dropping)
    this.dropping = null
    this.recent = null
    this.gap = null
  }

  private request (since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    this.settings.onRead?.()
    return new Promise((resolve, reject) => {
      const inTime = this.settings.deadlines.add(() => fail(this.late()))
      this.reading = [...this.reading, inTime]
      const settle = (error: Error | null): void => {
        this.error = error
        const others = this.reading.filter(other => other !== inTime)
        this.reading = others.length === 0 ? NONE : others
        inTime()
      }
      const fail = (cause: unknown): void => {
        const error = cause instanceof Error ? cause : createError('FST_WS_ERR_SUBSCRIBE', String(cause))
        settle(error)
        reject(error)
      }
      this.broker.read(this.topic, since, limit).then(read => {
        settle(null)
        resolve(read)
      }, fail)
    })
  }

  private late (): Error {
    return createError('FST_WS_ERR_SUBSCRIBE', `the broker did not answer within ${this.settings.deadlines.timeout} ms`)
  }
}

const NONE: ReadonlyArray<() => void> = []

/** Stands for the position of those who come with none. */
const BEGIN: BrokerAnchor = { epoch: '', offset: 0, id: '' }
