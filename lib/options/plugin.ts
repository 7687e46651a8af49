import type { WebSocketPluginOptions, WebSocketRouteOptions } from '../../types/options.js'
import { OptionError } from '../errors.js'
import { checkAsyncApi } from './asyncapi.js'
import { checkFunction, checkTimeout, type Checks } from './check.js'
import { checkCompatibilityOptions } from './ws-compat.js'
import { ROUTE_CHECKS } from './routes.js'

type OwnOptions = Omit<WebSocketPluginOptions, keyof WebSocketRouteOptions>

const OWN_CHECKS: Checks<OwnOptions> = {
  handshakeTimeout: checkTimeout,
  closeTimeout: checkTimeout,
  preClose: checkFunction,
  options: checkCompatibilityOptions,
  asyncapi: checkAsyncApi
}

/** The plugin takes the options of routes too, as their defaults. */
export const PLUGIN_CHECKS: Checks<WebSocketPluginOptions> = { ...ROUTE_CHECKS, ...OWN_CHECKS }

/** @throws {OptionError} if a route has an option that only the plugin has */
export function refuseForPluginOnly (options: object, route: string): void {
  const option = Object.keys(options).find(name => Object.hasOwn(OWN_CHECKS, name))
  if (option !== undefined) throw new OptionError(`${route}: option '${option}' is for the plugin only: app.register(websocket, { ${option} })`)
}

/** The options of `register` that say how Fastify loads a plugin. */
export const READ_BY_FASTIFY: readonly string[] = ['name', 'encapsulate', 'skipOverride']

/** The options of `register` for the routes in an encapsulated plugin, as this one is not. */
export const FOR_ENCAPSULATED: readonly string[] = ['prefix', 'logLevel', 'logSerializers']
