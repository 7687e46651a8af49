interface Deadline {
  readonly at: number
  /** `null` once it is over. */
  callback: (() => void) | null
}

/** Many waits of the same length, with one timer: they end in the order in which they began. */
export class Deadlines {
  /** Milliseconds. */
  readonly timeout: number
  private queue: Deadline[] = []
  private head = 0
  private timer: NodeJS.Timeout | null = null

  /** @param timeout milliseconds of each wait */
  constructor (timeout: number) {
    this.timeout = timeout
  }

  /** @returns a function that ends the wait */
  add (callback: () => void): () => void {
    const deadline: Deadline = { at: performance.now() + this.timeout, callback }
    this.queue.push(deadline)
    this.timer ??= setTimeout(this.expire, this.timeout)
    return () => {
      deadline.callback = null
      this.trim()
    }
  }

  private trim (): void {
    const { queue } = this
    while (this.head < queue.length && queue[this.head]!.callback === null) this.head++
    if (this.head === queue.length) {
      this.queue = []
      this.head = 0
      if (this.timer !== null) clearTimeout(this.timer)
      this.timer = null
    } else if (this.head > 1024 && this.head * 2 > queue.length) {
      this.queue = queue.slice(this.head)
      this.head = 0
    }
  }

  private readonly expire = (): void => {
    this.timer = null
    const now = performance.now()
    while (this.head < this.queue.length) {
      const deadline = this.queue[this.head]!
      // Timers fire up to a millisecond early.
      if (deadline.callback !== null && deadline.at > now + 1) break
      this.head++
      const { callback } = deadline
      deadline.callback = null
      callback?.()
    }
    this.trim()
    const next = this.queue[this.head]
    if (next !== undefined) this.timer ??= setTimeout(this.expire, Math.max(1, next.at - now))
  }
}
