/** Ticks in the time that a reply may take. */
const TICKS = 5

interface Waiting {
  readonly tick: number
  reject (error: Error): void
}

const same = (error: Error): Error => error

/**
 * The commands of one connection that are not answered yet. A connection on which no answer comes in time is dead, whatever TCP
 * says: `onStuck` is called once.
 */
export class Pending {
  readonly #timeout: number
  readonly #waiting = new Set<Waiting>()
  readonly #timer: NodeJS.Timeout
  readonly #probe: () => Promise<unknown>
  readonly #onStuck: (error: Error) => void
  readonly #isOneLine: boolean
  #tick = 0
  /** When the last answer came. */
  #answered = 0
  #isEnded = false

  /**
   * @param timeout milliseconds
   * @param isOneLine answers come in the order of the commands: while they come, a long queue is no sign of death. In a cluster,
   *   one node may be dead while others answer: there each command counts by itself
   * @param probe asks for an answer: it is called while nothing else does
   */
  constructor (timeout: number, isOneLine: boolean, probe: () => Promise<unknown>, onStuck: (error: Error) => void) {
    this.#isOneLine = isOneLine
    this.#timeout = timeout
    this.#probe = probe
    this.#onStuck = onStuck
    this.#timer = setInterval(() => this.#onTick(), timeout / TICKS).unref()
  }

  /** Waits for the reply, and no longer than the connection lives. @param explain makes the error with which the result rejects of that of the reply */
  track<T> (reply: Promise<T>, explain: (error: Error) => Error = same): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(explain(error))
      const waiting: Waiting = { tick: this.#tick, reject: fail }
      this.#waiting.add(waiting)
      reply.then(
        value => {
          this.#settle(waiting)
          resolve(value)
        },
        (error: Error) => {
          this.#settle(waiting)
          fail(error)
        }
      )
      if (this.#isEnded) fail(new Error('the connection was closed'))
    })
  }

  #settle (waiting: Waiting): void {
    this.#waiting.delete(waiting)
    this.#answered = this.#tick
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
    if (oldest === undefined) return false
    return this.#tick - (this.#isOneLine ? Math.max(oldest.tick, this.#answered) : oldest.tick) > TICKS
  }

  #judge (): void {
    if (!this.#isEnded && this.#isLate) this.#onStuck(new Error(`Redis has not answered for ${this.#timeout} ms`))
  }
}
