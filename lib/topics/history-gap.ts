import type { BrokerAnchor, BrokerMessage, BrokerRead } from '../../types/broker.js'
import { isSamePlace } from './position.js'
import type { RecentMessages } from './recent-messages.js'

/** Messages of one read. */
const READ_LIMIT = 1_000

/**
 * `filled`: the recent messages begin at the position now. `more`: read on. `gone`: the position is no longer kept. `other`: the
 * broker's history is not the one that the recent messages are from. `late`: the broker does not have them yet.
 */
export type GapResult = 'filled' | 'more' | 'gone' | 'other' | 'late'

/** The messages between a position and the recent ones, which are read. */
export class HistoryGap {
  readonly since: BrokerAnchor
  private readonly recent: RecentMessages
  private readonly messages: BrokerMessage[] = []

  constructor (since: BrokerAnchor, recent: RecentMessages) {
    this.since = since
    this.recent = recent
  }

  /** The position to read from. */
  get from (): BrokerAnchor {
    const last = this.messages.at(-1)
    return last === undefined ? this.since : { ...last.position!, id: last.id }
  }

  /** How many messages are missing at most. */
  get limit (): number {
    return Math.max(1, Math.min(READ_LIMIT, this.recent.begin.offset - this.from.offset))
  }

  add ({ top, messages, isComplete }: BrokerRead): GapResult {
    if (!isComplete) return 'gone'
    const { begin } = this.recent
    if (top.epoch !== begin.epoch) return 'other'
    for (const message of messages) {
      this.messages.push(message)
      const place = { ...message.position!, id: message.id }
      if (isSamePlace(place, begin)) {
        this.recent.prepend(this.since, this.messages)
        return 'filled'
      }
      if (place.offset >= begin.offset) return 'other'
    }
    if (top.offset < begin.offset) return 'late'
    return messages.length === 0 ? 'other' : 'more'
  }
}
