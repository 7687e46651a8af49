import type { ServerResponse } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { EMPTY } from '../../common.js'
import { joinUnread } from '../../socket/pause-reads.js'
import { computeAccept, validateExtendedConnect } from '../../protocol/handshake.js'
import { cancelWhenDestroyed } from './cancel-stream.js'
import type { ConnectExchange } from './exchange.js'
import { keepAddressOfStream } from '../kept-address.js'
import { PendingUpgrade, type Dispatch, type Proposal, type UpgradeOwner } from '../pending-upgrade.js'

/** An extended CONNECT of HTTP/2 (RFC 8441): the socket is a stream, and its end is not that of others. */
export class Http2Upgrade extends PendingUpgrade {
  private readonly stream: ServerHttp2Stream
  private readonly exchange: ConnectExchange

  constructor (exchange: ConnectExchange, owner: UpgradeOwner) {
    const { stream } = exchange
    super(exchange.request, stream, owner)
    this.stream = stream
    this.exchange = exchange
    keepAddressOfStream(stream)
    cancelWhenDestroyed(stream)
    joinUnread(stream)
    stream.on('finish', this.onFinish)
    stream.on('end', this.onEnd)
  }

  route (dispatch: Dispatch): void {
    this.dispatch(dispatch, this.exchange.response as unknown as ServerResponse)
  }

  readProposal (): Proposal {
    const { key, subprotocols, extensions } = validateExtendedConnect(this.request)
    const headers: Record<string, string> = key === null ? {} : { 'Sec-WebSocket-Accept': computeAccept(key) }
    return { subprotocols, extensions, statusCode: 200, headers }
  }

  override whenAccepted (...args: Parameters<PendingUpgrade['whenAccepted']>): void {
    super.whenAccepted(...args)
    this.exchange.response.onAccepted = this.onAccepted
  }

  override withdrawAcceptance (): boolean {
    this.exchange.response.onAccepted = null
    return super.withdrawAcceptance()
  }

  private readonly onAccepted = (): void => {
    if (this.isOver || this.stream.destroyed) return
    // As over HTTP/1.1, a request that has become a connection has no end of its own, nor does Fastify's signal abort.
    this.request.removeAllListeners('close')
    // Fastify's log and hooks tell of the answer first.
    this.exchange.conclude()
    this.onWritten()
  }

  /** All of a refusal was sent, or the client has reset the stream. */
  private readonly onFinish = (): void => {
    if (this.stream.headersSent && !this.stream.aborted) this.onWritten()
  }

  /** The client left: its END_STREAM is what FIN is to TCP (RFC 8441 §5). An answer that is already on its way goes on. */
  private readonly onEnd = (): void => {
    if (!this.stream.headersSent) this.abort()
  }

  protected isAcceptance (statusCode: number): boolean {
    return statusCode >= 200 && statusCode < 300
  }

  protected release (): Buffer {
    this.stream.off('end', this.onEnd)
    this.stream.off('finish', this.onFinish)
    if (!this.isHijacked) this.stream.once('finish', closeSoon)
    return EMPTY
  }

  override hijack (): void {
    super.hijack()
    this.exchange.response.isHijacked = this.isHijacked
  }

  /** Node resets a stream whose answer is whole and of which nobody reads (RFC 9113 §8.1). */
  protected endRefused (): void {}

  /** Also where the session is stuck, and cannot send that. */
  protected breakOff (): void {
    this.stream.destroy()
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
