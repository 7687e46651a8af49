import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { NOWHERE } from '../server/place-list.js'
import { stopJoining } from '../socket/pause-reads.js'
import { isOver, nextPhase, type Phase, type PhaseEvent } from './phase.js'
import { describeRefusal } from './refusal.js'
import type { Proposal, TransportEvents, UpgradeTransport } from './transport.js'

const kUpgrade = Symbol('fastify-ws-routes.upgrade')

interface UpgradeRequest extends IncomingMessage {
  [kUpgrade]?: PendingUpgrade
}

interface UpgradeSocket extends Duplex {
  [kUpgrade]: PendingUpgrade | null
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

/** Routes an upgrade, and receives its result. */
export interface UpgradeOwner {
  readonly timeouts: UpgradeTimeouts
  readonly dispatch: Dispatch
  /** It did not become a connection. `statusCode` is `null` if the client left before it was answered. Once. */
  onRefused (request: IncomingMessage, statusCode: number | null, reason: string): void
  /** The socket has become a connection, or is closed, or is the app's own. Once. */
  onDone (upgrade: PendingUpgrade): void
  /** The app has taken the socket, and does with it what it likes. Once. */
  onHijacked (socket: Duplex): void
}

/** Gets the socket after the answer that accepts, and what was read from it since the request. */
export type AcceptCallback = (socket: Duplex, early: Buffer) => void

/**
 * An upgrade request from its event to the end of the answer that accepts or refuses it: guards the socket, watches the time,
 * and gives Fastify a response on it. Where it stands is its `phase`; the rest depends on the version of HTTP: its transport.
 */
export class PendingUpgrade implements TransportEvents {
  /** Where it is in the list of its owner. */
  place = NOWHERE
  private readonly transport: UpgradeTransport
  private readonly owner: UpgradeOwner
  /** When the time for the handshake is over, as `performance.now()` has it; `Infinity` once it is answered. */
  dueAt: number
  /** After a refusal. */
  private timer: NodeJS.Timeout | undefined
  private current: Phase = 'waiting'
  private reason: string | null = null
  private onAccept: AcceptCallback | null = null
  private onAnswered: (() => void) | null = null

  constructor (transport: UpgradeTransport, owner: UpgradeOwner) {
    this.transport = transport
    this.owner = owner
    const { request, socket } = transport
    ;(request as UpgradeRequest)[kUpgrade] = this

    socket.on('error', destroy)
    ;(socket as UpgradeSocket)[kUpgrade] = this
    socket.on('close', onClose)
    disableTimeout(socket)
    this.dueAt = performance.now() + owner.timeouts.handshakeTimeout
    transport.open(this)
  }

  get phase (): Phase {
    return this.current
  }

  /** Enters the phase that the event leads to. @returns whether it leads to one: otherwise it is ignored */
  private enter (event: PhaseEvent): boolean {
    const next = nextPhase(this.current, event)
    if (next === null) return false
    this.current = next
    return true
  }

  /** Sends the request through the router once it is its turn. */
  route (): void {
    this.transport.awaitTurn()
  }

  onTurn (): void {
    const isExpired = this.phase === 'expired'
    if (!this.enter('turn')) return
    if (isExpired) return this.answerWith(503)
    const { request, response } = this.transport
    try {
      this.owner.dispatch(request, response!)
    } catch {
      // Thrown by the app's own functions in Fastify, such as `rewriteUrl`: nobody else could answer.
      this.refuse(500, '500')
    }
  }

  /** @throws {HandshakeError} if the request is not a valid handshake */
  readProposal (): Proposal {
    return this.transport.readProposal()
  }

  /** Hands over the socket when the answer that accepts was written. */
  whenAccepted (callback: AcceptCallback): void {
    // In any phase: the log names the status that the route has answered with, though the client left.
    this.transport.allowAcceptance()
    if (this.enter('accept')) this.onAccept = callback
  }

  /**
   * Takes the acceptance back, since the answer that accepts could not be sent.
   *
   * @returns whether there was one
   */
  withdrawAcceptance (): boolean {
    this.transport.forbidAcceptance()
    this.onAccept = null
    return this.enter('withdraw')
  }

  /** Calls back, once, when the handshake is over: just before `whenAccepted`, or when the refusal was written, or nobody is left. */
  whenAnswered (callback: () => void): void {
    // The client may have left during a hook that runs before ours.
    if (isOver(this.phase)) callback()
    else this.onAnswered = callback
  }

  /** Says why the upgrade is refused; without it, the reason is the status of the answer. */
  blame (reason: string): void {
    this.reason = reason
  }

  /** Answers with 500 or 503, if nothing was answered yet; with 503 if it is not its turn, once it is. */
  refuse (statusCode: 500 | 503, reason: string): void {
    this.reason ??= reason
    if (!this.enter('expire')) this.answerWith(statusCode)
  }

