import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocketPluginOptions } from '../types/options.js'
import { createAccept } from './http/accept.js'
import { createInjectWS } from './http/inject.js'
import { RouteTable } from './http/route-table.js'
import { registerRoutes } from './http/routes.js'
import { findUnseenRoutes } from './http/unseen-routes.js'
import { UpgradeListener } from './http/upgrade-listener.js'
import { resolvePluginOptions } from './options.js'
import { Server } from './server/websocket-server.js'

/** A WebSocket route is declared where the plugin cannot see it. */
export class UnseenRouteError extends Error {
  readonly code = 'FST_WS_ERR_UNSEEN_ROUTE'
}

async function websocketRoutes (fastify: FastifyInstance, options: WebSocketPluginOptions): Promise<void> {
  const settings = resolvePluginOptions(options)
  const server = new Server(settings.closeTimeout, settings.clientTracking)
  const table = new RouteTable(fastify)
  const listener = new UpgradeListener(settings.server ?? fastify.server, table, fastify.routing, settings)
  let isClosing = false

  fastify.decorate('websocketServer', server)
  fastify.decorate('injectWS', createInjectWS(fastify, listener, settings.closeTimeout))
  registerRoutes(fastify, settings, server, table, createAccept(settings, server, () => isClosing))
  const uninstall = listener.install()

  fastify.addHook('onReady', async () => {
    const unseen = findUnseenRoutes(fastify)
    if (unseen.length > 0) {
      throw new UnseenRouteError(
        `WebSocket routes were declared before fastify-ws-routes was loaded, or outside of where it is registered: ${unseen.join(', ')}. ` +
        'Register the plugin first: `await app.register(websocket)`'
      )
    }
  })

  if (settings.preClose !== null) fastify.addHook('preClose', settings.preClose as () => Promise<unknown>)
  fastify.addHook('preClose', async () => {
    isClosing = true
    await Promise.all([listener.close(), server.close()])
  })
  // Until the server is closed an upgrade may come, and has to be answered: with 503.
  fastify.addHook('onClose', async () => uninstall())
}

export const plugin = fp(websocketRoutes, { fastify: '5.x', name: 'fastify-ws-routes' })
