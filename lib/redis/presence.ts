import { randomBytes } from 'node:crypto'
import type { BrokerEntry, BrokerMember, BrokerPresence } from '../../types/broker.js'
import type { Commands } from './commands.js'
import type { Argument, Reply } from './connections.js'
import { PARTITIONS, type Keys } from './keys.js'
import { LEAST_LIFE } from './history.js'
import { END_LEASE, ENTER, LEAVE, OWNERS, RENEW, SWEEP } from './scripts.js'

/** Members of one script. */
const BATCH = 256

/** Members that are read at a time. */
const SCAN = 500

/** Characters behind the name of a process in that of an owner: a point, and eight. */
const SUFFIX = 9

interface Place {
  readonly topic: string
  readonly id: string
}

/** A lease belongs to an owner: a process until its lease ends. */
const newOwner = (process: string): string => `${process}.${randomBytes(6).toString('base64url')}`
const processOf = (owner: string): string => owner.slice(0, -SUFFIX)

/**
 * Members in a hash for each topic, and in a set for each owner and partition. The leases of all owners are in one sorted set,
 * with the time when they end by the clock of the server that has it.
 */
export class RedisPresence implements BrokerPresence {
  readonly #commands: Commands
  readonly #keys: Keys
  /** The owners that processes are now, as far as this object has renewed them. */
  readonly #owners = new Map<string, string>()

  constructor (commands: Commands, keys: Keys) {
    this.#commands = commands
    this.#keys = keys
  }

