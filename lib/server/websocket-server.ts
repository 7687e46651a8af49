import { EventEmitter } from 'node:events'
import type {
  BroadcastOptions, WebSocketConnection, WebSocketConnections, WebSocketData, WebSocketRouteConnections, WebSocketServer
} from '../../types/connection.js'
import type { Connection } from '../connection/connection.js'
import { toBytes } from '../connection/payload.js'
import { SharedMessage } from '../connection/shared-message.js'
import { CloseCode } from '../protocol/close-codes.js'
import { Opcode } from '../protocol/opcodes.js'

/** There is no WebSocket route with the URL that was asked for. */
export class UnknownRouteError extends Error {
  readonly code = 'FST_WS_ERR_UNKNOWN_ROUTE'
}

function broadcast (connections: Iterable<Connection>, data: WebSocketData, options: BroadcastOptions = {}): number {
  const payload = toBytes(data)
  const isBinary = options.binary ?? typeof data !== 'string'
  const message = new SharedMessage(isBinary ? Opcode.BINARY : Opcode.TEXT, payload, options.compress !== false)
  const except = toSet(options.except)
  let receivers = 0
  for (const connection of connections) {
    if (except !== null && except.has(connection)) continue
    if (options.filter !== undefined && !options.filter(connection)) continue
    if (connection._sendShared(message)) receivers++
  }
  return receivers
}

function toSet (except: BroadcastOptions['except']): ReadonlySet<WebSocketConnection> | null {
  if (except === undefined) return null
  // A connection is iterable too, but only asynchronously.
  return new Set(Symbol.iterator in except ? except : [except])
}

class RouteConnections implements WebSocketRouteConnections {
  readonly url: string
  readonly clients = new Set<Connection>()

  constructor (url: string) {
    this.url = url
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions): number {
    return broadcast(this.clients, data, options)
  }
}

/** The registry of the living connections: `app.websocketServer`. */
export class Server extends EventEmitter implements WebSocketServer, WebSocketConnections {
  readonly clients: Set<Connection>
  private readonly open: Set<Connection>
  private readonly routes = new Map<string, RouteConnections>()
  private readonly closeTimeout: number
  private onEmpty: (() => void)[] = []

  /**
   * @param closeTimeout milliseconds for all close handshakes of `close`
   * @param tracking whether `clients` shows the connections
   */
  constructor (closeTimeout: number, tracking: boolean) {
    super()
    this.closeTimeout = closeTimeout
    this.open = new Set()
    this.clients = tracking ? this.open : new Set()
  }

  broadcast (data: WebSocketData, options?: BroadcastOptions): number {
    return broadcast(this.open, data, options)
  }

  route (url: string): RouteConnections {
    const route = this.routes.get(url)
    if (route === undefined) throw new UnknownRouteError(`there is no WebSocket route '${url}'`)
    return route
  }

  /** The set of a route that is being declared. Routes that differ only in constraints share theirs. */
  declareRoute (url: string): RouteConnections {
    let route = this.routes.get(url)
    if (route === undefined) this.routes.set(url, route = new RouteConnections(url))
    return route
  }

  add (connection: Connection): void {
    this.open.add(connection)
    this.routes.get(connection.route!.url)!.clients.add(connection)
  }

  remove (connection: Connection): void {
    this.open.delete(connection)
    this.routes.get(connection.route!.url)!.clients.delete(connection)
    if (this.open.size > 0) return
    for (const done of this.onEmpty.splice(0)) done()
  }

  async close (callback?: (error?: Error) => void): Promise<void> {
    const closing = [...this.open]
    for (const connection of closing) connection.close(CloseCode.GOING_AWAY)
    await this.whenEmpty()
    callback?.()
  }

  /** Waits for the connections to end, `closeTimeout` at most, then destroys those that are left. */
  private async whenEmpty (): Promise<void> {
    if (this.open.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const connection of this.open) connection._socket.destroy()
        setImmediate(resolve)
      }, this.closeTimeout)
      this.onEmpty.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
