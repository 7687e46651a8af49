import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../protocol/errors.js'
import { isWebSocketUpgrade } from '../protocol/handshake.js'
import { afterEarlierResponses, hasResponseTo } from './pending-response.js'
import { PendingUpgrade, type UpgradeOwner, type UpgradeTimeouts } from './pending-upgrade.js'
import { serveAsPlainRequest } from './plain-request.js'
import type { RouteTable } from './route-table.js'

/**
 * Whose an upgrade request is: ours, plain HTTP after all, that of another `upgrade` listener, or left to the
 * listener of this plugin that was on the server before this one.
 */
type Ownership = 'ours' | 'plain' | 'foreign' | 'elder'

/** As what is thrown where a handshake gets that far. */
const CLOSING: ErrorCode = 'FST_WS_ERR_CLOSING'

/** Sends a request through Fastify's router: `fastify.routing`. */
export type Dispatch = (request: IncomingMessage, response: ServerResponse) => void

/** Listens to the `upgrade` event of the server, and keeps account of the sockets that came with it. */
export class UpgradeListener implements UpgradeOwner {
  private readonly server: HttpServer
  private readonly routes: RouteTable
  private readonly dispatch: Dispatch
  private readonly timeouts: UpgradeTimeouts
  private readonly closesServer: boolean
  readonly onRefused: UpgradeOwner['onRefused']
  private readonly pending = new Set<PendingUpgrade>()
  /** Sockets that other listeners may answer, with what to do if they have not; `null` once that is settled. */
  private readonly foreign = new Map<Duplex, (() => void) | null>()
  private foreignTimer: NodeJS.Timeout | undefined
  private onEmpty: (() => void) | null = null
  private isClosing = false
  private isInstalled = false
  /** Whether this plugin has another listener on the server, of another encapsulated context, before this one. */
  private hasElder = false

  /**
   * @param closesServer whether the server is closed with the app
   * @param onRefused told of each upgrade that does not become a connection
   */
  constructor (
    server: HttpServer,
    routes: RouteTable,
    dispatch: Dispatch,
    timeouts: UpgradeTimeouts,
    closesServer: boolean,
    onRefused: UpgradeOwner['onRefused']
  ) {
    this.server = server
    this.routes = routes
    this.dispatch = dispatch
    this.timeouts = timeouts
    this.closesServer = closesServer
    this.onRefused = onRefused
  }

  /**
   * Starts to listen. @returns a function that stops it
   *
   * All `upgrade` listeners of a server are called for each request, and nothing but the emitter can keep
   * a request that is ours from the others: Socket.IO would end its socket, `@fastify/http-proxy` would
   * dispatch it a second time.
   */
  install (): () => void {
    const { server } = this
    const replaced = Object.hasOwn(server, 'emit') ? server.emit : null
    // Diagnostics may replace the prototype's at any time.
    const emitNext = (event: string | symbol, args: unknown[]): boolean =>
      Reflect.apply(replaced ?? Object.getPrototypeOf(server).emit, server, [event, ...args]) as boolean
    const emit = (event: string | symbol, ...args: unknown[]): boolean => {
      if (event !== 'upgrade' || !this.isInCharge()) return emitNext(event, args)
      return this.take(() => emitNext(event, args), ...(args as UpgradeArguments))
    }
    this.isInstalled = true
    this.hasElder = server.listenerCount('upgrade', noop) > 0
    // Node hands upgrades over only if there is a listener.
    server.on('upgrade', noop)
    server.emit = emit
    return () => {
      this.isInstalled = false
      clearTimeout(this.foreignTimer)
      server.off('upgrade', noop)
      // Who has replaced ours goes on calling it.
      if (server.emit !== emit) return
      if (replaced === null) Reflect.deleteProperty(server, 'emit')
      else server.emit = replaced
    }
  }

  /** Takes an upgrade that is for Fastify's router, whatever other listeners there are. */
  handle (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const upgrade = new PendingUpgrade(request, socket, head, this.timeouts, this)
    this.pending.add(upgrade)
    // Fastify does so itself, unless told not to; then a hook could hold up the end.
    if (this.isClosing) upgrade.refuse(503, CLOSING)
    upgrade.route(this.dispatch)
  }

