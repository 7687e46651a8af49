import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import websocket from '../lib/index.js'
import { redis, type IoRedisLike } from '../lib/redis/index.js'
import type { ReturnServerState } from './return-messages.js'

// One of the server processes of soak/return.ts. It publishes numbered messages to each topic when it is asked to.

const { Redis: Client } = createRequire(new URL('../test/brokers/package.json', import.meta.url))('ioredis') as { Redis: new (port: number) => IoRedisLike }

const client = new Client(Number(process.argv[2]))
const app = Fastify()
await app.register(websocket, { broker: redis({ client }) })
app.topic('rooms/:room', { history: { messages: 5_000, seconds: 300 } })
app.get('/live', { websocket: { topics: true } })
// With Node's default, 511, the kernel drops most of ten thousand connections that come at once, and clients try again after 1, 3, 7, 15 and 31 s.
await app.listen({ port: 0, host: '127.0.0.1', backlog: Number(process.argv[3]) })

const published: number[] = []
let timer: NodeJS.Timeout | undefined
let turn = 0
let pending: Array<Promise<unknown>> = []

process.on('message', (order: { do: 'state' | 'publish' | 'stop', topics?: number, rate?: number }) => {
  switch (order.do) {
    case 'state': {
      const { user, system } = process.cpuUsage()
      process.send!({ reads: app.websocketServer.stats.topics.reads, cpu: (user + system) / 1000 } satisfies ReturnServerState)
      break
    }
    case 'publish':
      timer = setInterval(() => {
        const topic = turn++ % order.topics!
        published[topic] = (published[topic] ?? 0) + 1
        pending.push(app.websocketServer.publish(`rooms/${topic}`, { n: published[topic] }))
      }, 1000 / order.rate!)
      break
    case 'stop':
      clearInterval(timer)
      Promise.all(pending).then(() => process.send!({ published }))
      pending = []
  }
})

process.send!((app.server.address() as AddressInfo).port)
