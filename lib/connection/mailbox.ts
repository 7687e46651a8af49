import type { WebSocketConnection } from '../../types/connection.js'
import type { BinaryType } from '../../types/messages.js'
import type { InvalidMessageError, WebSocketError } from '../errors.js'
import { takesString } from './dom-events.js'
import { holdMessage, MAX_HELD, type HeldMessage } from './held-message.js'
import type { JsonMessages, Validation } from './json-messages.js'
import { decodeText, encodeText } from '../protocol/text.js'
import { PauseReason } from './pause-reason.js'

/** A view of the connection that gets its messages besides the listeners: a loop or a stream. */
export interface Subscriber {
  /** All messages, or those that are JSON. */
  readonly kind: 'message' | 'json'
  /** @param parsed for `json` the value */
  receive (message: Buffer, isBinary: boolean, parsed: unknown): void
  onError (error: Error): void
  /** Nothing more will come. */
  onClose (): void
}

/** The connection that a mailbox belongs to. */
export interface MailboxOwner {
  readonly connection: WebSocketConnection
  readonly json: JsonMessages
  /** Bits of `PauseReason`. */
  readonly pauseReasons: number
  /** Whether the socket is closed. */
  readonly isClosed: boolean
  /** Whether the app wants to hear of the end. */
  readonly isCloseAwaited: boolean
  /** Whether messages may still be delivered. */
  readonly mayDeliver: boolean
  /** Calls code of the app, and reports what it throws. */
  call<Args extends unknown[]> (thisArg: unknown, fn: (...args: Args) => unknown, ...args: Args): void
  emit (event: 'json' | 'text', message: unknown): void
  emitMessage (data: unknown, isBinary: boolean): void
  /** Adds or removes reasons not to read, and reads accordingly. */
  setPaused (reason: number, isPaused: boolean): void
  onInvalidMessage (error: InvalidMessageError, data: Buffer): void
  reportFailure (error: WebSocketError): void
  reportThrown (error: unknown): void
  /** Emits `close`. */
  emitClose (): void
}

/** As what messages have ever been listened for, besides `message`; and whether a listener of `message` takes text as bytes. */
const Heard = { JSON: 1, TEXT: 2, BYTES: 4 } as const
const CONVERTED = Heard.JSON | Heard.TEXT

/** Messages that wait. */
interface Queue {
  messages: HeldMessage[]
  /** The cost of the messages that wait. */
  bytes: number
  /** Whether they are being delivered. */
  isDelivering: boolean
  /** The failure that is to be reported behind them. */
  failure: WebSocketError | null
}

/**
 * The messages of a connection on their way to listeners, loops and streams. They wait, in order and bounded, while the
 * handler runs and nobody listens; an error and `close` follow the messages that came before them.
 */
export class Mailbox {
  binaryType: BinaryType = 'nodebuffer'
  private readonly owner: MailboxOwner
  /** Whether the handler has settled: then messages wait for nobody. */
  private isHandlerDone = false
  /** `shut`: later messages are dropped. `over`: `close` was emitted, and nothing more will be. */
  private stage: 'open' | 'shut' | 'over' = 'open'
  private queue: Queue | null = null
  /** Replaced when it changes, so that it may change while it is gone through. */
  private subscribers: readonly Subscriber[] | null = null
  private fullViews = 0
  /** Bits of `Heard`: connections without listeners for JSON or strings pay nothing for them. */
  private heard = 0

  constructor (owner: MailboxOwner) {
    this.owner = owner
  }

  /** Whether somebody hears messages, or messages have nobody to wait for. */
  get isHeard (): boolean {
    if (this.isHandlerDone || this.subscribers !== null) return true
    const { connection } = this.owner
    return connection.listenerCount('message') > 0 || connection.listenerCount('json') > 0 || connection.listenerCount('text') > 0
  }

  /** Whether `close` was emitted. */
  get isOver (): boolean {
    return this.stage === 'over'
  }

  /** Whether a loop or a stream holds the peer back. */
  get hasFullView (): boolean {
    return this.fullViews > 0
  }

  // --- what comes in

  /** Delivers a message, or keeps it. */
  receive (data: Buffer, isBinary: boolean): void {
    if (this.stage !== 'open') return
    if (this.queue === null && this.isReady) return this.emitMessage(data, isBinary)
    const queue = this.queue ??= newQueue()
    const message = holdMessage(data, isBinary, queue.messages.at(-1))
    queue.messages.push(message)
    queue.bytes += message.cost
    this.updatePaused()
  }

