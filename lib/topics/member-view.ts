import type { BrokerMember } from '../../types/broker.js'
import type { Member, PresenceChange } from './presence-change.js'

/** The members of a topic: `members` is `null` above the topic's bound. */
export interface MemberList {
  readonly members: readonly Member[] | null
  readonly count: number
}

/** A difference to the list that receivers have. */
export type MemberNotice =
  | { readonly kind: 'joined', readonly member: Member }
  | { readonly kind: 'left', readonly id: string }
  /** Replaces the list. */
  | { readonly kind: 'list', readonly list: MemberList }

export interface ViewOwner {
  /** Reads up to `limit` members. `onList` or `onFailed` answers, later. */
  list (limit: number): void
  /** Reads how many there are, at once or with others that are asked for meanwhile. `onCount` answers, or nothing does. */
  count (isUrgent: boolean): void
  /** Members of this process that are there, or are about to be. */
  own (): Iterable<Member>
  /** The broker does not have a member of this process. */
  missing (id: string): void
  /** Called for each difference, after the list has been given to anybody. */
  notify (notice: MemberNotice): void
}

interface Known {
  readonly process: string
  readonly info: string
}

/** Below this share of the bound, a topic whose members were only counted has a list again. */
const LISTED_AGAIN = 0.9

/**
 * The members of one topic, as this process knows them: read from the broker once, kept up to date by the changes that all
 * processes announce, and compared with the broker where one may be missing. Whatever its receivers are to know comes as a
 * difference to what they know.
 */
export class MemberView {
  private readonly owner: ViewOwner
  private readonly process: string
  private readonly max: number
  private members = new Map<string, Known>()
  /** `null` while members are listed. */
  private counted: number | null = null
  private isLoaded = false
  /** Whether anybody has been given a list. */
  private wasLoaded = false
  private isReading = false
  /** Whether the read under way may be older than what it has to show. */
  private isOutdated = false
  /** Changes since the read under way began. */
  private since: PresenceChange[] = []
  private readonly waiting = new Set<(list: MemberList) => void>()

  /** @param process this one @param max members that are listed */
  constructor (owner: ViewOwner, process: string, max: number) {
    this.owner = owner
    this.process = process
    this.max = max
  }

  /** The list that receivers have; `null` before it has been read. */
  get current (): MemberList | null {
    if (!this.isLoaded) return null
    if (this.counted !== null) return { members: null, count: this.counted }
    const members = Array.from(this.members, ([id, { info }]) => ({ id, info }))
    return { members, count: members.length }
  }

  /** Calls back with the list, at once if it is known. Notices are differences to it. @returns a function that ends the wait */
  whenLoaded (callback: (list: MemberList) => void): () => void {
    const { current } = this
    if (current !== null) callback(current)
    else this.waiting.add(callback)
    return () => { this.waiting.delete(callback) }
  }

  /** Compares the view with the broker. */
  refresh (): void {
    if (this.counted !== null) return this.owner.count(false)
    if (this.isReading) {
      this.isOutdated = true
      return
    }
    this.isReading = true
    this.isOutdated = false
    this.since = []
    this.owner.list(this.max + 1)
  }

  /** A member of this process, before its change comes back. */
  addOwn (member: Member): void {
    if (this.isLoaded && this.counted === null) this.set(this.members, this.process, member)
    this.checkBound()
  }

  /** A member of this process that is none any more, whether others get to know or not. */
  removeOwn (id: string): void {
    if (this.members.get(id)?.process !== this.process) return
    this.members.delete(id)
    this.owner.notify({ kind: 'left', id })
  }

  receive (change: PresenceChange): void {
    if (this.isReading) this.since.push(change)
    if (!this.isLoaded) return
    if (this.counted !== null) return this.owner.count(false)
    this.apply(this.members, change)
    this.checkBound()
  }

  onFailed (): void {
    this.isReading = false
    this.since = []
  }

  onCount (count: number): void {
    if (this.counted === null) return
    if (count <= this.max * LISTED_AGAIN) {
      this.counted = null
      this.isLoaded = false
      this.refresh()
      return
    }
    const hasChanged = count !== this.counted
    this.counted = count
    if (hasChanged) this.notifyList()
  }

  onList (list: readonly BrokerMember[]): void {
    this.isReading = false
    if (this.counted !== null) return
    if (list.length > this.max) return this.countFrom(list.length)
    const members = new Map(list.map(({ id, process, data }) => [id, { process, info: data.toString() }]))
    const { isLoaded } = this
    for (const change of this.since) this.replay(members, change)
    for (const { id, info } of [...this.owner.own()]) {
      if (members.has(id)) continue
      members.set(id, { process: this.process, info })
      this.owner.missing(id)
    }
    this.since = []
    if (isLoaded) {
      this.moveTo(members)
    } else {
      const hadList = this.wasLoaded
      this.members = members
      this.load()
      // Whoever waits has it already.
      if (hadList) this.notifyList()
    }
    if (this.isOutdated) this.refresh()
  }

  private load (): void {
    this.isLoaded = this.wasLoaded = true
    const { current } = this
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const callback of waiting) callback(current!)
  }

  /** There are too many to list. */
  private countFrom (atLeast: number): void {
    const hadList = this.wasLoaded
    this.counted = Math.max(atLeast, this.members.size)
    this.members = new Map()
    this.since = []
    if (hadList) this.notifyList()
    else this.load()
    this.owner.count(!hadList)
  }

  private checkBound (): void {
    if (this.counted === null && this.members.size > this.max) this.countFrom(this.members.size)
  }

  private notifyList (): void {
    const { current } = this
    if (current !== null) this.owner.notify({ kind: 'list', list: current })
  }

  private apply (members: Map<string, Known>, change: PresenceChange): void {
    for (const member of change.joined) this.set(members, change.by, member)
    for (const id of leavers(members, change)) {
      members.delete(id)
      this.owner.notify({ kind: 'left', id })
    }
  }

  private replay (members: Map<string, Known>, change: PresenceChange): void {
    for (const { id, info } of change.joined) members.set(id, { process: change.by, info })
    for (const id of leavers(members, change)) members.delete(id)
  }

  private set (members: Map<string, Known>, process: string, member: Member): void {
    const known = members.get(member.id)
    members.set(member.id, { process, info: member.info })
    if (known?.info !== member.info) this.owner.notify({ kind: 'joined', member })
  }

  private moveTo (members: Map<string, Known>): void {
    const former = this.members
    this.members = members
    for (const id of former.keys()) if (!members.has(id)) this.owner.notify({ kind: 'left', id })
    for (const [id, { info }] of members) if (former.get(id)?.info !== info) this.owner.notify({ kind: 'joined', member: { id, info } })
  }
}

/** Members that a change takes away: others may have taken them over. */
function leavers (members: Map<string, Known>, { by, left, swept }: PresenceChange): string[] {
  return left.filter(id => members.get(id)?.process === (swept ?? by))
}
