import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Offers } from '../protocol/handshake.js'
import type { Phase } from './phase.js'

/** The offers of a valid handshake, and the answer that accepts it. */
export interface Proposal extends Offers {
  readonly statusCode: 101 | 200
  readonly headers: Record<string, string>
}

/** Receives from a transport what happens to its request. */
export interface TransportEvents {
  readonly phase: Phase
  /** It is the request's turn: there is a response. */
  onTurn (): void
  /** The answer was written whole. */
  onWritten (statusCode: number): void
  /** The client left, or cannot be answered. */
  abort (): void
}

/** How a version of HTTP carries an upgrade: its request, response and socket. */
export interface UpgradeTransport {
  readonly request: IncomingMessage
  /** A socket of TCP or TLS, or a stream of HTTP/2. */
  readonly socket: Duplex
  /** `null` before the request's turn, and once the response is not needed any more. */
  readonly response: ServerResponse | null

  /** Starts to listen to the socket. */
  open (events: TransportEvents): void

  /** Waits for the request's turn. */
  awaitTurn (): void

  /** @throws {HandshakeError} if the request is not a valid handshake */
  readProposal (): Proposal

  /** Whether an answer with this status opens a WebSocket. */
  isAcceptance (statusCode: number): boolean

  /** The route accepts: the answer that opens a WebSocket may be sent. */
  allowAcceptance (): void

  /** Takes that back. */
  forbidAcceptance (): void

  /** Leaves the socket to a connection. @returns the bytes read from it since the request */
  handOver (): Buffer

  /** Leaves the socket to the app. @returns the bytes read from it since the request */
  leaveToApp (): Buffer

  /** Makes the refusal, which was written, the end of what the server sends. */
  endRefused (): void

  /** Disconnects the client, and reports the request as aborted to the app's hooks. */
  breakOff (): void
}
