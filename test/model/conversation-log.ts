import type { WebSocketConnection } from '../../types/connection.js'
import { Delivery, type Message } from './delivery.js'
import type { Conversation } from './plan.js'
import type { RunLog } from './run-log.js'

export type WireEvent =
  | { type: 'message', bytes: Buffer, isBinary: boolean }
  | { type: 'ping' | 'pong', bytes: Buffer }

/** The frames that the app has sent on a connection, in order. */
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
  /** Whether the client's library echoed the Close frame by itself: then the `close` event may have another reason. */
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
  /** The status of the response to the handshake. */
  status: number | null = null
  /** The body of a response that refused the handshake. */
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
  /** The arguments of the first call of `close` on the open connection. */
  appClose: Closing | null = null
  /** Other contents that the app's Close frame may have. */
  readonly otherCloses: Closing[] = []
  readonly closeEvents: Closing[] = []
  readonly errorEvents: Error[] = []
  /** The chunks read from a stream, if the app uses one: they come after all other messages. */
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

  // The numbers of listeners.
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
    // Messages that only the observer received are not delivered again.
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

  /** Unheard messages are dropped once the handler has settled, and may be dropped while the connection closes. */
  private noteAudience (): void {
    if (this.primaries > 0) return
    if (this.isSettled || this.observers > 0) this.delivery.allowGap()
    const { connection } = this
    if (connection !== null && connection.readyState !== connection.OPEN) this.allowMissingTail('closing while nobody listened')
  }
}
