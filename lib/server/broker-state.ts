import type { FastifyBaseLogger } from 'fastify'
import type { WebSocketServer } from '../../types/server.js'
import { publishBrokerState } from './diagnostics.js'

/** Logs once that the broker of topics was lost, or is back, and tells those who watch. */
export function reportBroker (log: FastifyBaseLogger, server: WebSocketServer, isUp: boolean, error: Error | null): void {
  const { broker } = server.stats.topics
  publishBrokerState(() => ({ server, broker, isUp, error }))
  if (isUp) log.info(`the broker '${broker}' can be reached again`)
  else log.error({ err: error }, `the broker '${broker}' cannot be reached: topics are not published, and subscribers miss messages of topics without history`)
}
