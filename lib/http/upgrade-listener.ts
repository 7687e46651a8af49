import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { isWebSocketUpgrade } from '../protocol/handshake.js'
import { Http1Upgrade } from './http1-upgrade.js'
import { interceptEvents } from './intercept-events.js'
import { afterEarlierResponses, hasResponseTo } from './pending-response.js'
import type { PendingUpgrades } from './pending-upgrades.js'
import { serveAsPlainRequest } from './plain-request.js'
import type { RouteTable } from './route-table.js'

/**
 * Whose an upgrade request is: ours, plain HTTP after all, that of another `upgrade` listener, or left to the
 * listener of this plugin that was on the server before this one.
 */
type Ownership = 'ours' | 'plain' | 'foreign' | 'elder'

/** Listens to the `upgrade` event of the server, and keeps account of the sockets of others that came with it. */
export class UpgradeListener {
  private readonly server: HttpServer
  private readonly routes: RouteTable
  private readonly upgrades: PendingUpgrades
  private readonly closesServer: boolean
  /** Sockets that other listeners may answer, with what to do if they have not; `null` once that is settled. */
  private readonly foreign = new Map<Duplex, (() => void) | null>()
  private foreignTimer: NodeJS.Timeout | undefined
  private isClosing = false
  private isInstalled = false
  /** Whether this plugin has another listener on the server, of another encapsulated context, before this one. */
  private hasElder = false

  /**
   * @param closesServer whether the server is closed with the app
   */
  constructor (server: HttpServer, routes: RouteTable, upgrades: PendingUpgrades, closesServer: boolean) {
    this.server = server
    this.routes = routes
    this.upgrades = upgrades
    this.closesServer = closesServer
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
    this.hasElder = server.listenerCount('upgrade', noop) > 0
    const restore = interceptEvents(server, (event, args, emitNext) => {
      if (event !== 'upgrade' || !this.isInCharge()) return emitNext()
      return this.take(emitNext, ...(args as UpgradeArguments))
    })
    this.isInstalled = true
    // Node hands upgrades over only if there is a listener.
    server.on('upgrade', noop)
    return () => {
      this.isInstalled = false
      clearTimeout(this.foreignTimer)
      server.off('upgrade', noop)
      restore()
    }
  }

  /** Takes an upgrade that is for Fastify's router, whatever other listeners there are. */
  handle (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades.begin(new Http1Upgrade(request, socket, head, this.upgrades))
  }

  /** Answers where other listeners have not; their sockets, for which the server would wait for ever, have so many milliseconds. */
  close (timeout: number): void {
    this.isClosing = true
    if (!this.closesServer) return
    for (const answer of this.foreign.values()) answer?.()
    this.foreignTimer = setTimeout(() => {
      for (const socket of this.foreign.keys()) socket.destroy()
    }, timeout)
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
    if (this.hasElder) return isWebSocket && this.routes.matches(request) ? 'ours' : 'elder'
    const { server } = this
    if (server.listenerCount('upgrade') === server.listenerCount('upgrade', noop)) return isWebSocket ? 'ours' : 'plain'
    if (isWebSocket) return this.routes.matches(request) ? 'ours' : 'foreign'
    // RFC 9113 §3.1: `h2c` is obsolete, but clients go on offering it, and no listener is for it.
    return request.headers.upgrade?.toLowerCase() === 'h2c' ? 'plain' : 'foreign'
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
      timer = setTimeout(answer, this.upgrades.timeouts.handshakeTimeout)
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
