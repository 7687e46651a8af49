import Fastify, { type FastifyInstance, type FastifyTypeProvider } from 'fastify'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import websocket, { type AnyWebSocketConnection, type InvalidMessage, type WebSocketConnection, type WebSocketRouteConnections } from '../../lib/index.js'
import { expectAssignable, expectType } from './expect.js'
import * as v from 'valibot'
import { z } from 'zod'

// What the schemas `receive` and `send` say is what JSON messages are, each way.

interface Say { type: 'say', text: string }
interface Typing { type: 'typing', on: boolean }
interface Ack { type: 'ack', id: number }

// --- TypeBox

const ClientMessage = Type.Union([
  Type.Object({ type: Type.Literal('say'), text: Type.String() }),
  Type.Object({ type: Type.Literal('typing'), on: Type.Boolean() })
])
const ServerMessage = Type.Object({ type: Type.Literal('ack'), id: Type.Integer() })

const typebox = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await typebox.register(websocket)

typebox.get('/chat/:room', {
  websocket: true,
  schema: { params: Type.Object({ room: Type.String() }), receive: ClientMessage, send: ServerMessage }
}, async (connection, request) => {
  expectType<WebSocketConnection<Say | Typing, Ack>>()(connection)
  expectType<{ room: string }>()(request.params)
  connection.on('json', message => {
    expectType<Say | Typing>()(message)
    // A union narrows by its tag.
    if (message.type === 'say') expectType<string>()(message.text)
    else expectType<boolean>()(message.on)
    // @ts-expect-error no member has it
    expectType<never>()(message.id as never)
  })
  connection.once('json', message => expectType<Say | Typing>()(message))
  for await (const message of connection.json()) {
    switch (message.type) {
      case 'say': expectType<Say>()(message); break
      case 'typing': expectType<Typing>()(message); break
      default: expectType<never>()(message)
    }
  }

  expectType<boolean>()(connection.sendJson({ type: 'ack', id: 1 }))
  expectType<boolean>()(connection.sendJson({ type: 'ack', id: 1 }, { compress: false }, error => expectType<Error | null | undefined>()(error)))
  expectType<boolean>()(connection.sendJson({ type: 'ack', id: 1 }, () => {}))
  // @ts-expect-error a string
  connection.sendJson({ type: 'ack', id: '1' })
  // @ts-expect-error what is received
  connection.sendJson({ type: 'say', text: '' })
  // @ts-expect-error JSON is text
  connection.sendJson({ type: 'ack', id: 1 }, { binary: true })

  expectType<WebSocketRouteConnections<Ack, Say | Typing>>()(connection.route)
  expectType<number>()(connection.route.broadcastJson({ type: 'ack', id: 1 }, { except: connection, filter: other => other !== connection }))
  // @ts-expect-error not what is sent
  connection.route.broadcastJson({ type: 'nak' })
  // @ts-expect-error wrong type
  for (const other of connection.route.clients) other.sendJson('ack')

  // The other events are what they were.
  connection.on('message', (data, isBinary) => {
    expectType<Buffer>()(data)
    expectType<boolean>()(isBinary)
  })
  // Where any connection will do, this one does.
  expectAssignable<AnyWebSocketConnection>(connection)
})

typebox.get('/handler-among-the-options', {
  websocket: {
    onInvalidMessage (error, connection, data) {
      expectType<FastifyInstance>()(this)
      expectType<InvalidMessage>()(error)
      expectType<number>()(error.closeCode)
      expectType<Buffer>()(data)
      connection.sendJson({ type: 'ack', id: 1 })
      // @ts-expect-error not what is sent
      connection.sendJson({ type: 'nak' })
    }
  },
  schema: { receive: ClientMessage, send: ServerMessage },
  handler: connection => { expectType<WebSocketConnection<Say | Typing, Ack>>()(connection) }
})

typebox.route({
  method: 'GET',
  url: '/route',
  websocket: true,
  schema: { receive: ClientMessage, send: ServerMessage },
  handler: connection => { expectType<WebSocketConnection<Say | Typing, Ack>>()(connection) }
})

typebox.route({
  method: 'GET',
  url: '/ws-handler',
  schema: { receive: ClientMessage, send: ServerMessage, response: { 200: Type.Object({ hello: Type.String() }) } },
  handler: async () => ({ hello: 'http' }),
  wsHandler: connection => { expectType<WebSocketConnection<Say | Typing, Ack>>()(connection) }
})

