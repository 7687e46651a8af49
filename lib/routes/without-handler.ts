import type { FastifyInstance, RouteHandlerMethod, RouteOptions } from 'fastify'
import { isObject } from '../options/check.js'

/** The handler of a route that speaks the topics protocol and has none of its own. */
export const noHandler: RouteHandlerMethod = () => {}

/**
 * Lets routes with `websocket: { topics: true }` do without a handler. Fastify refuses a route that has none before any hook
 * sees it, so its two methods that declare one are replaced.
 */
export function allowNoHandler (fastify: FastifyInstance): void {
  const { get, route } = fastify as unknown as Record<'get' | 'route', (...args: unknown[]) => unknown>
  Object.assign(fastify, {
    get (this: FastifyInstance, url: unknown, options: unknown, handler: unknown, ...others: unknown[]): unknown {
      return get.call(this, url, options, handler ?? (needsHandler(options) ? noHandler : undefined), ...others)
    },
    route (this: FastifyInstance, options: unknown, ...others: unknown[]): unknown {
      return route.call(this, needsHandler(options) ? { ...options, handler: noHandler } : options, ...others)
    }
  })
}

function needsHandler (options: unknown): options is object {
  if (!isObject(options)) return false
  const { websocket, wsHandler, handler } = options as Partial<RouteOptions>
  return handler === undefined && wsHandler === undefined && isObject(websocket) && Boolean(Reflect.get(websocket, 'topics'))
}