  /** Whether the next message is delivered at once, and all who hear it want text as a string. */
  get takesStrings (): boolean {
    if ((this.heard & (Heard.BYTES | Heard.JSON)) !== 0 || this.subscribers !== null || this.queue !== null || this.stage !== 'open') return false
    const { connection } = this.owner
    return this.isReady && (connection.listenerCount('text') > 0 || connection.listenerCount('message') > 0)
  }

  /** Delivers a text, when `takesStrings` says so. */
  receiveText (text: string): void {
    const { owner } = this
    owner.emitMessage(text, false)
    // A listener may have added a loop, or listeners that need the bytes.
    if (this.subscribers !== null || (this.heard & Heard.JSON) !== 0) this.emitFurther(encodeText(text), false)
    else if (owner.mayDeliver && owner.connection.listenerCount('text') > 0) owner.emit('text', text)
  }

  /** Reports a failure of the connection, behind the messages that came before it. */
  fail (error: WebSocketError): void {
    const { queue } = this
    if (queue !== null && (queue.messages.length > 0 || queue.isDelivering)) queue.failure = error
    else this.report(error)
  }

  /** Drops what waits, and takes nothing more. */
  shut (): void {
    if (this.stage === 'open') this.stage = 'shut'
    const { queue } = this
    if (queue === null) return
    queue.messages = []
    queue.bytes = 0
    this.updatePaused()
  }

  /** The handler has settled, and whoever listens does so now. */
  handlerSettled (): void {
    this.isHandlerDone = true
    this.deliver()
  }

  /** The socket is closed. @returns whether messages still wait */
  socketClosed (): boolean {
    if (this.queue === null || this.queue.messages.length === 0) {
      this.conclude()
      return false
    }
    // The rest is bounded: views take it, however much they contain.
    if (this.fullViews > 0) process.nextTick(deliver, this)
    return true
  }

  /** Nobody has asked for the messages that wait. */
  giveUp (): void {
    this.shut()
    this.conclude()
  }

  // --- who hears it

  /** A listener was added. Delivery starts in the next tick, so that others added in this one hear everything too. */
  listenerAdded (event: string | symbol): void {
    if (this.stage === 'over') return
    if (event === 'json') this.heard |= Heard.JSON
    else if (event === 'text') this.heard |= Heard.TEXT
    const isForMessages = event === 'message' || event === 'json' || event === 'text'
    if (isForMessages ? this.queue !== null || this.owner.isClosed : event === 'close' && this.owner.isClosed && this.queue === null) {
      process.nextTick(deliver, this)
    }
  }

  messageListenersChanged (listeners: readonly unknown[]): void {
    if (listeners.every(takesString)) this.heard &= ~Heard.BYTES
    else this.heard |= Heard.BYTES
  }

  /** Adds a view. When everything is over it gets what another view has left, and its end. */
  subscribe (subscriber: Subscriber): void {
    if (subscriber.kind === 'json') this.heard |= Heard.JSON
    if (this.stage === 'over') return this.handOver(subscriber)
    this.subscribers = [...this.subscribers ?? [], subscriber]
    if (this.queue !== null || this.owner.isClosed) process.nextTick(deliver, this)
  }

  /** @param unread messages that the view has not given to its reader: if nobody else hears messages, they wait again */
  unsubscribe (subscriber: Subscriber, unread: HeldMessage[]): void {
    const others = this.subscribers?.filter(other => other !== subscriber)
    this.subscribers = others === undefined || others.length === 0 ? null : others
    if (unread.length === 0 || this.isHeard || this.stage === 'shut') return
    const queue = this.queue ??= newQueue()
    queue.messages = [...unread, ...queue.messages]
    for (const message of unread) queue.bytes += message.cost
    this.updatePaused()
  }

  private handOver (subscriber: Subscriber): void {
    const left = this.queue?.messages ?? []
    this.queue = null
    for (const { data, isBinary } of left) {
      // Nothing can be done any more about a message that is not valid.
      const read = subscriber.kind === 'json' ? this.owner.json.read(data, isBinary) : { value: undefined }
      if ('value' in read) subscriber.receive(data, isBinary, read.value)
    }
    subscriber.onClose()
  }

  /** A view contains more than it should: the peer is held back until `viewHasRoom`. */
  viewIsFull (): void {
    if (this.fullViews++ === 0) this.owner.setPaused(PauseReason.VIEW, true)
  }

  viewHasRoom (): void {
    if (--this.fullViews === 0) process.nextTick(makeRoom, this)
  }

  /** @internal */
  _makeRoom (): void {
    this.deliver()
    this.owner.setPaused(PauseReason.VIEW, this.fullViews > 0)
  }

