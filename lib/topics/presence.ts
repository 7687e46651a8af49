import { randomBytes } from 'node:crypto'
import type { BrokerPresence } from '../../types/broker.js'
import { CLOCK, type Clock } from './clock.js'
import { MemberView, type MemberList, type MemberNotice } from './member-view.js'
import { OwnMembers } from './own-members.js'
import { decodeChange, encodeChange, type Member, type PresenceChange } from './presence-change.js'
import type { PresenceSettings } from './settings.js'

/** Milliseconds: a process renews its lease in this interval, and without that it ends after the other time, by the broker's clock. */
const LEASE = { interval: 5_000, ttl: 15_000 }

/** Milliseconds between two counts of a topic that has too many members to list. */
const COUNT_INTERVAL = 1_000

/** A view that was not compared with the broker for this long is, when its turn comes: a killed process may not have announced all. */
const LONGEST_UNCHECKED = 60_000

/** Views that are compared in one interval. */
const CHECKS = 4

export interface PresenceOptions {
  readonly broker: BrokerPresence
  /** Sends a change to all processes that have subscribed to the topic. */
  readonly publish: (topic: string, payload: Buffer) => Promise<unknown>
  /** The receivers of this process get to know a difference. */
  readonly notify: (topic: string, notice: MemberNotice) => void
  readonly clock?: Clock
}

interface Watched {
  readonly view: MemberView
  checked: number
  cancelCount: (() => void) | null
}

/** Members of the topics of one process, on all processes. */
export class Presence {
  /** The name of this process's lease. */
  readonly process = randomBytes(9).toString('base64url')
  private readonly options: PresenceOptions
  private readonly clock: Clock
  private readonly own: OwnMembers
  private readonly watched = new Map<string, Watched>()
  /** Topics whose members could not be read. */
  private readonly unread = new Set<string>()
  private hasLease = false
  private leasing: Promise<void> | null = null
  private cancelTick: (() => void) | null = null
  /** The longest grace period that was asked for. */
  private grace = 0
  private isClosed = false

  constructor (options: PresenceOptions) {
    this.options = options
    this.clock = options.clock ?? CLOCK
    this.own = new OwnMembers({
      process: this.process,
      broker: options.broker,
      clock: this.clock,
      lease: () => this.lease(),
      forgotten: (topic, id) => this.watched.get(topic)?.view.removeOwn(id),
      announce: (topic, joined, left) => this.announce(topic, { by: this.process, joined, left, swept: null })
    })
  }

  /** A subscription makes somebody a member of a topic. */
  enter (topic: string, member: Member, { grace }: PresenceSettings): void {
    if (this.isClosed) return
    this.grace = Math.max(this.grace, grace)
    // As it comes back from other processes.
    const own = { id: member.id, info: JSON.stringify(JSON.parse(member.info)) }
    this.own.add(topic, own)
    this.watched.get(topic)?.view.addOwn(own)
    this.tickLater()
  }

  /** The subscription is over. @param isClean whether the client wanted it; if not, it may come back within the grace period */
  leave (topic: string, id: string, isClean: boolean, { grace }: PresenceSettings): void {
    if (!this.isClosed) this.own.remove(topic, id, isClean ? 0 : grace)
  }

  /** Calls back with the members of a topic that this process has subscribed to; `notify` tells differences to it. @returns a function that ends the wait */
  list (topic: string, { max }: PresenceSettings, callback: (list: MemberList) => void): () => void {
    let watched = this.watched.get(topic)
    if (watched === undefined) {
      this.watched.set(topic, watched = { view: this.createView(topic, max), checked: this.clock.now(), cancelCount: null })
      watched.view.refresh()
      this.tickLater()
    }
    return watched.view.whenLoaded(callback)
  }

  /** This process is no longer subscribed to the topic. */
  forget (topic: string): void {
    this.watched.get(topic)?.cancelCount?.()
    this.watched.delete(topic)
  }

  /** A change has come over the topic. */
  receive (topic: string, payload: Buffer): void {
    const change = decodeChange(payload)
    if (change === null || this.isClosed) return
    const isOwn = change.by === this.process
    if (!isOwn) for (const { id } of change.joined) this.own.taken(topic, id)
    // The process that has removed members of another one may have a connection of one of them.
    if (!isOwn || change.swept !== null) for (const id of change.left) this.own.gone(topic, id)
    if (change.swept === this.process) this.up()
    const watched = this.watched.get(topic)
    if (watched === undefined) return
    watched.view.receive(change)
    // The process may be back before this comes, or have died before it has announced something.
    if (change.swept !== null) watched.view.refresh()
  }

