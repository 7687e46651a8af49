import type { WebSocketPluginOptions } from '../../types/options.js'
import { describe, OptionError } from '../errors.js'
import { resolveAsyncApi } from './asyncapi.js'
import { checkOptions, isObject, refuse } from './check.js'
import { FOR_ENCAPSULATED, refuseForPluginOnly, PLUGIN_CHECKS, READ_BY_FASTIFY } from './plugin.js'
import { resolveNested, resolveRoute, ROUTE_CHECKS } from './routes.js'
import { CLOSE_TIMEOUT, DEFLATE_DEFAULTS, HANDSHAKE_TIMEOUT, ROUTE_DEFAULTS, type PluginSettings, type RouteSettings } from './settings.js'
import { resolveTopics } from './topics.js'
import { optionsWithoutEffect } from './ws-compat.js'

/** @throws {OptionError} naming the option and what it accepts */
export function resolvePluginOptions (options: WebSocketPluginOptions): PluginSettings {
  refuseForEncapsulated(options)
  const checked = checkOptions(PLUGIN_CHECKS, options, '', [...READ_BY_FASTIFY, ...FOR_ENCAPSULATED])
  const compatibility = checked.options ?? {}
  for (const name of ['maxPayload', 'perMessageDeflate', 'closeTimeout'] as const) refuseContradiction(name, checked[name], compatibility[name])
  // The plugin's limit is for all routes together, and each of them has no limit of its own.
  const { maxConnections = Infinity, topics, ...ofRoutes } = checked
  return {
    route: resolveRoute(ofRoutes, {
      ...ROUTE_DEFAULTS,
      maxPayload: compatibility.maxPayload ?? ROUTE_DEFAULTS.maxPayload,
      perMessageDeflate: resolveNested(compatibility.perMessageDeflate, ROUTE_DEFAULTS.perMessageDeflate, DEFLATE_DEFAULTS)
    }),
    maxConnections,
    handshakeTimeout: checked.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
    closeTimeout: checked.closeTimeout ?? compatibility.closeTimeout ?? CLOSE_TIMEOUT,
    drainTime: checked.drainTime ?? 0,
    preClose: checked.preClose ?? null,
    verifyClient: compatibility.verifyClient ?? null,
    handleProtocols: compatibility.handleProtocols ?? null,
    clientTracking: compatibility.clientTracking ?? true,
    server: compatibility.server ?? null,
    asyncapi: resolveAsyncApi(checked.asyncapi ?? {}),
    broker: checked.broker ?? null,
    topics: resolveTopics(topics ?? {}),
    withoutEffect: optionsWithoutEffect(options.options ?? {})
  }
}

/** Fastify passes these on without using them, since this plugin is registered in the app's own context. */
function refuseForEncapsulated (options: object): void {
  for (const name of FOR_ENCAPSULATED) {
    const value: unknown = Reflect.get(options, name)
    if (value === undefined || value === '') continue
    throw new OptionError(`option '${name}' has no effect on this plugin, which declares no routes: give it to the plugin that declares them`)
  }
}

/** An option can be given flat or, as in `@fastify/websocket`, under `options`. */
function refuseContradiction (name: string, flat: unknown, nested: unknown): void {
  if (flat === undefined || nested === undefined || agree(flat, nested)) return
  throw new OptionError(`option '${name}' is given twice: ${show(flat)}, and ${show(nested)} under 'options'. Give it once`)
}

/** Objects of options are merged, and `true` stands for the defaults. */
function agree (one: unknown, other: unknown): boolean {
  if (isObject(one) && isObject(other)) return Object.entries(one).every(([name, value]) => [undefined, value].includes(Reflect.get(other, name)))
  return one === other || (isObject(one) && other === true) || (one === true && isObject(other))
}

function show (value: unknown): string {
  return isObject(value) ? JSON.stringify(value) : describe(value)
}

/**
 * @param options the value of `websocket` in the route's declaration
 * @param route names the route in an error
 * @throws {OptionError} naming the route, the option and what it accepts
 */
export function resolveRouteOptions (options: unknown, defaults: RouteSettings, route: string): RouteSettings {
  if (options === true || options === undefined) return defaults
  if (!isObject(options)) return refuse(`${route}: option 'websocket'`, 'a boolean or an object of options', options)
  refuseForPluginOnly(options, route)
  return resolveRoute(checkOptions(ROUTE_CHECKS, options, `${route}: `), defaults)
}
