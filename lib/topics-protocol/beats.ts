import type { Outbox } from '../connection/outbox.js'
import { SharedMessage } from '../connection/shared-message.js'
import { Opcode } from '../protocol/opcodes.js'
import { BEAT } from './server-message.js'

/** Groups of connections: each gets its beat at another time. */
const GROUPS = 16

const BEATING = new SharedMessage(Opcode.TEXT, Buffer.from(BEAT), false)

/** Sends a beat to all connections of a route once in its interval, by one timer. */
export class Beats {
  /** Milliseconds. */
  readonly interval: number
  private readonly groups: Array<Set<Outbox>> = Array.from({ length: GROUPS }, () => new Set())
  private timer: NodeJS.Timeout | null = null
  private size = 0
  /** The group whose turn was last. */
  private current = 0

  constructor (interval: number) {
    this.interval = interval
  }

  /** @returns a function that ends it, to be called once */
  add (outbox: Outbox): () => void {
    // It has got `hello` now, so its turn is the last of all.
    const group = this.groups[this.current]!
    group.add(outbox)
    if (this.size++ === 0) this.timer = setInterval(() => this.beat(), this.interval / GROUPS).unref()
    return () => {
      group.delete(outbox)
      if (--this.size > 0) return
      clearInterval(this.timer!)
      this.timer = null
    }
  }

  private beat (): void {
    this.current = (this.current + 1) % GROUPS
    for (const outbox of this.groups[this.current]!) outbox.sendBeat(BEATING)
  }
}
