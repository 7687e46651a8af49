import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteGenericInterface } from 'fastify'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { IncomingHttpHeaders } from 'node:http'
import '../../lib/index.js'
import { expectAssignable, expectType } from './expect.js'
import { z } from 'zod'

// Routes for HTTP are what they are without this package. Fastify's own tests of its types, which test/types.test.ts
// runs, show it for Fastify alone; here are the type providers.

const app = Fastify()
app.get('/', (request, reply) => {
  expectType<unknown>()(request.params)
  expectType<unknown>()(request.query)
  expectType<unknown>()(request.body)
  expectType<IncomingHttpHeaders>()(request.headers)
  expectAssignable<FastifyRequest>(request)
  expectAssignable<FastifyReply>(reply)
  reply.send(1)
})
app.get('/', { websocket: false }, async function (request, reply) {
  expectType<FastifyInstance>()(this)
  expectAssignable<FastifyRequest>(request)
  expectAssignable<FastifyReply>(reply)
})
app.post<{ Body: { name: string }, Reply: { 201: { id: number }, 400: string } }>('/', {
  preHandler: async (request) => { expectType<{ name: string }>()(request.body) }
}, async (request, reply) => {
  expectType<{ name: string }>()(request.body)
  // @ts-expect-error what the generic says of 400
  reply.code(400).send({ id: 1 })
  return reply.code(201).send({ id: 1 })
})
// @ts-expect-error what the generic says is not what is returned
app.get<{ Reply: { hello: string } }>('/', async () => ({ hello: 1 }))
// @ts-expect-error there is no such option
app.get('/', { nope: true }, async () => 'x')
app.route<RouteGenericInterface & { Params: { id: string } }>({
  method: ['PUT', 'PATCH'],
  url: '/:id',
  handler: async (request) => {
    expectType<{ id: string }>()(request.params)
    return request.params.id
  }
})

const typebox = app.withTypeProvider<TypeBoxTypeProvider>()
const typeboxSchema = {
  querystring: Type.Object({ page: Type.Integer() }),
  body: Type.Object({ name: Type.String() }),
  response: { 200: Type.Object({ id: Type.Number() }), 404: Type.Literal('none') }
}
typebox.post('/', { schema: typeboxSchema }, async (request, reply) => {
  expectType<{ page: number }>()(request.query)
  expectType<{ name: string }>()(request.body)
  if (request.query.page === 0) return reply.code(404).send('none')
  // @ts-expect-error what the schema says of 200
  reply.code(200).send({ id: 'x' })
  return { id: 1 }
})
typebox.route({
  method: 'POST',
  url: '/',
  schema: typeboxSchema,
  handler: (request, reply) => {
    expectType<{ page: number }>()(request.query)
    expectType<{ name: string }>()(request.body)
    // @ts-expect-error what the schema says of 404
    reply.code(404).send('some')
    reply.code(200).send({ id: 1 })
  }
})
// @ts-expect-error what the schema says is not what is returned
typebox.route({ method: 'POST', url: '/', schema: typeboxSchema, handler: async () => ({ id: 'x' }) })

const zod = app.withTypeProvider<ZodTypeProvider>()
const zodSchema = {
  querystring: z.object({ page: z.coerce.number() }),
  body: z.object({ name: z.string() }),
  response: { 200: z.object({ id: z.number() }) }
}
zod.post('/', { schema: zodSchema }, async (request) => {
  expectType<{ page: number }>()(request.query)
  expectType<{ name: string }>()(request.body)
  return { id: 1 }
})
zod.route({
  method: 'POST',
  url: '/',
  schema: zodSchema,
  handler: (request, reply) => {
    expectType<{ name: string }>()(request.body)
    // @ts-expect-error what the schema says of 200
    reply.code(200).send({ id: 'x' })
    reply.code(200).send({ id: 1 })
  }
})
// @ts-expect-error what the schema says is not what is returned
zod.post('/', { schema: zodSchema }, async () => ({ id: 'x' }))
