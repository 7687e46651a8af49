import type { WebSocketConnection } from '../../types/connection.js'
import { Delivery, type Message } from './delivery.js'
import type { Conversation } from './plan.js'
import type { RunLog } from './run-log.js'

export type WireEvent =
  | { type: 'message', bytes: Buffer, isBinary: boolean }
  | { type: 'ping' | 'pong', bytes: Buffer }

/** What the app has sent on a connection, in its order. */
export interface Outgoing {
  readonly events: WireEvent[]
  /** Whether the app is in the middle of a message. */
  isFragmenting: boolean
  conversation: ConversationLog | null
}

export interface Closing {
  readonly code: number
  readonly reason: string
}

/** The Close frame of a client. */
export interface ClientClose extends Closing {
  /** Whether it is in order that its reason is not what is told: a client of ours has answered by itself. */
  readonly isAutomatic?: boolean
}

export interface CallbackLog {
  readonly what: string
  readonly isRefused: boolean
  calls: (Error | null | undefined)[]
}

/** All that is known about one connection, from both its sides. */
export class ConversationLog {
  readonly run: RunLog
  readonly plan: Conversation

  // --- the client
  /** What the handshake was answered with. */
  status: number | null = null
  /** What came behind another status than the one that accepts. */
  refusal = ''
  readonly sent: Message[] = []
  readonly pings: Buffer[] = []
  /** How many of the messages were written to their end. */
  written = 0
  /** The Close frame that it sent. */
  clientClose: ClientClose | null = null
  /** How it left without one. */
  left: 'fin' | 'reset' | null = null
  readonly got: WireEvent[] = []
  gotClose: Closing | null = null
  /** Whether the server ended the transport, and did not break it off. */
  isCleanEnd = false
  /** Bytes behind the last whole frame. */
  leftover = 0
  clientIsOver = false

  // --- the app
  connection: WebSocketConnection | null = null
  outgoing: Outgoing | null = null
  readonly delivery: Delivery
  readonly callbacks: CallbackLog[] = []
  /** What the first call of `close` while the connection was open said. */
  appClose: Closing | null = null
  /** What else its Close frame may say. */
  readonly otherCloses: Closing[] = []
  readonly closeEvents: Closing[] = []
  readonly errorEvents: Error[] = []
  /** What came by a stream, if there is one: behind all else. */
  streamed: Buffer[] | null = null
  pingsHeard = 0
  owesDrain = false
  isTerminated = false
  /** Whether the handler's result will never settle. */
  neverSettles = false
  appIsOver = false
  /** When either side began to close, and when the last event came. */
  private closingAt = Infinity
  private overAt = 0
  private readonly whyTailMayMiss = new Set<string>()

  // Who listens.
  private primaries = 0
  private observers = 0
  private isSettled = false

  constructor (run: RunLog, plan: Conversation) {
    this.run = run
    this.plan = plan
    this.delivery = new Delivery(this.sent)
  }

  get name (): string {
    return `connection ${this.plan.id}`
  }

  tell (what: string): void {
    this.run.tell(this.name, what)
  }

  fault (what: string): void {
    this.run.fault(this.name, what)
  }

  /** The messages behind those that came may have been dropped, and the peer's Close frame with them. */
  allowMissingTail (why: string): void {
    this.whyTailMayMiss.add(why)
  }

  /** Whether somebody waits for `close`, or nobody is waited for. */
  get mustEmitClose (): boolean {
    return (this.isSettled && !this.neverSettles) || this.plan.app.closeListener !== 'never' || this.primaries > 0
  }

  /** Whether only the client can have begun to close. */
  get hasClientBegun (): boolean {
    return this.clientClose !== null && this.appClose === null && this.otherCloses.length === 0 && !this.run.isClosing && this.run.thrown.length === 0
  }

  get tailMayMiss (): boolean {
    return this.whyTailMayMiss.size > 0 || this.mayHaveTimedOut
  }

  /** On a machine that is busy, honest ones are too late as well. */
  get mayHaveTimedOut (): boolean {
    return this.overAt - this.closingAt > 0.6 * this.run.plan.closeTimeout
  }

  noteClosing (): void {
    this.closingAt = Math.min(this.closingAt, performance.now())
  }

  noteOver (): void {
    this.overAt = performance.now()
  }

  attach (isPrimary: boolean): void {
    this.noteAudience()
    if (isPrimary) this.primaries++
    else this.observers++
  }

  /** @param isOver whether there was nothing more to come */
  detach (isPrimary: boolean, isOver = false): void {
    // What the observer alone has heard is gone.
    if (!isPrimary) this.noteAudience()
    if (isPrimary) this.primaries--
    else this.observers--
    if (!isOver) this.noteAudience()
  }

  settle (): void {
    if (this.isSettled) return
    this.isSettled = true
    this.noteAudience()
  }

  /** What nobody listens to is dropped once the handler has settled; and what a closing connection has waiting may be. */
  private noteAudience (): void {
    if (this.primaries > 0) return
    if (this.isSettled || this.observers > 0) this.delivery.allowGap()
    const { connection } = this
    if (connection !== null && connection.readyState !== connection.OPEN) this.allowMissingTail('closing while nobody listened')
  }
}