  /**
   * Answers 503 to all that are still waiting; resolves when their sockets are closed, within so many milliseconds.
   * The sockets of other listeners, for which the server would wait for ever, have as much time.
   */
  async close (timeout: number): Promise<void> {
    this.isClosing = true
    if (this.closesServer) {
      for (const answer of this.foreign.values()) answer?.()
      this.foreignTimer = setTimeout(() => {
        for (const socket of this.foreign.keys()) socket.destroy()
      }, timeout)
    }
    for (const upgrade of this.pending) upgrade.refuse(503, CLOSING)
    if (this.pending.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const upgrade of this.pending) upgrade.abort()
      }, timeout)
      this.onEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  readonly onDone = (upgrade: PendingUpgrade): void => {
    this.pending.delete(upgrade)
    if (this.pending.size === 0) this.onEmpty?.()
  }

  /** Also when uninstalled, as long as connections of the app's second server on `localhost` are left. */
  private isInCharge (): boolean {
    return this.isInstalled || this.closesServer
  }

  /** @param emitNext shows it to the other listeners */
  private take (emitNext: () => boolean, request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    switch (this.ownerOf(request)) {
      case 'ours':
        this.handle(request, socket, head)
        return true
      case 'plain':
        this.handBack(request, socket, head)
        return true
      case 'foreign':
        this.watch(emitNext, request, socket, head)
        return true
      case 'elder':
        return emitNext()
    }
  }

  private ownerOf (request: IncomingMessage): Ownership {
    const isWebSocket = isWebSocketUpgrade(request.headers)
    if (this.hasElder) return isWebSocket && this.isForRoute(request) ? 'ours' : 'elder'
    const { server } = this
    if (server.listenerCount('upgrade') === server.listenerCount('upgrade', noop)) return isWebSocket ? 'ours' : 'plain'
    if (isWebSocket) return this.isForRoute(request) ? 'ours' : 'foreign'
    // RFC 9113 §3.1: `h2c` is obsolete, but clients go on offering it, and no listener is for it.
    return request.headers.upgrade?.toLowerCase() === 'h2c' ? 'plain' : 'foreign'
  }

  private isForRoute (request: IncomingMessage): boolean {
    try {
      return this.routes.matches(request)
    } catch {
      // The user's `rewriteUrl` has thrown, and will again in Fastify's router: where we answer with 500.
      return true
    }
  }

  private handBack (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const onError = (): void => { socket.destroy() }
    socket.on('error', onError)
    afterEarlierResponses(request.socket, () => {
      if (isEnded(request.socket)) return
      socket.off('error', onError)
      serveAsPlainRequest(this.server, request, socket, head)
    })
  }

  /**
   * Shows an upgrade to the other listeners when it is its turn: they know nothing of pipelining. If none of
   * them answers, Fastify does: 404, for the most part.
   */
  private watch (emitNext: () => boolean, request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { socket } = request
    let before = -1
    let timer: NodeJS.Timeout | undefined
    const forget = (): void => {
      clearTimeout(timer)
      this.foreign.delete(socket)
      socket.off('close', forget)
      stream.off('error', noop)
    }
    const answer = (): void => {
      clearTimeout(timer)
      this.foreign.set(socket, null)
      const isAnswered = before !== -1 && (bytesWritten(socket) !== before || hasResponseTo(request, stream))
      if (isAnswered || isEnded(socket) || isEnded(stream)) return
      forget()
      if (isWebSocketUpgrade(request.headers)) this.handle(request, stream, head)
      else this.handBack(request, stream, head)
    }
    stream.on('error', noop)
    socket.on('close', forget)
    this.foreign.set(socket, answer)
    afterEarlierResponses(socket, () => {
      if (this.foreign.get(socket) !== answer || isEnded(socket)) return
      before = bytesWritten(socket)
      timer = setTimeout(answer, this.timeouts.handshakeTimeout)
      emitNext()
      if (this.isClosing && this.closesServer) setImmediate(answer)
    })
  }
}

type UpgradeArguments = [request: IncomingMessage, socket: Duplex, head: Buffer]

function bytesWritten (socket: Duplex): number {
  return 'bytesWritten' in socket ? socket.bytesWritten as number : 0
}

function isEnded (socket: Duplex): boolean {
  return socket.writableEnded || socket.destroyed
}

function noop (): void {}
