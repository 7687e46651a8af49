/** Milliseconds before something that failed is tried again: the first time, and at most. Half of each is random. */
const FIRST = 100
const LONGEST = 5_000

/** Waits longer and longer, until something succeeds. */
export class Backoff {
  private delay = FIRST
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
    }, this.delay * (0.5 + Math.random() / 2)).unref()
    this.delay = Math.min(this.delay * 2, LONGEST)
  }

  /** It has succeeded, or is tried at once: no call is due. */
  reset (): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.delay = FIRST
  }
}
