// One process of the cluster; supervisor.ts starts it.

import files from '@fastify/static'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { redis } from 'fastify-ws-routes/redis'
import { Redis } from 'ioredis'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const port = Number(process.env.PORT)
const ports = process.env.PORTS!.split(',').map(Number)

const client = new Redis(process.env.REDIS!, { lazyConnect: true })

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(websocket, {
  broker: redis({ client }),
  topics: { waitForBroker: 10_000 },
  // The page of one process connects to the other too.
  origin: ['localhost', '127.0.0.1'].flatMap(host => ports.map(port => `http://${host}:${port}`))
})
await app.register(files, { root: fileURLToPath(new URL('public', import.meta.url)) })

const module = fileURLToPath(import.meta.resolve('fastify-ws-routes/client'))
app.get('/fastify-ws-routes-client.js', (_request, reply) => reply.sendFile(basename(module), dirname(module)))
app.get('/ports', () => ports)

// Pages count, and look for holes in what the others count.
const Count = Type.Object({ page: Type.String({ maxLength: 40 }), number: Type.Integer() })
app.topic('counts', { schema: { publish: Count, message: Count }, onPublish: (_connection, count) => count, history: { messages: 10_000, seconds: 3600 } })

app.get('/live', { websocket: { topics: { beat: 2_000 } } }, connection => {
  connection.sendJson({ port, pid: process.pid })
  // Nothing can be saved, said or closed any more.
  connection.on('json', message => { if (message === 'kill') process.kill(process.pid, 'SIGKILL') })
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { app.close().finally(() => process.exit()) })

await app.listen({ port, host: '127.0.0.1' })
console.log(`process ${process.pid} is at http://127.0.0.1:${port}`)
