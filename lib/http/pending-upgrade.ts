import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { afterEarlierResponses } from './pending-response.js'

/** Bytes that are kept of what is read while hooks run; then the client is held back through TCP. */
const MAX_EARLY = 64 * 1024

/** What a chunk costs beside its bytes, which may be a single one. */
const CHUNK_OVERHEAD = 256

const kUpgrade = Symbol('fastify-ws-routes.upgrade')

interface UpgradeRequest extends IncomingMessage {
  [kUpgrade]?: PendingUpgrade
}

/** Milliseconds. */
export interface UpgradeTimeouts {
  readonly handshakeTimeout: number
  readonly closeTimeout: number
}

/** The upgrade that a request asks for, if it asks for a WebSocket. */
export function getUpgrade (request: IncomingMessage): PendingUpgrade | undefined {
  return (request as UpgradeRequest)[kUpgrade]
}

/** Who is told what becomes of an upgrade. */
export interface UpgradeOwner {
  /** It did not become a connection. `statusCode` is `null` if the client left before it was answered. Once. */
  onRefused (request: IncomingMessage, statusCode: number | null, reason: string): void
  /** The socket has become a connection, or is closed. Once. */
  onDone (upgrade: PendingUpgrade): void
}

/** Gets the socket after the 101, and what was read from it since the request. */
export type AcceptCallback = (socket: Duplex, early: Buffer[]) => void

/**
 * An upgrade request from its event to the end of its 101 or of its refusal. Guards the socket, which Node has
 * left without parser, timeouts and error listener; reads, so that a client that leaves is noticed; and gives
 * Fastify a response on it.
 */
export class PendingUpgrade {
  private readonly request: IncomingMessage
  private readonly socket: Duplex
  private readonly timeouts: UpgradeTimeouts
  private readonly owner: UpgradeOwner
  private response: ServerResponse | null = null
  private early: Buffer[] = []
  private earlyBytes = 0
  private timer: NodeJS.Timeout
  private isExpired = false
  private isOver = false
  private isRefused = false
  private reason: string | null = null
  private onAccept: AcceptCallback | null = null
  private onAnswered: (() => void) | null = null

  /**
   * @param head what Node has read behind the request
   */
  constructor (request: IncomingMessage, socket: Duplex, head: Buffer, timeouts: UpgradeTimeouts, owner: UpgradeOwner) {
    this.request = request
    this.socket = socket
    this.timeouts = timeouts
    this.owner = owner
    ;(request as UpgradeRequest)[kUpgrade] = this

    socket.on('error', this.onError)
    socket.on('close', this.onClose)
    socket.on('end', this.onEnd)
    disableTimeout(socket)
    this.timer = setTimeout(this.onTimeout, timeouts.handshakeTimeout)
    if (head.length > 0) this.onData(head)
    socket.on('data', this.onData)
  }

  /** Whether there is nobody any more to answer to. */
  private get isGone (): boolean {
    return this.isOver || this.socket.destroyed || this.request.socket.destroyed
  }

  /** Sends the request through the router, with a response on the socket, once it is its turn. */
  route (dispatch: (request: IncomingMessage, response: ServerResponse) => void): void {
    // The request's own socket: where a body follows, Node 26 gives the event another stream.
    afterEarlierResponses(this.request.socket, () => {
      // An earlier response may have said `Connection: close`.
      if (this.isGone || this.request.socket.writableEnded) return this.abort()
      const response = new UpgradeResponse(this.request)
      this.response = response
      try {
        // The types know of sockets only; any Duplex does.
        response.assignSocket(this.socket as never)
      } catch {
        // An earlier response has it still: it was not seen.
        return this.abort()
      }
      if (this.isExpired) this.answerWith(503)
      else this.dispatch(dispatch, response)
      // After Fastify's own listener, so that its log and hooks tell of the 101 first.
      response.once('finish', this.onFinish)
    })
  }

  private dispatch (dispatch: (request: IncomingMessage, response: ServerResponse) => void, response: ServerResponse): void {
    try {
      dispatch(this.request, response)
    } catch {
      // Thrown by what the user gave to Fastify itself, such as `rewriteUrl`: nobody else could answer.
      this.refuse(500, '500')
    }
  }

