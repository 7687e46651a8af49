import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocketConnection, WebSocketConnectionEvents } from '../../types/connection.js'
import type { SendCallback } from '../../types/messages.js'
import { NO_CONTEXT, runInContext, type AsyncContext } from '../async-context.js'
import { createError } from '../errors.js'
import { catchRejection, isThenable } from '../thenable.js'

/** Node's own. */
const { emit } = EventEmitter.prototype

type MessageListener = (this: WebSocketConnection, data: unknown, isBinary: boolean) => unknown

/** The connection whose chunk is being decoded, in its own context. */
let entered: AppCalls | null = null

/**
 * Calls code of the app: in the async context of the handshake, whatever called us, and so that nothing it throws can end
 * the process.
 */
export abstract class AppCalls {
  readonly connection: WebSocketConnection
  private readonly context: AsyncContext
  /** The listener of `message`, if there is one and no other. */
  private messageListener: MessageListener | null = null

  constructor (connection: WebSocketConnection, context: AsyncContext) {
    this.connection = connection
    this.context = context
  }

  /** Reports what the handler, a listener or a callback threw or rejected with. */
  abstract reportThrown (thrown: unknown): void

  /** @returns what the function returns, or throws what it throws */
  run<Args extends unknown[], Result> (thisArg: unknown, fn: (...args: Args) => Result, ...args: Args): Result {
    return entered === this ? Reflect.apply(fn, thisArg, args) as Result : runInContext(this.context, fn, thisArg, ...args)
  }

  /** Calls, and reports what is thrown. */
  call<Args extends unknown[]> (thisArg: unknown, fn: (...args: Args) => unknown, ...args: Args): void {
    try {
      this.run(thisArg, fn, ...args)
    } catch (error) {
      this.reportThrown(error)
    }
  }

  emit (event: keyof WebSocketConnectionEvents, ...args: unknown[]): void {
    try {
      this.run(this.connection, this.connection.emit as (event: string, ...args: unknown[]) => boolean, event, ...args)
    } catch (error) {
      this.reportThrown(error)
    }
  }

  /** @param listeners all of `message`, of which some were added or removed */
  messageListenersChanged (listeners: readonly unknown[]): void {
    this.messageListener = listeners.length === 1 ? listeners[0] as MessageListener : null
  }

  /** Whether nobody has replaced `emit`, as instrumentation does, which then gets every message as it is documented. */
  get emitsPlainly (): boolean { return this.connection.emit === emit }

  /** Emits a message, without the arrays that `emit` makes of its arguments, here and in Node. */
  emitMessage (data: unknown, isBinary: boolean): void {
    if (entered !== this) return this.emit('message', data, isBinary)
    const { connection, messageListener } = this
    try {
      // Whoever has replaced `emit`, as instrumentation does, gets every message.
      if (messageListener === null || connection.emit !== emit) connection.emit('message', data as Buffer, isBinary)
      else this.watchListener(messageListener.call(connection, data, isBinary))
    } catch (error) {
      this.reportThrown(error)
    }
  }

  /** Node watches the promises of an async listener, which costs less. */
  private watchListener (returned: unknown): void {
    if (!isThenable(returned)) return
    this.messageListener = null
    catchRejection(returned, thrown => this.reportThrown(thrown))
  }

  /** Calls a send callback. */
  callBack (callback: SendCallback, error?: Error | null): void {
    try {
      const returned: unknown = this.run(this.connection, callback, error)
      if (returned !== undefined) catchRejection(returned, thrown => this.reportThrown(thrown))
    } catch (thrown) {
      this.reportThrown(thrown)
    }
  }

  /** Enters the context once for all events of a chunk. */
  protected enter<Chunk> (socket: Duplex, decode: (chunk: Chunk) => void, chunk: Chunk): void {
    const outer = entered
    entered = this
    try {
      // A socket reads in its own context, which is as empty. But a stream in memory, as those of `injectWS`, is read in that of
      // whoever writes to it.
      if (this.context === NO_CONTEXT && chunk !== null && socket instanceof Socket) decode.call(this, chunk)
      else runInContext(this.context, decode, this, chunk)
    } finally {
      entered = outer
    }
  }
}

/** Returns what was thrown as an error, so that handlers of errors get nothing else. */
export function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : createError('FST_WS_ERR_THROWN_VALUE', `the handler or a listener threw ${String(thrown)}`, { cause: thrown })
}
