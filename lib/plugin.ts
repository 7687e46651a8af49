import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocketPluginOptions } from '../types/options.js'
import { describeRoutes } from './asyncapi/described-routes.js'
import { createError } from './errors.js'
import { createAccept } from './http/accept.js'
import { ConnectListener } from './http/connect-listener.js'
import { createInjectWS } from './http/inject.js'
import { PendingUpgrades } from './http/pending-upgrades.js'
import { RouteTable } from './http/route-table.js'
import { registerRoutes } from './http/routes.js'
import { findSecondServers } from './http/second-servers.js'
import { findUnseenRoutes, watchFromNowOn } from './http/unseen-routes.js'
import { UpgradeListener } from './http/upgrade-listener.js'
import { resolvePluginOptions } from './options.js'
import { publishRefused } from './server/diagnostics.js'
import { Server } from './server/websocket-server.js'

/**
 * Milliseconds that `app.close()` may take in `preClose` hooks: Fastify rejects it after `pluginTimeout`, which
 * is as long by default as one silent client may take, and its server has to close then too.
 */
function timeToClose ({ initialConfig: { pluginTimeout = 0 } }: FastifyInstance): number {
  return pluginTimeout === 0 ? Infinity : pluginTimeout * 0.9
}

/**
 * Makes `hasPlugin('@fastify/websocket')` true, and fulfils `dependencies: ['@fastify/websocket']`: other plugins ask so
 * whether there are WebSocket routes, and would fail, or register what clashes with ours.
 */
const standIn = fp(async () => {}, { fastify: '5.x', name: '@fastify/websocket' })

async function websocketRoutes (fastify: FastifyInstance, options: WebSocketPluginOptions): Promise<void> {
  if (fastify.hasDecorator('websocketServer')) {
    throw createError(
      'FST_WS_ERR_REGISTERED_TWICE',
      'fastify-ws-routes is already registered here, or @fastify/websocket, which has websocketServer as a decorator too. ' +
      'Register one of them, once: what differs from route to route goes into the options of the routes'
    )
  }
  const settings = resolvePluginOptions(options)
  for (const option of settings.withoutEffect) {
    // The one that @fastify/websocket warns of has its words.
    const hint = option === 'path' ? "ws server path option shouldn't be provided, use a route instead" : `option 'options': '${option}' of ws has no effect`
    fastify.log.warn(hint)
  }
  const server = new Server(settings.closeTimeout, settings.clientTracking, settings.maxConnections)
  const table = new RouteTable(fastify)
  const httpServer = settings.server ?? fastify.server
  const isOwnServer = httpServer === fastify.server
  const upgrades = new PendingUpgrades(fastify.routing, settings, (request, statusCode, reason) => {
    server.countRefusal(reason)
    publishRefused(() => ({ server, request, statusCode, reason }))
  })
  const upgradeListener = new UpgradeListener(httpServer, table, upgrades, isOwnServer)
  const connectListener = new ConnectListener(table, upgrades, isOwnServer)
  let isClosing = false

  fastify.decorate('websocketServer', server)
  fastify.decorate('injectWS', createInjectWS(fastify, upgradeListener, connectListener, settings.closeTimeout))
  watchFromNowOn(fastify)
  registerRoutes(fastify, settings, server, table, createAccept(settings, server, () => isClosing))
  describeRoutes(fastify, settings)
  const uninstall = [upgradeListener.install(), connectListener.install(httpServer)]
  if (isOwnServer) {
    fastify.addHook('onListen', async () => {
      for (const second of findSecondServers(fastify)) uninstall.push(connectListener.install(second))
    })
  }

  fastify.addHook('onReady', async () => {
    const unseen = findUnseenRoutes(fastify)
    if (unseen.length > 0) {
      throw createError(
        'FST_WS_ERR_UNSEEN_ROUTE',
        `WebSocket routes were declared before fastify-ws-routes was loaded, or outside of where it is registered: ${unseen.join(', ')}. ` +
        'Register the plugin first: `await app.register(websocket)`'
      )
    }
  })

  let closingSince = 0
  fastify.addHook('preClose', async () => { closingSince = performance.now() })
  if (settings.preClose !== null) fastify.addHook('preClose', settings.preClose as () => Promise<unknown>)
  fastify.addHook('preClose', async () => {
    isClosing = true
    const deadline = Math.min(performance.now() + settings.closeTimeout, closingSince + timeToClose(fastify))
    const timeLeft = (): number => Math.max(0, deadline - performance.now())
    upgrades.refuseAll()
    upgradeListener.close(timeLeft())
    const ends = [upgrades.close(timeLeft()), server.closeWithin(timeLeft())]
    connectListener.startClosing()
    await Promise.all(ends)
    // Those whose 101 was on its way when closing began.
    await server.closeWithin(timeLeft())
    await connectListener.closed(timeLeft())
  })
  // Until the server is closed an upgrade may come, and has to be answered: with 503.
  fastify.addHook('onClose', async () => { for (const undo of uninstall.reverse()) undo() })

  fastify.register(standIn)
}

export const plugin = Object.assign(fp(websocketRoutes, { fastify: '5.x', name: 'fastify-ws-routes' }), {
  // As `require('@fastify/websocket')` has it.
  default: websocketRoutes,
  fastifyWebsocket: websocketRoutes
})
