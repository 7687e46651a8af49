import type { WebSocketPluginOptions } from '../../types/options.js'
import { resolveAsyncApi } from './asyncapi.js'
import { checkOptions, isObject, refuse } from './check.js'
import { PLUGIN_CHECKS, READ_BY_FASTIFY } from './plugin.js'
import { resolveNested, resolveRoute, ROUTE_CHECKS } from './routes.js'
import { CLOSE_TIMEOUT, DEFLATE_DEFAULTS, HANDSHAKE_TIMEOUT, ROUTE_DEFAULTS, type PluginSettings, type RouteSettings } from './settings.js'
import { optionsWithoutEffect } from './ws-compat.js'

/** @throws {OptionError} naming the option and what it accepts */
export function resolvePluginOptions (options: WebSocketPluginOptions): PluginSettings {
  const checked = checkOptions(PLUGIN_CHECKS, options, '', READ_BY_FASTIFY)
  const compatibility = checked.options ?? {}
  // The plugin's limit is for all routes together, and each of them has no limit of its own.
  const { maxConnections = Infinity, ...ofRoutes } = checked
  return {
    route: resolveRoute(ofRoutes, {
      ...ROUTE_DEFAULTS,
      maxPayload: compatibility.maxPayload ?? ROUTE_DEFAULTS.maxPayload,
      perMessageDeflate: resolveNested(compatibility.perMessageDeflate, ROUTE_DEFAULTS.perMessageDeflate, DEFLATE_DEFAULTS)
    }),
    maxConnections,
    handshakeTimeout: checked.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
    closeTimeout: checked.closeTimeout ?? compatibility.closeTimeout ?? CLOSE_TIMEOUT,
    errorHandler: checked.errorHandler ?? null,
    preClose: checked.preClose ?? null,
    verifyClient: compatibility.verifyClient ?? null,
    handleProtocols: compatibility.handleProtocols ?? null,
    clientTracking: compatibility.clientTracking ?? true,
    server: compatibility.server ?? null,
    asyncapi: resolveAsyncApi(checked.asyncapi ?? {}),
    withoutEffect: optionsWithoutEffect(options.options ?? {})
  }
}

/**
 * @param options the value of `websocket` in the route's declaration
 * @param route names the route in an error
 * @throws {OptionError} naming the route, the option and what it accepts
 */
export function resolveRouteOptions (options: unknown, defaults: RouteSettings, route: string): RouteSettings {
  if (options === true || options === undefined) return defaults
  if (!isObject(options)) return refuse(`${route}: option 'websocket'`, 'a boolean or an object of options', options)
  return resolveRoute(checkOptions(ROUTE_CHECKS, options, `${route}: `), defaults)
}
