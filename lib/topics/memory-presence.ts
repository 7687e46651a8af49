import type { BrokerEntry, BrokerMember, BrokerPresence } from '../../types/broker.js'

interface Member {
  readonly process: string
  readonly data: Buffer
}

interface Place {
  readonly topic: string
  readonly id: string
}

/** The members of topics in memory, for all processes of a bus. */
export class MemoryPresence implements BrokerPresence {
  private readonly now: () => number
  /** By topic, then by id. */
  private readonly members = new Map<string, Map<string, Member>>()
  /** Ids by process, then by topic. */
  private readonly owned = new Map<string, Map<string, Set<string>>>()
  /** When the leases of processes end. */
  private readonly leases = new Map<string, number>()

  constructor (now: () => number) {
    this.now = now
  }

  async renew (process: string, ttl: number): Promise<boolean> {
    const wasThere = this.isAlive(process)
    this.leases.set(process, this.now() + ttl)
    return wasThere
  }

  async release (process: string): Promise<void> {
    this.leases.delete(process)
    this.removeAll(process)
  }

  async enter (process: string, members: readonly BrokerEntry[]): Promise<boolean[]> {
    return members.map(({ topic, id, data }) => {
      const known = this.members.get(topic)?.get(id)
      const wasThere = known !== undefined && this.isAlive(known.process)
      if (known !== undefined) this.disown(known.process, topic, id)
      this.add(topic, id, { process, data: Buffer.from(data) })
      return !wasThere
    })
  }

  async leave (process: string, members: readonly Place[]): Promise<boolean[]> {
    return members.map(({ topic, id }) => {
      if (this.members.get(topic)?.get(id)?.process !== process) return false
      this.disown(process, topic, id)
      this.remove(topic, id)
      return true
    })
  }

  async list (topic: string, limit: number): Promise<BrokerMember[]> {
    const found: BrokerMember[] = []
    for (const [id, { process, data }] of this.members.get(topic) ?? []) {
      if (found.length >= limit) break
      if (this.isAlive(process)) found.push({ id, process, data })
    }
    return found
  }

  async count (topic: string): Promise<number> {
    let count = 0
    for (const { process } of this.members.get(topic)?.values() ?? []) if (this.isAlive(process)) count++
    return count
  }

  async expired (): Promise<string[]> {
    for (const process of this.leases.keys()) if (!this.isAlive(process)) this.leases.delete(process)
    return [...this.owned.keys()].filter(process => !this.isAlive(process))
  }

  async sweep (process: string): Promise<Place[]> {
    return this.isAlive(process) ? [] : this.removeAll(process)
  }

  private isAlive (process: string): boolean {
    const end = this.leases.get(process)
    return end !== undefined && this.now() < end
  }

  private add (topic: string, id: string, member: Member): void {
    let members = this.members.get(topic)
    if (members === undefined) this.members.set(topic, members = new Map())
    members.set(id, member)
    let topics = this.owned.get(member.process)
    if (topics === undefined) this.owned.set(member.process, topics = new Map())
    let ids = topics.get(topic)
    if (ids === undefined) topics.set(topic, ids = new Set())
    ids.add(id)
  }

  private removeAll (process: string): Place[] {
    const removed: Place[] = []
    for (const [topic, ids] of this.owned.get(process) ?? []) {
      for (const id of ids) {
        this.remove(topic, id)
        removed.push({ topic, id })
      }
    }
    this.owned.delete(process)
    return removed
  }

  private remove (topic: string, id: string): void {
    const members = this.members.get(topic)!
    members.delete(id)
    if (members.size === 0) this.members.delete(topic)
  }

  private disown (process: string, topic: string, id: string): void {
    const topics = this.owned.get(process)!
    const ids = topics.get(topic)!
    ids.delete(id)
    if (ids.size > 0) return
    topics.delete(topic)
    if (topics.size === 0) this.owned.delete(process)
  }
}
