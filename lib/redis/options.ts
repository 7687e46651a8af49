import { createError, describe } from '../errors.js'
import type { RedisDriver } from './connections.js'
import { IoRedisDriver, type IoRedisLike } from './ioredis.js'
import { isCluster, NodeRedisDriver, type NodeRedisLike } from './node-redis.js'

/** The options of `redis()`. */
export interface RedisBrokerOptions {
  /**
   * A client of `ioredis` 5 or 6 (`app.redis` of `@fastify/redis` is one), of `iovalkey`, or of `redis` (node-redis) 5 or 6: for a single
   * server, for Sentinel (ioredis), or for a cluster. It is the template of two connections that the broker opens for itself, and
   * is not used otherwise: it need not be connected, and whoever made it closes it.
   */
  readonly client: IoRedisLike | NodeRedisLike
  /**
   * In front of the names of all keys and channels, behind the client's own `keyPrefix`. Apps with different prefixes share nothing.
   * Up to 64 characters, without `{` and `}`. Default `'ws:'`.
   */
  readonly prefix?: string | undefined
  /**
   * Milliseconds in which Redis has to answer a command: a connection that is silent for longer is given up and opened again. An
   * integer from 100 to 2^31 - 1. Default 5 s.
   */
  readonly timeout?: number | undefined
}

export interface RedisSettings {
  readonly driver: RedisDriver
  readonly prefix: string
  readonly timeout: number
}

const NAMES = ['client', 'prefix', 'timeout']
const CLIENT = 'a client of ioredis 5 or 6, of iovalkey, or of redis (node-redis) 5 or 6'

/** @throws {OptionError} that names the option */
export function checkOptions (options: unknown): RedisSettings {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) refuse('the options of redis()', 'an object such as { client }', options)
  const unknown = Object.keys(options).find(name => !NAMES.includes(name))
  if (unknown !== undefined) throw createError('FST_WS_ERR_INVALID_OPTION', `redis() has no option '${unknown}'; it has ${NAMES.map(name => `'${name}'`).join(', ')}`)
  const { client, prefix = 'ws:', timeout = 5_000 } = options as { client?: unknown, prefix?: unknown, timeout?: unknown }
  const driver = driverOf(client)
  if (typeof prefix !== 'string' || prefix.length > 64 || /[{}]/.test(prefix)) refuse("option 'prefix' of redis()", 'a string of up to 64 characters without { and }', prefix)
  if (!Number.isInteger(timeout) || (timeout as number) < 100 || (timeout as number) > 2 ** 31 - 1) {
    refuse("option 'timeout' of redis()", 'an integer from 100 to 2147483647, milliseconds', timeout)
  }
  if (/[{}]/.test(driver.keyPrefix)) {
    refuse("option 'client' of redis()", 'a client whose keyPrefix has no { and }, which would put all topics on one node of a cluster', driver.keyPrefix)
  }
  return { driver, prefix: driver.keyPrefix + prefix, timeout: timeout as number }
}

function driverOf (client: unknown): RedisDriver {
  if (typeof client === 'object' && client !== null) {
    if (hasMethods(client, ['duplicate', 'callBuffer', 'connect', 'disconnect'])) return new IoRedisDriver(client as IoRedisLike)
    if (hasMethods(client, ['duplicate', 'sendCommand', 'withTypeMapping', 'connect', 'destroy'])) {
      // Pools, and node-redis' own client of Sentinel, have no connection that could be watched.
      const isKnown = isCluster(client as NodeRedisLike) || typeof (client as { isReady?: unknown, ping?: unknown }).isReady === 'boolean'
      if (isKnown && !('acquire' in client) && !('execute' in client)) return new NodeRedisDriver(client as NodeRedisLike)
      refuse("option 'client' of redis()", `${CLIENT}; of node-redis one that createClient or createCluster has made, and for Sentinel one of ioredis`, client)
    }
  }
  return refuse("option 'client' of redis()", CLIENT, client)
}

function hasMethods (client: object, names: string[]): boolean {
  return names.every(name => typeof Reflect.get(client, name) === 'function')
}

function refuse (name: string, expected: string, value: unknown): never {
  throw createError('FST_WS_ERR_INVALID_OPTION', `${name} must be ${expected}, not ${describe(value)}`)
}
