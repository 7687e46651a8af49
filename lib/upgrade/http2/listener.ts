import type { Server as HttpServer } from 'node:http'
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { noop } from '../../common.js'
import { ConnectExchange } from './exchange.js'
import { Http2Sessions } from './sessions.js'
import { Http2Transport } from './transport.js'
import { interceptEvents } from '../intercept-events.js'
import { Members, type Member } from '../ownership.js'
import { describeRefusal } from '../refusal.js'

type StreamArguments = [stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]]

const listeners = new WeakMap<object, ConnectListener>()

/** Whether a server speaks HTTP/2. */
export function isHttp2Server (server: object): server is Http2Server {
  return 'updateSettings' in server
}

/** Listens to the extended CONNECT requests (RFC 8441) of a server for all instances of this plugin. */
export class ConnectListener {
  private readonly server: Http2Server
  private readonly members = new Members(() => this.listen())
  readonly sessions = new Http2Sessions()
  /** Whether the server is being closed. */
  private isClosing = false
  /** The stream that the other listeners are looking at. An `emit` of ours that could not be taken off is among them. */
  private shown: ServerHttp2Stream | null = null

  private constructor (server: Http2Server) {
    this.server = server
  }

  /** The one of this server. @returns `null` if it speaks HTTP/1.1 alone */
  static of (server: HttpServer): ConnectListener | null {
    if (!isHttp2Server(server)) return null
    let listener = listeners.get(server)
    if (listener === undefined) listeners.set(server, listener = new ConnectListener(server))
    return listener
  }

  /** Listens for an instance. @returns a function that ends it */
  join (member: Member): () => void {
    return this.members.join(member)
  }

  private listen (): () => void {
    const { server, sessions } = this
    // The first SETTINGS frame of each session has it: some clients look at no other.
    server.updateSettings({ enableConnectProtocol: true })
    const onSession = (session: ServerHttp2Session): void => sessions.add(session)
    server.on('session', onSession)
    const restore = interceptEvents(server, (event, args, emitNext) =>
      event === 'stream' ? this.take(emitNext, args as StreamArguments) : emitNext())
    return () => {
      server.off('session', onSession)
      restore()
    }
  }

  /** Called when the server is about to be closed: ends the connections of instances of other apps, within `timeout` milliseconds. */
  async startClosing (timeout: number): Promise<void> {
    this.isClosing = true
    await Promise.all(this.members.guests.map(guest => guest.leave(timeout)))
  }

  /** @param emitNext shows it to the other listeners, among them Node's own, who makes a request of it, or a `connect` */
  private take (emitNext: () => boolean, [stream, headers, , rawHeaders]: StreamArguments): boolean {
    const { inCharge } = this.members
    if (inCharge === null || this.shown === stream) return emitNext()
    this.sessions.addStream(stream)
    const protocol = headers[':method'] === 'CONNECT' ? headers[':protocol'] : undefined
    const isShared = this.server.listenerCount('connect') > 0
    if (protocol === undefined) return this.show(stream, emitNext)
    if (String(protocol).toLowerCase() !== 'websocket') {
      if (isShared) return this.show(stream, emitNext)
      if (!stream.destroyed) refuseProtocol(stream)
      return true
    }
    const exchange = new ConnectExchange(stream, headers, rawHeaders)
    const owner = this.members.ownerOf(isShared, exchange.request)
    if (owner === null) {
      exchange.forget()
      return this.show(stream, emitNext)
    }
    // The client has reset it in the meantime.
    if (stream.destroyed) return true
    this.sessions.hold(stream)
    owner.upgrades.begin(new Http2Transport(exchange), this.isClosing)
    return true
  }

  private show (stream: ServerHttp2Stream, emitNext: () => boolean): boolean {
    this.shown = stream
    try {
      return emitNext()
    } finally {
      this.shown = null
    }
  }
}

/** RFC 9220 §3 */
function refuseProtocol (stream: ServerHttp2Stream): void {
  const statusCode = 501
  const { headers, body } = describeRefusal(statusCode)
  stream.on('error', noop)
  stream.respond({ ...headers, ':status': statusCode })
  stream.end(body)
}