  /** Changes may have been missed, of these topics or of all. */
  interrupted (topics?: readonly string[]): void {
    for (const topic of topics ?? this.watched.keys()) this.check(this.watched.get(topic))
    this.up()
  }

  /** The broker can be reached again. */
  up (): void {
    if (this.isClosed) return
    this.own.retry()
    if (this.cancelTick === null) return
    this.cancelTick()
    this.cancelTick = null
    this.tick()
  }

  /** Leaves the members to the lease, so that clients that come back on another process in time have never left. */
  async close (): Promise<void> {
    if (this.isClosed) return
    await this.own.settled()
    this.isClosed = true
    this.cancelTick?.()
    const stays = this.own.close() && this.grace > 0
    for (const topic of this.watched.keys()) this.forget(topic)
    if (!this.hasLease) return
    const { broker } = this.options
    await (stays ? broker.renew(this.process, this.grace) : broker.release(this.process))
  }

  private createView (topic: string, max: number): MemberView {
    const { broker, notify } = this.options
    const failed = (): void => {
      view.onFailed()
      this.unread.add(topic)
    }
    const view: MemberView = new MemberView({
      list: limit => { broker.list(topic, limit).then(list => view.onList(list), () => failed()) },
      count: isUrgent => { this.count(topic, isUrgent ? 0 : COUNT_INTERVAL) },
      own: () => this.own.of(topic),
      missing: id => this.own.gone(topic, id),
      notify: notice => notify(topic, notice)
    }, this.process, max)
    return view
  }

  private count (topic: string, wait: number): void {
    const watched = this.watched.get(topic)
    if (watched === undefined) return
    watched.cancelCount ??= this.clock.later(wait, () => {
      watched.cancelCount = null
      this.options.broker.count(topic).then(count => watched.view.onCount(count), () => this.unread.add(topic))
    })
  }

  private check (watched: Watched | undefined): void {
    if (watched === undefined) return
    watched.checked = this.clock.now()
    watched.view.refresh()
  }

  private async announce (topic: string, change: PresenceChange): Promise<void> {
    await Promise.all(encodeChange(change).map(payload => this.options.publish(topic, payload)))
  }

  // --- leases

  private lease (): Promise<void> {
    if (this.hasLease) return Promise.resolve()
    this.leasing ??= this.options.broker.renew(this.process, LEASE.ttl).then(() => { this.hasLease = true }).finally(() => { this.leasing = null })
    return this.leasing
  }

  private tickLater (): void {
    if (this.isClosed) return
    this.cancelTick ??= this.clock.later(LEASE.interval, () => {
      this.cancelTick = null
      this.tick()
    })
  }

  /** Renews the lease, removes members of processes that are gone, and looks after views, as long as there is anything to do. */
  private tick (): void {
    if (this.isClosed) return
    if (this.own.isEmpty && this.watched.size === 0) {
      if (this.hasLease) this.options.broker.release(this.process).catch(() => {})
      this.hasLease = false
      return
    }
    // The time of the next one does not depend on how long the broker takes.
    this.tickLater()
    this.renew().then(() => this.sweep()).catch(() => {})
    this.checkOldest()
  }

  private async renew (): Promise<void> {
    if (!this.hasLease) return
    if (!await this.options.broker.renew(this.process, LEASE.ttl)) this.own.lost()
  }

  private async sweep (): Promise<void> {
    const { broker } = this.options
    for (const process of await broker.expired()) {
      if (process === this.process) continue
      const left = new Map<string, string[]>()
      for (const { topic, id } of await broker.sweep(process)) {
        const ids = left.get(topic)
        if (ids === undefined) left.set(topic, [id])
        else ids.push(id)
      }
      await Promise.allSettled(Array.from(left, ([topic, ids]) => this.announce(topic, { by: this.process, joined: [], left: ids, swept: process })))
    }
  }

  private checkOldest (): void {
    for (const topic of this.unread) this.check(this.watched.get(topic))
    this.unread.clear()
    const limit = this.clock.now() - LONGEST_UNCHECKED
    let checks = 0
    for (const [topic, watched] of this.watched) {
      if (watched.checked > limit || checks++ === CHECKS) break
      this.check(watched)
      // The views that were checked last are at the end.
      this.watched.delete(topic)
      this.watched.set(topic, watched)
    }
  }
}
