import type { Broker } from 'fastify-ws-routes'
import { redis } from 'fastify-ws-routes/redis'
import { Redis } from 'ioredis'

/** Carries the rooms between several processes of the chat, by way of the Redis at REDIS_URL. Without it, one process has them. */
export function createBroker (): { broker: Broker | undefined, close: () => Promise<unknown> } {
  const url = process.env.REDIS_URL
  if (url === undefined) return { broker: undefined, close: async () => {} }
  const client = new Redis(url, { lazyConnect: true }) // the broker opens connections like it
  return { broker: redis({ client }), close: async () => client.disconnect() }
}
