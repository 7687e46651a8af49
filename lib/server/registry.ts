import { EventEmitter } from 'node:events'
import type { BroadcastJsonOptions, BroadcastOptions, CloseRouteOptions, WebSocketConnection, WebSocketConnectionData, WebSocketConnections, WebSocketRouteConnections } from '../../types/connection.js'
import type { WebSocketData } from '../../types/messages.js'
import type { WebSocketServer, WebSocketServerEvents, WebSocketServerStats } from '../../types/server.js'
import type { PublishOptions, TopicPosition } from '../../types/topics.js'
import { sessionOf, type Connection } from '../connection/connection.js'
import { checkClose } from '../connection/payload.js'
import type { Session } from '../connection/session.js'
import type { ConnectionCounts } from '../connection/settings.js'
import { createError } from '../errors.js'
import { CloseCode } from '../protocol/close-codes.js'
import { ConnectionTopics } from '../topics/connection-topics.js'
import type { Hub } from '../topics/hub.js'
import { publish } from '../topics/publish.js'
import { TopicHandle } from '../topics/topic-handle.js'
import { broadcast, broadcastJson, select, type BroadcastScope } from './broadcast.js'
import { drain } from './drain.js'
import { waitsOf, type LivenessSettings } from './liveness.js'
import { connectionOf, SessionList } from './session-list.js'
import { TimerWheel } from './timer-wheel.js'

function addCounts (to: ConnectionCounts, { messagesReceived, bytesReceived, messagesSent, bytesSent }: ConnectionCounts): void {
  to.messagesReceived += messagesReceived
  to.bytesReceived += bytesReceived
  to.messagesSent += messagesSent
  to.bytesSent += bytesSent
}

/** The connections of one route. */
export class RouteConnections implements WebSocketRouteConnections {
  readonly url: string
  readonly sessions = new SessionList('routePlace')
  /** Handshakes under way. */
  pending = 0

  private readonly scope: BroadcastScope

  constructor (url: string) {
    this.url = url
    this.scope = { sessions: this.sessions, has: ({ host }) => host?.route === this, others: `another route than ${url}, or of the client of injectWS` }
  }

  get clients (): Set<Connection> {
    return this.sessions.clients
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions<WebSocketConnection>): number {
    return broadcast(this.scope, data, options)
  }

  broadcastJson (message: unknown, options?: BroadcastJsonOptions<WebSocketConnection>): number {
    return broadcastJson(this.scope, message, options)
  }

  /** Wrong arguments are thrown at once: nobody may await the promise. */
  close (code: number = CloseCode.GOING_AWAY, reason?: string | Uint8Array, options: CloseRouteOptions<WebSocketConnection> = {}): Promise<number> {
    checkClose(code, reason)
    const closing = select(this.sessions.all, options.filter).filter(({ maySend }) => maySend)
    for (const session of closing) session.close(code, reason)
    return Promise.all(closing.map(({ extras }) => extras.closed)).then(closures => closures.length)
  }
}

/** The open connections of all routes, and the places for more: `app.websocketServer`. */
export class Registry extends EventEmitter<WebSocketServerEvents> implements WebSocketServer, WebSocketConnections {
  readonly options: WebSocketServer['options'] = {}
  readonly wheel = new TimerWheel()
  private readonly open = new SessionList('place')
  private readonly untracked: Set<Connection> | null
  private readonly routes = new Map<string, RouteConnections>()
  private readonly scope: BroadcastScope = {
    sessions: this.open,
    has: ({ host }) => host !== null && host.route !== null && this.routes.get(host.route.url) === host.route,
    others: 'another server, or of the client of injectWS'
  }

  private readonly closeTimeout: number
  private readonly maxConnections: number
  private pending = 0
  private opened = 0
  private readonly refused = new Map<string, number>()
  /** The sums of the connections that are over. */
  private readonly past: ConnectionCounts = { messagesReceived: 0, bytesReceived: 0, messagesSent: 0, bytesSent: 0 }
  /** The connections that each running `close` still waits for, and the function that ends its wait. */
  private readonly closings = new Map<Set<Connection>, () => void>()

  readonly topics: ConnectionTopics
  private readonly hub: Hub

