import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'

/** The handshake of a client: without what is only of one version of HTTP. */
export interface InjectedHandshake {
  readonly path: string
  /** `host` among them. */
  readonly headers: OutgoingHttpHeaders
  /** The ends of a connection in memory. */
  readonly clientSocket: Duplex
  readonly serverSocket: Duplex
}

/** Receives the response to the handshake. */
export interface HandshakeResult {
  /** @param early what was read behind the answer */
  onAccepted (socket: Duplex, headers: IncomingHttpHeaders, early: Buffer): void
  onFailed (error: Error): void
}

/** Does the handshake, with a server of its own: the app's may speak TLS. */
export type InjectingClient = (handshake: InjectedHandshake, result: HandshakeResult) => void
