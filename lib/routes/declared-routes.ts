import diagnosticsChannel from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'

interface InitializationMessage {
  readonly fastify: FastifyInstance
}

interface DeclaredRoutes {
  /** URLs of WebSocket routes, and whether the plugin has seen them. */
  readonly webSocket: Map<string, boolean>
  readonly http: string[]
}

const declaredRoutes = new WeakMap<object, DeclaredRoutes>()

// `onRoute` does not run for routes that were declared before the plugin was loaded, and Fastify does not list them
// afterwards. So this module records the routes of every instance that is created after it was loaded.
diagnosticsChannel.subscribe('fastify.initialization', message => {
  try {
    watch((message as InitializationMessage).fastify)
  } catch {
    // Anybody can publish anything there, and what a subscriber throws ends the process. An app that cannot be watched
    // fails when the plugin is registered in it.
  }
})

/** @param fastify the app, not an encapsulated instance */
function watch (fastify: FastifyInstance): void {
  const routes: DeclaredRoutes = { webSocket: new Map(), http: [] }
  fastify.addHook('onRoute', routeOptions => {
    const { url, wsHandler, websocket, method } = routeOptions
    if (isWebSocketRoute(websocket, wsHandler) && !isHead(method)) routes.webSocket.set(url, false)
    else if (isHttpRoute(routeOptions)) routes.http.push(url)
  })
  declaredRoutes.set(fastify.server, routes)
}

/**
 * If this module was loaded after the app was created, as by `@fastify/autoload`: records at least the routes that are
 * declared from now on, in any instance.
 */
export function watchFromNowOn (fastify: FastifyInstance): void {
  if (!declaredRoutes.has(fastify.server)) watch(appOf(fastify))
}

/** Encapsulated instances have the one that they are in as their prototype. */
function appOf (instance: FastifyInstance): FastifyInstance {
  const parent: object = Object.getPrototypeOf(instance)
  return 'addHook' in parent ? appOf(parent as FastifyInstance) : instance
}

/** Whether a route's options make it a WebSocket route. */
export function isWebSocketRoute (websocket: unknown, wsHandler: unknown): boolean {
  return websocket !== false && (websocket !== undefined || wsHandler !== undefined)
}

/** Whether a route is for HEAD alone, as those that Fastify adds beside GET. */
export function isHead (method: string | string[]): boolean {
  return typeof method === 'string' ? method === 'HEAD' : method.every(one => one === 'HEAD')
}

/** Whether a route that is not for WebSocket answers any GET of its URL. */
export function isHttpRoute ({ method, constraints }: RouteOptions): boolean {
  const isForGet = typeof method === 'string' ? method === 'GET' : method.includes('GET')
  return isForGet && Object.keys(constraints ?? {}).length === 0
}

/** URLs of such routes that were declared so far. */
export function findHttpRoutes (fastify: FastifyInstance): readonly string[] {
  return declaredRoutes.get(fastify.server)?.http ?? []
}

/** Notes that the plugin has seen the route. */
export function markAsSeen (fastify: FastifyInstance, url: string): void {
  declaredRoutes.get(fastify.server)?.webSocket.set(url, true)
}

/** URLs of WebSocket routes that the plugin has not seen. */
export function findUnseenRoutes (fastify: FastifyInstance): string[] {
  const routes = declaredRoutes.get(fastify.server)?.webSocket ?? []
  return [...routes].filter(([, isSeen]) => !isSeen).map(([url]) => url)
}
