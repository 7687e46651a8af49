// Each subpath as an app uses it.
import type { Broker } from 'fastify-ws-routes'
import { brokerContract, type BrokerTest } from 'fastify-ws-routes/broker-tests'
import { ClientError, connect, connectJson, type JsonClient, type TopicsClient } from 'fastify-ws-routes/client'
import { nats, type NatsConnection } from 'fastify-ws-routes/nats'
import { redis, type IoRedisLike, type NodeRedisLike } from 'fastify-ws-routes/redis'

export const brokers = (client: IoRedisLike | NodeRedisLike, connection: NatsConnection): Broker[] => [redis({ client }), nats({ connection })]
export const tests = (create: () => Broker): BrokerTest[] => brokerContract({ create })
export const topics = (): TopicsClient => connect('wss://example.com/live')
export const messages = (): JsonClient<string, number> => connectJson<string, number>('wss://example.com/live')
export const isClientError = (error: unknown): error is ClientError => error instanceof ClientError
// @ts-expect-error the client is required
redis({})
