import type { BrokerPresence } from '../../types/broker.js'
import type { Clock } from './clock.js'
import type { Member } from './presence-change.js'
import { createError } from '../errors.js'
import { Pauses } from '../pauses.js'

/** Members in one call of the broker. */
const BATCH = 500

/** A member that this process keeps, or has kept. */
interface Entry {
  readonly topic: string
  readonly id: string
  info: string
  /** Subscriptions that make it one. */
  holders: number
  /** Ends its grace period; `null` outside of one. */
  endGrace: (() => void) | null
  /** The information that the broker has got from this process; `null` if it has none: then there is nothing to be removed. */
  stored: string | null
  /** The broker does not have it any more. */
  isMissing: boolean
}

/** As `stored`: it is not known whether the broker has got it. */
const UNKNOWN = ''

/** Changes that the broker has, and that have to be announced. */
export interface Announced {
  readonly joined: Map<string, Member>
  readonly left: Set<string>
}

export interface OwnMembersOptions {
  readonly process: string
  readonly broker: Pick<BrokerPresence, 'enter' | 'leave'>
  readonly clock: Clock
  /** Resolves when this process has a lease. */
  readonly lease: () => Promise<void>
  /** A member is none of this process any more. */
  readonly forgotten: (topic: string, id: string) => void
  /** Announces changes of a topic to all processes. */
  readonly announce: (topic: string, joined: readonly Member[], left: readonly string[]) => Promise<unknown>
}

/** The members that this process keeps for its subscriptions: what the broker has is made what it should have, again and again. */
export class OwnMembers {
  private readonly options: OwnMembersOptions
  /** By topic, then by id. */
  private readonly topics = new Map<string, Map<string, Entry>>()
  private dirty = new Set<Entry>()
  private announced = new Map<string, Announced>()
  private isFlushing = false
  private isScheduled = false
  private cancelRetry: (() => void) | null = null
  private readonly pauses = new Pauses({ first: 250, most: 5_000, jitter: 0 })
  private isClosed = false
  private idle: Array<() => void> = []

  constructor (options: OwnMembersOptions) {
    this.options = options
  }

  get isEmpty (): boolean {
    return this.topics.size === 0
  }

  /** The members of a topic that are there, or about to be. */
  * of (topic: string): Iterable<Member> {
    for (const entry of this.topics.get(topic)?.values() ?? []) if (isWanted(entry)) yield { id: entry.id, info: entry.info }
  }

  /** A subscription begins to make somebody a member, who may be one already. */
  add (topic: string, { id, info }: Member): void {
    let members = this.topics.get(topic)
    if (members === undefined) this.topics.set(topic, members = new Map())
    let entry = members.get(id)
    if (entry === undefined) members.set(id, entry = { topic, id, info, holders: 0, endGrace: null, stored: null, isMissing: false })
    entry.endGrace?.()
    entry.endGrace = null
    entry.holders++
    entry.info = info
    if (entry.isMissing || entry.stored !== info) this.change(entry)
  }

  /** A subscription ends. @param grace milliseconds for which the member stays, if it was the last subscription */
  remove (topic: string, id: string, grace: number): void {
    const entry = this.topics.get(topic)?.get(id)
    if (entry === undefined || entry.holders === 0 || --entry.holders > 0) return
    if (grace === 0) return this.change(entry)
    entry.endGrace = this.options.clock.later(grace, () => {
      entry.endGrace = null
      this.change(entry)
    })
  }

  /** Another process has announced that it has a member: there is nothing to wait for here. */
  taken (topic: string, id: string): void {
    const entry = this.topics.get(topic)?.get(id)
    if (entry === undefined) return
    // If its process ends, another subscription here needs the member again.
    entry.isMissing = true
    if (entry.endGrace === null) return
    entry.endGrace()
    entry.endGrace = null
    this.change(entry)
  }

  /** The broker does not have a member, or so another process has announced: it is wrong if the member is still here. */
  gone (topic: string, id: string): void {
    const entry = this.topics.get(topic)?.get(id)
    if (entry === undefined || entry.holders === 0) return
    entry.isMissing = true
    this.change(entry)
  }

  /** The lease was lost: the broker has none of the members. Those in their grace period may be elsewhere by now. */
  lost (): void {
    for (const members of this.topics.values()) {
      for (const entry of members.values()) {
        entry.isMissing = true
        entry.endGrace?.()
        entry.endGrace = null
        this.change(entry)
      }
    }
  }

  /** The broker can be reached again. */
  retry (): void {
    this.cancelRetry?.()
    this.cancelRetry = null
    this.pauses.reset()
    this.schedule()
  }

