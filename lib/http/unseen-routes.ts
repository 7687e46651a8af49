import diagnosticsChannel from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'

interface InitializationMessage {
  readonly fastify: FastifyInstance
}

const declaredRoutes = new WeakMap<object, Map<string, boolean>>()

// `onRoute` does not run for routes that were declared before the plugin was loaded, and nothing tells of them
// afterwards. So every instance is told about from its beginning, if this module was loaded before.
diagnosticsChannel.subscribe('fastify.initialization', message => {
  const { fastify } = message as InitializationMessage
  const routes = new Map<string, boolean>()
  declaredRoutes.set(fastify.server, routes)
  fastify.addHook('onRoute', ({ url, wsHandler, websocket, method }) => {
    if (isWebSocketRoute(websocket, wsHandler) && !isHead(method)) routes.set(url, false)
  })
})

/** Whether a route's options make it a WebSocket route. */
export function isWebSocketRoute (websocket: unknown, wsHandler: unknown): boolean {
  return websocket !== false && (websocket !== undefined || wsHandler !== undefined)
}

/** Whether a route is for HEAD alone, as those that Fastify adds beside GET. */
export function isHead (method: string | string[]): boolean {
  return typeof method === 'string' ? method === 'HEAD' : method.every(one => one === 'HEAD')
}

/** Notes that the plugin has seen the route. */
export function markAsSeen (fastify: FastifyInstance, url: string): void {
  declaredRoutes.get(fastify.server)?.set(url, true)
}

/** URLs of WebSocket routes that the plugin has not seen. */
export function findUnseenRoutes (fastify: FastifyInstance): string[] {
  const routes = declaredRoutes.get(fastify.server) ?? new Map<string, boolean>()
  return [...routes].filter(([, isSeen]) => !isSeen).map(([url]) => url)
}
