import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { stopJoining } from '../socket/pause-reads.js'
import type { Offers } from '../protocol/handshake.js'

const kUpgrade = Symbol('fastify-ws-routes.upgrade')

interface UpgradeRequest extends IncomingMessage {
  [kUpgrade]?: PendingUpgrade
}

/** Sends a request through Fastify's router: `fastify.routing`. */
export type Dispatch = (request: IncomingMessage, response: ServerResponse) => void

/** Milliseconds. */
export interface UpgradeTimeouts {
  readonly handshakeTimeout: number
  readonly closeTimeout: number
}

/** The upgrade that a request asks for, if it asks for a WebSocket. */
export function getUpgrade (request: IncomingMessage): PendingUpgrade | undefined {
  return (request as UpgradeRequest)[kUpgrade]
}

/** Receives the result of an upgrade. */
export interface UpgradeOwner {
  readonly timeouts: UpgradeTimeouts
  /** It did not become a connection. `statusCode` is `null` if the client left before it was answered. Once. */
  onRefused (request: IncomingMessage, statusCode: number | null, reason: string): void
  /** The socket has become a connection, or is closed, or is the app's own. Once. */
  onDone (upgrade: PendingUpgrade): void
  /** The app has taken the socket, and does with it what it likes. Once. */
  onHijacked (socket: Duplex): void
}

/** Gets the socket after the answer that accepts, and what was read from it since the request. */
export type AcceptCallback = (socket: Duplex, early: Buffer) => void

/** What a valid handshake offers, and the answer that accepts it. */
export interface Proposal extends Offers {
  readonly statusCode: 101 | 200
  readonly headers: Record<string, string>
}

/**
 * An upgrade request from its event to the end of the answer that accepts or refuses it: guards the socket, which is
 * a stream of HTTP/2 as well, watches the time, and gives Fastify a response on it.
 */
export abstract class PendingUpgrade {
  protected readonly request: IncomingMessage
  protected readonly socket: Duplex
  protected readonly owner: UpgradeOwner
  protected response: ServerResponse | null = null
  protected timer: NodeJS.Timeout
  protected isExpired = false
  protected isOver = false
  protected isRefused = false
  protected isHijacked = false
  private reason: string | null = null
  private onAccept: AcceptCallback | null = null
  private onAnswered: (() => void) | null = null

  constructor (request: IncomingMessage, socket: Duplex, owner: UpgradeOwner) {
    this.request = request
    this.socket = socket
    this.owner = owner
    ;(request as UpgradeRequest)[kUpgrade] = this

    socket.on('error', this.onError)
    socket.on('close', this.onClose)
    disableTimeout(socket)
    this.timer = setTimeout(this.onTimeout, owner.timeouts.handshakeTimeout)
  }

  /** Sends the request through the router, with a response on the socket, once it is its turn. */
  abstract route (dispatch: Dispatch): void

  /** @throws {HandshakeError} if the request is not a valid handshake */
  abstract readProposal (): Proposal

  /** Lets the socket go. @returns what was read from it */
  protected abstract release (): Buffer

  /** Sees to it that the refusal, which was written, is also the end. */
  protected abstract endRefused (): void

  /** Breaks off, and tells the hooks that the request is aborted. */
  protected abstract breakOff (): void

  protected dispatch (dispatch: Dispatch, response: ServerResponse): void {
    this.response = response
    if (this.isExpired) return this.answerWith(503)
    try {
      dispatch(this.request, response)
    } catch {
      // Thrown by what the user gave to Fastify itself, such as `rewriteUrl`: nobody else could answer.
      this.refuse(500, '500')
    }
  }

  /** Hands over the socket when the answer that accepts was written. */
  whenAccepted (callback: AcceptCallback): void {
    this.onAccept = callback
  }

  /**
   * Takes the acceptance back, since the answer that accepts could not be sent.
   *
   * @returns whether there was one
   */
  withdrawAcceptance (): boolean {
    const wasAccepted = this.onAccept !== null && !this.isOver
    this.onAccept = null
    return wasAccepted
  }

  /** Calls back, once, when the handshake is over: just before `whenAccepted`, or when the refusal was written, or nobody is left. */
  whenAnswered (callback: () => void): void {
    // The client may have left during a hook that runs before ours.
    if (this.isOver) callback()
    else this.onAnswered = callback
  }

