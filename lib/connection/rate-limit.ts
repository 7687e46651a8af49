import type { RateLimitSettings } from '../options/settings.js'
import type { FrameBudget } from '../protocol/frame-sink.js'
import { Backlog } from './backlog.js'
import { TokenBucket } from './token-bucket.js'

/**
 * Limits what one client sends, by two token buckets: in any interval of T ms at most `messages × (1 + T / window)`, and
 * bytes likewise.
 *
 * Time in which the app reads nothing delays frames that were sent in good time. As long as the frames that have queued up
 * meanwhile are read, the buckets hold as much more as they gain in that time. Nothing that the client causes adds to them:
 * neither inflating its messages nor a queue of answers that it does not read.
 */
export class RateLimit implements FrameBudget {
  private readonly messages: TokenBucket
  private readonly bytes: TokenBucket
  private readonly backlog = new Backlog(() => this.caughtUp())
  /** When the app began to hold the client back; `NaN` while it does not. */
  private heldSince = NaN
  /** Milliseconds of earlier holds whose frames may still queue up. */
  private heldFor = 0

  constructor ({ messages, bytes, window }: RateLimitSettings) {
    const now = performance.now()
    this.messages = new TokenBucket(messages, window, now)
    this.bytes = new TokenBucket(bytes, window, now)
  }

  spend (asksForWork: boolean, bytes: number): boolean {
    const now = performance.now()
    const isWithinBytes = this.bytes.take(bytes, now, this.heldFor)
    return (!asksForWork || this.messages.take(1, now, this.heldFor)) && isWithinBytes
  }

  /**
   * Nothing is read from now on, or still nothing.
   *
   * @param byApp whether the app holds the client back, whatever else does
   */
  stop (byApp: boolean): void {
    if (byApp && Number.isNaN(this.heldSince)) {
      this.heldSince = performance.now()
      this.backlog.begin()
    } else {
      this.backlog.forget()
      if (!byApp) this.endHold()
    }
  }

  /** Reading goes on, with what has queued up. */
  resume (): void {
    this.endHold()
    if (this.heldFor > 0) this.backlog.watch()
  }

  /** The socket was read. */
  noteRead (bytes: number): void {
    this.backlog.noteRead(bytes)
  }

  /** Nothing is left of what has queued up: later frames are not late, and what the buckets hold above their capacity is gone. */
  caughtUp (): void {
    this.heldFor = 0
  }

  private endHold (): void {
    if (Number.isNaN(this.heldSince)) return
    this.heldFor += performance.now() - this.heldSince
    this.heldSince = NaN
  }
}
