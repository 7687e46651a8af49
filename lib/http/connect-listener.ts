import { STATUS_CODES, type IncomingMessage, type Server as HttpServer } from 'node:http'
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { ConnectRequest, ExchangeListeners, InjectedConnectRequest } from './connect-exchange.js'
import { Http2Sessions } from './http2-sessions.js'
import { Http2Upgrade } from './http2-upgrade.js'
import { interceptEvents } from './intercept-events.js'
import type { PendingUpgrades } from './pending-upgrades.js'
import type { RouteTable } from './route-table.js'

type StreamArguments = [stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]]

/** The servers that this plugin listens to, in whatever encapsulated context. */
const served = new WeakSet<object>()

/** Whether a server speaks HTTP/2. */
export function isHttp2Server (server: object): server is Http2Server {
  return 'updateSettings' in server
}

/** Listens to the extended CONNECT requests (RFC 8441) of a server, and to those of its like that Fastify starts beside it. */
export class ConnectListener {
  private readonly routes: RouteTable
  private readonly upgrades: PendingUpgrades
  private readonly sessions = new Http2Sessions()
  private readonly closesServer: boolean

  /**
   * @param closesServer whether the server is closed with the app
   */
  constructor (routes: RouteTable, upgrades: PendingUpgrades, closesServer: boolean) {
    this.routes = routes
    this.upgrades = upgrades
    this.closesServer = closesServer
  }

  /** Starts to listen. @returns a function that stops it; nothing happens to a server of HTTP/1.1 alone */
  install (server: HttpServer): () => void {
    if (!isHttp2Server(server)) return noop
    // The first SETTINGS frame of each session has it: some clients look at no other.
    server.updateSettings({ enableConnectProtocol: true })
    const hasElder = served.has(server)
    served.add(server)
    const onSession = (session: ServerHttp2Session): void => this.sessions.add(session)
    server.on('session', onSession)
    const restore = interceptEvents(server, (event, args, emitNext) =>
      event === 'stream' ? this.take(server, hasElder, emitNext, args as StreamArguments) : emitNext())
    return () => {
      server.off('session', onSession)
      served.delete(server)
      restore()
    }
  }

  /** Takes an extended CONNECT that came with a session of `injectWS`, over this socket. */
  inject (socket: Duplex, stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): void {
    this.upgrades.begin(new Http2Upgrade(stream, () => new InjectedConnectRequest(stream, headers, rawHeaders, socket), this.upgrades))
  }

  /** Ends the sessions of the server, each with its last stream. */
  startClosing (): void {
    if (this.closesServer) this.sessions.startClosing()
  }

  /** Resolves when none is left that has no stream, within so many milliseconds. */
  async closed (timeout: number): Promise<void> {
    if (this.closesServer) await this.sessions.closed(timeout)
  }

  /** @param emitNext shows it to the other listeners, among them Node's own, who makes a request of it, or a `connect` */
  private take (server: Http2Server, hasElder: boolean, emitNext: () => boolean, [stream, headers, , rawHeaders]: StreamArguments): boolean {
    this.sessions.addStream(stream)
    const protocol = headers[':method'] === 'CONNECT' ? headers[':protocol'] : undefined
    if (protocol === undefined) return emitNext()
    const isWebSocket = String(protocol).toLowerCase() === 'websocket'
    const isShared = hasElder || server.listenerCount('connect') > 0
    if (isShared && !(isWebSocket && this.isForRoute(stream, headers, rawHeaders))) return emitNext()
    // The client has reset it in the meantime.
    if (stream.destroyed) return true
    if (isWebSocket) {
      this.sessions.hold(stream)
      this.upgrades.begin(new Http2Upgrade(stream, () => new ConnectRequest(stream, headers, rawHeaders), this.upgrades))
    } else {
      refuseProtocol(stream)
    }
    return true
  }

  private isForRoute (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): boolean {
    let request!: ConnectRequest
    const listeners = new ExchangeListeners(stream, () => { request = new ConnectRequest(stream, headers, rawHeaders) })
    const matches = this.routes.matches(request as unknown as IncomingMessage)
    listeners.remove()
    return matches
  }
}

/** RFC 9220 §3 */
function refuseProtocol (stream: ServerHttp2Stream): void {
  const statusCode = 501
  const error = STATUS_CODES[statusCode]
  stream.on('error', noop)
  stream.respond({ ':status': statusCode, 'content-type': 'application/json; charset=utf-8' })
  stream.end(JSON.stringify({ statusCode, error, message: error }))
}

function noop (): void {}
