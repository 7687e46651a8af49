/** Ticks in the time that a reply may take. */
const TICKS = 5

interface Waiting {
  readonly tick: number
  reject (error: Error): void
}

/**
 * The commands of one connection that are not answered yet. A connection that does not answer one in time is dead, whatever TCP
 * says: `onStuck` is called once.
 */
export class Pending {
  readonly #timeout: number
  readonly #waiting = new Set<Waiting>()
  readonly #timer: NodeJS.Timeout
  readonly #probe: () => Promise<unknown>
  readonly #onStuck: (error: Error) => void
  #tick = 0
  #isEnded = false

  /** @param timeout milliseconds @param probe asks for an answer: it is called while nothing else does */
  constructor (timeout: number, probe: () => Promise<unknown>, onStuck: (error: Error) => void) {
    this.#timeout = timeout
    this.#probe = probe
    this.#onStuck = onStuck
    this.#timer = setInterval(() => this.#onTick(), timeout / TICKS).unref()
  }

  /** Waits for the reply, and no longer than the connection lives. */
  track<T> (reply: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { tick: this.#tick, reject }
      this.#waiting.add(waiting)
      reply.then(
        value => {
          this.#waiting.delete(waiting)
          resolve(value)
        },
        (error: Error) => {
          this.#waiting.delete(waiting)
          reject(error)
        }
      )
      if (this.#isEnded) reject(new Error('the connection was closed'))
    })
  }

  /** The connection has ended. */
  end (error: Error): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearInterval(this.#timer)
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  #onTick (): void {
    this.#tick++
    if (this.#waiting.size === 0 && this.#tick % TICKS === 0) this.track(this.#probe()).catch(() => {})
    // Replies that came while the event loop was blocked are read first.
    if (this.#isLate) setImmediate(() => setImmediate(() => this.#judge()))
  }

  /** Whether the oldest command has waited too long. They are in the order in which they were sent. */
  get #isLate (): boolean {
    const [oldest] = this.#waiting
    return oldest !== undefined && this.#tick - oldest.tick > TICKS
  }

  #judge (): void {
    if (!this.#isEnded && this.#isLate) this.#onStuck(new Error(`Redis has not answered for ${this.#timeout} ms`))
  }
}
