import type { FastifyInstance, RouteOptions } from 'fastify'
import type { AsyncApiDocument } from '../../types/asyncapi.js'
import { isHiddenSchema } from '../routes/hidden-schema.js'
import { isHead, isWebSocketRoute } from '../routes/route-kind.js'
import type { DeclaredTopics } from '../declared-topics/declared-topics.js'
import { topicsRouteOf } from '../routes/register.js'
import { SUBPROTOCOL } from '../topics-protocol/protocol.js'
import type { PluginSettings } from '../options/settings.js'
import { addressOfTopic } from './address.js'
import { describe, type DescribedRoute, type DescribedTopic } from './document.js'
import { createError } from '../errors.js'
import { asObject } from './json-schema.js'

/** Gives the app `asyncapi()`, and the route that serves what it returns. */
export function describeRoutes (fastify: FastifyInstance, { asyncapi: settings, route: { protocols } }: PluginSettings, topics: DeclaredTopics): void {
  // Fastify uses the same options object again for other URLs, such as the one with a trailing slash.
  const declared: Array<{ readonly instance: FastifyInstance, readonly url: string, readonly options: RouteOptions }> = []
  let isReady = false
  let served = ''

  fastify.addHook('onRoute', function (options) {
    if (isWebSocketRoute(options.websocket, options.wsHandler) && !isHead(options.method)) declared.push({ instance: this, url: options.url, options })
  })
  fastify.addHook('onReady', async () => {
    isReady = true
    if (settings.route !== null) served = JSON.stringify(document())
  })
  fastify.decorate('asyncapi', document)
  if (settings.route === null) return
  fastify.get(settings.route, { schema: { hide: true } }, (_request, reply) => {
    reply.type('application/json; charset=utf-8').send(served)
  })

  function document (): AsyncApiDocument {
    if (!isReady) throw createError('FST_WS_ERR_ASYNCAPI', 'app.asyncapi() describes all routes, which are known after await app.ready()')
    const routes = declared.map(({ instance, url, options }): DescribedRoute => {
      const topicsRoute = topicsRouteOf(options)
      const declaredProtocols = (typeof options.websocket === 'object' ? options.websocket.protocols : undefined) ?? protocols
      const others = declaredProtocols ?? []
      const subprotocols = topicsRoute === null || typeof others === 'function' ? others : [SUBPROTOCOL, ...others]
      return {
        url,
        schema: isHiddenSchema(options.schema) ? {} : asObject(options.schema),
        sharedSchemas: instance.getSchemas(),
        // Nothing is known of subprotocols that no option declares.
        subprotocols: typeof subprotocols === 'function' ? 'any' : subprotocols,
        constraints: asObject(options.constraints),
        topics: topicsRoute === null ? 'none' : topicsRoute.hasHandler ? 'besides' : 'alone'
      }
    })
    return describe(routes, topics.all.map(({ instance, pattern, schema, mayPublish, history, presence }): DescribedTopic => ({
      url: pattern.text,
      schema: asObject(schema),
      sharedSchemas: instance.getSchemas(),
      address: addressOfTopic(pattern),
      mayPublish,
      history,
      hasPresence: presence !== null
    })), settings)
  }
}
