// A counter of orders, whose clients come back by themselves when it is restarted. PORT and HOST say where it listens.
//
//   npm run example reconnecting

import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { setTimeout } from 'node:timers/promises'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)

let orders = 0

app.get('/orders', { websocket: true }, async connection => {
  // Messages that a client kept while the server was away arrive at once; they are buffered until there is a listener.
  await setTimeout(100)
  connection.on('message', data => connection.send(`order ${++orders}: ${data}`))
})

// Every client gets 1001 and reconnects. To keep a client away, close with a code of your own, from 4000 to 4999.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`Orders are taken at ${address}/orders`)
