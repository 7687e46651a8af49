/**
 * Topics between processes through Redis or Valkey.
 *
 * @see docs/redis.md
 * @module fastify-ws-routes/redis
 */

import type { Broker } from '../../types/broker.js'
import { RedisBroker } from './broker.js'
import { checkOptions, type RedisBrokerOptions } from './options.js'

export type * from '../../types/broker.js'
export type { RedisBrokerOptions } from './options.js'
export type { IoRedisLike } from './ioredis.js'
export type { NodeRedisLike } from './node-redis.js'

/**
 * A broker for `app.register(websocket, { broker })` that carries topics through Redis 6.2 or newer, or Valkey. One object is for
 * one app.
 *
 * @throws {OptionError} if an option is wrong
 */
export function redis (options: RedisBrokerOptions): Broker {
  return new RedisBroker(checkOptions(options))
}
