import { Http2ServerRequest, Http2ServerResponse, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'

/**
 * An extended CONNECT as the GET that it is to the router (RFC 8441 §5), on a stream that is left alone: what comes
 * on it are frames, and wait there, within the window of HTTP/2's flow control.
 */
export class ConnectRequest extends Http2ServerRequest {
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

/** The request of `injectWS`: its connection has the addresses that the caller wants. */
export class InjectedConnectRequest extends ConnectRequest {
  constructor (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[], socket: Duplex) {
    super(stream, headers, rawHeaders)
    Object.defineProperty(this, 'socket', { value: socket })
  }
}

/**
 * The answer to an extended CONNECT. If it accepts, it is over with its header section, and the stream goes on: content
 * that a hook has made of nothing would be taken for frames, and is dropped.
 */
export class ConnectResponse extends Http2ServerResponse {
  /** Called when the header section that accepts was sent. As long as it is `null`, every answer is a refusal. */
  onAccepted: (() => void) | null = null
  private isAccepting = false

  override writeHead (statusCode: number, ...rest: unknown[]): this {
    const isSuccessful = statusCode >= 200 && statusCode < 300
    // To the client every 2xx is a WebSocket that is open (RFC 8441 §5), whatever a hook has meant by it.
    if (isSuccessful && this.onAccepted === null) return this.writeRefusal(501, rest)
    if (!isSuccessful || this.stream.destroyed || this.stream.closed) return this.writeRefusal(statusCode, rest)
    for (const [name, value] of Object.entries(rest.at(-1) ?? {})) this.setHeader(name, value)
    // RFC 9110 §9.3.6
    this.removeHeader('content-length')
    this.statusCode = statusCode
    // Node's own would want to send trailers.
    this.stream.respond({ ...this.getHeaders(), ':status': statusCode })
    this.isAccepting = true
    return this
  }

  private writeRefusal (statusCode: number, rest: unknown[]): this {
    return Reflect.apply(super.writeHead, this, [statusCode, ...rest])
  }

  override write (...args: unknown[]): boolean {
    if (!this.headersSent) this.writeHead(this.statusCode)
    return this.isAccepting || Reflect.apply(super.write, this, args)
  }

  override end (...args: unknown[]): this {
    if (!this.headersSent && this.onAccepted !== null) this.writeHead(this.statusCode)
    if (!this.isAccepting) return Reflect.apply(super.end, this, args)
    if (!this.writableEnded) {
      // Node's own tells of `super.end`.
      Object.defineProperty(this, 'writableEnded', { value: true })
      process.nextTick(this.onAccepted!)
    }
    return this
  }
}

type Listener = (...args: unknown[]) => void

/**
 * What Node's request and response listen to on their stream. They would do so for as long as it lives, and
 * tell of its end as if it were that of the exchange.
 */
export class ExchangeListeners {
  private readonly stream: ServerHttp2Stream
  private readonly added: [event: string | symbol, listener: Listener][] = []

  /**
   * @param create makes the request and the response
   */
  constructor (stream: ServerHttp2Stream, create: () => void) {
    this.stream = stream
    const before = new Map(stream.eventNames().map(event => [event, stream.listeners(event)]))
    create()
    for (const event of stream.eventNames()) {
      for (const listener of stream.listeners(event).slice(before.get(event)?.length ?? 0)) this.added.push([event, listener as Listener])
    }
  }

  /** Takes them off. */
  remove (): void {
    for (const [event, listener] of this.added) this.stream.off(event, listener)
  }

  /** Takes them off, and tells the request and the response, which then let go of the stream, that it is over. */
  conclude (): void {
    this.remove()
    for (const [event, listener] of this.added) if (event === 'close') Reflect.apply(listener, this.stream, [])
  }
}
