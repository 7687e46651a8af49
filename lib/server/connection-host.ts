import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocketClosed } from '../../types/diagnostics.js'
import type { WebSocketErrorHandler } from '../../types/options.js'
import type { ConnectionHost, HostedSession, TopicsOfConnections } from '../connection/host.js'
import type { Session } from '../connection/session.js'
import type { ConnectionCounts } from '../connection/settings.js'
import { CloseCode, isReceivableCloseCode } from '../protocol/close-codes.js'
import { catchRejection } from '../thenable.js'
import { createError, WebSocketError } from '../errors.js'
import { publishClosed, publishFailed } from './diagnostics.js'
import { Liveness, type LivenessSettings } from './liveness.js'
import type { Registry, RouteConnections } from './registry.js'

/** Holds what a user's error handler gets besides the error. Kept only where there is one, since it keeps the request alive. */
export interface ErrorHandling {
  readonly errorHandler: WebSocketErrorHandler
  readonly instance: FastifyInstance
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/**
 * Logs the error and closes with 1011, or with the close code that the error names. A violation by the peer has already
 * closed the connection, and is not an error of the server.
 */
function handleErrorByDefault (thrown: unknown, session: HostedSession, log: FastifyBaseLogger): void {
  const error = thrown instanceof Error ? thrown : createError('FST_WS_ERR_THROWN_VALUE', `the errorHandler threw ${String(thrown)}`, { cause: thrown })
  if (error instanceof WebSocketError) {
    tell(() => log.info({ connectionId: session.connection.id, err: error }, error.message))
    session.close(isReceivableCloseCode(error.closeCode) ? error.closeCode : CloseCode.INTERNAL_ERROR)
  } else {
    tell(() => log.error({ connectionId: session.connection.id, err: error }, error.message))
    session.close(CloseCode.INTERNAL_ERROR)
  }
}

/** Logs. An error of the logger, such as a full disk, does not keep a connection from ending. */
function tell (log: () => void): void {
  try {
    log()
  } catch {
    // There is nobody left to tell.
  }
}

/** The server's side of one connection: its place in the registry, its log, its error handler. */
export class ServerConnectionHost implements ConnectionHost {
  readonly route: RouteConnections
  private readonly server: Registry
  private readonly log: FastifyBaseLogger
  private readonly logsEnd: boolean
  private readonly errorHandling: ErrorHandling | null
  private readonly openedAt = performance.now()

  constructor (server: Registry, route: RouteConnections, log: FastifyBaseLogger, logsEnd: boolean, errorHandling: ErrorHandling | null) {
    this.server = server
    this.route = route
    this.log = log
    this.logsEnd = logsEnd
    this.errorHandling = errorHandling
  }

  get topics (): TopicsOfConnections {
    return this.server.topics
  }

  /** Looks after the connection from now on, if its route wants it. */
  watch (session: Session, settings: LivenessSettings): void {
    if (settings.heartbeat === null && settings.idleTimeout === Infinity) return
    session.watcher = new Liveness(session, this.server.wheel, settings)
  }

  onError (session: HostedSession, error: Error): void {
    const { connection } = session
    publishFailed(() => ({ server: this.server, connection, error }))
    const handling = this.errorHandling
    if (handling === null) return handleErrorByDefault(error, session, this.log)
    try {
      const { errorHandler, instance, request, reply } = handling
      const result: unknown = errorHandler.call(instance, error, connection, request, reply)
      catchRejection(result, thrown => handleErrorByDefault(thrown, session, this.log))
    } catch (thrown) {
      handleErrorByDefault(thrown, session, this.log)
    }
  }

  onEnd (session: HostedSession, code: number): void {
    const { connection, watcher } = session
    watcher?.stop()
    this.server.remove(session as Session, this.route)
    publishClosed(() => ({ server: this.server, connection, ...this.summarize(session, code) }))
    if (this.logsEnd) tell(() => this.log.info({ connectionId: connection.id, ...this.summarize(session, code) }, 'websocket connection closed'))
  }

  private summarize ({ messagesReceived, bytesReceived, messagesSent, bytesSent }: ConnectionCounts, code: number): Pick<WebSocketClosed, 'code' | 'duration' | 'received' | 'sent'> {
    return {
      code,
      duration: performance.now() - this.openedAt,
      received: { messages: messagesReceived, bytes: bytesReceived },
      sent: { messages: messagesSent, bytes: bytesSent }
    }
  }
}
