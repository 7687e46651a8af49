import { Pauses } from '../pauses.js'

/** Waits longer and longer, until something succeeds. */
export class Backoff {
  private readonly pauses = new Pauses({ first: 100, most: 5_000, jitter: 0.5 })
  private timer: NodeJS.Timeout | null = null

  get isPending (): boolean {
    return this.timer !== null
  }

  /** Calls a function later, unless a call is due already. */
  schedule (callback: () => void): void {
    if (this.timer !== null) return
    this.timer = setTimeout(() => {
      this.timer = null
      callback()
    }, this.pauses.next()).unref()
  }

  /** It has succeeded, or is tried at once: no call is due. */
  reset (): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.pauses.reset()
  }
}
