import type { BrokerMessage } from '../../types/broker.js'

/** Milliseconds for which a message waits for the one before it. */
const PATIENCE = 200

/** Messages that wait at a time. */
const MAX_WAITING = 1_000

/**
 * Puts the announcements of one topic in order. A stream numbers its messages in order, but announces one that comes from another
 * connection up to some hundred messages late (seen with nats-server 2.9.10).
 */
export class InOrder {
  private readonly deliver: (message: BrokerMessage) => void
  /** The offset of the last message; `null` if some may have been missed. */
  private last: number | null = null
  /** By the offset of the message before them. `null` while there are none. */
  private waiting: Map<number, BrokerMessage> | null = null
  private timer: NodeJS.Timeout | null = null

  constructor (deliver: (message: BrokerMessage) => void) {
    this.deliver = deliver
  }

  receive (message: BrokerMessage): void {
    const { last } = this
    if (last === null || message.previous === last) return this.goOn(message)
    // None is kept any more: there may have been some that were delivered.
    if (message.previous === 0 && message.position!.offset > last) return this.goOn({ ...message, previous: last })
    if (message.previous! < last) return this.deliver(message)
    this.waiting ??= new Map()
    this.waiting.set(message.previous!, message)
    if (this.waiting.size >= MAX_WAITING) this.giveUp()
    else this.timer ??= setTimeout(() => this.giveUp(), PATIENCE)
  }

  /** Messages may have been missed. */
  interrupted (): void {
    this.giveUp()
    this.last = null
  }

  stop (): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.waiting = null
  }

  private goOn (message: BrokerMessage): void {
    this.last = message.position!.offset
    this.deliver(message)
    while (this.waiting !== null && this.last !== null) {
      const next = this.waiting.get(this.last)
      if (next === undefined) return
      this.waiting.delete(this.last)
      if (this.waiting.size === 0) this.stop()
      this.last = next.position!.offset
      this.deliver(next)
    }
  }

  /** The missing message does not come: the receiver of the others sees it. */
  private giveUp (): void {
    const { waiting } = this
    this.stop()
    if (waiting === null) return
    for (const message of [...waiting.values()].sort((a, b) => a.position!.offset - b.position!.offset)) {
      this.last = message.position!.offset
      this.deliver(message)
    }
  }
}
