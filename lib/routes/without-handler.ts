import type { FastifyInstance, RouteHandlerMethod, RouteOptions } from 'fastify'
import { isObject } from '../options/check.js'

/** The handler of a route that speaks the topics protocol and has none of its own. */
export const noHandler: RouteHandlerMethod = () => {}

/**
 * Lets routes with `websocket: { topics: true }` do without a handler. Fastify refuses a route that has none before any hook
 * sees it, so its two methods that declare one are replaced.
 */
export function allowNoHandler (fastify: FastifyInstance): void {
  const app = fastify as unknown as Record<'get' | 'route', (this: unknown, ...args: unknown[]) => unknown>
  const { get, route } = app
  app.get = function (url, options, handler, ...others) {
    return get.call(this, url, options, handler ?? (needsHandler(options) ? noHandler : undefined), ...others)
  }
  app.route = function (options, ...others) {
    return route.call(this, needsHandler(options) ? { ...options, handler: noHandler } : options, ...others)
  }
}

function needsHandler (options: unknown): options is object {
  if (!isObject(options)) return false
  const { websocket, wsHandler, handler } = options as Partial<RouteOptions>
  return handler === undefined && wsHandler === undefined && isObject(websocket) && Boolean(Reflect.get(websocket, 'topics'))
}
