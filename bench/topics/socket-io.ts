import { createAdapter as createRedisAdapter, createShardedAdapter } from '@socket.io/redis-adapter'
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter'
import { Redis } from 'ioredis'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { announce, task } from './task.js'

let received = 0

const client = new Redis(task.redis)
const subscriber = client.duplicate()
for (const event of ['messageBuffer', 'pmessageBuffer', 'smessageBuffer']) subscriber.on(event, () => { received++ })
const hasStreams = task.adapter === 'redis-streams-adapter'
// Each socket has a room of its own beside the one that it joins: those of `dynamic`, the default, get no channel.
const adapter = hasStreams ? createStreamsAdapter(client) : task.adapter === 'sharded' ? createShardedAdapter(client, subscriber) : createRedisAdapter(client, subscriber)
const http = createServer()
const io = new Server(http, {
  transports: ['websocket'],
  adapter,
  ...(hasStreams ? { connectionStateRecovery: {} } : {})
})
io.on('connection', async socket => { await socket.join(String(socket.handshake.query.topic)) })
await new Promise<void>(resolve => { http.listen(0, '127.0.0.1', resolve) })

announce({
  port: (http.address() as AddressInfo).port,
  publish: (topic, message) => io.to(topic).emit('message', message),
  received: () => received
})
