import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection } from '../../types/connection.js'
import { ConversationLog, type Outgoing } from './conversation-log.js'
import type { Plan } from './plan.js'

/** A message that somebody has got, and keeps: it has to be the same at the end. */
export interface Kept {
  readonly data: Buffer | ArrayBuffer | Blob
  /** One of these: of a Blob only the size is known when it comes. */
  readonly expected: readonly Buffer[]
  readonly what: string
}

/** All that is known about a run, and all that was found wrong with it. */
export class RunLog {
  readonly plan: Plan
  readonly faults: string[] = []
  readonly trace: string[] = []
  readonly conversations: readonly ConversationLog[]
  app!: FastifyInstance
  /** The values that the app threw or rejected with, and the errors that the `errorHandler` or the log received. */
  readonly thrown: unknown[] = []
  readonly reported: Error[] = []
  readonly kept: Kept[] = []
  /** Whether somebody has closed the server or the app. */
  isClosing = false
  /** Each resolves when one of them is done. */
  readonly closings: Promise<void>[] = []
  private readonly outgoing = new WeakMap<WebSocketConnection, Outgoing>()
  private readonly startedAt = performance.now()

  constructor (plan: Plan) {
    this.plan = plan
    this.conversations = plan.conversations.map(conversation => new ConversationLog(this, conversation))
  }

  tell (who: string, what: string): void {
    this.trace.push(`${(performance.now() - this.startedAt).toFixed(1).padStart(8)} ${who}: ${what}`)
  }

  fault (who: string, what: string): void {
    this.tell(who, `FAULT: ${what}`)
    this.faults.push(`${who}: ${what}`)
  }

  /** The frames sent on a connection, which may get broadcasts before its handler is called. */
  outgoingOf (connection: WebSocketConnection): Outgoing {
    let outgoing = this.outgoing.get(connection)
    if (outgoing === undefined) this.outgoing.set(connection, outgoing = { events: [], isFragmenting: false, conversation: null })
    return outgoing
  }

  /** An error, or what is none, for the app to throw. */
  makeThrown (isError: boolean): unknown {
    const words = `thrown ${this.thrown.length}`
    const thrown = isError ? new Error(words) : words
    this.thrown.push(thrown)
    return thrown
  }
}
