import Fastify from 'fastify'
import { Redis } from 'ioredis'
import type { AddressInfo } from 'node:net'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { redis, type Broker } from '../../lib/redis/index.js'
import { announce, task } from './task.js'

let received = 0

/** Counts what comes from Redis. */
function counting (broker: Broker): Broker {
  const start = broker.start.bind(broker)
  broker.start = async events => {
    await start({
      message (topic, message) {
        received++
        events.message(topic, message)
      },
      interrupted: topics => { events.interrupted(topics) },
      state: (isUp, error) => { events.state(isUp, error) }
    })
  }
  return broker
}

const app = Fastify()
const broker = task.redis === 0 ? {} : { broker: counting(redis({ client: new Redis(task.redis) })) }
await app.register(websocket, { ...broker, options: { perMessageDeflate: false } })
app.topic('history/:room', { history: { messages: 1000, seconds: 300 } })
app.topic('presence/:room', { presence: { info: () => ({ name: 'somebody' }) } })
app.topic('plain/:room', {})

const connections: WebSocketConnection[] = []
app.get<{ Querystring: { topic?: string } }>('/raw', { websocket: true }, async (connection, { query }) => {
  connections.push(connection)
  if (query.topic !== undefined) await connection.subscribe(query.topic)
})
app.get('/live', { websocket: { topics: true } })
await app.listen({ port: 0, host: '127.0.0.1' })

announce({
  port: (app.server.address() as AddressInfo).port,
  publish: (topic, message) => app.websocketServer.publish(topic, topic.includes('/') ? message : JSON.stringify(message)),
  received: () => received,
  async subscribe (each, topics) {
    for (const [index, connection] of connections.entries()) {
      const all = Array.from({ length: each }, (_, count) => connection.subscribe(`t${(index * each + count) % topics}`))
      await Promise.all(all)
    }
  },
  unsubscribe () {
    for (const connection of connections) for (const topic of [...connection.subscriptions]) connection.unsubscribe(topic)
  }
})
