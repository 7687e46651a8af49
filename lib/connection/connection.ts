import { EventEmitter } from 'node:events'
import type { Duplex, DuplexOptions } from 'node:stream'
import type { WebSocketClosure, WebSocketConnection, WebSocketConnectionEvents, WebSocketRouteConnections } from '../../types/connection.js'
import type { BinaryType, SendCallback, SendJsonOptions, SendOptions, WebSocketData } from '../../types/messages.js'
import type { PublishOptions, TopicPosition } from '../../types/topics.js'
import { createError } from '../errors.js'
import { Opcode } from '../protocol/opcodes.js'
import { installDomEvents, type DomEvents } from './dom-events.js'
import { checkData } from './extras.js'
import type { ConnectionHost, TopicsOfConnections } from './host.js'
import { shrinkListeners } from './listener-table.js'
import { MessageIterator } from './message-iterator.js'
import { createMessageStream } from './message-stream.js'
import type { Outbox } from './outbox.js'
import { Session } from './session.js'
import type { Agreement, ConnectionSettings } from './settings.js'

const BINARY_TYPES: readonly BinaryType[] = ['nodebuffer', 'arraybuffer', 'fragments', 'blob']

const NO_ROUTE = null as unknown as WebSocketRouteConnections

type PingArgument = WebSocketData | Blob | SendCallback | undefined

// Not a private method, which would take a field of each connection.
function sendControl (outbox: Outbox, opcode: number, data: PingArgument, mask: boolean | SendCallback | undefined, callback: SendCallback | undefined): void {
  if (typeof data === 'function') outbox.sendControl(opcode, undefined, data)
  else outbox.sendControl(opcode, data, typeof mask === 'function' ? mask : callback)
}

/** @throws {TypeError} on the client of `injectWS`, which belongs to no server */
function topicsOf ({ host }: Session): TopicsOfConnections {
  if (host === null) throw createError('FST_WS_ERR_INVALID_ARGUMENT', 'only connections of the server have topics, and not the client of injectWS')
  return host.topics
}

let readSession: (connection: Connection) => Session
let isConnection: (value: object) => value is Connection

/** The engine of a connection, which nobody outside of this package gets hold of. */
export function sessionOf (connection: Connection): Session {
  return readSession(connection)
}

/** The engine of what may be a connection; `null` if it is none of this package. */
export function findSession (value: unknown): Session | null {
  return typeof value === 'object' && value !== null && isConnection(value) ? readSession(value) : null
}

// The members that `installDomEvents` adds to the prototype.
export interface Connection extends DomEvents {}

/**
 * The object that a handler gets. The documentation of its members is in `types/connection.ts`. It has these and no others:
 * what an app may assign or call by mistake must not change how the protocol works. All work is done by its session.
 */
export class Connection extends EventEmitter<WebSocketConnectionEvents> implements WebSocketConnection {
  declare readonly CONNECTING: 0
  declare readonly OPEN: 1
  declare readonly CLOSING: 2
  declare readonly CLOSED: 3

  readonly protocol: string
  readonly extensions: string
  readonly url: string
  readonly #session: Session

  static {
    readSession = connection => connection.#session
    isConnection = (value): value is Connection => #session in value
  }

  constructor (socket: Duplex, settings: ConnectionSettings, { protocol, extensions, url, context, deflate }: Agreement, host: ConnectionHost | null) {
    // A rejection of an async listener goes where what it throws goes.
    super({ captureRejections: true })
    shrinkListeners(this)
    this.protocol = protocol
    this.extensions = extensions
    this.url = url
    this.#session = new Session(this, context, socket, settings, deflate, host)
  }

