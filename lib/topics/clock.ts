/** The time, and what happens later: tests have one of their own. */
export interface Clock {
  /** Milliseconds; it never goes back. */
  now (): number
  /** Calls a function later, without keeping the process alive. @returns a function that cancels it */
  later (milliseconds: number, callback: () => void): () => void
}

export const CLOCK: Clock = {
  now: () => performance.now(),
  later (milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds).unref()
    return () => clearTimeout(timer)
  }
}