  private answerWith (statusCode: 500 | 503): void {
    const { response } = this.transport
    if (response === null || response.headersSent) return
    const { headers, body } = describeRefusal(statusCode)
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    response.writeHead(statusCode, { ...headers, 'Content-Length': body.length })
    response.end(body)
  }

  /**
   * Leaves the socket to the app, whose hook has called `reply.hijack()`: nothing is read from it or written to it any more,
   * what was read is put back, and there is no time limit.
   */
  hijack (): void {
    if (!this.enter('hijack')) return
    const { request, socket } = this.transport
    this.owner.onRefused(request, null, 'hijacked')
    this.finish()
    this.owner.onHijacked(socket)
    this.leave()
  }

  /** Gives up. */
  abort (): void {
    const isRefused = this.phase === 'refused'
    if (this.enter('close')) {
      if (!isRefused) this.owner.onRefused(this.transport.request, null, 'aborted')
      this.finish()
    }
    this.transport.breakOff()
  }

  private finish (): void {
    this.dueAt = Infinity
    if (this.timer !== undefined) clearTimeout(this.timer)
    this.answered()
    this.owner.onDone(this)
  }

  private answered (): void {
    const callback = this.onAnswered
    this.onAnswered = null
    callback?.()
  }

  onWritten (statusCode: number): void {
    this.dueAt = Infinity
    const isAcceptance = this.transport.isAcceptance(statusCode)
    if (this.phase === 'hijacked') {
      // A response that the app has ended by itself is the end of the connection, as it says in its header section.
      if (!isAcceptance) this.endHijacked()
    } else if (this.enter(isAcceptance ? 'acceptanceWritten' : 'refusalWritten')) {
      if (this.phase === 'accepted') this.accepted()
      else this.refused(statusCode)
    }
  }

  private accepted (): void {
    const { socket } = this.transport
    const onAccept = this.onAccept!
    this.onAccept = null
    this.finish()
    const early = this.transport.handOver()
    socket.off('error', destroy)
    socket.off('close', onClose)
    ;(socket as UpgradeSocket)[kUpgrade] = null
    disableTimeout(socket)
    onAccept(socket, early)
  }

  private leave (): void {
    const { socket } = this.transport
    const early = this.transport.leaveToApp()
    // The listener for errors stays: a client that resets must not end the process.
    socket.off('close', onClose)
    ;(socket as UpgradeSocket)[kUpgrade] = null
    stopJoining(socket)
    // The app listens already, and has heard all that is in there.
    if (socket.listenerCount('data') > 0) return
    socket.pause()
    if (early.length > 0) socket.unshift(early)
    // As Node gives a socket to `upgrade` listeners: it flows as soon as somebody listens.
    Reflect.set(socket, 'readableFlowing', null)
  }

  private endHijacked (): void {
    const timer = this.breakOffLater()
    this.transport.socket.once('close', () => clearTimeout(timer))
    this.transport.endRefused()
  }

  private refused (statusCode: number): void {
    this.onAccept = null
    this.owner.onRefused(this.transport.request, statusCode, this.reason ?? String(statusCode))
    this.answered()
    this.timer = this.breakOffLater()
    this.transport.endRefused()
  }

  private breakOffLater (): NodeJS.Timeout {
    return setTimeout(() => this.transport.breakOff(), this.owner.timeouts.closeTimeout)
  }

  /** @internal */
  onClose (): void {
    if (this.phase === 'refused' && this.enter('close')) this.finish()
    else if (!isOver(this.phase)) this.abort()
  }

  /** The time for the handshake is over. */
  onTimeout (): void {
    this.dueAt = Infinity
    const { response, socket } = this.transport
    if (response?.headersSent === true) {
      // A long refusal is on its way: it may take its time as long as it moves.
      if (hasTimeout(socket)) socket.setTimeout(this.owner.timeouts.closeTimeout, () => this.transport.breakOff())
    } else {
      this.refuse(503, 'timeout')
    }
  }
}

interface TimeoutSocket extends Duplex {
  /** `undefined` before `setTimeout` is called. */
  readonly timeout?: number
  setTimeout (milliseconds: number, callback?: () => void): void
}

function hasTimeout (socket: Duplex): socket is TimeoutSocket {
  return 'setTimeout' in socket
}

/** Disables the timeouts of Fastify and Node, which nobody listens to any more. */
function disableTimeout (socket: Duplex): void {
  if (hasTimeout(socket) && socket.timeout !== 0 && socket.timeout !== undefined) socket.setTimeout(0)
}

function destroy (this: Duplex): void {
  this.destroy()
}

function onClose (this: UpgradeSocket): void {
  this[kUpgrade]?.onClose()
}
