// Prices as they change, and a description of the messages for those who write clients: AsyncAPI 3 at /asyncapi.json. PORT
// and HOST say where it listens.
//
//   npm run example asyncapi
//
// Paste the document into https://studio.asyncapi.com to read it as a page, or give it to https://modelina.org for types.

import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'

const port = Number(process.env.PORT ?? 3000)
const host = process.env.HOST ?? '127.0.0.1'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(websocket, {
  asyncapi: {
    info: { title: 'Prices', version: '1.0.0', description: 'Prices of a market, as they change.' },
    servers: { local: { host: `${host}:${port}`, protocol: 'ws' } },
    route: '/asyncapi.json'
  }
})

const Product = Type.Union([Type.Literal('apples'), Type.Literal('pears')], { description: 'What is traded' })

const Subscribe = Type.Object({ type: Type.Literal('subscribe'), product: Product }, { description: 'Tell me of this one.' })
const Unsubscribe = Type.Object({ type: Type.Literal('unsubscribe'), product: Product }, { description: 'And now no more.' })
const Price = Type.Object({
  type: Type.Literal('price'),
  product: Product,
  cents: Type.Integer({ minimum: 1, examples: [99] })
}, { description: 'It has changed, or you have just subscribed.' })

app.get('/markets/:market', {
  websocket: { protocols: ['prices.v1'] },
  schema: {
    summary: 'Prices of one market',
    params: Type.Object({ market: Type.String({ description: 'Its name', examples: ['paris'] }) }),
    receive: Type.Union([Subscribe, Unsubscribe]),
    send: Price
  }
}, connection => {
  const subscribed = new Set<Static<typeof Product>>()
  connection.on('json', ({ type, product }) => {
    if (type === 'unsubscribe') return subscribed.delete(product)
    subscribed.add(product)
    sendPrice(product)
  })
  const timer = setInterval(() => subscribed.forEach(sendPrice), 1000)
  connection.on('close', () => clearInterval(timer))

  function sendPrice (product: Static<typeof Product>): void {
    connection.sendJson({ type: 'price', product, cents: 50 + Math.round(Math.random() * 100) })
  }
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port, host })
console.log(`The API is described at ${address}/asyncapi.json`)
