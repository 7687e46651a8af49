import type { FastifyBaseLogger } from 'fastify'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { isWebSocketUpgrade } from '../../protocol/handshake.js'
import { Http1Transport } from './transport.js'
import { interceptEvents } from '../intercept-events.js'
import { Members, type Member } from '../ownership.js'
import { afterEarlierResponses, hasResponseTo } from './pipelining.js'
import { serveAsPlainRequest } from './plain-request.js'

const listeners = new WeakMap<HttpServer, UpgradeListener>()

/** Listens to the `upgrade` event of a server for all instances of this plugin, and tracks the sockets that belong to others. */
export class UpgradeListener {
  private readonly server: HttpServer
  private readonly members = new Members(() => this.listen())
  /** Sockets that other listeners may answer, with what to do if they have not; `null` once that is settled. */
  private readonly foreign = new Map<Duplex, (() => void) | null>()
  private foreignTimer: NodeJS.Timeout | undefined
  /** Whether the server is being closed. */
  private isClosing = false
  private hasWarned = false
  private onNewListener: ((event: string | symbol, listener: unknown) => void) | null = null
  /** The request that the other listeners are looking at. An `emit` of ours that could not be taken off is among them. */
  private shown: IncomingMessage | null = null

  private constructor (server: HttpServer) {
    this.server = server
  }

  /** The one of this server. */
  static of (server: HttpServer): UpgradeListener {
    let listener = listeners.get(server)
    if (listener === undefined) listeners.set(server, listener = new UpgradeListener(server))
    return listener
  }

  /** Listens for an instance. @returns a function that ends it */
  join (member: Member): () => void {
    return this.members.join(member)
  }

  /**
   * All `upgrade` listeners of a server are called for each request, and nothing but the emitter can keep
   * a request that is ours from the others: Socket.IO would end its socket, `@fastify/http-proxy` would
   * dispatch it a second time.
   */
  private listen (): () => void {
    const { server } = this
    const restore = interceptEvents(server, (event, args, emitNext) =>
      event === 'upgrade' ? this.take(emitNext, ...(args as UpgradeArguments)) : emitNext())
    // Node hands upgrades over only if there is a listener.
    server.on('upgrade', noop)
    return () => {
      clearTimeout(this.foreignTimer)
      this.stopWatching()
      server.off('upgrade', noop)
      restore()
    }
  }

  /**
   * Called when the server is about to be closed, which waits for all upgraded sockets: answers where other listeners have
   * not, and ends the connections of instances of other apps. All of it takes at most `timeout` milliseconds.
   */
  async startClosing (timeout: number): Promise<void> {
    if (!this.isClosing) {
      this.isClosing = true
      for (const answer of this.foreign.values()) answer?.()
      this.foreignTimer = setTimeout(() => {
        for (const socket of this.foreign.keys()) socket.destroy()
      }, timeout)
    }
    await Promise.all(this.members.guests.map(guest => guest.leave(timeout)))
  }

  /**
   * Warns, once for all instances, of other `upgrade` listeners: one that authorizes clients, as with other WebSocket libraries,
   * does not see upgrades to our routes. The plugin cannot know which of them do. Listeners that are added later count too.
   */
  warnOfOthers (log: FastifyBaseLogger): void {
    if (this.hasWarned || this.onNewListener !== null) return
    if (this.isShared) return this.warn(log)
    this.onNewListener = (event, listener) => {
      if (event !== 'upgrade' || listener === noop) return
      this.stopWatching()
      this.warn(log)
    }
    this.server.on('newListener', this.onNewListener)
  }

  private warn (log: FastifyBaseLogger): void {
    this.hasWarned = true
    log.warn(
      "another listener for 'upgrade' is on the server: it does not see requests for WebSocket routes. " +
      'If it decides who may connect, do that in a hook instead: onRequest, preValidation or preHandler'
    )
  }

  private stopWatching (): void {
    if (this.onNewListener !== null) this.server.off('newListener', this.onNewListener)
    this.onNewListener = null
  }

  private get isShared (): boolean {
    return this.server.listenerCount('upgrade') > this.server.listenerCount('upgrade', noop)
  }

  /** @param emitNext shows it to the other listeners */
  private take (emitNext: () => boolean, request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const { inCharge } = this.members
    if (inCharge === null || this.shown === request) return emitNext()
    const { isShared } = this
    if (isWebSocketUpgrade(request.headers)) {
      const owner = this.members.ownerOf(isShared, request)
      if (owner === null) this.watch(emitNext, request, socket, head, inCharge)
      else this.begin(owner, request, socket, head)
    // RFC 9113 §3.1: `h2c` is obsolete, but clients go on offering it, and no listener is for it.
    } else if (!isShared || request.headers.upgrade?.toLowerCase() === 'h2c') {
      this.handBack(request, socket, head)
    } else {
      this.watch(emitNext, request, socket, head, inCharge)
    }
    return true
  }

  private begin ({ upgrades }: Member, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    upgrades.begin(new Http1Transport(request, socket, head), this.isClosing)
  }

  private handBack (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const onError = (): void => { socket.destroy() }
    socket.on('error', onError)
    afterEarlierResponses(request.socket, () => {
      if (isEnded(request.socket)) return
      socket.off('error', onError)
      serveAsPlainRequest(this.server, request, socket, head)
    }, undefined)
  }

  /**
   * Shows an upgrade to the other listeners when it is its turn: they know nothing of pipelining. If none of
   * them answers, Fastify does: 404, for the most part.
   */
  private watch (emitNext: () => boolean, request: IncomingMessage, stream: Duplex, head: Buffer, member: Member): void {
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
      // The instance that was in charge then may have left the server to others.
      const { inCharge } = this.members
      if (isAnswered || isEnded(socket) || isEnded(stream)) return
      forget()
      if (isWebSocketUpgrade(request.headers)) this.begin(inCharge ?? member, request, stream, head)
      else this.handBack(request, stream, head)
    }
    stream.on('error', noop)
    socket.on('close', forget)
    this.foreign.set(socket, answer)
    afterEarlierResponses(socket, () => {
      if (this.foreign.get(socket) !== answer || isEnded(socket)) return
      before = bytesWritten(socket)
      timer = setTimeout(answer, member.upgrades.timeouts.handshakeTimeout)
      this.shown = request
      emitNext()
      this.shown = null
      if (this.isClosing) setImmediate(answer)
    }, undefined)
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
