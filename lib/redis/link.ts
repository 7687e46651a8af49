import { Pauses } from '../pauses.js'

/** A connection that a link opens. */
interface Destroyable {
  destroy (): void
}

/** Functions that a link calls, one after the other. */
export interface LinkEvents<Opened> {
  /** Opens a connection. @param broken is to be called when it breaks */
  open (broken: (error: Error) => void): Promise<Opened>
  /** Makes the connection ready for use. A rejection breaks it. */
  prepare (opened: Opened): Promise<void>
  /** It can be used: it is that of `link.opened`. */
  up (): void
  down (error: Error): void
}

/** Keeps one connection open: when it breaks it opens another one, after a pause that grows. */
export class Link<Opened extends Destroyable> {
  /** The connection, when it can be used. */
  opened: Opened | null = null
  #current: Opened | null = null
  #state: 'idle' | 'opening' | 'up' | 'waiting' | 'closed' = 'idle'
  readonly #pauses = new Pauses({ first: 50, most: 2_000, jitter: 0.5 })
  /** Why the connection broke that is being set up. */
  #cause: Error | null = null
  #timer: NodeJS.Timeout | undefined
  readonly #events: LinkEvents<Opened>

  constructor (events: LinkEvents<Opened>) {
    this.#events = events
  }

  /** Opens the first connection. Rejects if that fails, and does not try again. */
  async start (): Promise<void> {
    try {
      await this.#open()
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Opens connections until one is up, and from then on. */
  keep (): void {
    this.#open().catch(() => this.#again())
  }

  /** Ends a connection that seems to be dead, as if it had broken. */
  break (error: Error): void {
    if (this.#current !== null) this.#broken(this.#current, error)
  }

  close (): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.opened = null
    const current = this.#current
    this.#current = null
    current?.destroy()
  }

  async #open (): Promise<void> {
    this.#state = 'opening'
    let opened: Opened | null = null
    let cause: Error | null = null
    try {
      opened = await this.#events.open(error => {
        cause ??= error
        if (opened !== null) this.#broken(opened, error)
      })
      if (this.#isClosed || cause !== null) throw new Error('the connection was closed')
      this.#current = opened
      await this.#events.prepare(opened)
      if (this.#current !== opened) throw new Error('the connection was closed')
    } catch (error) {
      this.#current = null
      opened?.destroy()
      const reason = cause ?? this.#cause ?? error as Error
      this.#cause = null
      if (!this.#isClosed) this.#events.down(reason)
      throw reason
    }
    this.opened = opened
    this.#state = 'up'
    this.#pauses.reset()
    this.#events.up()
  }

  get #isClosed (): boolean {
    return this.#state === 'closed'
  }

  #broken (opened: Opened, error: Error): void {
    if (this.#current !== opened) return
    this.#current = null
    this.opened = null
    opened.destroy()
    if (this.#state === 'up') {
      this.#events.down(error)
      this.#again()
    } else {
      // It is being set up: that rejects, since whatever it waits for is answered no longer.
      this.#cause = error
      this.#events.down(error)
    }
  }

  #again (): void {
    if (this.#isClosed) return
    this.#state = 'waiting'
    this.#timer = setTimeout(() => this.keep(), this.#pauses.next())
  }
}