  /** Hands over the socket when the response, a 101, was written. */
  whenAccepted (callback: AcceptCallback): void {
    this.onAccept = callback
  }

  /** Calls back, once, when the handshake is over: just before `whenAccepted`, or when the refusal was written, or nobody is left. */
  whenAnswered (callback: () => void): void {
    this.onAnswered = callback
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

  /** Gives up: closes the socket, and tells the hooks that the request is aborted. */
  abort (): void {
    if (!this.isOver) {
      if (!this.isRefused) this.owner.onRefused(this.request, null, 'aborted')
      this.finish()
    }
    this.request.destroy()
    this.socket.destroy()
  }

  private finish (): void {
    this.isOver = true
    clearTimeout(this.timer)
    this.early = []
    this.answered()
    this.owner.onDone(this)
  }

  private answered (): void {
    const callback = this.onAnswered
    this.onAnswered = null
    callback?.()
  }

  private readonly onData = (chunk: Buffer): void => {
    // Unread bytes would turn the end of a refusal into a reset, which can destroy what the client has not read yet.
    if (this.isRefused) return
    this.early.push(chunk)
    this.earlyBytes += chunk.length + CHUNK_OVERHEAD
    if (this.earlyBytes > MAX_EARLY) this.socket.pause()
  }

  /** The client left. A 101 or refusal that is already on its way goes on. */
  private readonly onEnd = (): void => {
    if (this.response === null || !this.response.headersSent) this.abort()
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
      if ('setTimeout' in this.socket) (this.socket as TimeoutSocket).setTimeout(this.timeouts.closeTimeout, () => this.socket.destroy())
    } else {
      this.refuse(503, 'timeout')
    }
  }

  private readonly onFinish = (): void => {
    const response = this.response!
    this.response = null
    clearTimeout(this.timer)
    if (this.isOver) return
    // The response listens on the socket, and would live as long as that.
    response.detachSocket(this.socket as never)
    if (response.statusCode === 101 && this.onAccept !== null) this.accept(this.onAccept)
    else this.linger(response.statusCode)
  }

  private accept (onAccept: AcceptCallback): void {
    const { socket, early } = this
    this.finish()
    socket.off('error', this.onError)
    socket.off('close', this.onClose)
    socket.off('end', this.onEnd)
    socket.off('data', this.onData)
    disableTimeout(socket)
    onAccept(socket, early)
  }

  /** Ends the socket, and reads on until the client does the same, for a bounded time. */
  private linger (statusCode: number): void {
    this.isRefused = true
    this.owner.onRefused(this.request, statusCode, this.reason ?? String(statusCode))
    this.early = []
    this.answered()
    this.socket.end()
    this.socket.resume()
    this.timer = setTimeout(() => this.socket.destroy(), this.timeouts.closeTimeout)
  }
}

/** Any answer but 101 ends the connection, and says so (RFC 9112 §9.6), whatever else it has in `Connection`. */
class UpgradeResponse extends ServerResponse {
  override shouldKeepAlive = false

  override writeHead (statusCode: number, ...rest: unknown[]): this {
    if (statusCode !== 101) {
      addClose(this.getHeaders(), value => this.setHeader('connection', value))
      // Fastify gives all that is set on the reply here.
      const headers = rest.at(-1)
      if (typeof headers === 'object' && headers !== null) addClose(headers, (value, name) => Reflect.set(headers, name, value))
    }
    return Reflect.apply(super.writeHead, this, [statusCode, ...rest])
  }
}

function addClose (headers: object, set: (value: string, name: string) => void): void {
  const name = Object.keys(headers).find(key => key.toLowerCase() === 'connection')
  if (name === undefined) return
  const options = String(Reflect.get(headers, name)).split(',').map(option => option.trim())
  set([...options.filter(option => !/^(?:close|keep-alive)$/i.test(option)), 'close'].join(', '), name)
}

interface TimeoutSocket extends Duplex {
  setTimeout (milliseconds: number, callback?: () => void): void
}

/** Those of Fastify and Node, which nobody listens to any more. */
function disableTimeout (socket: Duplex): void {
  if ('setTimeout' in socket) (socket as TimeoutSocket).setTimeout(0)
}
