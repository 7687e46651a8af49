// GraphQL with subscriptions, by Mercurius. PORT and HOST say where it listens; the page is at /graphiql.
//
//   npm run example mercurius

import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import mercurius from 'mercurius'

const schema = `
  type Query { votes (for: String!): Int! }
  type Mutation { vote (for: String!): Int! }
  type Subscription { votes (for: String!): Int! }
`

const votes = new Map<string, number>()

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
// Before Mercurius, which would bring another plugin for WebSockets otherwise.
await app.register(websocket)
await app.register(mercurius, {
  schema,
  resolvers: {
    Query: {
      votes: async (_root, args: { for: string }) => votes.get(args.for) ?? 0
    },
    Mutation: {
      async vote (_root, args: { for: string }, { pubsub }) {
        const count = (votes.get(args.for) ?? 0) + 1
        votes.set(args.for, count)
        await pubsub.publish({ topic: `votes for ${args.for}`, payload: { votes: count } })
        return count
      }
    },
    Subscription: {
      votes: {
        async * subscribe (_root, args: { for: string }, { pubsub }) {
          const next = await pubsub.subscribe(`votes for ${args.for}`)
          yield { votes: votes.get(args.for) ?? 0 }
          yield * next
        }
      }
    }
  },
  subscription: { fullWsTransport: true },
  graphiql: true
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`GraphiQL is at ${address}/graphiql`)
