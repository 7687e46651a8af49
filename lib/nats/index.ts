/**
 * Topics between processes through NATS with JetStream.
 *
 * @see docs/nats.md
 * @module fastify-ws-routes/nats
 */

import type { Broker } from '../../types/broker.js'
import { NatsBroker } from './broker.js'
import { checkOptions, type NatsBrokerOptions } from './options.js'

export type * from '../../types/broker.js'
export type { NatsConnection, NatsHeaders, NatsMessage, NatsStatus, NatsSubscription } from './client.js'
export type { NatsBrokerOptions } from './options.js'

/**
 * A broker for `app.register(websocket, { broker })` that carries topics through NATS 2.9 or newer, with JetStream. One object
 * is for one app.
 *
 * @throws {OptionError} if an option is wrong
 */
export function nats (options: NatsBrokerOptions): Broker {
  return new NatsBroker(checkOptions(options))
}
