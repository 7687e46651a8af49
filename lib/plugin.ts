import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { WebSocketPluginOptions } from '../types/options.js'
import { describeRoutes } from './asyncapi/described-routes.js'
import { DeclaredTopics } from './declared-topics/declared-topics.js'
import { createError } from './errors.js'
import { createAccept } from './routes/accept.js'
import { createInjectWS } from './inject/inject.js'
import { Membership } from './membership.js'
import { PendingUpgrades } from './upgrade/upgrades.js'
import { RouteTable } from './upgrade/route-table.js'
import { warnOfUnanchored } from './routes/check-declaration.js'
import { registerRoutes } from './routes/register.js'
import { requireSeenRoutes } from './routes/declared-routes.js'
import { resolvePluginOptions } from './options/index.js'
import { CLOSE_TIMEOUT } from './options/settings.js'
import { publishRefused } from './server/diagnostics.js'
import { Registry } from './server/registry.js'
import { reportBroker } from './server/broker-state.js'
import { Shutdown } from './shutdown.js'
import { Hub } from './topics/hub.js'
import { TopicsProtocol } from './topics-protocol/protocol.js'
import { MemoryBroker } from './topics/memory-broker.js'

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
  warnOfUnanchored(fastify.log, settings.route.origin)
  const { pluginTimeout = 0 } = fastify.initialConfig
  if (pluginTimeout > 0 && settings.closeTimeout > pluginTimeout && settings.closeTimeout !== CLOSE_TIMEOUT) {
    fastify.log.warn(`option 'closeTimeout' (${settings.closeTimeout} ms) is longer than Fastify's pluginTimeout (${pluginTimeout} ms), to which app.close() is limited`)
  }
  if (pluginTimeout > 0 && settings.drainTime > pluginTimeout * 0.9 - 1_000) {
    fastify.log.warn(`option 'drainTime' (${settings.drainTime} ms) does not fit into Fastify's pluginTimeout (${pluginTimeout} ms), to which app.close() is limited: draining is cut short`)
  }
  const hub = new Hub(settings.broker ?? new MemoryBroker(), settings.topics, { onState: (isUp, error) => reportBroker(fastify.log, server, isUp, error) })
  const server: Registry = new Registry(settings.closeTimeout, settings.clientTracking, settings.maxConnections, hub)
  const table = new RouteTable(fastify)
  const upgrades = new PendingUpgrades(fastify.routing, settings, (request, statusCode, reason) => {
    server.countRefusal(reason)
    publishRefused(() => ({ server, request, statusCode, reason }))
  })
  const membership = new Membership(fastify, settings, server, table, upgrades)

  fastify.decorate('websocketServer', server)
  fastify.decorate('injectWS', createInjectWS(fastify, upgrades, settings.closeTimeout))
  const topics = new DeclaredTopics(hub)
  topics.addTo(fastify)
  const protocol = new TopicsProtocol(hub)
  protocol.policies = topics
  requireSeenRoutes(fastify)
  registerRoutes(fastify, settings, server, protocol, table, createAccept(settings, server, upgrades))
  describeRoutes(fastify, settings, topics)
  fastify.addHook('onReady', () => hub.start())
  membership.addHooks()
  new Shutdown(fastify, settings, membership).addHooks()
  // Behind the requests and connections that may still publish.
  fastify.addHook('onClose', () => hub.close(settings.topics.publishTimeout))

  fastify.register(standIn)
}

/** The plugin: `app.register(websocket, options)`. */
export const plugin = Object.assign(fp(websocketRoutes, { fastify: '5.x', name: 'fastify-ws-routes' }), {
  // As `require('@fastify/websocket')` has it.
  default: websocketRoutes,
  fastifyWebsocket: websocketRoutes
})
