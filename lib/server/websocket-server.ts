import { EventEmitter } from 'node:events'
import type {
  BroadcastOptions, WebSocketConnection, WebSocketConnections, WebSocketData, WebSocketRouteConnections, WebSocketServer,
  WebSocketServerEvents, WebSocketServerStats
} from '../../types/connection.js'
import type { Connection, ConnectionCounts } from '../connection/connection.js'
import type { JsonMessages } from '../connection/json-messages.js'
import { createError } from '../errors.js'
import { toBytes } from '../connection/payload.js'
import { SharedMessage } from '../connection/shared-message.js'
import { CloseCode } from '../protocol/close-codes.js'
import { Opcode } from '../protocol/opcodes.js'
import { catchRejection, isThenable } from '../thenable.js'
import { HeartbeatWheel } from './heartbeat-wheel.js'

function broadcast (connections: Iterable<Connection>, data: WebSocketData, options: BroadcastOptions = {}): number {
  const bytes = toBytes(data)
  const isBinary = options.binary ?? typeof data !== 'string'
  const except = toSet(options.except)
  // A message that nobody gets is not copied.
  let message: SharedMessage | null = null
  let receivers = 0
  for (const connection of connections) {
    if (!isReceiver(connection, except, options)) continue
    message ??= new SharedMessage(isBinary ? Opcode.BINARY : Opcode.TEXT, bytes, options.compress !== false)
    if (connection._sendShared(message)) receivers++
  }
  return receivers
}

/** Each route has its own way to write the message. It is written in all of them before anybody gets it. */
function broadcastJson (connections: Iterable<Connection>, value: unknown, options: BroadcastOptions = {}): number {
  const except = toSet(options.except)
  const messages = new Map<JsonMessages, SharedMessage>()
  const receivers: Connection[] = []
  for (const connection of connections) {
    if (!isReceiver(connection, except, options)) continue
    receivers.push(connection)
    const json = connection._json
    if (!messages.has(json)) messages.set(json, new SharedMessage(Opcode.TEXT, toBytes(json.write(value)), options.compress !== false))
  }
  return receivers.filter(connection => connection._sendShared(messages.get(connection._json)!)).length
}

function isReceiver (connection: Connection, except: ReadonlySet<WebSocketConnection> | null, { filter }: BroadcastOptions): boolean {
  if (except !== null && except.has(connection)) return false
  if (filter === undefined) return true
  const verdict = filter(connection)
  // Everybody would get the message.
  if (isThenable(verdict)) {
    catchRejection(verdict, noop)
    throw new TypeError("'filter' has to return a boolean, and not a promise")
  }
  return verdict
}

function noop (): void {}

function toSet (except: BroadcastOptions['except']): ReadonlySet<WebSocketConnection> | null {
  if (except === undefined) return null
  // A connection is iterable too, but only asynchronously.
  return new Set(Symbol.iterator in except ? except : [except])
}

function addCounts (to: ConnectionCounts, { messagesReceived, bytesReceived, messagesSent, bytesSent }: ConnectionCounts): void {
  to.messagesReceived += messagesReceived
  to.bytesReceived += bytesReceived
  to.messagesSent += messagesSent
  to.bytesSent += bytesSent
}

class RouteConnections implements WebSocketRouteConnections {
  readonly url: string
  readonly clients = new Set<Connection>()
  /** Handshakes that may become connections. */
  pending = 0

  constructor (url: string) {
    this.url = url
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions): number {
    return broadcast(this.clients, data, options)
  }

  broadcastJson (message: unknown, options?: BroadcastOptions): number {
    return broadcastJson(this.clients, message, options)
  }
}

/** The registry of the living connections: `app.websocketServer`. */
export class Server extends EventEmitter<WebSocketServerEvents> implements WebSocketServer, WebSocketConnections {
  readonly clients: Set<Connection>
  readonly options: WebSocketServer['options'] = {}
  readonly wheel = new HeartbeatWheel()
  private readonly open: Set<Connection>
  private readonly routes = new Map<string, RouteConnections>()
  private readonly closeTimeout: number
  private readonly maxConnections: number
  private pending = 0
  private opened = 0
  private readonly refused = new Map<string, number>()
  /** Of the connections that are over. */
  private readonly past: ConnectionCounts = { messagesReceived: 0, bytesReceived: 0, messagesSent: 0, bytesSent: 0 }
  /** The connections that each running `close` still waits for, and what ends its waiting. */
  private readonly closings = new Map<Set<Connection>, () => void>()

