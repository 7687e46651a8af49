// GraphQL with subscriptions, by graphql-ws. PORT and HOST say where it listens; examples/graphql-ws/client.ts talks to it.
//
//   npm run example graphql-ws

import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { buildSchema } from 'graphql'
import { makeHandler } from 'graphql-ws/use/@fastify/websocket'
import { setTimeout } from 'node:timers/promises'

const schema = buildSchema(`
  type Query { hello (name: String!): String! }
  type Subscription { countdown (from: Int!): Int! }
`)

const roots = {
  query: {
    hello: ({ name }: { name: string }) => `Hello, ${name}!`
  },
  subscription: {
    async * countdown ({ from }: { from: number }) {
      for (let countdown = from; countdown >= 0; countdown--) {
        yield { countdown }
        await setTimeout(100)
      }
    }
  }
}

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)

// The subprotocol of graphql-ws. Pages of other origins may connect if `origin`, beside it, says so.
app.get('/graphql', { websocket: true }, makeHandler({ schema, roots }))

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`GraphQL is at ${address}/graphql`)
