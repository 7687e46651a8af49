import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocketClosed } from '../../types/diagnostics.js'
import type { WebSocketErrorHandler } from '../../types/options.js'
import type { Connection, ConnectionHost } from '../connection/connection.js'
import { CloseCode, isReceivableCloseCode } from '../protocol/close-codes.js'
import { catchRejection } from '../thenable.js'
import { createError, WebSocketError } from '../errors.js'
import { publishClosed, publishFailed } from './diagnostics.js'
import { Pulse, type PulseSettings } from './pulse.js'
import type { Registry, RouteConnections } from './registry.js'

/** What a user's error handler gets beside the error. Kept only where there is one, since it keeps the request alive. */
export interface ErrorHandling {
  readonly errorHandler: WebSocketErrorHandler
  readonly instance: FastifyInstance
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/**
 * Logs, and closes with 1011, or with what the error itself says. What the peer did wrong has closed the
 * connection before, and is no error of ours.
 */
function handleErrorByDefault (thrown: unknown, connection: Connection, log: FastifyBaseLogger): void {
  const error = thrown instanceof Error ? thrown : createError('FST_WS_ERR_THROWN_VALUE', `the errorHandler threw ${String(thrown)}`, { cause: thrown })
  if (error instanceof WebSocketError) {
    tell(() => log.info({ err: error }, error.message))
    connection.close(isReceivableCloseCode(error.closeCode) ? error.closeCode : CloseCode.INTERNAL_ERROR)
  } else {
    tell(() => log.error({ err: error }, error.message))
    connection.close(CloseCode.INTERNAL_ERROR)
  }
}

/** Logs. A log that cannot be written, to a disk that is full for one, shall not keep a connection from its end. */
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
  private pulse: Pulse | null = null

  constructor (server: Registry, route: RouteConnections, log: FastifyBaseLogger, logsEnd: boolean, errorHandling: ErrorHandling | null) {
    this.server = server
    this.route = route
    this.log = log
    this.logsEnd = logsEnd
    this.errorHandling = errorHandling
  }

  /** Looks after the connection from now on, if its route wants it. */
  watch (connection: Connection, settings: PulseSettings): void {
    if (settings.heartbeat !== null || settings.idleTimeout !== Infinity) this.pulse = new Pulse(connection, this.server.wheel, settings)
  }

  onError (connection: Connection, error: Error): void {
    publishFailed(() => ({ server: this.server, connection, error }))
    const handling = this.errorHandling
    if (handling === null) return handleErrorByDefault(error, connection, this.log)
    try {
      const { errorHandler, instance, request, reply } = handling
      const result: unknown = errorHandler.call(instance, error, connection, request, reply)
      catchRejection(result, thrown => handleErrorByDefault(thrown, connection, this.log))
    } catch (thrown) {
      handleErrorByDefault(thrown, connection, this.log)
    }
  }

  onEnd (connection: Connection, code: number): void {
    this.pulse?.stop()
    this.server.remove(connection, this.route)
    publishClosed(() => ({ server: this.server, connection, ...this.summarize(connection, code) }))
    if (this.logsEnd) tell(() => this.log.info(this.summarize(connection, code), 'websocket connection closed'))
  }

  private summarize (connection: Connection, code: number): Pick<WebSocketClosed, 'code' | 'duration' | 'received' | 'sent'> {
    const { messagesReceived, bytesReceived, messagesSent, bytesSent } = connection._counts
    return {
      code,
      duration: performance.now() - this.openedAt,
      received: { messages: messagesReceived, bytes: bytesReceived },
      sent: { messages: messagesSent, bytes: bytesSent }
    }
  }
}
