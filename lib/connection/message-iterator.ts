import type { WebSocketConnection } from '../../types/connection.js'
import { decodeText } from '../protocol/text.js'
import { holdMessage, MAX_HELD, type HeldMessage } from './held-message.js'

type Message = string | Buffer

/** A connection that takes back what was not asked for. */
interface HoldingConnection extends WebSocketConnection {
  /** Whether it has already emitted its last event. */
  readonly _isOver: boolean
  /** The bytes of the message, if `binaryType` has given it another form. */
  readonly _converted: Buffer | null
  _giveBack (messages: HeldMessage[]): void
  _takeHeld (): HeldMessage[]
}

interface Waiter {
  resolve: (result: IteratorResult<Message>) => void
  reject: (error: Error) => void
}

/** The view of a connection that `for await` gets: pulls messages, and holds the peer back while the loop is busy. */
export class MessageIterator implements AsyncIterableIterator<Message> {
  private readonly connection: HoldingConnection
  private queue: HeldMessage[] = []
  private readonly waiters: Waiter[] = []
  private queuedBytes = 0
  private isPausing = false
  private isDone = false
  private error: Error | null = null

  constructor (connection: HoldingConnection) {
    this.connection = connection
    if (connection._isOver) {
      this.queue = connection._takeHeld()
      this.isDone = true
      return
    }
    connection.on('message', this.onMessage)
    connection.on('error', this.onError)
    connection.on('close', this.onClose)
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  next (): Promise<IteratorResult<Message>> {
    const message = this.queue.shift()
    if (message !== undefined) {
      this.queuedBytes -= message.cost
      if (this.isPausing && this.queue.length === 0) {
        this.isPausing = false
        this.connection.resume()
      }
      return Promise.resolve({ value: toValue(message), done: false })
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
  return (): Promise<IteratorResult<Message>> {
    const unread = this.queue
    this.queue = []
    this.finish()
    this.connection._giveBack(unread)
    if (this.isPausing) this.connection.resume()
    this.isPausing = false
    return Promise.resolve({ value: undefined, done: true })
  }

  private readonly onMessage = (given: Buffer, isBinary: boolean): void => {
    const message = holdMessage(this.connection._converted ?? given, isBinary, this.queue.at(-1))
    const waiter = this.waiters.shift()
    if (waiter !== undefined) return waiter.resolve({ value: toValue(message), done: false })
    this.queue.push(message)
    this.queuedBytes += message.cost
    if (!this.isPausing && this.queuedBytes > MAX_HELD) {
      this.isPausing = true
      this.connection.pause()
    }
  }

  private readonly onError = (error: Error): void => {
    this.error = error
  }

  private readonly onClose = (): void => {
    this.finish()
  }

  private finish (): void {
    this.isDone = true
    this.connection.off('message', this.onMessage)
    this.connection.off('error', this.onError)
    this.connection.off('close', this.onClose)
    for (const waiter of this.waiters.splice(0)) {
      if (this.error !== null) waiter.reject(this.error)
      else waiter.resolve({ value: undefined, done: true })
      this.error = null
    }
  }
}

function toValue ({ data, isBinary }: HeldMessage): Message {
  return isBinary ? data : decodeText(data)
}
