import type { Echo } from './echo.js'
import { PARTITIONS, type Keys } from './keys.js'
import { Subscriber } from './subscriber.js'
import type { Topology } from './topology.js'

/** Milliseconds after which the nodes of a cluster are looked at again: at rest, and while something is wrong. */
const LOOK = { calm: 15_000, trouble: 500 }

export interface SubscriptionEvents {
  message (topic: string, data: Buffer): void
  interrupted (topics: readonly string[]): void
  state (isUp: boolean, error?: Error): void
}

/** The subscriptions of this process, on the nodes that have their channels. */
export class Subscriptions {
  readonly #keys: Keys
  readonly #timeout: number
  readonly #look: () => Promise<Topology>
  readonly #events: SubscriptionEvents
  readonly #echo: Echo | null
  readonly #nodes = new Map<string, Subscriber>()
  /** Topics that the server has confirmed, by partition. */
  readonly #topics: ReadonlyArray<Set<string>> = Array.from({ length: PARTITIONS }, () => new Set<string>())
  #topology: Topology | null = null
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  #isClosed = false

  /** @param look finds out which node has which partition @param echo checks each new connection; `null` in a cluster, where each is to a known node */
  constructor (keys: Keys, timeout: number, look: () => Promise<Topology>, echo: Echo | null, events: SubscriptionEvents) {
    this.#keys = keys
    this.#timeout = timeout
    this.#look = look
    this.#echo = echo
    this.#events = events
  }

  /** Connects to all nodes. Rejects if one cannot be reached. */
  async start (): Promise<void> {
    this.#topology = await this.#look()
    const ids = new Set(this.#topology.nodes)
    if (ids.has(null)) throw new Error('not all slots of the cluster are on nodes that can be reached')
    try {
      await Promise.all([...ids].map(id => this.#create(id!).start()))
    } catch (error) {
      this.close()
      throw error
    }
    this.#schedule()
  }

  get isUp (): boolean {
    return this.#topology !== null && !this.#topology.nodes.includes(null) && [...this.#nodes.values()].every(({ isUp }) => isUp)
  }

  has (topic: string): boolean {
    return this.#topics[this.#keys.partitionOf(topic)]!.has(topic)
  }

  async subscribe (topics: readonly string[]): Promise<void> {
    const groups = [...this.#groups(topics)].map(async ([id, group]) => {
      const node = id === null ? undefined : this.#nodes.get(id)
      if (node === undefined) throw new Error(`Redis cannot be reached: no node has the slot of topic '${group[0]}'`)
      const dropped = await node.subscribe(group)
      // At once, so that a connection that breaks now is subscribed to them again.
      for (const topic of group) {
        if (dropped.has(topic)) continue
        const partition = this.#keys.partitionOf(topic)
        if (this.#topology!.nodes[partition] !== id) throw new Error(`the slot of topic '${topic}' has moved`)
        this.#topics[partition]!.add(topic)
      }
    })
    await Promise.all(groups)
  }

  async unsubscribe (topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.#topics[this.#keys.partitionOf(topic)]!.delete(topic)
    for (const [id, group] of this.#groups(topics)) if (id !== null) this.#nodes.get(id)?.unsubscribe(group)
  }

  /** Ends all connections as if they had broken: they come back, perhaps to another server. */
  break (error: Error): void {
    for (const node of this.#nodes.values()) node.break(error)
  }

  close (): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const node of this.#nodes.values()) node.close()
    this.#nodes.clear()
  }

  #groups (topics: readonly string[]): Map<string | null, string[]> {
    const groups = new Map<string | null, string[]>()
    for (const topic of topics) {
      const id = this.#topology!.nodes[this.#keys.partitionOf(topic)]!
      const group = groups.get(id)
      if (group === undefined) groups.set(id, [topic])
      else group.push(topic)
    }
    return groups
  }

  #topicsOf (id: string): string[] {
    return this.#topics.flatMap((topics, partition) => this.#topology!.nodes[partition] === id ? [...topics] : [])
  }

  #create (id: string): Subscriber {
    const node = new Subscriber(this.#keys, this.#topology!.isSharded, this.#timeout, {
      open: events => {
        const open = this.#topology!.open.get(id)
        return open === undefined ? Promise.reject(new Error('the node is not known any more')) : open(events, this.#timeout)
      },
      check: this.#echo === null ? null : () => this.#echo!.check(),
      topics: () => this.#topicsOf(id),
      message: (topic, data) => {
        if (topic === '') this.#echo?.receive(data)
        if (!this.#isClosed && this.#topics[this.#keys.partitionOf(topic)]!.has(topic)) this.#events.message(topic, data)
      },
      up: topics => {
        if (this.#isClosed) return
        this.#events.state(this.isUp)
        if (topics.length > 0) this.#events.interrupted(topics)
      },
      down: error => {
        if (this.#isClosed) return
        this.#events.state(false, error)
        this.#schedule(LOOK.trouble)
      },
      // It does not say which: all are subscribed to again, which the node refuses for those that it does not have.
      moved: () => node.break(new Error('slots of the cluster have moved'))
    })
    this.#nodes.set(id, node)
    return node
  }

  // --- a cluster that changes

  #schedule (pause = LOOK.calm): void {
    if (this.#isClosed || !this.#topology!.isSharded) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#lookAgain(), pause).unref()
  }

  #lookAgain (): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#look().then(
      topology => {
        if (!this.#isClosed) this.#adopt(topology)
      },
      () => {}
    ).finally(() => {
      this.#isLooking = false
      if (!this.#isClosed) this.#schedule(this.isUp ? LOOK.calm : LOOK.trouble)
    })
  }

  #adopt (topology: Topology): void {
    const before = this.#topology!
    this.#topology = topology
    const gained = new Map<string, string[]>()
    for (const [partition, id] of topology.nodes.entries()) {
      const former = before.nodes[partition]!
      if (id === former) continue
      const topics = [...this.#topics[partition]!]
      if (former !== null) this.#nodes.get(former)?.unsubscribe(topics)
      if (id !== null) gained.set(id, [...gained.get(id) ?? [], ...topics])
    }
    for (const [id, node] of this.#nodes) {
      if (topology.nodes.includes(id)) continue
      this.#nodes.delete(id)
      node.close()
    }
    for (const [id, topics] of gained) {
      const node = this.#nodes.get(id)
      if (node === undefined) this.#create(id).keep()
      else if (node.isUp) this.#takeOver(node, topics)
    }
    this.#events.state(this.isUp)
  }

  /** A connection that is up gets more topics. If that fails it breaks, and is subscribed to all of them again. */
  #takeOver (node: Subscriber, topics: string[]): void {
    node.subscribe(topics).then(
      () => {
        if (!this.#isClosed && topics.length > 0) this.#events.interrupted(topics)
      },
      error => node.break(error as Error)
    )
  }
}
