import Fastify from 'fastify'
import { Type, type FastifyPluginAsyncTypebox, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsyncZod, ZodTypeProvider } from 'fastify-type-provider-zod'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { expectType } from './expect.js'
import { z } from 'zod'

// What the handshake's schema says is what a WebSocket handler's request has.

// --- TypeBox

const typebox = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await typebox.register(websocket)

const typeboxSchema = {
  params: Type.Object({ room: Type.String() }),
  querystring: Type.Object({ since: Type.Optional(Type.Integer()) }),
  headers: Type.Object({ 'X-Token': Type.String() }),
  response: { 200: Type.Object({ hello: Type.String() }) }
}

typebox.get('/:room', { schema: typeboxSchema, websocket: true }, function (connection, request) {
  expectType<typeof typebox>()(this)
  expectType<WebSocketConnection>()(connection)
  expectType<{ room: string }>()(request.params)
  expectType<{ since?: number }>()(request.query)
  expectType<string>()(request.headers['x-token'])
  expectType<unknown>()(request.body)
})

typebox.get('/:room', {
  schema: { querystring: Type.Object({ level: Type.Union([Type.Literal('low'), Type.Literal('high')]) }) },
  websocket: { maxPayload: 1 },
  preHandler: async (request) => { expectType<'low' | 'high'>()(request.query.level) }
}, async (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<'low' | 'high'>()(request.query.level)
  expectType<unknown>()(request.params)
})

typebox.get('/:room', {
  schema: typeboxSchema,
  websocket: true,
  handler: (connection, request) => {
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  }
})

typebox.route({
  method: 'GET',
  url: '/:room',
  schema: typeboxSchema,
  websocket: true,
  handler (connection, request) {
    expectType<typeof typebox>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<{ since?: number }>()(request.query)
    expectType<string>()(request.headers['x-token'])
  }
})

typebox.route({
  method: 'GET',
  url: '/:room',
  schema: typeboxSchema,
  websocket: { protocols: ['a'] },
  handler: async (request, reply) => {
    expectType<{ room: string }>()(request.params)
    expectType<{ since?: number }>()(request.query)
    return reply.code(200).send({ hello: request.params.room })
  },
  wsHandler (connection, request) {
    expectType<typeof typebox>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<{ since?: number }>()(request.query)
    expectType<string>()(request.headers['x-token'])
  }
})

typebox.get('/:room', { schema: typeboxSchema, wsHandler: (connection, request) => { connection.send(request.params.room) } }, async (request) => {
  expectType<{ room: string }>()(request.params)
  return { hello: request.params.room }
})

const typeboxPlugin: FastifyPluginAsyncTypebox = async (scope) => {
  scope.get('/:room', { schema: typeboxSchema, websocket: true }, (connection, request) => {
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  })
}
typebox.register(typeboxPlugin)

// @ts-expect-error it is a string
typebox.get('/:room', { schema: typeboxSchema, websocket: true }, (connection, request) => { request.params.room.toFixed() })
// @ts-expect-error there is no such parameter
typebox.get('/:room', { schema: typeboxSchema, websocket: true }, (connection, request) => { connection.send(request.params.user) })
// @ts-expect-error the schema of the plain HTTP answer still holds
typebox.route({ method: 'GET', url: '/', schema: typeboxSchema, wsHandler: () => {}, handler: async () => ({ hello: 1 }) })

// --- Zod

const zod = Fastify().withTypeProvider<ZodTypeProvider>()
await zod.register(websocket)

const zodSchema = {
  params: z.object({ room: z.string() }),
  querystring: z.object({ since: z.coerce.number().default(0) }),
  headers: z.object({ 'x-token': z.string() }),
  response: { 200: z.object({ hello: z.string() }) }
}

zod.get('/:room', { schema: zodSchema, websocket: true }, function (connection, request) {
  expectType<typeof zod>()(this)
  expectType<WebSocketConnection>()(connection)
  expectType<{ room: string }>()(request.params)
  // the output of the schema, not its input
  expectType<{ since: number }>()(request.query)
  expectType<string>()(request.headers['x-token'])
  expectType<unknown>()(request.body)
})

zod.get('/:room', {
  schema: { querystring: z.object({ level: z.enum(['low', 'high']) }) },
  websocket: { maxPayload: 1 },
  preHandler: async (request) => { expectType<'low' | 'high'>()(request.query.level) }
}, async (connection, request) => {
  expectType<WebSocketConnection>()(connection)
  expectType<'low' | 'high'>()(request.query.level)
  expectType<unknown>()(request.params)
})

zod.route({
  method: 'GET',
  url: '/:room',
  schema: zodSchema,
  websocket: true,
  handler (connection, request) {
    expectType<typeof zod>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<{ since: number }>()(request.query)
  }
})

zod.route({
  method: 'GET',
  url: '/:room',
  schema: zodSchema,
  handler: async (request, reply) => {
    expectType<{ since: number }>()(request.query)
    return reply.code(200).send({ hello: request.params.room })
  },
  wsHandler (connection, request) {
    expectType<typeof zod>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
    expectType<{ since: number }>()(request.query)
    expectType<string>()(request.headers['x-token'])
  }
})

const zodPlugin: FastifyPluginAsyncZod = async (scope) => {
  scope.get('/:room', { schema: zodSchema, websocket: true }, (connection, request) => {
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string }>()(request.params)
  })
}
zod.register(zodPlugin)

// @ts-expect-error it is a string
zod.get('/:room', { schema: zodSchema, websocket: true }, (connection, request) => { request.params.room.toFixed() })
// @ts-expect-error the schema of the plain HTTP answer still holds
zod.route({ method: 'GET', url: '/', schema: zodSchema, wsHandler: () => {}, handler: async () => ({ hello: 1 }) })