  // --- delivery

  /** Whether a message may be delivered now. */
  private get isReady (): boolean {
    const { owner } = this
    return (owner.pauseReasons & PauseReason.APP) === 0 && this.isHeard && (this.fullViews === 0 || owner.isClosed)
  }

  /** Delivers the messages that wait, as far as somebody hears them, and behind them the failure and `close`. */
  deliver (): void {
    const { queue } = this
    if (this.stage === 'over') {
      // Nothing is emitted after `close`. While the handler runs, the next iterator or stream gets what a loop left unread.
      if (this.isHandlerDone) this.queue = null
      return
    }
    if (queue !== null) {
      // A listener that is called from here may lead here again: the handler may settle.
      if (queue.isDelivering) return
      queue.isDelivering = true
      while (queue.messages.length > 0 && this.isReady) {
        const message = queue.messages.shift()!
        queue.bytes -= message.cost
        this.emitMessage(message.data, message.isBinary)
      }
      queue.isDelivering = false
      if (queue.messages.length > 0) return this.updatePaused()
    }
    this.conclude()
    this.updatePaused()
  }

  /** No message waits any more. */
  private conclude (): void {
    const { queue } = this
    this.queue = null
    if (queue !== null && queue.failure !== null) this.report(queue.failure)
    // `close` too waits, until the handler has settled or somebody listens.
    if (!this.owner.isClosed || this.stage === 'over' || !(this.isHeard || this.owner.isCloseAwaited)) return
    this.stage = 'over'
    this.owner.emitClose()
    for (const subscriber of this.subscribers ?? []) this.owner.call(subscriber, subscriber.onClose)
  }

  private report (error: WebSocketError): void {
    for (const subscriber of this.subscribers ?? []) this.owner.call(subscriber, subscriber.onError, error)
    this.owner.reportFailure(error)
  }

  private updatePaused (): void {
    this.owner.setPaused(PauseReason.MAILBOX, this.queue !== null && this.queue.bytes > MAX_HELD)
  }

  private emitMessage (data: Buffer, isBinary: boolean): void {
    const { owner } = this
    owner.emitMessage(isBinary && this.binaryType !== 'nodebuffer' ? convert(data, this.binaryType) : data, isBinary)
    if (this.subscribers !== null || (this.heard & CONVERTED) !== 0) this.emitFurther(data, isBinary)
  }

  /** Delivers a message to all but the listeners of `message`. */
  private emitFurther (data: Buffer, isBinary: boolean): void {
    const { owner } = this
    if (this.subscribers !== null) this.give('message', data, isBinary, undefined)
    if ((this.heard & CONVERTED) !== 0 && owner.mayDeliver) owner.call(this, this.emitConverted, data, isBinary)
  }

  private give (kind: Subscriber['kind'], data: Buffer, isBinary: boolean, parsed: unknown): void {
    for (const subscriber of this.subscribers ?? []) {
      if (subscriber.kind === kind) this.owner.call(subscriber, subscriber.receive, data, isBinary, parsed)
    }
  }

  private isHeardAs (kind: Subscriber['kind']): boolean {
    return this.owner.connection.listenerCount(kind) > 0 || this.subscribers?.some(subscriber => subscriber.kind === kind) === true
  }

  private emitConverted (data: Buffer, isBinary: boolean): void {
    if ((this.heard & Heard.TEXT) !== 0 && !isBinary && this.owner.connection.listenerCount('text') > 0) this.owner.emit('text', decodeText(data))
    if ((this.heard & Heard.JSON) !== 0 && this.owner.mayDeliver) this.emitJson(data, isBinary)
  }

  private emitJson (data: Buffer, isBinary: boolean): void {
    // Binary messages are for other listeners, if there are any.
    if (!this.isHeardAs('json') || (isBinary && this.isHeardAs('message'))) return
    const read: Validation = this.owner.json.read(data, isBinary)
    if ('error' in read) return this.owner.onInvalidMessage(read.error, data)
    this.owner.emit('json', read.value)
    this.give('json', data, isBinary, read.value)
  }
}

function newQueue (): Queue {
  return { messages: [], bytes: 0, isDelivering: false, failure: null }
}

function deliver (mailbox: Mailbox): void {
  mailbox.deliver()
}

function makeRoom (mailbox: Mailbox): void {
  mailbox._makeRoom()
}

function convert (data: Buffer, type: BinaryType): unknown {
  if (type === 'fragments') return [data]
  if (type === 'blob') return new Blob([data])
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.length)
}
