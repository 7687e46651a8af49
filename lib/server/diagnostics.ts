import { channel } from 'node:diagnostics_channel'
import type { WebSocketBrokerState, WebSocketClosed, WebSocketFailed, WebSocketOpened, WebSocketRefused } from '../../types/diagnostics.js'

const opened = channel('fastify-ws-routes.open')
const closed = channel('fastify-ws-routes.close')
const failed = channel('fastify-ws-routes.error')
const refused = channel('fastify-ws-routes.refused')
const broker = channel('fastify-ws-routes.broker')

// The messages are made only if somebody wants them.

export function publishOpened (make: () => WebSocketOpened): void {
  if (opened.hasSubscribers) opened.publish(make())
}

export function publishClosed (make: () => WebSocketClosed): void {
  if (closed.hasSubscribers) closed.publish(make())
}

export function publishFailed (make: () => WebSocketFailed): void {
  if (failed.hasSubscribers) failed.publish(make())
}

export function publishRefused (make: () => WebSocketRefused): void {
  if (refused.hasSubscribers) refused.publish(make())
}

export function publishBrokerState (make: () => WebSocketBrokerState): void {
  if (broker.hasSubscribers) broker.publish(make())
}
