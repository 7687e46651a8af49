import { decodeText } from '../protocol/text.js'
import { holdMessage, MAX_HELD, type HeldMessage } from './held-message.js'
import type { Mailbox, Subscriber } from './mailbox.js'

/** A message that nobody has asked for yet. */
interface Queued {
  readonly held: HeldMessage
  /** The value that a `json` listener gets. */
  readonly parsed: unknown
}

interface Waiter<T> {
  resolve: (result: IteratorResult<T>) => void
  reject: (error: Error) => void
}

/** The view of a connection that `for await` gets: pulls messages, and holds the peer back while the loop is busy. */
export class MessageIterator<T> implements AsyncIterableIterator<T> {
  readonly #view: IteratorView<T>

  /** @param kind whose listeners get what the loop gets */
  constructor (mailbox: Mailbox, kind: 'message' | 'json') {
    this.#view = new IteratorView(mailbox, kind)
    mailbox.subscribe(this.#view)
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  next (): Promise<IteratorResult<T>> {
    return this.#view.next()
  }

  /** The loop exited early: unread messages wait for the next reader, and the connection stays open. */
  return (): Promise<IteratorResult<T>> {
    this.#view.leave()
    return Promise.resolve({ value: undefined, done: true })
  }
}

class IteratorView<T> implements Subscriber {
  readonly kind: 'message' | 'json'
  private readonly mailbox: Mailbox
  private queue: Queued[] = []
  private readonly waiters: Waiter<T>[] = []
  private queuedBytes = 0
  private isFull = false
  private isDone = false
  private error: Error | null = null

  constructor (mailbox: Mailbox, kind: 'message' | 'json') {
    this.mailbox = mailbox
    this.kind = kind
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

  leave (): void {
    const unread = this.queue.map(({ held }) => held)
    this.queue = []
    this.onClose()
    this.mailbox.unsubscribe(this, unread)
    this.makeRoom()
  }

  receive (data: Buffer, isBinary: boolean, parsed: unknown): void {
    const message = { held: holdMessage(data, isBinary, this.queue.at(-1)?.held), parsed }
    const waiter = this.waiters.shift()
    if (waiter !== undefined) return waiter.resolve({ value: this.toValue(message), done: false })
    this.queue.push(message)
    this.queuedBytes += message.held.cost
    if (this.isFull || this.queuedBytes <= MAX_HELD) return
    this.isFull = true
    this.mailbox.viewIsFull()
  }

  onError (error: Error): void {
    this.error = error
  }

  onClose (): void {
    this.isDone = true
    for (const waiter of this.waiters.splice(0)) {
      if (this.error !== null) waiter.reject(this.error)
      else waiter.resolve({ value: undefined, done: true })
      this.error = null
    }
  }

  private makeRoom (): void {
    if (!this.isFull) return
    this.isFull = false
    this.mailbox.viewHasRoom()
  }

  /** Text is decoded when it is asked for: it would take as much memory again. */
  private toValue ({ held: { data, isBinary }, parsed }: Queued): T {
    return (this.kind === 'json' ? parsed : isBinary ? data : decodeText(data)) as T
  }
}
