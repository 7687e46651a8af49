import type { WebSocketPluginOptions, WebSocketRouteOptions } from '../../types/options.js'
import { OptionError } from '../errors.js'
import { checkAsyncApi } from './asyncapi.js'
import { check, checkFunction, checkTimeout, isTimeout, TIMEOUT, type Checks } from './check.js'
import { checkBroker, checkTopics } from './topics.js'
import { checkCompatibilityOptions } from './ws-compat.js'
import { DEFAULT_CHECKS, ROUTE_CHECKS } from './routes.js'

type OwnOptions = Omit<WebSocketPluginOptions, Exclude<keyof WebSocketRouteOptions, 'topics'>>

const OWN_CHECKS: Checks<OwnOptions> = {
  handshakeTimeout: checkTimeout,
  closeTimeout: checkTimeout,
  drainTime: check<number>(`0 or ${TIMEOUT}`, value => value === 0 || isTimeout(value)),
  preClose: checkFunction,
  options: checkCompatibilityOptions,
  asyncapi: checkAsyncApi,
  broker: checkBroker,
  topics: checkTopics
}

/** The plugin takes the options of routes too, as their defaults. */
export const PLUGIN_CHECKS: Checks<WebSocketPluginOptions> = { ...DEFAULT_CHECKS, ...OWN_CHECKS }

/** @throws {OptionError} if a route has an option that only the plugin has */
export function refuseForPluginOnly (options: object, route: string): void {
  const option = Object.keys(options).find(name => Object.hasOwn(OWN_CHECKS, name) && !Object.hasOwn(ROUTE_CHECKS, name))
  if (option !== undefined) throw new OptionError(`${route}: option '${option}' is for the plugin only: app.register(websocket, { ${option} })`)
}

/** The options of `register` that say how Fastify loads a plugin. */
export const READ_BY_FASTIFY: readonly string[] = ['name', 'encapsulate', 'skipOverride']

/** The options of `register` for the routes in an encapsulated plugin, as this one is not. */
export const FOR_ENCAPSULATED: readonly string[] = ['prefix', 'logLevel', 'logSerializers']
