import diagnosticsChannel from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { createError } from '../errors.js'
import { isHead, isHttpRoute, isWebSocketRoute } from './route-kind.js'

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
 * Makes `app.ready()` reject if there are WebSocket routes that the plugin has not seen. Where this module was loaded after
 * the app was made, as by `@fastify/autoload`, at least those that are declared from now on are found.
 */
export function requireSeenRoutes (fastify: FastifyInstance): void {
  if (!declaredRoutes.has(fastify.server)) watch(appOf(fastify))
  fastify.addHook('onReady', async () => {
    const unseen = [...declaredRoutes.get(fastify.server)?.webSocket ?? []].filter(([, isSeen]) => !isSeen).map(([url]) => url)
    if (unseen.length > 0) {
      throw createError(
        'FST_WS_ERR_UNSEEN_ROUTE',
        `WebSocket routes were declared before fastify-ws-routes was loaded, or outside of where it is registered: ${unseen.join(', ')}. ` +
        'Register the plugin first: `await app.register(websocket)`'
      )
    }
  })
}

/** Encapsulated instances have the one that they are in as their prototype. */
function appOf (instance: FastifyInstance): FastifyInstance {
  const parent: object = Object.getPrototypeOf(instance)
  return 'addHook' in parent ? appOf(parent as FastifyInstance) : instance
}

/** URLs of HTTP routes that were declared so far. */
export function findHttpRoutes (fastify: FastifyInstance): readonly string[] {
  return declaredRoutes.get(fastify.server)?.http ?? []
}

/** Notes that the plugin has seen the route. */
export function markAsSeen (fastify: FastifyInstance, url: string): void {
  declaredRoutes.get(fastify.server)?.webSocket.set(url, true)
}
