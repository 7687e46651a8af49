import type { WebSocketClosure } from '../../types/connection.js'
import { noop } from '../common.js'
import { createError, describe } from '../errors.js'
import type { Outbox } from './outbox.js'

/** The connection that extras belong to. */
export interface ExtrasOwner {
  readonly isClosed: boolean
  readonly maySend: boolean
  readonly outbox: Outbox
  readonly mailbox: { readonly isOver: boolean, listenerAdded (event: string): void }
  readonly end: { readonly code: number, readonly reason: Buffer }
  /** Calls a function of the app's side in its own context. */
  run<Args extends unknown[], Result> (thisArg: unknown, fn: (...args: Args) => Result, ...args: Args): Result
}

/** A protocol inside of the messages of a connection. */
export interface Subprotocol {
  /** @returns whether the message belongs to it; all others are for the app */
  receive (data: Buffer, isBinary: boolean): boolean
  /** Nothing more can be sent. May be called again. */
  end (): void
}

interface Waiter {
  resolve: () => void
  reject: (error: Error) => void
}

/** Tells the connections of this process from those of others: 48 random bits. */
const PREFIX = Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString('base64url')
let ids = 0

/** @throws {TypeError} if it is not an object */
export function checkData (data: unknown, name: string): object {
  if (typeof data !== 'object' || data === null) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `${name} must be an object, not ${describe(data)}`)
  return data
}

/** Parts that most connections never use, made when they are asked for: an idle connection has none of them. */
export class Extras {
  private readonly owner: ExtrasOwner
  private controller: AbortController | null = null
  private ownId: string | null = null
  private ownData: object | null = null
  private closing: Promise<WebSocketClosure> | null = null
  private resolveClosing: ((closure: WebSocketClosure) => void) | null = null
  private drains: Waiter[] = []
  /** `null` where the app alone gets the messages. */
  subprotocol: Subprotocol | null = null
  /** The error with which all promises of this connection reject when it is closed. */
  private gone: Error | null = null

  constructor (owner: ExtrasOwner) {
    this.owner = owner
  }

  get id (): string {
    this.ownId ??= `${PREFIX}-${(ids++).toString(36)}`
    return this.ownId
  }

  get data (): object {
    this.ownData ??= {}
    return this.ownData
  }

  set data (data: object) {
    this.ownData = data
  }

  get signal (): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController()
      if (this.owner.isClosed) this.controller.abort()
    }
    return this.controller.signal
  }

  /** Settles as `close` is emitted, and like a listener of it makes the mailbox emit it. */
  get closed (): Promise<WebSocketClosure> {
    if (this.closing !== null) return this.closing
    const { owner } = this
    if (owner.mailbox.isOver) {
      this.closing = Promise.resolve(closureOf(owner))
    } else {
      this.closing = new Promise(resolve => { this.resolveClosing = resolve })
      owner.mailbox.listenerAdded('close')
    }
    return this.closing
  }

  get isCloseAwaited (): boolean {
    return this.resolveClosing !== null
  }

  drained (): Promise<void> {
    const { outbox, maySend } = this.owner
    if (!maySend) return this.refusal()
    if (!outbox.isSaturated) return Promise.resolve()
    outbox.expectDrain()
    return handled(new Promise<void>((resolve, reject) => { this.drains.push({ resolve, reject }) }))
  }

  flush (): Promise<void> {
    if (this.owner.isClosed) return this.refusal()
    return handled(new Promise<void>((resolve, reject) => {
      this.owner.outbox.whenWritten(error => {
        if (error === undefined || error === null) resolve()
        else reject(this.error())
      })
    }))
  }

  /** Whether the app throws what one of these promises has rejected with: then the connection is closed, which is no news. */
  isOwn (thrown: unknown): boolean {
    return this.gone !== null && thrown === this.gone
  }

  takeMessage (data: Buffer, isBinary: boolean): boolean {
    return this.subprotocol !== null && this.subprotocol.receive(data, isBinary)
  }

  // --- what happens to the connection

  onDrained (): void {
    for (const { resolve } of this.drains.splice(0)) resolve()
  }

  /** Nothing more can be sent. */
  onSendingOver (): void {
    for (const { reject } of this.drains.splice(0)) reject(this.error())
    this.subprotocol?.end()
  }

  onSocketClosed (): void {
    if (this.controller !== null) this.owner.run(this.controller, this.controller.abort)
  }

  onClosed (): void {
    this.resolveClosing?.(closureOf(this.owner))
    this.resolveClosing = null
  }

  private error (): Error {
    this.gone ??= createError('FST_WS_ERR_CLOSED', 'WebSocket was closed before all was sent')
    return this.gone
  }

  private refusal (): Promise<never> {
    return handled(Promise.reject(this.error()))
  }
}

/** A promise that nobody awaits does not end the process when the peer leaves. */
function handled<T> (promise: Promise<T>): Promise<T> {
  promise.catch(noop)
  return promise
}

function closureOf ({ end: { code, reason } }: ExtrasOwner): WebSocketClosure {
  return { code, reason: reason.toString() }
}