  /** Resolves when nothing is left to be done, or has failed. */
  async settled (): Promise<void> {
    if (this.isFlushing || this.isScheduled) await new Promise<void>(resolve => this.idle.push(resolve))
  }

  /** Ends all grace periods without effect: the members stay as long as the lease. @returns whether there are any */
  close (): boolean {
    this.isClosed = true
    this.cancelRetry?.()
    let hasAny = false
    for (const members of this.topics.values()) {
      for (const entry of members.values()) {
        entry.endGrace?.()
        hasAny ||= entry.stored !== null
      }
    }
    return hasAny
  }

  private change (entry: Entry): void {
    this.dirty.add(entry)
    this.schedule()
  }

  /** With all that changes in this turn. */
  private schedule (): void {
    if (this.isScheduled || this.isFlushing || this.cancelRetry !== null || this.isClosed) return
    this.isScheduled = true
    setImmediate(() => {
      this.isScheduled = false
      this.flush().then(() => {
        const { idle } = this
        this.idle = []
        for (const resolve of idle) resolve()
      })
    })
  }

  private async flush (): Promise<void> {
    if (this.isFlushing) return
    this.isFlushing = true
    try {
      while (!this.isClosed && (this.dirty.size > 0 || this.announced.size > 0)) {
        if (this.dirty.size > 0) {
          await this.options.lease()
          await this.store()
        }
        await this.announce()
      }
      this.pauses.reset()
    } catch {
      this.later()
    } finally {
      this.isFlushing = false
    }
  }

  private later (): void {
    if (this.isClosed) return
    this.cancelRetry = this.options.clock.later(this.pauses.next(), () => {
      this.cancelRetry = null
      this.schedule()
    })
  }

  private async store (): Promise<void> {
    const { process, broker } = this.options
    const entries = [...this.dirty].slice(0, BATCH)
    for (const entry of entries) this.dirty.delete(entry)
    const enters = entries.filter(entry => isWanted(entry) && (entry.isMissing || entry.stored !== entry.info))
    const leaves = entries.filter(entry => !isWanted(entry) && entry.stored !== null)
    const infos = enters.map(({ info }) => info)
    for (const entry of enters) {
      entry.isMissing = false
      entry.stored = UNKNOWN
    }
    try {
      if (enters.length > 0) {
        await broker.enter(process, enters.map(({ topic, id, info }) => ({ topic, id, data: Buffer.from(info) })))
        for (const [index, entry] of enters.entries()) {
          const info = infos[index]!
          entry.stored = info
          // Even if it was there: others have to know which process has it.
          const { joined, left } = this.announcementOf(entry.topic)
          left.delete(entry.id)
          joined.set(entry.id, { id: entry.id, info })
        }
      }
      if (leaves.length > 0) {
        const removed = await broker.leave(process, leaves.map(({ topic, id }) => ({ topic, id })))
        for (const [index, entry] of leaves.entries()) {
          entry.stored = null
          if (!removed[index]!) continue
          const { joined, left } = this.announcementOf(entry.topic)
          joined.delete(entry.id)
          left.add(entry.id)
        }
      }
    } catch (error) {
      for (const entry of entries) this.dirty.add(entry)
      throw error
    }
    for (const entry of entries) this.forget(entry)
  }

  private async announce (): Promise<void> {
    const { announced } = this
    this.announced = new Map()
    const results = await Promise.allSettled(Array.from(announced, ([topic, { joined, left }]) => this.options.announce(topic, [...joined.values()], [...left])))
    const failed = [...announced].filter((_, index) => results[index]!.status === 'rejected')
    if (failed.length === 0) return
    for (const [topic, { joined, left }] of failed) {
      // Later changes are newer.
      const newer = this.announcementOf(topic)
      for (const member of joined.values()) if (!newer.left.has(member.id) && !newer.joined.has(member.id)) newer.joined.set(member.id, member)
      for (const id of left) if (!newer.joined.has(id)) newer.left.add(id)
    }
    throw createError('FST_WS_ERR_PRESENCE', 'changes of members could not be announced')
  }

  private announcementOf (topic: string): Announced {
    let announced = this.announced.get(topic)
    if (announced === undefined) this.announced.set(topic, announced = { joined: new Map(), left: new Set() })
    return announced
  }

  private forget (entry: Entry): void {
    if (isWanted(entry) || entry.stored !== null || this.dirty.has(entry)) return
    const members = this.topics.get(entry.topic)
    if (members?.get(entry.id) !== entry) return
    members.delete(entry.id)
    if (members.size === 0) this.topics.delete(entry.topic)
    this.options.forgotten(entry.topic, entry.id)
  }
}

function isWanted ({ holders, endGrace }: Entry): boolean {
  return holders > 0 || endGrace !== null
}
