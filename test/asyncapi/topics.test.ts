import Fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { once } from 'node:events'
import websocket, { type AsyncApiDocument } from '../../lib/index.js'
import { chat, tagged } from './topics-app.js'

async function documentOf (t: Test, configure: (app: FastifyInstance) => unknown): Promise<AsyncApiDocument> {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  await configure(app)
  await app.ready()
  t.strictSame(app.asyncapi(), app.asyncapi(), 'the same each time')
  return app.asyncapi()
}

t.test('a declared topic has a channel, with its parameters and messages, and says how it is reached', async t => {
  const { channels, operations, components } = await documentOf(t, chat)
  t.strictSame(Object.entries(channels).map(([key, { address }]) => [key, address]), [
    ['live', '/live'],
    ['both', '/both'],
    ['roomsRoom', '/rooms/{room}'],
    ['v1RoomsRoomX7BTopic', 'v1/rooms/{room}/:x%7B'],
    ['v1RoomsRoomTopic', 'v1/rooms/{room}'],
    ['prices', 'v1/named']
  ])
  const reached = { protocol: 'topics.v1', channels: ['live', 'both'] }
  t.strictSame(channels.v1RoomsRoomX7BTopic, {
    address: 'v1/rooms/{room}/:x%7B',
    summary: 'A room',
    description: 'All that is said in it',
    messages: {
      say: { $ref: '#/components/messages/v1RoomsRoomX7BTopic.say' },
      typing: { $ref: '#/components/messages/typing' },
      said: { $ref: '#/components/messages/said' }
    },
    parameters: { room: { description: 'Its number', 'x-schema': { type: 'integer' } } },
    tags: [{ name: 'chat' }],
    'x-topic': { ...reached, pattern: 'v1/rooms/:room/::x{', history: { messages: 10, seconds: 60 }, presence: true, member: { $ref: '#/components/schemas/Person' } }
  })
  t.strictSame(channels.v1RoomsRoomTopic, {
    address: 'v1/rooms/{room}',
    messages: { anyValue: { $ref: '#/components/messages/anyValue' } },
    parameters: { room: {} },
    'x-topic': { ...reached, pattern: 'v1/rooms/:room', history: null, presence: false }
  })
  t.strictSame(Object.keys(operations).filter(key => /topic|prices/i.test(key)), ['receiveV1RoomsRoomX7BTopic', 'sendV1RoomsRoomX7BTopic', 'sendV1RoomsRoomTopic', 'receivePrices'])
  t.strictSame(operations.sendV1RoomsRoomX7BTopic, {
    action: 'send',
    channel: { $ref: '#/channels/v1RoomsRoomX7BTopic' },
    summary: 'From the topic to its subscribers',
    tags: [{ name: 'chat' }],
    messages: [{ $ref: '#/channels/v1RoomsRoomX7BTopic/messages/said' }, { $ref: '#/channels/v1RoomsRoomX7BTopic/messages/typing' }]
  })
  t.match(components.messages!.said, { deprecated: true, contentType: 'application/json', payload: tagged('said') })
  t.strictSame(components.messages!.anyValue!.payload, {})
})

t.test('a route that speaks the topics protocol has its messages, and its own ones as it sends them', async t => {
  const { channels, components } = await documentOf(t, chat)
  const names = Object.keys(channels.live!.messages)
  t.strictSame(names.filter(name => !name.startsWith('topics.v1.')), [], 'a route without a handler has no others')
  t.equal(names.length, 16)
  t.strictSame(channels.live!.bindings!.ws['x-subprotocols'], ['topics.v1'])
  t.strictSame(channels.both!.bindings!.ws['x-subprotocols'], ['topics.v1', 'chat.v1'])
  t.strictSame(Object.keys(channels.both!.messages).filter(name => !names.includes(name)), ['ask', 'answer'])
  t.strictSame(components.messages!.ask!.payload, { type: 'object', required: ['message'], properties: { message: tagged('ask') } })
  t.match(channels.both!.messages['topics.v1.subscribe'], channels.live!.messages['topics.v1.subscribe']!, 'both have the same')
})

