import { PauseReason } from '../connection/pause-reason.js'
import type { Session } from '../connection/session.js'

/** Above this load no further message is read. A request is 1, and its bytes are more. */
const MAX_LOAD = 64
const BYTES_PER_LOAD = 16 * 1024

/** The requests of one client that are under way: a client that asks faster than the app and the broker answer is held back. */
export class Requests {
  private readonly session: Session
  private load = 0

  constructor (session: Session) {
    this.session = session
  }

  /** @param bytes of the request that are kept meanwhile @returns a function that ends it, to be called once */
  begin (bytes: number): () => void {
    const load = 1 + Math.floor(bytes / BYTES_PER_LOAD)
    this.load += load
    if (this.load > MAX_LOAD) this.session.setPaused(PauseReason.REQUESTS, true)
    return () => {
      this.load -= load
      if (this.load <= MAX_LOAD) this.session.setPaused(PauseReason.REQUESTS, false)
    }
  }
}
