import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isWebSocketUpgrade } from '../protocol/handshake.js'
import { afterEarlierResponses } from './pending-response.js'
import { PendingUpgrade, type UpgradeTimeouts } from './pending-upgrade.js'
import { serveAsPlainRequest } from './plain-request.js'
import type { RouteTable } from './route-table.js'

/** Whose an upgrade request is: ours, plain HTTP after all, or that of another `upgrade` listener. */
type Ownership = 'ours' | 'plain' | 'foreign'

/** Sends a request through Fastify's router: `fastify.routing`. */
export type Dispatch = (request: IncomingMessage, response: ServerResponse) => void

/** Listens to the `upgrade` event of the server, and keeps account of the sockets that came with it. */
export class UpgradeListener {
  private readonly server: HttpServer
  private readonly routes: RouteTable
  private readonly dispatch: Dispatch
  private readonly timeouts: UpgradeTimeouts
  private readonly pending = new Set<PendingUpgrade>()
  /** Sockets that other listeners may answer, with what to do if they have not by the time the server closes. */
  private readonly foreign = new Map<Duplex, () => void>()
  private onEmpty: (() => void) | null = null
  private isClosing = false

  constructor (server: HttpServer, routes: RouteTable, dispatch: Dispatch, timeouts: UpgradeTimeouts) {
    this.server = server
    this.routes = routes
    this.dispatch = dispatch
    this.timeouts = timeouts
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
    const { emit } = server
    // Node hands upgrades over only if there is a listener.
    server.on('upgrade', noop)
    server.emit = (event: string | symbol, ...args: never[]): boolean => {
      if (event === 'upgrade' && this.take(...(args as unknown as [IncomingMessage, Duplex, Buffer]))) return true
      return Reflect.apply(emit, server, [event, ...args]) as boolean
    }
    return () => {
      server.off('upgrade', noop)
      server.emit = emit
    }
  }

  /** Takes an upgrade that is for Fastify's router, whatever other listeners there are. */
  handle (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const upgrade = new PendingUpgrade(request, socket, head, this.timeouts, this.onDone)
    this.pending.add(upgrade)
    upgrade.route(this.dispatch)
  }

  /** Answers 503 to all that are still waiting; resolves when their sockets are closed, within `closeTimeout`. */
  async close (): Promise<void> {
    this.isClosing = true
    for (const answer of this.foreign.values()) answer()
    for (const upgrade of this.pending) upgrade.refuse(503)
    if (this.pending.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const upgrade of this.pending) upgrade.abort()
      }, this.timeouts.closeTimeout)
      this.onEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private readonly onDone = (upgrade: PendingUpgrade): void => {
    this.pending.delete(upgrade)
    if (this.pending.size === 0) this.onEmpty?.()
  }

  /** @returns whether the other listeners shall not see it */
  private take (request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    switch (this.ownerOf(request)) {
      case 'ours':
        this.handle(request, socket, head)
        return true
      case 'plain':
        this.handBack(request, socket, head)
        return true
      case 'foreign':
        this.watch(request, socket, head)
        return false
    }
  }

  private ownerOf (request: IncomingMessage): Ownership {
    const isWebSocket = isWebSocketUpgrade(request.headers)
    if (this.server.listenerCount('upgrade') === 1) return isWebSocket ? 'ours' : 'plain'
    if (isWebSocket) return this.routes.matches(request) ? 'ours' : 'foreign'
    // RFC 9113 §3.1: `h2c` is obsolete, but clients go on offering it, and no listener is for it.
    return request.headers.upgrade?.toLowerCase() === 'h2c' ? 'plain' : 'foreign'
  }

  private handBack (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const onError = (): void => { socket.destroy() }
    socket.on('error', onError)
    afterEarlierResponses(socket, () => {
      if (socket.destroyed) return
      socket.off('error', onError)
      serveAsPlainRequest(this.server, request, socket, head)
    })
  }

  /** If no other listener answers an upgrade, Fastify does: 404, for the most part. */
  private watch (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', noop)
    const before = bytesWritten(socket)
    const answer = (): void => {
      done()
      const isAnswered = bytesWritten(socket) !== before || socket.writableEnded || socket.destroyed
      if (!isAnswered) this.handle(request, socket, head)
    }
    const timer = setTimeout(answer, this.timeouts.handshakeTimeout)
    const done = (): void => {
      clearTimeout(timer)
      this.foreign.delete(socket)
      socket.off('close', done)
    }
    socket.on('close', done)
    this.foreign.set(socket, answer)
    if (this.isClosing) setImmediate(answer)
  }
}

function bytesWritten (socket: Duplex): number {
  return 'bytesWritten' in socket ? socket.bytesWritten as number : 0
}

function noop (): void {}