t.test('without such a route, topics are reached by nobody; without topics, nothing is added', async t => {
  const alone = await documentOf(t, app => app.topic('news'))
  t.strictSame(alone.channels.newsTopic!['x-topic']!.channels, [])
  const none = await documentOf(t, () => {})
  t.strictSame([none.channels, none.operations], [{}, {}])
})

t.test('schemas of libraries: clients send the input of one, and get the output of the other', async t => {
  const { components } = await documentOf(t, app => {
    app.setValidatorCompiler(validatorCompiler)
    app.setSerializerCompiler(serializerCompiler)
    const text = z.object({ at: z.string().default('now') })
    app.topic('x', { schema: { publish: text, message: text } })
  })
  const [fromClient, ofTopic] = Object.values(components.messages!)
  t.strictSame([fromClient, ofTopic].map(message => Object(message!.payload).required), [undefined, ['at']])
})

t.test('a reference to nothing is an error that names the topic and the schema', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, { asyncapi: { route: '/asyncapi.json' } })
  app.setValidatorCompiler(() => () => true)
  app.topic('rooms/:room', { schema: { publish: { $ref: 'nothing#' } } })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_ASYNCAPI', message: /^rooms\/:room: schema.publish refers to 'nothing#'/ })
})

t.test('messages of the protocol are as they are described: each matches one of them', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/live', { websocket: { topics: true } })
  app.topic('rooms/:room', { schema: { publish: true }, history: { messages: 10, seconds: 10 } })
  app.topic('prices', { snapshot: () => ({ ACME: 1 }) })
  await app.ready()
  const { channels, operations, components } = app.asyncapi()
  const checker = Fastify({ ajv: { customOptions: { strict: false, coerceTypes: false, useDefaults: false, removeAdditional: false } } })
  t.teardown(() => checker.close())
  const validators = new Map(Object.entries(components.messages!).map(([name, { payload }]) => [name, payload]))
  for (const [name, body] of validators) checker.post(`/${name}`, { schema: { body } }, () => 'valid')
  const nameOf = async (operation: string, message: unknown): Promise<string[]> => {
    const names: string[] = []
    for (const { $ref } of operations[operation]!.messages) {
      const name = channels.live!.messages[$ref.slice($ref.lastIndexOf('/') + 1)]!.$ref.slice('#/components/messages/'.length)
      const { statusCode } = await checker.inject({ method: 'POST', url: `/${name}`, headers: { 'content-type': 'application/json' }, payload: JSON.stringify(message) })
      if (statusCode === 200) names.push(name.slice('topics.v1.'.length))
    }
    return names
  }
  const client = await app.injectWS('/live')
  const received: string[] = []
  const seen = new Set<string>()
  client.on('message', data => received.push(String(data)))
  for (const [name, message] of [
    ['subscribe', { subscribe: { prices: null, none: null } }],
    ['publish', { publish: 'rooms/7', message: [1], id: 'a' }],
    ['publish', { publish: 'prices', message: 1 }],
    ['membersWanted', { presence: 'prices' }],
    ['unsubscribe', { unsubscribe: ['rooms/7'] }],
    ['beat', {}]
  ] as const) {
    t.strictSame(await nameOf('receiveLive', message), [name], name)
    client.send(JSON.stringify(message))
  }
  const wanted = ['hello', 'subscribed', 'refused', 'published', 'unsubscribed', 'message']
  while (wanted.some(name => !seen.has(name))) {
    while (received.length === 0) await once(client, 'message')
    const text = received.shift()!
    const names = await nameOf('sendLive', JSON.parse(text))
    t.equal(names.length, 1, text)
    seen.add(names[0]!)
    if (names[0] === 'subscribed') await app.websocketServer.publish('prices', { ACME: 2 })
  }
  client.terminate()
  t.strictSame(await nameOf('sendLive', {}), ['beat'])
})
