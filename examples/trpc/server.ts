// Procedures and a subscription, by tRPC. PORT and HOST say where it listens; examples/trpc/client.ts talks to it.
//
//   npm run example trpc

import { EventEmitter, on } from 'node:events'
import { initTRPC, tracked } from '@trpc/server'
import { fastifyTRPCPlugin, type FastifyTRPCPluginOptions } from '@trpc/server/adapters/fastify'
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { z } from 'zod'

const said: string[] = []
const news = new EventEmitter<{ said: [] }>().setMaxListeners(0)
const trpc = initTRPC.create()

const router = trpc.router({
  say: trpc.procedure.input(z.string().max(200)).mutation(({ input }) => {
    said.push(input)
    news.emit('said')
  }),
  // All that was said, and what will be. Who has lost the connection comes back with the id of what came last.
  listen: trpc.procedure.input(z.object({ lastEventId: z.string().optional() })).subscription(async function * ({ input, signal }) {
    const changes = on(news, 'said', { signal: signal! })
    let next = Number(input.lastEventId ?? -1) + 1
    do {
      for (; next < said.length; next++) yield tracked(String(next), said[next]!)
    } while (!(await changes.next()).done)
  })
})

export type Router = typeof router

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)
await app.register(fastifyTRPCPlugin, {
  prefix: '/trpc',
  useWSS: true,
  trpcOptions: { router, keepAlive: { enabled: true } }
} satisfies FastifyTRPCPluginOptions<Router>)

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`tRPC is at ${address}/trpc`)
