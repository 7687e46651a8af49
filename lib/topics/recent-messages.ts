import type { BrokerAnchor, BrokerMessage } from '../../types/broker.js'
import { isSamePlace } from './position.js'

export interface RecentBounds {
  readonly messages: number
  readonly bytes: number
}

/** Bytes of memory that a message takes besides its data. */
const OVERHEAD = 200

/** How far above its bounds it may be before the oldest are dropped. */
const SLACK = 1.25

/** The messages of a topic from some place up to the last one that was delivered, without a hole. */
export class RecentMessages {
  private floor: BrokerAnchor
  private readonly bounds: RecentBounds
  private messages: BrokerMessage[] = []
  private bytes = 0
  /** Messages that follow a place, by the index of its first message: many receivers come with the same position. */
  private slices = new Map<number, readonly BrokerMessage[]>()

  /** @param floor the place of the last message: none is known yet */
  constructor (floor: BrokerAnchor, bounds: RecentBounds) {
    this.floor = floor
    this.bounds = bounds
  }

  /** Where the known messages begin. */
  get begin (): BrokerAnchor {
    return this.floor
  }

  get size (): number {
    return this.messages.length
  }

  /** Adds the next message. */
  push (message: BrokerMessage): void {
    this.messages.push(message)
    this.bytes += sizeOf(message)
    this.slices.clear()
    // In steps, so that each costs little.
    if (this.messages.length > this.bounds.messages * SLACK || this.bytes > this.bounds.bytes * SLACK) this.trim()
  }

  /**
   * Adds the messages before the known ones. They are all there until the next `trim` or `push`.
   *
   * @param since the place before the first of them
   */
  prepend (since: BrokerAnchor, messages: readonly BrokerMessage[]): void {
    this.floor = since
    this.messages = [...messages, ...this.messages]
    for (const message of messages) this.bytes += sizeOf(message)
    this.slices.clear()
  }

  /** Drops the oldest messages above the bounds. */
  trim (): void {
    const { messages, bounds } = this
    let dropped = 0
    while (dropped < messages.length && (messages.length - dropped > bounds.messages || this.bytes > bounds.bytes)) {
      this.bytes -= sizeOf(messages[dropped]!)
      dropped++
    }
    if (dropped === 0) return
    const { position, id } = messages[dropped - 1]!
    this.floor = { ...position!, id }
    this.messages = messages.slice(dropped)
    this.slices.clear()
  }

  /** @returns the messages after a place; `null` if it is not among the known ones */
  after (place: BrokerAnchor): readonly BrokerMessage[] | null {
    const index = isSamePlace(place, this.floor) ? 0 : this.indexOf(place) + 1
    if (index === 0 && !isSamePlace(place, this.floor)) return null
    let slice = this.slices.get(index)
    if (slice === undefined) this.slices.set(index, slice = this.messages.slice(index))
    return slice
  }

  has ({ position, id }: BrokerMessage): boolean {
    return this.indexOf({ ...position!, id }) !== -1
  }

  /** By the offsets, which increase. */
  private indexOf ({ epoch, offset, id }: BrokerAnchor): number {
    const { messages } = this
    let low = 0
    let high = messages.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (messages[middle]!.position!.offset < offset) low = middle + 1
      else high = middle
    }
    const found = messages[low]
    return found !== undefined && found.position!.offset === offset && found.id === id && found.position!.epoch === epoch ? low : -1
  }
}

function sizeOf ({ data }: BrokerMessage): number {
  return data.length + OVERHEAD
}
