import Fastify, { type FastifyInstance } from 'fastify'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import websocket, { type Topic, type TopicParamName, type TopicPosition, type WebSocketConnection } from '../../lib/index.js'
import { expectType } from './expect.js'
import { z } from 'zod'

// --- names

expectType<'room'>()(null as unknown as TopicParamName<'rooms/:room'>)
expectType<'a' | 'b_2'>()(null as unknown as TopicParamName<':a/x/:b_2'>)
expectType<never>()(null as unknown as TopicParamName<'news'>)
expectType<never>()(null as unknown as TopicParamName<'::a/b::c'>)
expectType<string>()(null as unknown as TopicParamName<string>)

// --- without a type provider: parameters of the pattern, messages by generics

const plain = Fastify()
await plain.register(websocket)

const news = plain.topic('news')
expectType<string>()(news.name({}))
expectType<Promise<TopicPosition | null>>()(news.publish({}, 'anything'))

const plainRooms = plain.topic('rooms/:room/users/:user', {
  schema: { message: { type: 'object' } },
  onSubscribe (connection, params, request) {
    expectType<FastifyInstance>()(this)
    expectType<WebSocketConnection>()(connection)
    expectType<{ room: string, user: string }>()(params)
    expectType<string>()(request.ip)
  },
  presence: { info: async (_connection, request, { user }) => ({ user, ip: request.ip }) },
  snapshot ({ room }) {
    expectType<FastifyInstance>()(this)
    expectType<string>()(room)
  }
})
expectType<Topic<unknown, { user: string, ip: string }>>()(plainRooms.at({ room: '7', user: 1 }))
// @ts-expect-error a parameter is missing
plainRooms.publish({ room: '7' }, {})
// @ts-expect-error there is no such parameter
plainRooms.name({ room: '7', user: '1', other: '2' })
// @ts-expect-error it has no form in a name
plainRooms.name({ room: '7', user: {} })

interface Said { type: 'said', text: string }

const generic = plain.topic<{ Params: { room: string }, Publish: { text: string }, Message: Said, Member: { name: string } }>('rooms/:room', {
  onPublish (_connection, message, { room }) {
    expectType<{ text: string }>()(message)
    return { type: 'said', text: message.text + room }
  },
  presence: { info: () => ({ name: 'Ada' }) }
})
expectType<Topic<Said, { name: string }>>()(generic.at({ room: '7' }))
await generic.publish({ room: '7' }, { type: 'said', text: 'hello' })
// @ts-expect-error it is no message of the topic
await generic.publish({ room: '7' }, { type: 'sad', text: 'hello' })
// @ts-expect-error what is published is no message of the topic
plain.topic<{ Message: Said }>('rooms/:room', { onPublish: () => ({ type: 'sad' }) })
// @ts-expect-error misspelt
plain.topic('rooms/:room', { onSubscibe () {} })
// @ts-expect-error seconds are missing
plain.topic('rooms/:room', { history: { messages: 1 } })

// --- TypeBox

const typebox = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await typebox.register(websocket)

const typeboxRooms = typebox.topic('rooms/:room', {
  schema: {
    params: Type.Object({ room: Type.Integer() }),
    publish: Type.Object({ text: Type.String() }),
    message: Type.Union([
      Type.Object({ type: Type.Literal('said'), text: Type.String() }),
      Type.Object({ type: Type.Literal('cleared') })
    ]),
    member: Type.Object({ name: Type.String(), role: Type.Union([Type.Literal('host'), Type.Literal('guest')]) })
  },
  onSubscribe: async (_connection, { room }) => { expectType<number>()(room) },
  async onPublish (_connection, message, { room }, request) {
    expectType<typeof typebox>()(this)
    expectType<{ text: string }>()(message)
    expectType<number>()(room)
    return request.ip === '' ? null : { type: 'said', text: message.text }
  },
  history: { messages: 1000, seconds: 3600 },
  presence: { info: connection => ({ name: String(connection.protocol), role: 'host' }), grace: 0, max: 10 }
})
type TypeboxTypes = NonNullable<(typeof typeboxRooms)['~types']>
expectType<'rooms/:room'>()(null as unknown as TypeboxTypes['pattern'])
expectType<{ room: number }>()(null as unknown as TypeboxTypes['params'])
expectType<{ text: string }>()(null as unknown as TypeboxTypes['publish'])
expectType<{ type: 'said', text: string } | { type: 'cleared' }>()(null as unknown as TypeboxTypes['message'])
expectType<{ name: string, role: 'host' | 'guest' }>()(null as unknown as TypeboxTypes['member'])

await typeboxRooms.publish({ room: 7 }, { type: 'said', text: 'hello' }, { id: 'a' })
const { messages: [first] } = await typeboxRooms.at({ room: 7 }).history({ limit: 1 })
if (first?.message.type === 'said') expectType<string>()(first.message.text)
// @ts-expect-error text is missing
typeboxRooms.publish({ room: 7 }, { type: 'said' })
// @ts-expect-error the parameter is a number
typeboxRooms.publish({ room: '7' }, { type: 'cleared' })
typebox.topic('rooms/:room', {
  schema: { member: Type.Object({ name: Type.String() }) },
  // @ts-expect-error a member has a name
  presence: { info: () => ({ nme: 'Ada' }) }
})
typebox.topic('rooms/:room', {
  schema: { publish: Type.Object({ text: Type.String() }), message: Type.Object({ text: Type.String() }) },
  // @ts-expect-error it returns no message of the topic
  onPublish: (_connection, { text }) => ({ txt: text })
})

// --- Zod

const zod = Fastify().withTypeProvider<ZodTypeProvider>()
await zod.register(websocket)

const zodRooms = zod.topic('rooms/:room', {
  schema: {
    params: z.object({ room: z.enum(['lobby', 'hall']) }),
    publish: z.object({ text: z.string(), at: z.coerce.number() }),
    message: z.object({ text: z.string() })
  },
  onPublish: (_connection, message, { room }) => {
    expectType<{ text: string, at: number }>()(message)
    expectType<'lobby' | 'hall'>()(room)
    return { text: message.text }
  }
})
await zodRooms.publish({ room: 'lobby' }, { text: 'hello' })
// @ts-expect-error there is no such room
zodRooms.publish({ room: 'kitchen' }, { text: 'hello' })
// @ts-expect-error it is no message of the topic
zodRooms.publish({ room: 'hall' }, { text: 1 })

// --- plain JSON schema

const json = Fastify().withTypeProvider<JsonSchemaToTsProvider>()
await json.register(websocket)

const jsonRooms = json.topic('rooms/:room', {
  schema: {
    publish: { type: 'object', required: ['text'], properties: { text: { type: 'string' } }, additionalProperties: false },
    message: {
      oneOf: [
        { type: 'object', required: ['type', 'text'], properties: { type: { const: 'said' }, text: { type: 'string' } }, additionalProperties: false },
        { type: 'object', required: ['type'], properties: { type: { const: 'cleared' } }, additionalProperties: false }
      ]
    }
  },
  onPublish: (_connection, { text }) => ({ type: 'said', text })
})
await jsonRooms.publish({ room: '7' }, { type: 'cleared' })
// @ts-expect-error there is no such type of messages
jsonRooms.publish({ room: '7' }, { type: 'gone' })
// @ts-expect-error text is missing
jsonRooms.publish({ room: '7' }, { type: 'said' })
