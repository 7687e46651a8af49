import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'

/** Node keeps the time of its documented `setTimeout` here. */
interface TimedSession extends ServerHttp2Session {
  readonly timeout?: number
}

class TrackedSession {
  private readonly session: TimedSession
  /** Session and socket end apart: that of a client that does not end it stays. */
  readonly socket: Socket
  private streams = 0
  private held = 0
  private timeout = 0
  private isClosing = false

  constructor (session: ServerHttp2Session, onClose: () => void) {
    this.session = session
    // The session shows a proxy of its socket, which can neither be kept nor destroyed.
    this.socket = session.socket.once('close', onClose) as Socket
  }

  get isIdle (): boolean {
    return this.streams === 0
  }

  add (stream: ServerHttp2Stream): void {
    this.streams++
    stream.once('close', () => { this.streams-- })
  }

  /** Suspends the timeout of the session while the stream is open. */
  hold (stream: ServerHttp2Stream): void {
    if (this.held++ === 0) {
      this.timeout = this.session.timeout ?? 0
      this.session.setTimeout(0)
    }
    stream.once('close', () => {
      if (--this.held > 0 || this.session.destroyed) return
      if (this.isClosing) this.session.close()
      else this.session.setTimeout(this.timeout)
    })
  }

  /** Not before the connections have said why: GOAWAY would overtake their Close frames. */
  close (): void {
    this.isClosing = true
    if (this.held === 0) this.session.close()
  }
}

/** The sessions of a server: how long they live, since they carry the connections. */
export class Http2Sessions {
  private readonly tracked = new Map<ServerHttp2Session, TrackedSession>()
  /** Called when there are no idle ones left. */
  private readonly waiting: (() => void)[] = []
  private isClosing = false

  add (session: ServerHttp2Session): void {
    // Its socket may have closed before it began.
    if (session.destroyed) return
    const tracked = new TrackedSession(session, () => {
      this.tracked.delete(session)
      if (!this.hasIdle) for (const resolve of this.waiting.splice(0)) resolve()
    })
    this.tracked.set(session, tracked)
    if (this.isClosing) tracked.close()
  }

  addStream (stream: ServerHttp2Stream): void {
    this.of(stream)?.add(stream)
  }

  hold (stream: ServerHttp2Stream): void {
    this.of(stream)?.hold(stream)
  }

  private of ({ session }: ServerHttp2Stream): TrackedSession | undefined {
    return session === undefined ? undefined : this.tracked.get(session as ServerHttp2Session)
  }

  private get hasIdle (): boolean {
    for (const { isIdle } of this.tracked.values()) if (isIdle) return true
    return false
  }

  /** Ends the sessions, each with its last connection and its last stream: before Node 24 the server would wait for them until they time out. */
  startClosing (): void {
    if (this.isClosing) return
    this.isClosing = true
    for (const session of this.tracked.values()) session.close()
  }

  /**
   * Resolves when all sessions without streams have ended. If a client does not read, or does not end its side, its
   * session is destroyed after `timeout` milliseconds.
   */
  async closed (timeout: number): Promise<void> {
    if (!this.hasIdle) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const { isIdle, socket } of this.tracked.values()) if (isIdle) socket.destroy()
        resolve()
      }, timeout)
      this.waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