  /** The processes that this object has renewed. */
  get owners (): string[] {
    return [...this.#owners.values()]
  }

  async renew (process: string, ttl: number): Promise<boolean> {
    const next = newOwner(process)
    const current = this.#owners.get(process) ?? ''
    const isRenewed = await this.#commands.run(RENEW, [this.#keys.leases], [String(ttl), String(Math.max(LEAST_LIFE, ttl * 10)), current, next])
    if (isRenewed !== 1) this.#owners.set(process, next)
    return isRenewed === 1
  }

  async release (process: string): Promise<void> {
    this.#owners.delete(process)
    const { alive, ended } = await this.#leases()
    for (const owner of [...alive, ...ended]) if (processOf(owner) === process) await this.#sweepOwner(owner, true)
  }

  async enter (process: string, members: readonly BrokerEntry[]): Promise<boolean[]> {
    const owner = await this.#ownerOf(process)
    const head = Buffer.from(`${Buffer.byteLength(owner)}:${owner}`)
    const before = await this.#each(members, ENTER, owner, [owner, String(LEAST_LIFE)], ({ topic, id, data }) => [id, Buffer.concat([head, data]), entryOf(topic, id)])
    const former = new Set(before.map(String))
    former.delete('')
    former.delete(owner)
    // A member whose lease has ended is not there any more.
    const alive = former.size === 0 ? [] : (await this.#leases()).alive
    return before.map(String).map(known => known === '' || (known !== owner && !alive.includes(known)))
  }

  async leave (process: string, members: readonly Place[]): Promise<boolean[]> {
    const removed = await this.#each(members, LEAVE, await this.#ownerOf(process), [process], ({ topic, id }) => [id, entryOf(topic, id)])
    return removed.map(is => is === 1)
  }

  async list (topic: string, limit: number): Promise<BrokerMember[]> {
    const { alive } = await this.#leases()
    const owners = new Set(alive)
    const key = this.#keys.members(topic)
    // By id: a scan may come to one twice.
    const found = new Map<string, BrokerMember>()
    let cursor = '0'
    do {
      const [next, fields] = await this.#commands.send(key, ['HSCAN', key, cursor, 'COUNT', String(SCAN)]) as [Reply, Buffer[]]
      for (let i = 0; i < fields.length && found.size < limit; i += 2) {
        const id = String(fields[i])
        const { owner, data } = readValue(fields[i + 1]!)
        if (owners.has(owner)) found.set(id, { id, process: processOf(owner), data })
      }
      cursor = String(next)
    } while (cursor !== '0' && found.size < limit)
    return [...found.values()]
  }

  async count (topic: string): Promise<number> {
    const { alive } = await this.#leases()
    if (alive.length === 0) return 0
    const key = this.#keys.counts(topic)
    const counts = await this.#commands.send(key, ['HMGET', key, ...alive]) as Reply[]
    return counts.reduce<number>((sum, count) => sum + Number(count), 0)
  }

  async expired (): Promise<string[]> {
    const { alive, ended } = await this.#leases()
    const living = new Set(alive.map(processOf))
    return [...new Set(ended.map(processOf))].filter(process => !living.has(process))
  }

  async sweep (process: string): Promise<Place[]> {
    const { alive, ended } = await this.#leases()
    if (alive.some(owner => processOf(owner) === process)) return []
    const removed: Place[] = []
    for (const owner of ended) if (processOf(owner) === process) removed.push(...await this.#sweepOwner(owner, false))
    return removed
  }

  /** @param isForced ends a lease that still runs too */
  async #sweepOwner (owner: string, isForced: boolean): Promise<Place[]> {
    const hasEnded = await this.#commands.run(END_LEASE, [this.#keys.leases], [owner, isForced ? '1' : '0'])
    if (hasEnded !== 1) return []
    const swept = await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => this.#sweepPartition(partition, owner)))
    await this.#commands.send(this.#keys.leases, ['ZREM', this.#keys.leases, owner])
    return swept.flat()
  }

  async #sweepPartition (partition: number, owner: string): Promise<Place[]> {
    const owned = this.#keys.owned(partition, owner)
    const removed: Place[] = []
    while (true) {
      const entries = await this.#commands.send(owned, ['SRANDMEMBER', owned, String(BATCH)]) as Buffer[]
      if (entries.length === 0) return removed
      const places = entries.map(readEntry)
      const flags = await this.#each(places, SWEEP, owner, [owner], ({ topic, id }) => [id, entryOf(topic, id)])
      removed.push(...places.filter((_, i) => flags[i] === 1))
    }
  }

  /** Runs a script on members, each partition by itself. @returns what it returns for each */
  async #each<Member extends Place> (
    members: readonly Member[], script: typeof ENTER, owner: string, head: Argument[], args: (member: Member) => Argument[]
  ): Promise<Reply[]> {
    const groups = new Map<number, number[]>()
    for (const [i, { topic }] of members.entries()) {
      const partition = this.#keys.partitionOf(topic)
      const group = groups.get(partition)
      if (group === undefined) groups.set(partition, [i])
      else group.push(i)
    }
    const replies = new Array<Reply>(members.length)
    await Promise.all([...groups].map(async ([partition, all]) => {
      for (let from = 0; from < all.length; from += BATCH) {
        const group = all.slice(from, from + BATCH)
        const keys = group.flatMap(i => [this.#keys.members(members[i]!.topic), this.#keys.counts(members[i]!.topic)])
        const reply = await this.#commands.run(script, [this.#keys.owned(partition, owner), ...keys], [...head, ...group.flatMap(i => args(members[i]!))]) as Reply[]
        for (const [at, i] of group.entries()) replies[i] = reply[at]!
      }
    }))
    return replies
  }

  async #leases (): Promise<{ alive: string[], ended: string[] }> {
    const [alive, ended] = await this.#commands.run(OWNERS, [this.#keys.leases], []) as [Buffer[], Buffer[]]
    return { alive: alive.map(String), ended: ended.map(String) }
  }

  async #ownerOf (process: string): Promise<string> {
    const known = this.#owners.get(process)
    if (known !== undefined) return known
    const { alive, ended } = await this.#leases()
    let owner = [...alive, ...ended].find(owner => processOf(owner) === process)
    if (owner === undefined) {
      // One whose lease has ended, so that its members are found and removed.
      owner = newOwner(process)
      await this.#commands.send(this.#keys.leases, ['ZADD', this.#keys.leases, '0', owner])
    }
    this.#owners.set(process, owner)
    return owner
  }
}

/** A member as it is in the hash of its topic: the length of its owner's name, the name, the data. */
function readValue (value: Buffer): { owner: string, data: Buffer } {
  const colon = value.indexOf(0x3a)
  const end = colon + 1 + Number(value.toString('latin1', 0, colon))
  return { owner: value.toString('utf8', colon + 1, end), data: value.subarray(end) }
}

/** A member as it is in the set of its owner. */
function entryOf (topic: string, id: string): string {
  return `${topic.length}:${topic}${id}`
}

function readEntry (entry: Buffer): Place {
  const text = String(entry)
  const colon = text.indexOf(':')
  const end = colon + 1 + Number(text.slice(0, colon))
  return { topic: text.slice(colon + 1, end), id: text.slice(end) }
}
