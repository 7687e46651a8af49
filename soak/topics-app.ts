// One app process of the soak of topics: BROKER, ENGINE_PORT and PORT say what it is.

import Fastify from 'fastify'
import { createRequire } from 'node:module'
import websocket, { type Broker } from '../lib/index.js'
import { nats } from '../lib/nats/index.js'
import { redis } from '../lib/redis/index.js'

const { BROKER, ENGINE_PORT, PORT } = process.env
const require = createRequire(new URL('../test/brokers/package.json', import.meta.url))

async function connectBroker (): Promise<Broker> {
  if (BROKER === 'redis') {
    const { Redis } = require('ioredis') as { Redis: new (port: number) => { on (event: string, listener: () => void): void } }
    const client = new Redis(Number(ENGINE_PORT))
    // The broker reports what it sees.
    client.on('error', () => {})
    return redis({ client: client as never })
  }
  const { connect } = require('@nats-io/transport-node') as { connect (options: object): Promise<never> }
  return nats({ connection: await connect({ servers: `127.0.0.1:${ENGINE_PORT}`, maxReconnectAttempts: -1, reconnectTimeWait: 100 }), timeout: 2_000 })
}

const message = { type: 'object', properties: { by: { type: 'string' }, n: { type: 'integer' } }, required: ['by', 'n'] }
const app = Fastify()
await app.register(websocket, {
  broker: await connectBroker(),
  topics: { publishTimeout: 3_000, waitForBroker: 30_000 },
  drainTime: 300,
  closeTimeout: 2_000,
  maxBufferedAmount: 256 * 1024
})
app.topic('rooms/:room', {
  schema: { publish: message, message },
  history: { messages: 2_000, seconds: 600 },
  presence: { info: (_connection, request) => ({ name: (request.query as { name: string }).name }) }
})
app.topic('prices/:symbol', { schema: { publish: message, message } })
app.get('/live', { websocket: { topics: { beat: 2_000 } } })

process.on('SIGTERM', () => { app.close().then(() => process.exit(0), () => process.exit(1)) })
process.on('message', (topic: string) => {
  app.websocketServer.topic(topic).presence.list().then(
    members => process.send!({ topic, members, stats: app.websocketServer.stats.topics }),
    (error: Error) => process.send!({ topic, error: error.message })
  )
})
await app.listen({ port: Number(PORT), host: '127.0.0.1' })
process.send!('ready')