  get readyState (): 1 | 2 | 3 { return this.#session.readyState }
  get bufferedAmount (): number { return this.#session.bufferedAmount }
  get isPaused (): boolean { return this.#session.isPaused }
  get latency (): number | undefined { return this.#session.watcher?.latency }
  get id (): string { return this.#session.extras.id }
  get signal (): AbortSignal { return this.#session.extras.signal }
  get closed (): Promise<WebSocketClosure> { return this.#session.extras.closed }
  /** Only the client of `injectWS` has none, and its type says so. */
  get route (): WebSocketRouteConnections { return this.#session.host?.route ?? NO_ROUTE }

  /** @internal The transport, for `createWebSocketStream` of `ws`, which asks a socket of that name whether all was written. */
  get _socket (): Duplex { return this.#session.socket }

  get data (): object { return this.#session.extras.data }
  set data (data: object) { this.#session.extras.data = checkData(data, 'data') }

  get binaryType (): BinaryType { return this.#session.mailbox.binaryType }
  set binaryType (type: BinaryType) {
    // Browsers ignore what they do not know (and so does `ws`).
    if (BINARY_TYPES.includes(type)) this.#session.mailbox.binaryType = type
  }

  send (data: WebSocketData | Blob, options?: SendOptions | SendCallback, callback?: SendCallback): boolean {
    if (typeof options === 'function') return this.#session.outbox.send(data, undefined, options)
    return this.#session.outbox.send(data, options, callback)
  }

  sendJson (message: unknown, options?: SendJsonOptions | SendCallback, callback?: SendCallback): boolean {
    if (typeof options === 'function') return this.sendJson(message, undefined, options)
    const { maySend, outbox, json } = this.#session
    return maySend ? outbox.send(json.write(message), options, callback) : outbox.refuse(callback)
  }

  /** The `mask` of `ws` is accepted and has no effect: RFC 6455 §5.1 says which side masks. */
  ping (data?: PingArgument, mask?: boolean | SendCallback, callback?: SendCallback): void {
    sendControl(this.#session.outbox, Opcode.PING, data, mask, callback)
  }

  pong (data?: PingArgument, mask?: boolean | SendCallback, callback?: SendCallback): void {
    sendControl(this.#session.outbox, Opcode.PONG, data, mask, callback)
  }

  get subscriptions (): Set<string> { return topicsOf(this.#session).subscriptionsOf(this.#session) }

  subscribe (topic: string): Promise<void> {
    return topicsOf(this.#session).subscribe(this.#session, topic)
  }

  unsubscribe (topic: string): boolean {
    return topicsOf(this.#session).unsubscribe(this.#session, topic)
  }

  isSubscribed (topic: string): boolean {
    return topicsOf(this.#session).isSubscribed(this.#session, topic)
  }

  publish (topic: string, message: unknown, options?: PublishOptions): Promise<TopicPosition | null> {
    return topicsOf(this.#session).publish(this.#session, topic, message, options)
  }

  drained (): Promise<void> {
    return this.#session.extras.drained()
  }

  flush (): Promise<void> {
    return this.#session.extras.flush()
  }

  close (code?: number, reason?: string | Uint8Array): void {
    this.#session.close(code, reason)
  }

  terminate (): void {
    this.#session.terminate()
  }

  pause (): void {
    this.#session.pause()
  }

  resume (): void {
    this.#session.resume()
  }

  override on (event: never, listener: never): this {
    super.on(event, listener)
    return this.#listenersChanged(event, true)
  }

  override addListener (event: never, listener: never): this {
    super.addListener(event, listener)
    return this.#listenersChanged(event, true)
  }

  override prependListener (event: never, listener: never): this {
    super.prependListener(event, listener)
    return this.#listenersChanged(event, true)
  }

  override off (event: never, listener: never): this {
    super.off(event, listener)
    return this.#listenersChanged(event, false)
  }

  override removeListener (event: never, listener: never): this {
    super.removeListener(event, listener)
    return this.#listenersChanged(event, false)
  }

  override removeAllListeners (...events: []): this {
    super.removeAllListeners(...events)
    return this.#listenersChanged('message', false)
  }

  #listenersChanged (event: string, isAdded: boolean): this {
    if (event === 'message') {
      const listeners = this.rawListeners('message')
      this.#session.messageListenersChanged(listeners)
      this.#session.mailbox.messageListenersChanged(listeners)
    }
    if (isAdded) this.#session.mailbox.listenerAdded(event)
    return this
  }

  /** Receives what an async listener rejects with (`captureRejections`). */
  [Symbol.for('nodejs.rejection')] (error: unknown): void {
    this.#session.reportThrown(error)
  }

  [Symbol.asyncIterator] (): AsyncIterableIterator<string | Buffer> {
    return new MessageIterator(this.#session.mailbox, 'message')
  }

  json (): AsyncIterableIterator<unknown> {
    return new MessageIterator(this.#session.mailbox, 'json')
  }

  stream (options?: DuplexOptions): Duplex {
    return createMessageStream(this, this.#session.mailbox, error => this.#session.reportThrown(error), options)
  }
}

for (const [name, value] of Object.entries({ CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 })) {
  const constant = { value, enumerable: true }
  Object.defineProperty(Connection, name, constant)
  Object.defineProperty(Connection.prototype, name, constant)
}

installDomEvents(Connection.prototype, connection => sessionOf(connection as Connection).wasClean)
