// Declarations of an app that are merged into those of the package.
import type { SendOptions, WebSocketConnection } from 'fastify-ws-routes'

declare module 'fastify-ws-routes' {
  interface SendOptions { priority?: number }
}

export function send (connection: WebSocketConnection, options: SendOptions): number | undefined {
  connection.send('x', { priority: 1 })
  // @ts-expect-error it is a number
  connection.send('x', { priority: 'high' })
  return options.priority
}
