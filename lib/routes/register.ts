import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { WebSocketRouteHandler } from '../../types/fastify.js'
import type { ConnectionSettings } from '../connection/settings.js'
import { JsonMessages } from '../connection/json-messages.js'
import { resolveRouteOptions } from '../options/index.js'
import type { PluginSettings, RouteSettings } from '../options/settings.js'
import { createError, OptionError, type HandshakeError } from '../errors.js'
import { createUpgradeRequiredError } from '../protocol/handshake.js'
import type { Registry, RouteConnections } from '../server/registry.js'
import type { TopicsProtocol } from '../topics-protocol/protocol.js'
import { TopicsRoute } from '../topics-protocol/route.js'
import { WrappedMessages } from '../topics-protocol/wrapped-messages.js'
import { checkDeclaration, refuseMisnamed, warnOfErrorHandler, warnOfUnanchored } from './check-declaration.js'
import { decorateWithData } from './connection-data.js'
import { createHiddenSchema } from './hidden-schema.js'
import { MessageSchemas, parsePolicyOf } from './message-schemas.js'
import { getUpgrade, type PendingUpgrade } from '../upgrade/pending-upgrade.js'
import type { RouteTable } from '../upgrade/route-table.js'
import { findHttpRoutes, markAsSeen } from './declared-routes.js'
import { isHead, isHttpRoute, isWebSocketRoute } from './route-kind.js'
import { allowNoHandler, noHandler } from './without-handler.js'

const kRoute = Symbol('fastify-ws-routes.route')

type HttpHandler = RouteOptions['handler']

/** The parts that a WebSocket route needs to accept a connection. */
export interface WebSocketRoute {
  readonly handler: WebSocketRouteHandler
  readonly settings: RouteSettings
  readonly connectionSettings: ConnectionSettings
  readonly connections: RouteConnections
  /** `null`: the route does not speak the topics protocol. */
  readonly topics: TopicsRoute | null
}

/** Accepts an upgrade for a route, or throws what refuses it. */
export type Accept = (
  route: WebSocketRoute, upgrade: PendingUpgrade, instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply
) => Promise<FastifyReply> | undefined

/** Makes the routes that ask for it WebSocket routes, and keeps upgrades from all others. */
export function registerRoutes (
  fastify: FastifyInstance, settings: PluginSettings, server: Registry, protocol: TopicsProtocol, table: RouteTable, accept: Accept
): void {
  fastify.decorateRequest('ws', {
    getter () {
      return getUpgrade(this.raw) !== undefined
    }
  })

  decorateWithData(fastify)
  allowNoHandler(fastify)
  noticeHijacks(fastify)
  fastify.addHook('onError', refuseUnsent)

  const compiling: MessageSchemas[] = []
  /** URLs of WebSocket routes: Fastify adds the HEAD route of each behind it. */
  const gets = new Set<string>()
  for (const url of findHttpRoutes(fastify)) table.add(url, false)
  fastify.addHook('onRoute', function (routeOptions) {
    const { method, url, websocket, wsHandler } = routeOptions
    const name = `${String(method)} ${url}`
    refuseMisnamed(routeOptions, name)
    if (!isWebSocketRoute(websocket, wsHandler)) {
      for (const schema of ['receive', 'send'] as const) {
        if (routeOptions.schema?.[schema] !== undefined) throw new OptionError(`${name}: schema '${schema}' is for WebSocket routes only`)
      }
      if (isHttpRoute(routeOptions)) for (const path of pathsOf(routeOptions)) table.add(path, false)
      return
    }
    // With a `wsHandler`, the route is one of HTTP too.
    if (wsHandler === undefined) routeOptions.schema ??= createHiddenSchema()
    if (isHead(method)) {
      if (!gets.has(withoutSlash(url))) throw methodError(name)
      // The copy of a GET route that Fastify adds has the user's handler, which is not for HTTP.
      if (wsHandler === undefined) routeOptions.handler = requireUpgrade
      return
    }
    markAsSeen(fastify, url)
    const methods = Array.isArray(method) ? method : [method]
    if (!methods.every(one => one === 'GET' || one === 'HEAD')) throw methodError(name)
    gets.add(withoutSlash(url))
    if (wsHandler !== undefined && typeof wsHandler !== 'function') {
      throw new OptionError(`${name}: option 'wsHandler' must be a function`)
    }

    checkDeclaration(routeOptions, name)
    const routeSettings = resolveRouteOptions(websocket, settings.route, name)
    warnOfErrorHandler(this.log, routeOptions, name, routeSettings.errorHandler !== null)
    if (routeSettings.origin !== settings.route.origin) warnOfUnanchored(this.log, routeSettings.origin, name)
    const json = routeSettings.topics === null ? new JsonMessages(parsePolicyOf(fastify)) : new WrappedMessages(parsePolicyOf(fastify))
    const hasHandler = wsHandler !== undefined || routeOptions.handler !== noHandler
    const schemas = new MessageSchemas(this, routeOptions, json)
    compiling.push(schemas)
    const route: WebSocketRoute = {
      handler: wsHandler ?? routeOptions.handler as unknown as WebSocketRouteHandler,
      settings: routeSettings,
      connectionSettings: {
        role: 'server',
        maxPayload: routeSettings.maxPayload,
        maxBufferedAmount: routeSettings.maxBufferedAmount,
        rateLimit: routeSettings.rateLimit,
        closeTimeout: settings.closeTimeout,
        json,
        onInvalidMessage: routeSettings.onInvalidMessage?.bind(this) ?? null
      },
      connections: server.declareRoute(url, routeSettings),
      topics: routeSettings.topics === null ? null : new TopicsRoute(protocol, routeSettings.topics, hasHandler)
    }
    const httpHandler = wsHandler === undefined ? requireUpgrade : routeOptions.handler
    routeOptions.handler = function (this: FastifyInstance, request, reply) {
      const upgrade = getUpgrade(request.raw)
      if (upgrade === undefined) return httpHandler.call(this, request, reply)
      return blaming(upgrade, () => {
        schemas.compileFor(request, reply)
        return accept(route, upgrade, this, request, reply)
      })
    } as HttpHandler
    routeOptions.config = { ...routeOptions.config, [kRoute]: route } as RouteOptions['config']

    for (const path of pathsOf(routeOptions)) table.add(path, true)
  })

  fastify.addHook('onReady', async () => {
    for (const schemas of compiling.splice(0)) schemas.compile()
  })

  fastify.addHook('onRequest', (request, reply, done) => {
    const upgrade = getUpgrade(request.raw)
    if (upgrade === undefined) return done()
    const route = routeOf(request)
    // Reject clients over the limit before any hook of the app runs.
    if (route !== null) return done(takePlace(server, route, upgrade))
    if (request.method !== 'GET' && table.has(request.raw.url!)) {
      return done(blame(upgrade, createError('FST_WS_ERR_HANDSHAKE_METHOD')))
    }
    if (request.is404) return done()
    // To a client that wants a WebSocket there is nothing at an HTTP route.
    reply.callNotFound()
  })
}

