import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { JoinedBytes } from '../../socket/joined-bytes.js'
import { pauseReads } from '../../socket/pause-reads.js'
import { computeAccept, validateHandshake } from '../../protocol/handshake.js'
import { keepAddressOfSocket } from '../kept-address.js'
import { completeResponse, createResponse } from './lean-response.js'
import { afterEarlierResponses } from './pipelining.js'
import { isOver } from '../phase.js'
import type { Proposal, TransportEvents, UpgradeTransport } from '../transport.js'

/** Stop reading once this many bytes are buffered. Node reads up to 64 KiB at once, which may come on top. */
const ENOUGH = 32 * 1024

const kTransport = Symbol('fastify-ws-routes.transport')

/** As those of connections, the listeners of all sockets are the same functions. */
interface UpgradeSocket extends Duplex {
  [kTransport]: Http1Transport | null
}

/**
 * An upgrade of HTTP/1.1: the socket is one that Node has left without parser, timeouts and error listener. It is read
 * while hooks run, so that a client that leaves is noticed.
 */
export class Http1Transport implements UpgradeTransport {
  readonly request: IncomingMessage
  readonly socket: Duplex
  response: ServerResponse | null = null
  private readonly early = new JoinedBytes()
  private events!: TransportEvents

  /**
   * @param head what Node has read behind the request
   */
  constructor (request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.request = request
    this.socket = socket
    if (head.length > 0) this.early.add(head)
  }

  open (events: TransportEvents): void {
    const { request, socket } = this
    this.events = events
    keepAddressOfSocket(request.socket)
    ;(socket as UpgradeSocket)[kTransport] = this
    socket.on('end', onEnd)
    this.pauseIfEnough()
    socket.on('data', onData)
  }

  awaitTurn (): void {
    // The request's own socket: where a body follows, Node 26 gives the event another stream.
    afterEarlierResponses(this.request.socket, onTurn, this)
  }

  /** @internal */
  onTurn (): void {
    const { request, socket, events } = this
    // Nobody is left to answer to, or an earlier response has said `Connection: close`.
    if (socket.destroyed || request.socket.destroyed || request.socket.writableEnded) return events.abort()
    let response: ServerResponse
    try {
      response = createResponse(request, socket)
    } catch {
      // An earlier response still owns the socket, so the request was not seen.
      return events.abort()
    }
    this.response = response
    events.onTurn()
    // After Fastify's own listener, so that its log and hooks tell of the 101 first.
    response.on('finish', () => this.onFinish())
  }

  private onFinish (): void {
    const { response } = this
    if (response === null) return
    this.response = null
    // The response listens on the socket, and would live as long as that.
    if (!isOver(this.events.phase)) response.detachSocket(this.socket as never)
    this.events.onWritten(response.statusCode)
  }

  readProposal (): Proposal {
    const { key, subprotocols, extensions } = validateHandshake(this.request)
    const headers = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': computeAccept(key) }
    return { subprotocols, extensions, statusCode: 101, headers }
  }

  isAcceptance (statusCode: number): boolean {
    return statusCode === 101
  }

  allowAcceptance (): void {
    // Unless this is set, as it is for TCP, Node ends a TLS socket once its client has ended: messages that wait for the
    // app would be dropped, and the client's Close frame would not be answered.
    this.socket.allowHalfOpen = true
  }

  forbidAcceptance (): void {}

  handOver (): Buffer {
    this.socket.off('end', onEnd)
    this.socket.off('data', onData)
    ;(this.socket as UpgradeSocket)[kTransport] = null
    return this.early.take()
  }

  leaveToApp (): Buffer {
    if (this.response !== null) completeResponse(this.response)
    return this.handOver()
  }

  /** Ends the socket, and reads on until the client does the same, for a bounded time. */
  endRefused (): void {
    this.early.take()
    this.socket.end()
    this.socket.resume()
  }

  breakOff (): void {
    this.early.take()
    // It reports that the client has left.
    if (this.response !== null) completeResponse(this.response)
    this.request.destroy()
    this.socket.destroy()
  }

  /** @internal */
  onData (chunk: Buffer): void {
    // Unread bytes would turn the end of a refusal into a reset, which can destroy what the client has not read yet.
    if (this.events.phase === 'refused') return
    this.early.add(chunk)
    this.pauseIfEnough()
  }

  private pauseIfEnough (): void {
    if (this.early.length >= ENOUGH) pauseReads(this.socket)
  }

  /** @internal The client left. A 101 or refusal that is already on its way goes on. */
  onEnd (): void {
    if (this.response?.headersSent !== true) this.events.abort()
  }
}

function onTurn (transport: Http1Transport): void { transport.onTurn() }
function onData (this: UpgradeSocket, chunk: Buffer): void { this[kTransport]?.onData(chunk) }
function onEnd (this: UpgradeSocket): void { this[kTransport]?.onEnd() }