// One of the two schemas alone.
typebox.get('/receive', { websocket: true, schema: { receive: ServerMessage } }, connection => {
  expectType<WebSocketConnection<Ack, unknown>>()(connection)
  connection.sendJson(['anything'])
})
typebox.get('/send', { websocket: true, schema: { send: ServerMessage } }, connection => {
  expectType<WebSocketConnection<unknown, Ack>>()(connection)
})

// --- Zod: what is received has been transformed, what is sent will be

const zod = Fastify().withTypeProvider<ZodTypeProvider>()

zod.get('/', {
  websocket: true,
  schema: {
    receive: z.discriminatedUnion('type', [
      z.object({ type: z.literal('say'), text: z.string().default('') }),
      z.object({ type: z.literal('typing'), on: z.boolean() })
    ]),
    send: z.object({ type: z.literal('ack'), id: z.number(), note: z.string().default('') })
  }
}, async connection => {
  expectType<WebSocketConnection<Say | Typing, { type: 'ack', id: number, note: string }>>()(connection)
  for await (const message of connection.json()) if (message.type === 'typing') expectType<boolean>()(message.on)
})

// --- JSON Schema, by json-schema-to-ts

const jsonSchema = Fastify().withTypeProvider<JsonSchemaToTsProvider>()

jsonSchema.get('/', {
  websocket: true,
  schema: {
    receive: {
      oneOf: [
        { type: 'object', properties: { type: { const: 'say' }, text: { type: 'string' } }, required: ['type', 'text'], additionalProperties: false },
        { type: 'object', properties: { type: { const: 'typing' }, on: { type: 'boolean' } }, required: ['type', 'on'], additionalProperties: false }
      ]
    },
    send: { type: 'object', properties: { type: { const: 'ack' }, id: { type: 'integer' } }, required: ['type', 'id'], additionalProperties: false }
  }
}, connection => {
  connection.on('json', message => {
    if (message.type === 'say') expectType<string>()(message.text)
    else expectType<boolean>()(message.on)
  })
  connection.sendJson({ type: 'ack', id: 1 })
  // @ts-expect-error a string
  connection.sendJson({ type: 'ack', id: 'one' })
})

// --- Valibot, by a provider of one's own

interface ValibotTypeProvider extends FastifyTypeProvider {
  validator: this['schema'] extends v.GenericSchema ? v.InferOutput<this['schema']> : unknown
  serializer: this['schema'] extends v.GenericSchema ? v.InferInput<this['schema']> : unknown
}

Fastify().withTypeProvider<ValibotTypeProvider>().get('/', {
  websocket: true,
  schema: {
    receive: v.variant('type', [
      v.object({ type: v.literal('say'), text: v.string() }),
      v.object({ type: v.literal('typing'), on: v.boolean() })
    ]),
    send: v.object({ type: v.literal('ack'), id: v.number() })
  }
}, connection => {
  expectType<WebSocketConnection<Say | Typing, Ack>>()(connection)
})

// --- without a type provider: what the generics say

const plain = Fastify()

plain.get<{ Params: { room: string }, Receive: Say | Typing, Send: Ack }>('/:room', { websocket: true }, (connection, request) => {
  expectType<WebSocketConnection<Say | Typing, Ack>>()(connection)
  expectType<string>()(request.params.room)
})

// --- and without anything, unknown

plain.get('/', { websocket: true }, async connection => {
  expectType<WebSocketConnection>()(connection)
  connection.on('json', message => expectType<unknown>()(message))
  for await (const message of connection.json()) expectType<unknown>()(message)
  connection.sendJson({ whatever: 1 })
  connection.route.broadcastJson([1, 2, 3])
})

plain.get('/schema', { websocket: true, schema: { receive: { type: 'object' } } }, connection => {
  expectType<WebSocketConnection>()(connection)
})

plain.websocketServer.broadcastJson({ whatever: 1 })
const client = await plain.injectWS('/')
client.on('json', message => expectType<unknown>()(message))
// @ts-expect-error wrong type
plain.get('/bad', { websocket: { onInvalidMessage: 'close' } }, () => {})