function methodError (route: string): OptionError {
  return new OptionError(`${route}: a WebSocket route can only have the method GET (RFC 6455 §4.1), and HEAD beside it`)
}

/** A prefixed `/` is declared once, and its HEAD routes with and without the slash. */
function withoutSlash (url: string): string {
  return url.replace(/\/$/, '')
}

/** The header fields of an answer that accepts. */
const ACCEPTING_FIELDS = ['upgrade', 'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions']

/**
 * An `onError` hook: the handshake was accepted, but an `onSend` hook, which may take a payload for granted, has failed. The
 * error would not say so, nor would an error handler set the status where it sets none.
 */
function refuseUnsent (request: FastifyRequest, reply: FastifyReply, error: FastifyError, done: () => void): void {
  if (getUpgrade(request.raw)?.withdrawAcceptance() === true) {
    const { statusCode = 500 } = error
    const message = `a hook failed on the ${reply.statusCode} that accepts a WebSocket handshake, where onSend gets undefined as the payload: ${error.message}`
    if (statusCode >= 500) request.log.error({ err: error }, message)
    else request.log.info({ err: error }, message)
    for (const name of ACCEPTING_FIELDS) reply.removeHeader(name)
    if (reply.hasHeader('connection')) reply.header('connection', 'close')
    reply.code(statusCode >= 400 && statusCode <= 599 ? statusCode : 500)
  }
  done()
}

/** No event says that a hook has called `reply.hijack()`, in whatever order hooks were added. So the method does. */
function noticeHijacks (fastify: FastifyInstance): void {
  fastify.decorateReply('hijack', function hijack (this: FastifyReply): FastifyReply {
    const inherited = findInherited(this, 'hijack', hijack) as FastifyReply['hijack']
    getUpgrade(this.request.raw)?.hijack()
    return inherited.call(this)
  })
}

/** The method that another one hides. */
function findInherited (object: object, name: string, hiding: unknown): unknown {
  let prototype: object = Object.getPrototypeOf(object)
  while (!Object.hasOwn(prototype, name) || Reflect.get(prototype, name) === hiding) prototype = Object.getPrototypeOf(prototype)
  return Reflect.get(prototype, name)
}

/** The WebSocket route that the request is for. */
function routeOf ({ method, routeOptions: { config } }: FastifyRequest): WebSocketRoute | null {
  return method === 'GET' && kRoute in config ? config[kRoute] as WebSocketRoute : null
}

/** How a route that was declared speaks the topics protocol; `null` if it does not. */
export function topicsRouteOf ({ config = {} as NonNullable<RouteOptions['config']> }: RouteOptions): TopicsRoute | null {
  return kRoute in config ? (config[kRoute] as WebSocketRoute).topics : null
}

/** Counts a handshake as the connection that it may become. @returns what refuses it, if there is no place left */
function takePlace (server: Registry, { connections, settings }: WebSocketRoute, upgrade: PendingUpgrade): HandshakeError | undefined {
  const release = server.reserve(connections, settings.maxConnections)
  if (release === null) return blame(upgrade, createError('FST_WS_ERR_MAX_CONNECTIONS'))
  upgrade.whenAnswered(release)
  return undefined
}

/** Notes why the upgrade will be refused, whatever an error handler makes of it. */
function blame<T> (upgrade: PendingUpgrade, error: T): T {
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('FST_WS_ERR_')) upgrade.blame(String(error.code))
  return error
}

function blaming (upgrade: PendingUpgrade, accept: () => ReturnType<Accept>): ReturnType<Accept> {
  try {
    const accepting = accept()
    return accepting?.catch((error: unknown) => { throw blame(upgrade, error) })
  } catch (error) {
    throw blame(upgrade, error)
  }
}

function requireUpgrade (request: FastifyRequest): never {
  throw createUpgradeRequiredError(request.raw.httpVersionMajor)
}

/** A prefixed `/` is declared once and served twice, with and without the slash. */
function pathsOf ({ url, prefix, routePath, prefixTrailingSlash }: RouteOptions & { prefix: string, routePath: string }): string[] {
  const isBoth = routePath === '' && prefix !== '' && (prefixTrailingSlash === undefined || prefixTrailingSlash === 'both')
  return isBoth ? [url, `${url}/`] : [url]
}
