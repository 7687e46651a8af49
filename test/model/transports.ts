import { once } from 'node:events'
import { constants, type ClientHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { connect as connectTls, TLSSocket, type ConnectionOptions } from 'node:tls'
import { certificate } from '../support/certificate.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'
import type { Transport } from './plan.js'

/** The response to a handshake. */
export interface Answer {
  readonly status: number
  readonly extensions: string
}

/** The client's side of a connection whose handshake was sent. */
export interface Wire {
  readonly raw: RawClient
  readonly answered: Promise<Answer>
  reset (): void
}

/** Opens connections, as the transport has them. */
export class Opener {
  private readonly transport: Transport
  private readonly port: number
  private session: Promise<ClientHttp2Session> | null = null
  private readonly cleanings: (() => unknown)[] = []

  constructor (transport: Transport, port: number) {
    this.transport = transport
    this.port = port
  }

  async open (path: string, offer: string | null): Promise<Wire> {
    return this.transport.startsWith('http2') ? await this.openStream(path, offer) : await this.openSocket(path, offer)
  }

  close (): void {
    for (const clean of this.cleanings.splice(0)) clean()
  }

  private async openSocket (path: string, offer: string | null): Promise<Wire> {
    const raw = this.transport === 'tls' ? await this.connectSecure() : await RawClient.connect(this.port)
    this.cleanings.push(() => raw.destroy())
    raw.write(upgradeRequest(path, { 'Sec-WebSocket-Extensions': offer }))
    const answered = raw.head().then(({ status, headers }) => ({ status, extensions: headers['sec-websocket-extensions'] ?? '' }))
    // Node cannot reset what is encrypted.
    return { raw, answered, reset: () => raw.socket instanceof TLSSocket ? raw.destroy() : (raw.socket as Socket).resetAndDestroy() }
  }

  private async connectSecure (): Promise<RawClient> {
    // Node takes it, and its types do not know it.
    const options: ConnectionOptions & { allowHalfOpen: boolean } = { port: this.port, host: '127.0.0.1', ca: certificate.cert, servername: 'localhost', allowHalfOpen: true }
    const socket = connectTls(options)
    await once(socket, 'secureConnect')
    return new RawClient(socket)
  }

  private async openStream (path: string, offer: string | null): Promise<Wire> {
    const session = await (this.session ??= this.connectSession())
    const stream = extendedConnect(session, path, offer === null ? {} : { 'sec-websocket-extensions': offer })
    const answered = responseHeaders(stream).then(({ status, headers }) => ({ status, extensions: String(headers['sec-websocket-extensions'] ?? '') }))
    return { raw: new RawClient(stream), answered, reset: () => stream.close(constants.NGHTTP2_CANCEL) }
  }

  private async connectSession (): Promise<ClientHttp2Session> {
    const scheme = this.transport === 'http2-tls' ? 'https' : 'http'
    const session = await connectHttp2({ teardown: clean => this.cleanings.push(clean) }, `${scheme}://127.0.0.1:${this.port}`, { ca: certificate.cert })
    // If it ends, so do its streams.
    session.on('error', () => {})
    return session
  }
}
