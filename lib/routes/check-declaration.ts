import type { FastifyBaseLogger, RouteOptions } from 'fastify'
import type { OriginPolicy } from '../../types/options.js'
import { OptionError } from '../errors.js'
import { unanchoredRules } from '../options/origin.js'
import { refuseForPluginOnly } from '../options/plugin.js'
import { ROUTE_CHECKS } from '../options/routes.js'

// Fastify ignores options of a route that it does not know, so that a misspelt one would have no effect.

/** The names under which people look for the option `websocket`. */
const MISNAMED = /^(?:web-?sockets?|ws)$/i

/** Options of the plugin, or of `websocket`, that are options of Fastify's routes too. */
const OF_FASTIFY: readonly string[] = ['errorHandler']

/** @throws {OptionError} if the declaration of any route has a name for `websocket` that does nothing */
export function refuseMisnamed (options: RouteOptions, route: string): void {
  const misnamed = Object.keys(options).find(name => name !== 'websocket' && MISNAMED.test(name))
  if (misnamed !== undefined) throw new OptionError(`${route}: unknown option '${misnamed}'; a WebSocket route has 'websocket: true', or an object of options`)
}

/** @throws {OptionError} if the declaration of a WebSocket route has options in the wrong place, or misspelt schemas */
export function checkDeclaration (options: RouteOptions, route: string): void {
  for (const name of Object.keys(options)) {
    if (OF_FASTIFY.includes(name)) continue
    if (Object.hasOwn(ROUTE_CHECKS, name)) throw new OptionError(`${route}: option '${name}' belongs in 'websocket': websocket: { ${name} }`)
  }
  refuseForPluginOnly(options, route)
  for (const name of Object.keys(options.schema ?? {})) {
    const meant = meantBy(name)
    if (meant !== null) throw new OptionError(`${route}: unknown schema '${name}'; the schemas of messages are ${meant}`)
  }
  // Fastify's own has three parameters.
  if ((options.errorHandler?.length ?? 0) > 3) {
    throw new OptionError(
      `${route}: option 'errorHandler' is Fastify's, which gets (error, request, reply) for errors of the handshake. ` +
      'The one that gets (error, connection, request, reply) belongs in \'websocket\': websocket: { errorHandler }'
    )
  }
}

/**
 * Warns of an `errorHandler` that may be meant for the errors of connections: Fastify calls it for those of the handshake only.
 *
 * @param hasOwn whether the route, or the plugin, has one for connections
 */
export function warnOfErrorHandler (log: FastifyBaseLogger, options: RouteOptions, route: string, hasOwn: boolean): void {
  if (options.errorHandler === undefined || hasOwn || options.wsHandler !== undefined) return
  log.warn(`${route}: option 'errorHandler' gets errors of the handshake only; those of the open connection go to 'websocket: { errorHandler }'`)
}

/** Warns of rules of the option `origin` that a stranger's domain can match. */
export function warnOfUnanchored (log: FastifyBaseLogger, policy: OriginPolicy, route?: string): void {
  for (const rule of unanchoredRules(policy)) {
    log.warn(`${route === undefined ? '' : `${route}: `}option 'origin': ${String(rule)} matches part of an origin, such as one in a stranger's domain; begin it with ^ and end it with $`)
  }
}

function meantBy (schema: string): string | null {
  if (schema === 'receive' || schema === 'send') return null
  const name = schema.toLowerCase()
  return /^messages?$/.test(name) || distance(name, 'receive') <= 2 || distance(name, 'send') <= 1 ? "'receive' and 'send'" : null
}

/** The number of letters that are inserted, removed, replaced, or exchanged with their neighbour (optimal string alignment). */
function distance (one: string, other: string): number {
  let before: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, j) => j)
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const replaced = last[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1)
      const isExchange = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, replaced, isExchange ? before[j - 2]! + 1 : Infinity))
    }
    before = last
    last = row
  }
  return last.at(-1)!
}
