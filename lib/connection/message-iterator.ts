import type { WebSocketConnection } from '../../types/connection.js'
import { decodeText } from '../protocol/text.js'
import { holdMessage, MAX_HELD, type HeldMessage } from './held-message.js'
import type { JsonMessages } from './json-messages.js'

/** A connection that takes back what was not asked for. */
interface HoldingConnection extends WebSocketConnection {
  /** Whether it has already emitted its last event. */
  readonly _isOver: boolean
  /** The bytes of the message, if it is emitted in another form. */
  readonly _converted: Buffer | null
  readonly _json: JsonMessages
  _viewIsFull (): void
  _viewHasRoom (): void
  _giveBack (messages: HeldMessage[]): void
  _takeHeld (): HeldMessage[]
}

/** What nobody has asked for yet. */
interface Queued {
  readonly held: HeldMessage
  /** What a `json` listener gets. */
  readonly parsed: unknown
}

interface Waiter<T> {
  resolve: (result: IteratorResult<T>) => void
  reject: (error: Error) => void
}

/** The view of a connection that `for await` gets: pulls messages, and holds the peer back while the loop is busy. */
export class MessageIterator<T> implements AsyncIterableIterator<T> {
  private readonly connection: HoldingConnection
  private readonly event: 'message' | 'json'
  private queue: Queued[] = []
  private readonly waiters: Waiter<T>[] = []
  private queuedBytes = 0
  private isFull = false
  private isDone = false
  private error: Error | null = null

  /** @param event whose listeners get what the loop gets */
  constructor (connection: HoldingConnection, event: 'message' | 'json') {
    this.connection = connection
    this.event = event
    if (connection._isOver) {
      this.queue = connection._takeHeld().flatMap(held => this.readHeld(held))
      this.isDone = true
      return
    }
    // First of all listeners: one that throws keeps the event from those behind it.
    connection.prependListener(event, this.onMessage)
    connection.prependListener('error', this.onError)
    connection.prependListener('close', this.onClose)
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  next (): Promise<IteratorResult<T>> {
    const message = this.queue.shift()
    if (message !== undefined) {
      this.queuedBytes -= message.held.cost
      if (this.queue.length === 0) this.makeRoom()
      return Promise.resolve({ value: this.toValue(message), done: false })
    }
    if (this.error !== null) {
      const { error } = this
      this.error = null
      return Promise.reject(error)
    }
    if (this.isDone) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject })
    })
  }

  /** The loop was left: the messages it has not asked for are for who comes next, and the connection stays open. */
  return (): Promise<IteratorResult<T>> {
    const unread = this.queue.map(({ held }) => held)
    this.queue = []
    this.finish()
    this.connection._giveBack(unread)
    this.makeRoom()
    return Promise.resolve({ value: undefined, done: true })
  }

  private readonly onMessage = (given: unknown, isBinary = false): void => {
    const held = holdMessage(this.connection._converted ?? given as Buffer, isBinary, this.queue.at(-1)?.held)
    const message = { held, parsed: this.event === 'json' ? given : undefined }
    const waiter = this.waiters.shift()
    if (waiter !== undefined) return waiter.resolve({ value: this.toValue(message), done: false })
    this.queue.push(message)
    this.queuedBytes += held.cost
    if (!this.isFull && this.queuedBytes > MAX_HELD) {
      this.isFull = true
      this.connection._viewIsFull()
    }
  }

  private makeRoom (): void {
    if (!this.isFull) return
    this.isFull = false
    this.connection._viewHasRoom()
  }

  private readonly onError = (error: Error): void => {
    this.error = error
  }

  private readonly onClose = (): void => {
    this.finish()
  }

  private finish (): void {
    this.isDone = true
    this.connection.off(this.event, this.onMessage)
    this.connection.off('error', this.onError)
    this.connection.off('close', this.onClose)
    for (const waiter of this.waiters.splice(0)) {
      if (this.error !== null) waiter.reject(this.error)
      else waiter.resolve({ value: undefined, done: true })
      this.error = null
    }
  }

  /** Text is decoded when it is asked for: it would take as much memory again. */
  private toValue ({ held: { data, isBinary }, parsed }: Queued): T {
    return (this.event === 'json' ? parsed : isBinary ? data : decodeText(data)) as T
  }

  /** There is nobody any more to be told of what is not valid. */
  private readHeld (held: HeldMessage): Queued[] {
    if (this.event === 'message') return [{ held, parsed: undefined }]
    const read = this.connection._json.read(held.data, held.isBinary)
    return 'value' in read ? [{ held, parsed: read.value }] : []
  }
}