  /** Says why the upgrade is refused; without it, the reason is the status of the answer. */
  blame (reason: string): void {
    this.reason = reason
  }

  /** Answers with 500 or 503, if nothing was answered yet; at once, or when it is its turn. */
  refuse (statusCode: 500 | 503, reason: string): void {
    this.isExpired = true
    this.reason ??= reason
    this.answerWith(statusCode)
  }

  private answerWith (statusCode: 500 | 503): void {
    const { response } = this
    if (response === null || response.headersSent) return
    const error = STATUS_CODES[statusCode]
    const body = JSON.stringify({ statusCode, error, message: error })
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    if (statusCode === 503) response.setHeader('Retry-After', '1')
    response.writeHead(statusCode, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': body.length })
    response.end(body)
  }

  /**
   * Leaves the socket to the app, whose hook has called `reply.hijack()`: nothing is read from it or written to it any more,
   * what was read is put back, and there is no time limit.
   */
  hijack (): void {
    if (this.isOver || this.isRefused) return
    this.isHijacked = true
    this.owner.onRefused(this.request, null, 'hijacked')
    this.finish()
    this.owner.onHijacked(this.socket)
    this.leave()
  }

  /** Gives up. */
  abort (): void {
    if (!this.isOver) {
      if (!this.isRefused) this.owner.onRefused(this.request, null, 'aborted')
      this.finish()
    }
    this.breakOff()
  }

  private finish (): void {
    this.isOver = true
    clearTimeout(this.timer)
    this.answered()
    this.owner.onDone(this)
  }

  private answered (): void {
    const callback = this.onAnswered
    this.onAnswered = null
    callback?.()
  }

  /** The answer was written whole. */
  protected onWritten (): void {
    const { statusCode } = this.response!
    this.response = null
    clearTimeout(this.timer)
    // A response that the app has ended by itself is the end of the connection, as it says in its header section.
    if (this.isHijacked && !this.isAcceptance(statusCode)) {
      const timer = setTimeout(() => this.breakOff(), this.owner.timeouts.closeTimeout)
      this.socket.once('close', () => clearTimeout(timer))
      this.endRefused()
    }
    if (this.isOver) return
    if (this.onAccept !== null && this.isAcceptance(statusCode)) this.accept(this.onAccept)
    else this.refused(statusCode)
  }

  protected abstract isAcceptance (statusCode: number): boolean

  private accept (onAccept: AcceptCallback): void {
    const { socket } = this
    this.finish()
    const early = this.release()
    socket.off('error', this.onError)
    socket.off('close', this.onClose)
    disableTimeout(socket)
    onAccept(socket, early)
  }

  private leave (): void {
    const { socket } = this
    const early = this.release()
    // The listener for errors stays: a client that resets must not end the process.
    socket.off('close', this.onClose)
    stopJoining(socket)
    // The app listens already, and has heard all that is in there.
    if (socket.listenerCount('data') > 0) return
    socket.pause()
    if (early.length > 0) socket.unshift(early)
    // As Node gives a socket to `upgrade` listeners: it flows as soon as somebody listens.
    Reflect.set(socket, 'readableFlowing', null)
  }

  private refused (statusCode: number): void {
    this.isRefused = true
    this.owner.onRefused(this.request, statusCode, this.reason ?? String(statusCode))
    this.answered()
    this.timer = setTimeout(() => this.breakOff(), this.owner.timeouts.closeTimeout)
    this.endRefused()
  }

  private readonly onError = (): void => {
    this.socket.destroy()
  }

  private readonly onClose = (): void => {
    if (this.isRefused) this.finish()
    else if (!this.isOver) this.abort()
  }

  private readonly onTimeout = (): void => {
    if (this.response?.headersSent === true) {
      // A long refusal is on its way: it may take its time as long as it moves.
      if (hasTimeout(this.socket)) this.socket.setTimeout(this.owner.timeouts.closeTimeout, () => this.breakOff())
    } else {
      this.refuse(503, 'timeout')
    }
  }
}

interface TimeoutSocket extends Duplex {
  setTimeout (milliseconds: number, callback?: () => void): void
}

function hasTimeout (socket: Duplex): socket is TimeoutSocket {
  return 'setTimeout' in socket
}

/** Those of Fastify and Node, which nobody listens to any more. */
function disableTimeout (socket: Duplex): void {
  if (hasTimeout(socket)) socket.setTimeout(0)
}