  /**
   * @param closeTimeout milliseconds for all close handshakes of `close`
   * @param tracking whether `clients` shows the connections
   * @param maxConnections of all routes together
   */
  constructor (closeTimeout: number, tracking: boolean, maxConnections: number) {
    // A rejection of an async listener goes where what the connection's own listeners throw goes.
    super({ captureRejections: true })
    this.closeTimeout = closeTimeout
    this.maxConnections = maxConnections
    this.open = new Set()
    this.clients = tracking ? this.open : new Set()
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions): number {
    return broadcast(this.open, data, options)
  }

  broadcastJson (message: unknown, options?: BroadcastOptions): number {
    return broadcastJson(this.open, message, options)
  }

  route (url: string): RouteConnections {
    const route = this.routes.get(url)
    if (route === undefined) throw createError('FST_WS_ERR_UNKNOWN_ROUTE', `there is no WebSocket route '${url}'`)
    return route
  }

  /** The set of a route that is being declared. Routes that differ only in constraints share theirs. */
  declareRoute (url: string): RouteConnections {
    let route = this.routes.get(url)
    if (route === undefined) this.routes.set(url, route = new RouteConnections(url))
    return route
  }

  /**
   * Keeps a place for a handshake: counted are those under way too, or a storm of them would get past the limit.
   *
   * @param max connections of the route
   * @returns what gives the place back, to be called once; `null` if there is none
   */
  reserve (url: string, max: number): (() => void) | null {
    const route = this.routes.get(url)!
    if (this.open.size + this.pending >= this.maxConnections || route.clients.size + route.pending >= max) return null
    this.pending++
    route.pending++
    return () => {
      this.pending--
      route.pending--
    }
  }

  get stats (): WebSocketServerStats {
    const total = { ...this.past }
    let queued = 0
    for (const connection of this.open) {
      addCounts(total, connection._counts)
      queued += connection.bufferedAmount
    }
    return {
      open: this.open.size,
      pending: this.pending,
      opened: this.opened,
      refused: Object.fromEntries(this.refused),
      received: { messages: total.messagesReceived, bytes: total.bytesReceived },
      sent: { messages: total.messagesSent, bytes: total.bytesSent },
      queued
    }
  }

  /** Counts a handshake that did not become a connection. */
  countRefusal (reason: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }

  add (connection: Connection): void {
    this.opened++
    this.open.add(connection)
    this.routes.get(connection.route!.url)!.clients.add(connection)
  }

  remove (connection: Connection): void {
    this.open.delete(connection)
    addCounts(this.past, connection._counts)
    this.routes.get(connection.route!.url)!.clients.delete(connection)
    for (const [closing, done] of this.closings) {
      if (closing.delete(connection) && closing.size === 0) done()
    }
  }

  /** What an async listener of `connection` rejects with (`captureRejections`). */
  [Symbol.for('nodejs.rejection')] (error: unknown, _event: string, connection: Connection): void {
    connection._reportThrown(error)
  }

  async close (callback?: (error?: Error) => void): Promise<void> {
    await this.closeWithin(this.closeTimeout)
    callback?.()
  }

  /** Closes every connection there is now, and destroys those that are left after so many milliseconds. */
  async closeWithin (timeout: number): Promise<void> {
    const closing = new Set(this.open)
    for (const connection of [...closing]) connection.close(CloseCode.GOING_AWAY)
    if (closing.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const connection of closing) connection._socket.destroy()
        // Their ends are told behind the first; should one never be, nobody waits for it.
        setImmediate(() => setImmediate(done))
      }, timeout)
      const done = (): void => {
        clearTimeout(timer)
        this.closings.delete(closing)
        resolve()
      }
      this.closings.set(closing, done)
    })
  }
}
