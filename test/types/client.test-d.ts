import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import Fastify from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { connect, connectJson, type ClientMember, type ClientTopic, type Prefixed } from '../../lib/client/index.js'
import websocket from '../../lib/index.js'
import { expectType } from './expect.js'

// The types of the server's topics, in the page: from one exported type, without a build step.

const app = Fastify()
await app.register(websocket)

// --- TypeBox: the server's file

const typebox = app.withTypeProvider<TypeBoxTypeProvider>()
export const rooms = typebox.topic('rooms/:room', {
  schema: {
    publish: Type.Object({ text: Type.String() }),
    message: Type.Object({ by: Type.String(), text: Type.String() }),
    member: Type.Object({ name: Type.String() })
  },
  onPublish: (_connection, { text }) => ({ by: 'ada', text }),
  presence: { info: () => ({ name: 'ada' }) },
  history: { messages: 10, seconds: 10 }
})
export const cells = typebox.topic('boards/:board/cells/:cell', { schema: { publish: Type.Integer(), message: Type.Integer() } })
export const news = typebox.topic('news', { schema: { message: Type.Literal('extra') } })

export interface Live { rooms: typeof rooms, cells: typeof cells, news: typeof news }

// --- the page

const live = connect<Live>('/live')
const room = live.topic('rooms/7')
room.on('message', (message, position, id) => {
  expectType<{ by: string, text: string }>()(message)
  expectType<string | null>()(position)
  expectType<string>()(id)
  // @ts-expect-error a field that was renamed
  message.author.toString()
})
room.on('presence', (members, count) => {
  expectType<ReadonlyArray<ClientMember<{ name: string }>>>()(members)
  expectType<number>()(count)
})
expectType<Promise<string | null>>()(room.publish({ text: 'hello' }))
// @ts-expect-error a message that the schema does not allow
room.publish({ txt: 'hello' })
// @ts-expect-error the server makes this part
room.publish({ by: 'ada', text: 'hello' })
for await (const { by, text } of room) expectType<string>()(by + text)

const cell = live.topic('boards/1/cells/2')
cell.publish(3)
// @ts-expect-error not what is published there
cell.publish('3')
for await (const message of live.topic('news')) expectType<'extra'>()(message)

// @ts-expect-error no topic of the server
live.topic('room/7')
// @ts-expect-error a part is missing
live.topic('boards/1/cells')
// @ts-expect-error one that does not exist
live.topic('old')
const name: string = 'rooms/7'
// @ts-expect-error any string: which topic is it?
live.topic(name)
live.topic(`rooms/${name}`).on('message', message => expectType<{ by: string, text: string }>()(message))

// --- one topic, and one with a prefix

connect<typeof rooms>('/live').topic('rooms/7').on('message', message => expectType<{ by: string, text: string }>()(message))
// @ts-expect-error
connect<typeof rooms>('/live').topic('news')
const prefixed = connect<{ rooms: Prefixed<'v1', typeof rooms> }>('/live')
prefixed.topic('v1/rooms/7').on('message', message => expectType<{ by: string, text: string }>()(message))
// @ts-expect-error
prefixed.topic('rooms/7')

// --- Zod

export const zodPrices = app.withTypeProvider<ZodTypeProvider>().topic('prices/:symbol', {
  schema: { message: z.object({ price: z.number() }), publish: z.object({ price: z.string().transform(Number) }) },
  onPublish: (_connection, { price }) => ({ price })
})
const zod = connect<{ prices: typeof zodPrices }>('/live').topic('prices/ACME')
zod.on('message', message => expectType<{ price: number }>()(message))
// @ts-expect-error
zod.on('message', ({ prize }) => prize)

// --- plain JSON schema

export const plain = app.withTypeProvider<JsonSchemaToTsProvider>().topic('jobs/:id', {
  schema: {
    message: { type: 'object', properties: { done: { type: 'boolean' } }, required: ['done'], additionalProperties: false },
    publish: { type: 'string', enum: ['start', 'stop'] }
  } as const
})
const jobs = connect<{ jobs: typeof plain }>('/live').topic('jobs/1')
jobs.on('message', message => expectType<{ done: boolean }>()(message))
jobs.publish('start')
// @ts-expect-error
jobs.publish('restart')

// --- without types, and JSON routes

const untyped = connect('/live')
expectType<ClientTopic>()({} as ClientTopic)
untyped.topic('anything').on('message', message => expectType<unknown>()(message))
untyped.topic('anything').publish({ any: 'thing' })

const json = connectJson<{ n: number }, 'more'>('/feed')
json.on('message', ({ n }) => expectType<number>()(n))
json.send('more')
// @ts-expect-error
json.send('less')
for await (const message of json) expectType<{ n: number }>()(message)
