import type { BrokerAnchor, BrokerMessage, BrokerPublication, BrokerRead, TopicHistory } from '../../types/broker.js'

/** Milliseconds for which ids are remembered, at most. */
const LONGEST_ID_WINDOW = 5 * 60_000

/** Places of dropped messages in front of the kept ones: below this number they are left. */
const FEWEST_TO_COMPACT = 64

/** The history of one topic in memory. Offsets increase by one. */
export class MemoryHistory {
  readonly epoch: string
  private top = 0
  /** The id of the newest message, which may have expired. */
  private topId: string | null = null
  /** How the newest message asks for all to be kept. */
  private settings: TopicHistory = { messages: 1, seconds: 1 }
  private messages: BrokerMessage[] = []
  /** When each of `messages` was published. */
  private times: number[] = []
  /** The place of the oldest message that is kept. */
  private first = 0
  /** Offsets by id: of the window under way, and of the one before. */
  private ids = new Map<string, number>()
  private formerIds = new Map<string, number>()
  private idsSince: number

  constructor (epoch: string, now: number) {
    this.epoch = epoch
    this.idsSince = now
  }

  /** @returns the message to deliver, or the offset of an earlier one with the same id */
  add ({ id, data }: BrokerPublication, history: TopicHistory, now: number): BrokerMessage | number {
    this.settings = history
    this.expire(now)
    const known = this.ids.get(id) ?? this.formerIds.get(id)
    if (known !== undefined) return known
    const previous = this.top++
    const message: BrokerMessage = { id, data: Buffer.from(data), position: { epoch: this.epoch, offset: this.top }, previous }
    this.topId = id
    this.ids.set(id, this.top)
    this.messages.push(message)
    this.times.push(now)
    if (this.size > history.messages) this.drop(this.size - history.messages)
    return message
  }

  /** Drops messages and ids whose time is over. @returns whether none is left: ids are not kept longer than messages */
  expire (now: number): boolean {
    const age = this.settings.seconds * 1_000
    let expired = 0
    while (expired < this.size && now - this.times[this.first + expired]! >= age) expired++
    if (expired > 0) this.drop(expired)
    const window = Math.min(age, LONGEST_ID_WINDOW)
    if (now - this.idsSince >= window) {
      // Ids of the older map have been there for at least a window.
      this.formerIds = now - this.idsSince >= 2 * window ? new Map() : this.ids
      this.ids = new Map()
      this.idsSince = now
    }
    return this.size === 0
  }

  read (since: BrokerAnchor | null, limit: number, now: number): BrokerRead {
    this.expire(now)
    return {
      top: { epoch: this.epoch, offset: this.top },
      topId: this.topId,
      messages: this.slice(since, limit),
      isComplete: since === null || this.isKept(since)
    }
  }

  private get size (): number {
    return this.messages.length - this.first
  }

  private slice (since: BrokerAnchor | null, limit: number): BrokerMessage[] {
    const { first, messages } = this
    if (since === null) return messages.slice(Math.max(first, messages.length - limit))
    const from = since.epoch === this.epoch ? Math.max(first, this.placeOf(since.offset) + 1) : first
    return messages.slice(from, from + limit)
  }

  /** Whether all that came after a position can be read. */
  private isKept ({ epoch, offset, id }: BrokerAnchor): boolean {
    if (epoch !== this.epoch) return false
    if (offset === 0) return this.size === this.top
    if (offset === this.top) return id === this.topId
    const place = this.placeOf(offset)
    return place >= this.first && this.messages[place]?.id === id
  }

  private placeOf (offset: number): number {
    return this.messages.length - 1 - (this.top - offset)
  }

  private drop (count: number): void {
    this.first += count
    if (this.first === this.messages.length) {
      this.messages = []
      this.times = []
      this.first = 0
    } else if (this.first >= FEWEST_TO_COMPACT && this.first * 2 >= this.messages.length) {
      this.messages = this.messages.slice(this.first)
      this.times = this.times.slice(this.first)
      this.first = 0
    }
  }
}
