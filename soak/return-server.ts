import { createRequire } from 'node:module'
import { redis, type IoRedisLike } from '../lib/redis/index.js'
import { startApp } from '../test/support/app.js'
import type { ReturnServerState } from './return-messages.js'

// One of the server processes of soak/return.ts. It publishes numbered messages to each topic when it is asked to.

const { Redis: Client } = createRequire(new URL('../test/brokers/package.json', import.meta.url))('ioredis') as { Redis: new (port: number) => IoRedisLike }

const client = new Client(Number(process.argv[2]))
const { app, port } = await startApp({ teardown: () => {} }, app => {
  app.topic('rooms/:room', { history: { messages: 5_000, seconds: 300 } })
  app.get('/live', { websocket: { topics: true } })
}, { broker: redis({ client }) })

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

process.send!(port)
