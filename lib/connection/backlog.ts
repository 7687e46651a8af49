/**
 * Bytes that queue up at the least before flow control holds a client back: a TCP window, or what an app may set as the
 * window of HTTP/2. A client that was not held back has sent all that it had.
 */
const HELD_BACK_FROM = 4 * 1024

/** Milliseconds in which a client that was held back sends more, once it may: a round trip with room to spare. */
const MORE_WITHIN = 1000

/** `turns` counts turns of the event loop; `expired` and `last` are two more behind the timer. */
type State = 'idle' | 'starting' | 'turns' | 'timer' | 'expired' | 'last'

/** Finds out when a connection has read all that queued up while the app held its client back. */
export class Backlog {
  private readonly onRead: () => void
  private state: State = 'idle'
  private bytes = 0
  private hasRead = false
  private immediate: NodeJS.Immediate | null = null
  private timer: NodeJS.Timeout | null = null

  /** @param onRead called once after each `watch` */
  constructor (onRead: () => void) {
    this.onRead = onRead
  }

  /** The app holds the client back from now on. */
  begin (): void {
    this.forget()
    this.bytes = 0
  }

  /** Reading has just begun again. */
  watch (): void {
    if (this.state !== 'idle') return
    // The socket is polled in the next turn of the event loop.
    this.enter('starting')
  }

  /** Reading has stopped: more may queue up. */
  forget (): void {
    this.enter('idle')
  }

  noteRead (bytes: number): void {
    this.bytes += bytes
    this.hasRead = true
  }

  private enter (state: State): void {
    if (this.immediate !== null) clearImmediate(this.immediate)
    if (this.timer !== null) clearTimeout(this.timer)
    this.immediate = this.timer = null
    if (state === 'timer') this.timer = setTimeout(step, MORE_WITHIN, this as Backlog).unref()
    else if (state !== 'idle') this.immediate = setImmediate(step, this as Backlog)
    this.state = state
    this.hasRead = false
  }

  /** @internal A turn of the loop has polled the socket, or the time is over. */
  _step (): void {
    if (this.state === 'starting' || this.hasRead) return this.enter('turns')
    if (this.state === 'turns' && this.bytes >= HELD_BACK_FROM) return this.enter('timer')
    // A loop that was blocked runs its timers before it polls the sockets, which may have more.
    if (this.state === 'timer') return this.enter('expired')
    if (this.state === 'expired') return this.enter('last')
    this.enter('idle')
    this.onRead()
  }
}

function step (backlog: Backlog): void {
  backlog._step()
}