  /**
   * @param closeTimeout milliseconds for all close handshakes of `close`
   * @param tracking whether `clients` shows the connections
   * @param maxConnections of all routes together
   * @param hub the app's topics
   */
  constructor (closeTimeout: number, tracking: boolean, maxConnections: number, hub: Hub) {
    // Rejections of async listeners go to the error handler of their connection.
    super({ captureRejections: true })
    this.closeTimeout = closeTimeout
    this.maxConnections = maxConnections
    this.hub = hub
    this.topics = new ConnectionTopics(hub)
    this.untracked = tracking ? null : new Set()
  }

  get clients (): Set<Connection> {
    return this.untracked ?? this.open.clients
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions<WebSocketConnection>): number {
    return broadcast(this.scope, data, options)
  }

  broadcastJson (message: unknown, options?: BroadcastJsonOptions<WebSocketConnection>): number {
    return broadcastJson(this.scope, message, options)
  }

  publish (topic: string, message: unknown, options?: PublishOptions): Promise<TopicPosition | null> {
    return publish(this.hub, topic, message, options, null)
  }

  topic (name: string): TopicHandle {
    return new TopicHandle(this.hub, name)
  }

  route<Send = unknown, Receive = unknown, Data = WebSocketConnectionData> (url: string): WebSocketRouteConnections<Send, Receive, Data> {
    const route = this.routes.get(url)
    if (route === undefined) throw createError('FST_WS_ERR_UNKNOWN_ROUTE', `there is no WebSocket route '${url}'`)
    return route as unknown as WebSocketRouteConnections<Send, Receive, Data>
  }

  /** @returns the set of a route that is being declared; routes that differ only in constraints share theirs */
  declareRoute (url: string, settings: LivenessSettings): RouteConnections {
    for (const wait of waitsOf(settings)) this.wheel.prepare(wait)
    let route = this.routes.get(url)
    if (route === undefined) this.routes.set(url, route = new RouteConnections(url))
    return route
  }

  /**
   * Keeps a place for a handshake. Handshakes under way count, or a storm of them would exceed the limit.
   *
   * @param max connections of the route
   * @returns a function that gives the place back, to be called once; `null` if there is none
   */
  reserve (route: RouteConnections, max: number): (() => void) | null {
    if (this.open.size + this.pending >= this.maxConnections || route.sessions.size + route.pending >= max) return null
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
    for (const session of this.open.all) {
      if (session === null) continue
      addCounts(total, session)
      queued += session.bufferedAmount
    }
    return {
      open: this.open.size,
      pending: this.pending,
      opened: this.opened,
      refused: Object.fromEntries(this.refused),
      received: { messages: total.messagesReceived, bytes: total.bytesReceived },
      sent: { messages: total.messagesSent, bytes: total.bytesSent },
      queued,
      topics: this.hub.stats
    }
  }

  /** Counts a handshake that did not become a connection. */
  countRefusal (reason: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }

  add (session: Session, route: RouteConnections): void {
    this.opened++
    this.open.add(session)
    route.sessions.add(session)
  }

  remove (session: Session, route: RouteConnections): void {
    this.topics.sessionEnded(session)
    this.open.remove(session)
    route.sessions.remove(session)
    addCounts(this.past, session)
    for (const [closing, done] of this.closings) {
      if (closing.delete(connectionOf(session)) && closing.size === 0) done()
    }
  }

  /** Reports the rejection of an async listener of `connection` (`captureRejections`). */
  [Symbol.for('nodejs.rejection')] (error: unknown, _event: string, connection: Connection): void {
    sessionOf(connection).reportThrown(error)
  }

  async close (callback?: (error?: Error) => void): Promise<void> {
    await this.closeWithin(this.closeTimeout)
    callback?.()
  }

  /** Closes the connections there are now, evenly over `over` milliseconds. */
  drain (over: number): Promise<void> {
    return drain(this.open.all.filter(session => session !== null), over)
  }

  /** Closes every connection there is now, and destroys those that are left after `timeout` milliseconds. */
  async closeWithin (timeout: number): Promise<void> {
    const closing = new Set(this.open.connections)
    for (const connection of [...closing]) connection.close(CloseCode.GOING_AWAY)
    if (closing.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const connection of closing) sessionOf(connection).socket.destroy()
        // They end in later turns; the wait is over even if one of them never does.
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
