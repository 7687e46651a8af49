// redis-publisher.ts PORT FIRST
//
// Publishes integers from FIRST on, several at a time, and prints each that the broker has acknowledged, until it is killed.

import Fastify from 'fastify'
import { Redis } from 'ioredis'
import websocket from '../../../lib/index.js'
import { redis } from '../../../lib/redis/index.js'

const [port, first] = process.argv.slice(2).map(Number)
const app = Fastify()
await app.register(websocket, { broker: redis({ client: new Redis(port!, '127.0.0.1', { lazyConnect: true }) }) })
app.topic('rooms/:room', { schema: { message: { type: 'integer' } }, history: { messages: 1_000, seconds: 60 } })
await app.ready()
for (let n = first!; ; n += 5) {
  await Promise.all([0, 1, 2, 3, 4].map(async i => {
    await app.websocketServer.publish('rooms/1', (n + i) as never)
    process.stdout.write(`${n + i}\n`)
  }))
}
