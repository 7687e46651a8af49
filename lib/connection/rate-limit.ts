import type { FrameBudget } from '../protocol/frame-decoder.js'

/** How much one client may send. `Infinity` where there is no limit. */
export interface RateLimitSettings {
  /** Messages and Pings in a window. */
  readonly messages: number
  /** Bytes of all frames in a window, headers included. */
  readonly bytes: number
  /** Milliseconds. */
  readonly window: number
}

/**
 * What one client may still send before its window ends. A window begins with the first frame after the one before
 * has ended: no timer, and nothing to do for who sends nothing.
 */
export class RateLimit implements FrameBudget {
  private readonly settings: RateLimitSettings
  private messages = 0
  private bytes = 0
  private windowEnd = -Infinity
  // While nothing is read frames pile up in front of us; they come in one heap, though they were sent in good time.
  private stoppedAt = NaN
  private missed = 0

  constructor (settings: RateLimitSettings) {
    this.settings = settings
  }

  spend (asksForWork: boolean, bytes: number): boolean {
    const now = performance.now()
    if (now >= this.windowEnd) this.beginWindow(now)
    this.bytes -= bytes
    if (asksForWork) this.messages--
    return this.messages >= 0 && this.bytes >= 0
  }

  /** Nothing is read from now on. */
  stop (): void {
    if (Number.isNaN(this.stoppedAt)) this.stoppedAt = performance.now()
  }

  /** What is read next may have come at any time since `stop`: each window that went by counts. */
  resume (): void {
    if (Number.isNaN(this.stoppedAt)) return
    const now = performance.now()
    this.missed = Math.ceil((now - this.stoppedAt) / this.settings.window)
    this.stoppedAt = NaN
    this.beginWindow(now)
  }

  private beginWindow (now: number): void {
    const windows = 1 + this.missed
    this.missed = 0
    this.messages = this.settings.messages * windows
    this.bytes = this.settings.bytes * windows
    this.windowEnd = now + this.settings.window
  }
}
