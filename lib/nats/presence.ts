import type { BrokerEntry, BrokerMember, BrokerPresence } from '../../types/broker.js'
import { JetStreamError, type JetStream, type StoredMessage } from './jetstream.js'
import { fromToken, type Names } from './names.js'

/** Stores a message only if the subject has none. */
const FIRST = { 'Nats-Expected-Last-Subject-Sequence': '0' }

/** The server has another last message of the subject than was expected. */
const isWrongLast = (error: unknown): boolean => error instanceof JetStreamError && error.errCode === 10071

/** Milliseconds for which leases are not read again. */
const LEASES_FRESH = 500

interface Lease { readonly process: string, readonly until: number, readonly sequence: number }

type MemberName = Readonly<{ topic: string, id: string }>

/**
 * Members and leases, in one stream with one message for each subject. A lease ends by the server's clock: its message has a time,
 * and says how long it is good for.
 */
export class NatsPresence implements BrokerPresence {
  private readonly jetstream: JetStream
  private readonly names: Names
  /** Processes that have had a lease by this broker. */
  private readonly renewed = new Set<string>()
  private leasesRead: { readonly at: number, readonly leases: Promise<Map<string, Lease>> } | null = null

  constructor (jetstream: JetStream, names: Names) {
    this.jetstream = jetstream
    this.names = names
  }

  async renew (process: string, ttl: number): Promise<boolean> {
    const subject = this.names.lease(process)
    const before = await this.last(subject)
    this.renewed.add(process)
    await this.jetstream.publish(subject, Buffer.from(JSON.stringify({ ttl })), {})
    const after = await this.last(subject)
    this.leasesRead = null
    return before !== null && after !== null && toLease(before).until > after.time
  }

  async release (process: string): Promise<void> {
    for (const { topic, id } of await this.ownedBy(process)) await this.removeOwned(process, topic, id, Infinity)
    await this.purge(this.names.lease(process))
    this.renewed.delete(process)
    this.leasesRead = null
  }

  async enter (process: string, members: readonly BrokerEntry[]): Promise<boolean[]> {
    if (members.length > 0 && !this.renewed.has(process)) await this.addEndedLease(process)
    return Promise.all(members.map(async ({ topic, id, data }) => {
      // First what a sweep goes by: it may have too much in it, and never too little.
      await this.jetstream.publish(this.names.owned(process, topic, id), Buffer.alloc(0), {})
      const subject = this.names.member(topic, id)
      const payload = encodeMember(process, data)
      try {
        await this.jetstream.publish(subject, payload, FIRST)
        return true
      } catch (error) {
        if (!isWrongLast(error)) throw error
      }
      const before = await this.last(subject)
      await this.jetstream.publish(subject, payload, {})
      if (before === null) return true
      // A member whose process is gone is not there, though nobody has removed it yet.
      const { process: owner } = decodeMember(before.data)
      return owner !== process && !(await this.live()).has(owner)
    }))
  }

  async leave (process: string, members: readonly MemberName[]): Promise<boolean[]> {
    return Promise.all(members.map(({ topic, id }) => this.removeOwned(process, topic, id, Infinity)))
  }

  async list (topic: string, limit: number): Promise<BrokerMember[]> {
    const live = await this.live()
    const members: BrokerMember[] = []
    for await (const { subject, data } of this.jetstream.all(this.names.stateStream, this.names.members(topic))) {
      const { process, data: info } = decodeMember(data)
      if (live.has(process)) members.push({ id: fromToken(subject.slice(subject.lastIndexOf('.') + 1)), process, data: info })
      if (members.length >= limit) break
    }
    return members
  }

  async count (topic: string): Promise<number> {
    const [leases, live] = [await this.leases(), await this.live()]
    // Without a process that is gone, the server can count.
    if (leases.size > live.size) return (await this.list(topic, Infinity)).length
    const { state } = await this.jetstream.info(this.names.stateStream, this.names.members(topic))
    return Object.keys(state.subjects ?? {}).length
  }

  async expired (): Promise<string[]> {
    this.leasesRead = null
    const live = await this.live()
    return [...(await this.leases()).keys()].filter(process => !live.has(process))
  }

