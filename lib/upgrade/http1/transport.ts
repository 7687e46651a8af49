import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { JoinedBytes } from '../../socket/joined-bytes.js'
import { pauseReads } from '../../socket/pause-reads.js'
import { computeAccept, validateHandshake } from '../../protocol/handshake.js'
import { keepAddressOfSocket } from '../kept-address.js'
import { afterEarlierResponses } from './pipelining.js'
import { PendingUpgrade, type AcceptCallback, type Dispatch, type Proposal, type UpgradeOwner } from '../pending-upgrade.js'

/** Stop reading once this many bytes are buffered. Node reads up to 64 KiB at once, which may come on top. */
const ENOUGH = 32 * 1024

/**
 * An upgrade of HTTP/1.1: the socket is one that Node has left without parser, timeouts and error listener. It is read
 * while hooks run, so that a client that leaves is noticed.
 */
export class Http1Upgrade extends PendingUpgrade {
  private readonly early = new JoinedBytes()

  /**
   * @param head what Node has read behind the request
   */
  constructor (request: IncomingMessage, socket: Duplex, head: Buffer, owner: UpgradeOwner) {
    super(request, socket, owner)
    keepAddressOfSocket(request.socket)
    socket.on('end', this.onEnd)
    if (head.length > 0) this.onData(head)
    socket.on('data', this.onData)
  }

  /** Whether there is nobody any more to answer to. */
  private get isGone (): boolean {
    return this.isOver || this.socket.destroyed || this.request.socket.destroyed
  }

  route (dispatch: Dispatch): void {
    // The request's own socket: where a body follows, Node 26 gives the event another stream.
    afterEarlierResponses(this.request.socket, () => {
      // An earlier response may have said `Connection: close`.
      if (this.isGone || this.request.socket.writableEnded) return this.abort()
      const response = new UpgradeResponse(this.request)
      try {
        // The types know of sockets only; any Duplex does.
        response.assignSocket(this.socket as never)
      } catch {
        // An earlier response has it still: it was not seen.
        return this.abort()
      }
      this.dispatch(dispatch, response)
      // After Fastify's own listener, so that its log and hooks tell of the 101 first.
      response.once('finish', () => {
        // The response listens on the socket, and would live as long as that.
        if (!this.isOver) response.detachSocket(this.socket as never)
        this.onWritten()
      })
    })
  }

  readProposal (): Proposal {
    const { key, subprotocols, extensions } = validateHandshake(this.request)
    const headers = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': computeAccept(key) }
    return { subprotocols, extensions, statusCode: 101, headers }
  }

  override whenAccepted (callback: AcceptCallback): void {
    // Unless this is set, as it is for TCP, Node ends a TLS socket when its client has: what waits for the app would be
    // dropped, and the client's Close frame not answered.
    this.socket.allowHalfOpen = true
    super.whenAccepted(callback)
  }

  protected isAcceptance (statusCode: number): boolean {
    return statusCode === 101
  }

  protected release (): Buffer {
    const { socket } = this
    socket.off('end', this.onEnd)
    socket.off('data', this.onData)
    return this.early.take()
  }

  /** Ends the socket, and reads on until the client does the same, for a bounded time. */
  protected endRefused (): void {
    this.early.take()
    this.socket.end()
    this.socket.resume()
  }

  protected breakOff (): void {
    this.early.take()
    this.request.destroy()
    this.socket.destroy()
  }

  private readonly onData = (chunk: Buffer): void => {
    // Unread bytes would turn the end of a refusal into a reset, which can destroy what the client has not read yet.
    if (this.isRefused) return
    this.early.add(chunk)
    if (this.early.length >= ENOUGH) pauseReads(this.socket)
  }

  /** The client left. A 101 or refusal that is already on its way goes on. */
  private readonly onEnd = (): void => {
    if (this.response === null || !this.response.headersSent) this.abort()
  }
}

/** Any answer but 101 ends the connection, and says so (RFC 9112 §9.6), whatever else it has in `Connection`. */
class UpgradeResponse extends ServerResponse {
  override shouldKeepAlive = false

  override writeHead (statusCode: number, ...rest: unknown[]): this {
    if (statusCode === 101) {
      // RFC 9112 §6.1: Deno would send its chunks, and the last of them is no frame.
      this.removeHeader('Transfer-Encoding')
    } else {
      // Node leaves it out where a hook has removed it.
      if (!this.hasHeader('connection')) this.setHeader('Connection', 'close')
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
