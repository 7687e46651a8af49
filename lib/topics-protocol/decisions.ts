import type { Session } from '../connection/session.js'
import { createError } from '../errors.js'
import { isThenable, toPromise } from '../thenable.js'
import type { Deadlines } from '../topics/deadlines.js'

/** The questions to the app that one connection waits for. */
export class Decisions {
  private readonly session: Session
  private readonly limit: Deadlines
  /** Functions that end the time limits. */
  private readonly waiting = new Set<() => void>()
  private isOver = false

  constructor (session: Session, limit: Deadlines) {
    this.session = session
    this.limit = limit
  }

  /** Calls a function of the app, which may be asynchronous. @returns a promise that settles behind the result, if it is */
  ask<T> (decide: () => T, then: (decision: Awaited<T>) => void, otherwise: (error: unknown) => void): Promise<void> | undefined {
    let decision: T
    try {
      decision = this.session.run(undefined, decide)
    } catch (error) {
      otherwise(error)
      return undefined
    }
    if (isThenable(decision)) return this.await(toPromise(decision) as Promise<Awaited<T>>).then(then, otherwise)
    then(decision as Awaited<T>)
    return undefined
  }

  /** The connection is over: nobody waits any more, and a timer would keep the process. */
  end (): void {
    this.isOver = true
    for (const end of this.waiting) end()
    this.waiting.clear()
  }

  private await<T> (decision: Promise<T>): Promise<T> {
    // Messages of a client that has left are published all the same.
    if (this.isOver) return decision
    return new Promise<T>((resolve, reject) => {
      const end = this.limit.add(() => {
        this.waiting.delete(end)
        reject(createError('FST_WS_ERR_POLICY', 'the app did not decide in time'))
      })
      this.waiting.add(end)
      decision.then(resolve, reject).finally(() => {
        this.waiting.delete(end)
        end()
      })
    })
  }
}
