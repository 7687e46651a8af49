// An echo server that tells of its handshakes, messages and connections to OpenTelemetry. PORT and HOST say where it listens.
//
//   npm run example tracing

import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { setTimeout } from 'node:timers/promises'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)

app.get('/echo', { websocket: true }, connection => {
  connection.on('message', data => connection.send(data))
})

// A handler that runs as long as the connection: so would its span, if nobody said this.
app.get('/slow', { websocket: true, config: { otel: { instrumentHandler: false } } }, async connection => {
  for await (const message of connection) {
    await setTimeout(100)
    connection.send(message)
  }
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`Echo is at ${address}/echo`)
