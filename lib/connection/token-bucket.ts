/** Absorbs the rounding of fractions, in tokens. */
const TOLERANCE = 1e-6

/** Refills continuously, with `capacity` tokens in a window, and holds at most as many, plus an allowance. */
export class TokenBucket {
  private readonly capacity: number
  /** Tokens per millisecond. */
  private readonly rate: number
  private tokens: number
  private at: number

  /**
   * @param capacity `Infinity`: takes whatever there is
   * @param window milliseconds
   */
  constructor (capacity: number, window: number, now: number) {
    this.capacity = capacity
    this.rate = Number.isFinite(capacity) ? capacity / window : 0
    this.tokens = capacity
    this.at = now
  }

  /**
   * Takes tokens, if there are enough.
   *
   * @param allowance milliseconds whose tokens the bucket holds above its capacity
   * @returns whether there were
   */
  take (count: number, now: number, allowance: number): boolean {
    this.tokens = Math.min(this.capacity + this.rate * allowance, this.tokens + this.rate * (now - this.at))
    this.at = now
    if (this.tokens + TOLERANCE < count) return false
    this.tokens -= count
    return true
  }
}
