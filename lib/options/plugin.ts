import type { WebSocketPluginOptions, WebSocketRouteOptions } from '../../types/options.js'
import { checkAsyncApi } from './asyncapi.js'
import { checkFunction, checkTimeout, type Checks } from './check.js'
import { checkCompatibilityOptions } from './ws-compat.js'
import { ROUTE_CHECKS } from './routes.js'

type OwnOptions = Omit<WebSocketPluginOptions, keyof WebSocketRouteOptions>

const OWN_CHECKS: Checks<OwnOptions> = {
  handshakeTimeout: checkTimeout,
  closeTimeout: checkTimeout,
  errorHandler: checkFunction,
  preClose: checkFunction,
  options: checkCompatibilityOptions,
  asyncapi: checkAsyncApi
}

/** The plugin takes the options of routes too, as their defaults. */
export const PLUGIN_CHECKS: Checks<WebSocketPluginOptions> = { ...ROUTE_CHECKS, ...OWN_CHECKS }

/** The options that Fastify itself reads from those of `register`. */
export const READ_BY_FASTIFY: readonly string[] = ['prefix', 'logLevel', 'logSerializers', 'name', 'encapsulate', 'skipOverride']
