import type { ClientMember, ClientTopic, TopicContract } from '../../types/client.js'
import { Emitter } from './emitter.js'
import type { ClientError } from './errors.js'
import type { Outbox } from './outbox.js'
import { Queue } from './queue.js'
import type { ServerMessage } from './server-message.js'

/** Milliseconds before a subscription that the server could not make is tried again: the first time, and at most. */
const RETRY = { first: 1_000, most: 30_000 }

type Events = {
  message: [message: unknown, position: string | null, id: string]
  reset: [snapshot: unknown]
  gap: []
  presence: [members: readonly ClientMember[], count: number]
  live: []
  refused: [error: ClientError]
}

/** The part of a client that its topics use. */
export interface TopicOwner {
  readonly outbox: Outbox
  readonly isClosed: boolean
  closedError (): ClientError
  /** Asks the server for the topic, with others of this turn. */
  join (topic: Topic): void
  leave (topic: Topic): void
  /** Leaves, and asks again. */
  rejoin (topic: Topic): void
}

/** One topic of a client. */
export class Topic implements ClientTopic<TopicContract> {
  readonly name: string
  isLive = false
  /** Whether it is to be subscribed. */
  isWanted = false
  position: string | null
  count = 0
  /** Whether it has a history; `undefined` before the server has said so. */
  hasHistory: boolean | undefined
  readonly #owner: TopicOwner
  readonly #emitter = new Emitter<Events>()
  #members = new Map<string, ClientMember>()
  /** The members and their number, as the last event had them. */
  #told = ''
  readonly #queues = new Set<Queue<unknown>>()
  #waiting: Array<{ resolve: () => void, reject: (error: Error) => void }> = []
  #wasLive = false
  #delay = RETRY.first
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor (name: string, since: string | null, owner: TopicOwner) {
    this.name = name
    this.position = since
    this.#owner = owner
  }

  get members (): ClientMember[] {
    return [...this.#members.values()]
  }

  on (event: string, listener: (...args: never[]) => unknown): () => void {
    const off = this.#emitter.on(event as keyof Events, listener as (...args: unknown[]) => unknown)
    this.#want()
    return off
  }

  subscribe (): Promise<void> {
    if (this.#owner.isClosed) return Promise.reject(this.#owner.closedError())
    this.#want()
    if (this.isLive) return Promise.resolve()
    const promise = new Promise<void>((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
    // Whoever does not wait has `refused`.
    promise.catch(() => {})
    return promise
  }

  unsubscribe (): void {
    if (!this.isWanted) return
    this.#owner.leave(this)
    this.#stop(null)
  }

  publish (message: unknown, { id }: { id?: string | undefined } = {}): Promise<string | null> {
    if (this.#owner.isClosed) return Promise.reject(this.#owner.closedError())
    return this.#owner.outbox.publish(this.name, message, id)
  }

  [Symbol.asyncIterator] (): Queue<unknown> {
    const queue = new Queue<unknown>(queue => this.#queues.delete(queue))
    this.#queues.add(queue)
    if (this.#owner.isClosed) queue.end(null)
    else this.#want()
    return queue
  }

  // --- what happens to it

  subscribed ({ at = null, recovered, snapshot, members, count }: ServerMessage): void {
    if (!this.isWanted) return
    this.isLive = true
    this.hasHistory = at !== null
    this.#delay = RETRY.first
    const isReturn = this.#wasLive
    this.#wasLive = true
    this.position = at
    const hasMembers = this.#show(members, count)
    for (const { resolve } of this.#waiting.splice(0)) resolve()
    this.#emitter.emit('live')
    if (recovered === false || snapshot !== undefined) this.#emitter.emit('reset', snapshot)
    else if (isReturn && at === null) this.#emitter.emit('gap')
    // Whoever has cleared its list meanwhile gets it again.
    this.#told = ''
    if (hasMembers) this.#emitPresence()
  }

  received ({ at = null, id, message }: ServerMessage): void {
    if (!this.isLive) return
    if (at !== null) this.position = at
    this.#emitter.emit('message', message, at, id!)
    for (const queue of this.#queues) queue.push(message)
  }

  gap (): void {
    if (this.isLive) this.#emitter.emit('gap')
  }

  lost ({ at = null, snapshot }: ServerMessage): void {
    if (!this.isLive) return
    this.position = at
    this.#emitter.emit('reset', snapshot)
  }

  presence ({ members, count }: ServerMessage): void {
    if (this.isLive && this.#show(members, count)) this.#emitPresence()
  }

  joined (member: ClientMember): void {
    if (!this.isLive) return
    this.#members.set(member.id, member)
    this.count = this.#members.size
    this.#emitPresence()
  }

  left ({ id }: { readonly id: string }): void {
    if (!this.isLive || !this.#members.delete(id)) return
    this.count = this.#members.size
    this.#emitPresence()
  }

  /** The server does not make the subscription, or has ended it. */
  refused (error: ClientError, retry: boolean): void {
    if (!this.isWanted) return
    const wasLive = this.isLive
    this.isLive = false
    if (error.code === 'FST_WS_ERR_INVALID_POSITION' && this.position !== null) {
      this.position = null
      this.#emitter.emit('reset', undefined)
      return this.#owner.join(this)
    }
    // The app has subscribed the connection, before there was anybody here to notice.
    if (error.code === 'FST_WS_ERR_SUBSCRIBED') {
      if (wasLive) this.isLive = true
      else this.#owner.rejoin(this)
      return
    }
    if (retry) {
      this.#timer = setTimeout(() => this.#owner.join(this), this.#delay)
      this.#delay = Math.min(RETRY.most, this.#delay * 2)
      return
    }
    this.#stop(error)
    this.#emitter.emit('refused', error)
  }

  /** The connection is lost. */
  down (): void {
    this.isLive = false
    clearTimeout(this.#timer)
  }

  close (): void {
    this.#stop(null, this.#owner.closedError())
    this.#emitter.clear()
  }

  #want (): void {
    if (this.isWanted || this.#owner.isClosed) return
    this.isWanted = true
    this.#owner.join(this)
  }

  #stop (error: ClientError | null, reason = error ?? this.#owner.closedError()): void {
    this.isWanted = this.isLive = this.#wasLive = false
    this.#members.clear()
    this.count = 0
    this.#told = ''
    clearTimeout(this.#timer)
    for (const queue of this.#queues) queue.end(error)
    this.#queues.clear()
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
  }

  /** @returns whether the topic has presence */
  #show (members: readonly ClientMember[] | undefined, count: number | undefined): boolean {
    if (count === undefined) return false
    this.#members = new Map(members?.map(member => [member.id, member]))
    this.count = count
    return true
  }

  #emitPresence (): void {
    const { members, count } = this
    // A member that comes back, or was listed as it came, is no news.
    const told = JSON.stringify([members.map(member => JSON.stringify(member)).sort(), count])
    if (told === this.#told) return
    this.#told = told
    this.#emitter.emit('presence', members, count)
  }
}