  async sweep (process: string): Promise<MemberName[]> {
    const lease = await this.last(this.names.lease(process))
    if (lease === null) return []
    const { until, sequence } = toLease(lease)
    const now = await this.now()
    if (until > now) return []
    const removed: MemberName[] = []
    for (const { topic, id } of await this.ownedBy(process)) {
      // Members that the process has entered since, having renewed its lease, stay.
      if (await this.removeOwned(process, topic, id, now)) removed.push({ topic, id })
    }
    await this.purge(this.names.lease(process), sequence + 1)
    this.leasesRead = null
    return removed
  }

  /** Members without a lease are not listed, and are swept: by a lease that has ended, if there is none. */
  private async addEndedLease (process: string): Promise<void> {
    try {
      await this.jetstream.publish(this.names.lease(process), Buffer.from(JSON.stringify({ ttl: 0 })), FIRST)
    } catch (error) {
      if (!isWrongLast(error)) throw error
    }
    this.leasesRead = null
  }

  /** Removes a member if it belongs to the process, and was not entered after a time. @returns whether it was removed by this call */
  private async removeOwned (process: string, topic: string, id: string, limit: number): Promise<boolean> {
    const subject = this.names.member(topic, id)
    const member = await this.last(subject)
    const isOurs = member !== null && decodeMember(member.data).process === process && member.time <= limit
    // Somebody may take it over at this moment: then its message has a higher sequence.
    const isRemoved = isOurs && await this.purge(subject, member.sequence + 1) > 0
    const owned = this.names.owned(process, topic, id)
    const entry = await this.last(owned)
    if (entry !== null && entry.time <= limit) await this.purge(owned, entry.sequence + 1)
    return isRemoved
  }

  private async ownedBy (process: string): Promise<MemberName[]> {
    const members: MemberName[] = []
    for await (const { subject } of this.jetstream.all(this.names.stateStream, this.names.ownedBy(process))) {
      const [id, topic] = subject.split('.').reverse()
      members.push({ topic: fromToken(topic!), id: fromToken(id!) })
    }
    return members
  }

  /** The processes whose leases have not ended. */
  private async live (): Promise<Set<string>> {
    const leases = await this.leases()
    if (leases.size === 0) return new Set()
    const now = await this.now()
    return new Set([...leases.values()].filter(({ until }) => until > now).map(({ process }) => process))
  }

  private leases (): Promise<Map<string, Lease>> {
    const now = performance.now()
    if (this.leasesRead === null || now - this.leasesRead.at > LEASES_FRESH) {
      const leases = this.readLeases()
      leases.catch(() => { this.leasesRead = null })
      this.leasesRead = { at: now, leases }
    }
    return this.leasesRead.leases
  }

  private async readLeases (): Promise<Map<string, Lease>> {
    const leases = new Map<string, Lease>()
    for await (const message of this.jetstream.all(this.names.stateStream, this.names.leases)) {
      const lease = toLease(message)
      leases.set(lease.process, lease)
    }
    return leases
  }

  /** The server's clock: processes differ by minutes. */
  private async now (): Promise<number> {
    return serverTime(this.jetstream, this.names)
  }

  private last (subject: string): Promise<StoredMessage | null> {
    return this.jetstream.last(this.names.stateStream, subject)
  }

  private purge (subject: string, below?: number): Promise<number> {
    return this.jetstream.purge(this.names.stateStream, subject, below)
  }
}

/** @returns milliseconds since 1970 by the server's clock */
export async function serverTime (jetstream: JetStream, names: Names): Promise<number> {
  await jetstream.publish(names.clock, Buffer.alloc(0), {})
  const message = await jetstream.last(names.stateStream, names.clock)
  return message?.time ?? Date.now()
}

function toLease ({ subject, time, data, sequence }: StoredMessage): Lease {
  const { ttl } = JSON.parse(data.toString()) as { ttl: number }
  return { process: fromToken(subject.slice(subject.lastIndexOf('.') + 1)), until: time + ttl, sequence }
}

function encodeMember (process: string, data: Buffer): Buffer {
  const owner = Buffer.from(process)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(owner.length)
  return Buffer.concat([head, owner, data])
}

function decodeMember (payload: Buffer): { process: string, data: Buffer } {
  const end = 2 + payload.readUInt16BE()
  return { process: payload.toString('utf8', 2, end), data: payload.subarray(end) }
}
