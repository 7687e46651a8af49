import type { IncomingMessage } from 'node:http'
import { Http2ServerRequest, Http2ServerResponse, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { noop } from '../../common.js'

/**
 * Presents an extended CONNECT to the router as a GET (RFC 8441 §5). It does not read the stream: the bytes on it are
 * frames, which wait there within the window of HTTP/2's flow control.
 */
class ConnectRequest extends Http2ServerRequest {
  constructor (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]) {
    const authority = headers[':authority'] ?? headers.host
    const seen: IncomingHttpHeaders = Object.assign(Object.create(null), headers, { ':method': 'GET', ':authority': authority, host: authority })
    super(stream, seen, {}, rawHeaders)
    // Node's own would pause and resume the stream.
    this.removeAllListeners('pause')
    this.removeAllListeners('resume')
  }

  /** A GET has no body. */
  override _read (): void {
    this.push(null)
  }
}

/** How an answer with a status of success is treated. It is the app's own if the app answers by itself. */
type AnswerState = 'refusing' | 'allowed' | 'accepting' | 'hijacked'

/**
 * The answer to an extended CONNECT. If it accepts, it is over with its header section, and the stream goes on: content
 * that a hook has made of nothing would be taken for frames, and is dropped.
 */
class ConnectResponse extends Http2ServerResponse {
  /** `refusing`, where every answer is a refusal, until the route accepts; `accepting` once the header section that accepts was sent. */
  private state: AnswerState = 'refusing'
  private onAccepted = noop

  /** @param onAccepted called when the header section that accepts was sent */
  allowAcceptance (onAccepted: () => void): void {
    if (this.state !== 'refusing') return
    this.state = 'allowed'
    this.onAccepted = onAccepted
  }

  forbidAcceptance (): void {
    if (this.state === 'allowed') this.state = 'refusing'
  }

  leaveToApp (): void {
    if (this.state !== 'accepting') this.state = 'hijacked'
  }

  override writeHead (statusCode: number, ...rest: unknown[]): this {
    if (this.state === 'hijacked') return this.writeByNode(statusCode, rest)
    const isSuccessful = statusCode >= 200 && statusCode < 300
    // To the client every 2xx is a WebSocket that is open (RFC 8441 §5), whatever a hook has meant by it.
    if (isSuccessful && this.state === 'refusing') return this.writeByNode(501, rest)
    if (!isSuccessful || this.stream.destroyed || this.stream.closed) return this.writeByNode(statusCode, rest)
    for (const [name, value] of Object.entries(rest.at(-1) ?? {})) this.setHeader(name, value)
    // RFC 9110 §9.3.6
    this.removeHeader('content-length')
    this.statusCode = statusCode
    // Node's own would want to send trailers.
    this.stream.respond({ ...this.getHeaders(), ':status': statusCode })
    this.state = 'accepting'
    return this
  }

  private writeByNode (statusCode: number, rest: unknown[]): this {
    return Reflect.apply(super.writeHead, this, [statusCode, ...rest])
  }

  override write (...args: unknown[]): boolean {
    if (!this.headersSent) this.writeHead(this.statusCode)
    return this.state === 'accepting' || Reflect.apply(super.write, this, args)
  }

  override end (...args: unknown[]): this {
    if (!this.headersSent && this.state === 'allowed') this.writeHead(this.statusCode)
    if (this.state !== 'accepting') return Reflect.apply(super.end, this, args)
    if (!this.writableEnded) {
      // Node's own tells of `super.end`.
      Object.defineProperty(this, 'writableEnded', { value: true })
      process.nextTick(this.onAccepted)
    }
    return this
  }
}

type Listener = (...args: unknown[]) => void

/**
 * The request and the response on a stream. Node's classes would keep their listeners for as long as the stream lives,
 * and report the end of the stream as the end of the exchange. So these listeners are recorded, and removed afterwards.
 */
export class ConnectExchange {
  readonly stream: ServerHttp2Stream
  readonly request: IncomingMessage
  readonly response: ConnectResponse
  private readonly listeners: [event: string | symbol, listener: Listener][] = []

  /**
   * @param socket that of the request, if it is not that of the session: `injectWS` has one with other addresses
   */
  constructor (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[], socket?: Duplex) {
    this.stream = stream
    const before = new Map(stream.eventNames().map(event => [event, stream.listenerCount(event)]))
    const request = new ConnectRequest(stream, headers, rawHeaders)
    if (socket !== undefined) Object.defineProperty(request, 'socket', { value: socket })
    // Fastify takes requests and responses of either version.
    this.request = request as unknown as IncomingMessage
    this.response = new ConnectResponse(stream)
    for (const event of stream.eventNames()) {
      for (const listener of stream.listeners(event).slice(before.get(event) ?? 0)) this.listeners.push([event, listener as Listener])
    }
  }

  /** Leaves the stream to others. */
  forget (): void {
    for (const [event, listener] of this.listeners) this.stream.off(event, listener)
  }

  /** Leaves the stream to the connection. Request and response, which then let go of the stream, hear that it is over. */
  conclude (): void {
    this.forget()
    for (const [event, listener] of this.listeners) if (event === 'close') Reflect.apply(listener, this.stream, [])
  }
}
