import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { EMPTY } from '../../common.js'
import { joinUnread } from '../../socket/pause-reads.js'
import { computeAccept, validateExtendedConnect } from '../../protocol/handshake.js'
import { cancelWhenDestroyed } from './cancel-stream.js'
import type { ConnectExchange } from './exchange.js'
import { keepAddressOfStream } from '../kept-address.js'
import { isOver } from '../phase.js'
import type { Proposal, TransportEvents, UpgradeTransport } from '../transport.js'

/** An extended CONNECT of HTTP/2 (RFC 8441): the socket is a stream, whose end leaves other streams alone. */
export class Http2Transport implements UpgradeTransport {
  private readonly exchange: ConnectExchange
  private events!: TransportEvents

  constructor (exchange: ConnectExchange) {
    this.exchange = exchange
  }

  get request (): IncomingMessage {
    return this.exchange.request
  }

  get socket (): ServerHttp2Stream {
    return this.exchange.stream
  }

  get response (): ServerResponse {
    // Fastify takes responses of either version.
    return this.exchange.response as unknown as ServerResponse
  }

  open (events: TransportEvents): void {
    const { stream } = this.exchange
    this.events = events
    keepAddressOfStream(stream)
    cancelWhenDestroyed(stream)
    joinUnread(stream)
    stream.on('finish', this.onFinish)
    stream.on('end', this.onEnd)
  }

  /** A stream has one request. */
  awaitTurn (): void {
    this.events.onTurn()
  }

  readProposal (): Proposal {
    const { key, subprotocols, extensions } = validateExtendedConnect(this.request)
    const headers: Record<string, string> = key === null ? {} : { 'Sec-WebSocket-Accept': computeAccept(key) }
    return { subprotocols, extensions, statusCode: 200, headers }
  }

  isAcceptance (statusCode: number): boolean {
    return statusCode >= 200 && statusCode < 300
  }

  allowAcceptance (): void {
    this.exchange.response.allowAcceptance(this.onAccepted)
  }

  forbidAcceptance (): void {
    this.exchange.response.forbidAcceptance()
  }

  private readonly onAccepted = (): void => {
    const { request, stream, response } = this.exchange
    if (isOver(this.events.phase) || stream.destroyed) return
    // As over HTTP/1.1, a request that has become a connection has no end of its own, nor does Fastify's signal abort.
    request.removeAllListeners('close')
    // Fastify's log and hooks tell of the answer first.
    this.exchange.conclude()
    this.events.onWritten(response.statusCode)
  }

  /** All of a refusal was sent, or the client has reset the stream. */
  private readonly onFinish = (): void => {
    const { stream, response } = this.exchange
    if (stream.headersSent && !stream.aborted) this.events.onWritten(response.statusCode)
  }

  /** The client left: its END_STREAM is what FIN is to TCP (RFC 8441 §5). An answer that is already on its way goes on. */
  private readonly onEnd = (): void => {
    if (!this.socket.headersSent) this.events.abort()
  }

  handOver (): Buffer {
    this.stopListening()
    this.socket.once('finish', closeSoon)
    return EMPTY
  }

  leaveToApp (): Buffer {
    this.stopListening()
    this.exchange.response.leaveToApp()
    return EMPTY
  }

  private stopListening (): void {
    this.socket.off('end', this.onEnd)
    this.socket.off('finish', this.onFinish)
  }

  /** Node resets a stream whose answer is whole and of which nobody reads (RFC 9113 §8.1). */
  endRefused (): void {}

  /** Also where the session is stuck, and cannot send that. */
  breakOff (): void {
    this.socket.destroy()
  }
}

/**
 * Once our side has ended, the server ignores what a client still sends, and tells the client so (RFC 9113 §8.1). Some clients,
 * such as undici, never end the stream themselves, because over TCP they end when the server does.
 */
function closeSoon (this: ServerHttp2Stream): void {
  // Not while nghttp2 is reading: see `cancelWhenDestroyed`.
  setImmediate(close, this)
}

function close (stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_NO_ERROR)
}
