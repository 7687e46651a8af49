import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import t from 'tap'
import { z } from 'zod'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { connectTopics, type Answer } from './topics-client.js'

declare module 'fastify' {
  interface FastifyInstance {
    scopeName: string
  }
}

async function createApp (t: Teardown, log: string[] = []): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: 'error', stream: { write: (line: string) => { log.push(line) } } } }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/live', { websocket: { topics: true } }, () => {})
  return app
}

/** What an answer says besides positions. */
function brief ({ at, recovered, missed, retry, ...rest }: Answer): Answer {
  return rest
}

t.test('clients subscribe to what is declared, and to nothing else', async t => {
  const app = await createApp(t)
  const rooms = app.topic('rooms/:room')
  const client = await connectTopics(t, app)
  t.match(await client.subscribe('rooms/7'), { subscribed: 'rooms/7', at: null })
  for (const name of ['rooms', 'rooms/', 'rooms/7/8', 'Rooms/7', 'rooms/*/x', 'raw']) {
    t.match(await client.subscribe(name), { refused: 'subscribe', topic: name, code: 'FST_WS_ERR_UNKNOWN_TOPIC', retry: false })
  }
  t.match(await client.subscribe('rooms/*'), { subscribed: 'rooms/*' }, 'which is the name of one topic')
  await rooms.publish({ room: '7' }, { text: 'hello' }, { id: 'x' })
  t.strictSame(await client.next(), { topic: 'rooms/7', at: null, id: 'x', message: { text: 'hello' } })
  await rooms.at({ room: 7 }).publish(null, { id: 'y' })
  t.match(await client.next(), { id: 'y', message: null })
  await app.websocketServer.publish('rooms/7', 'text', { id: 'z' })
  t.match(await client.next(), { id: 'z', message: 'text' }, 'a value, and not a text')
  t.equal(rooms.at({ room: '7' }).subscribers, 1)
})

t.test('callbacks get connection, parameters and request, and their instance as this', async t => {
  const app = await createApp(t)
  const calls: unknown[] = []
  await app.register(async scope => {
    scope.decorate('scopeName', 'inner')
    scope.topic('rooms/:room', {
      onSubscribe (connection, params, request) {
        calls.push([this.scopeName, connection.readyState, params, request.headers['x-user']])
      },
      onPublish (connection, message, params, request) {
        calls.push([this.scopeName, connection.readyState, message, params, request.headers['x-user']])
        return { by: request.headers['x-user'], message }
      },
      snapshot (params) {
        return [this.scopeName, params]
      }
    })
  }, { prefix: '/v1' })
  const client = await connectTopics(t, app, '/live', { 'x-user': 'Ada' })
  t.strictSame(brief(await client.subscribe('v1/rooms/a b')), { subscribed: 'v1/rooms/a b', snapshot: ['inner', { room: 'a b' }] })
  client.send({ publish: 'v1/rooms/a b', message: 1, id: 'one' })
  const answers = [await client.next(), await client.next()]
  t.match(answers.find(answer => 'topic' in answer && 'message' in answer), { id: 'one', message: { by: 'Ada', message: 1 } })
  t.match(answers.find(answer => 'published' in answer), { published: 'one' })
  t.strictSame(calls, [['inner', 1, { room: 'a b' }, 'Ada'], ['inner', 1, 1, { room: 'a b' }, 'Ada']])
})

t.test('the app refuses by throwing, and what else it throws stays with it', async t => {
  const log: string[] = []
  const app = await createApp(t, log)
  const secret = 'connect to postgres://root:hunter2@10.0.0.5'
  const make = (properties: object, message = secret): Error => Object.assign(new Error(message), properties)
  class NotAMember extends Error { code = 'NOT_A_MEMBER' }
  const refusals: Record<string, [thrown: unknown, code: string, message: RegExp]> = {
    code: [make({ code: 'NOT_A_MEMBER' }, 'members only'), 'NOT_A_MEMBER', /^members only$/],
    ofAClass: [new NotAMember('members only'), 'NOT_A_MEMBER', /^members only$/],
    status: [make({ statusCode: 403 }, 'members only'), 'FST_WS_ERR_REFUSED', /^members only$/],
    statusAndCode: [make({ statusCode: 403, code: 'FST_JWT_EXPIRED', more: 1 }, 'expired'), 'FST_JWT_EXPIRED', /^expired$/],
    httpError: [make({ status: 404, expose: true }, 'no such room'), 'FST_WS_ERR_REFUSED', /^no such room$/],
    object: [{ code: 'NOT_A_MEMBER', message: 'members only' }, 'NOT_A_MEMBER', /^members only$/],
    false: [null, 'FST_WS_ERR_REFUSED', /may not be subscribed/]
  }
  const failures: Record<string, unknown> = {
    error: new Error(secret),
    typeError: new TypeError(secret),
    system: make({ code: 'ECONNREFUSED', errno: -111, syscall: 'connect' }),
    systemCodeOnly: make({ code: 'ECONNREFUSED' }),
    ofNode: make({ code: 'ERR_INVALID_ARG_TYPE' }),
    sqlState: make({ code: '23505', severity: 'ERROR', detail: secret }),
    prisma: make({ code: 'P2002', meta: {} }),
    sqlite: make({ code: 'SQLITE_CONSTRAINT' }),
    server: make({ code: 'MINE', statusCode: 500 }),
    noStatus: make({ code: 'MINE', statusCode: 'x' }),
    numericCode: make({ code: 1 }),
    emptyCode: make({ code: '' }),
    string: secret,
    undefined,
    otherObject: { secret }
  }
  const all: Record<string, unknown> = { ...Object.fromEntries(Object.entries(refusals).map(([name, [thrown]]) => [name, thrown])), ...failures }
  const isAsync = (connection: WebSocketConnection): boolean => connection.url.endsWith('async')
  const decide = (connection: WebSocketConnection, name: string): unknown => {
    if (name === 'false') return isAsync(connection) ? Promise.resolve(false) : false
    const thrown = all[name]
    if (isAsync(connection)) return Promise.reject(thrown)
    throw thrown
  }
  app.topic('subscribe/:name', { onSubscribe: (connection, { name }) => decide(connection, name) })
  app.topic('publish/:name', { onPublish: (connection, _message, { name }) => decide(connection, name) })
  app.topic('snapshot/:name', { snapshot: ({ name }) => { throw all[name] } })
  for (const path of ['/live?sync', '/live?async']) {
    const client = await connectTopics(t, app, path)
    const ask = { subscribe: (name: string) => client.subscribe(`subscribe/${name}`), publish: (name: string) => client.publish(`publish/${name}`, 1) }
    for (const [request, send] of Object.entries(ask)) {
      for (const [name, [, code, message]] of Object.entries(refusals)) {
        if (request === 'publish' && name === 'false') continue
        t.match(await send(name), { refused: request, topic: `${request}/${name}`, code, message, retry: false }, `${request} ${name}`)
      }
      t.equal(log.length, 0, 'refusing is no error')
      for (const name of Object.keys(failures)) {
        const answer = await send(name)
        t.match(answer, { refused: request, topic: `${request}/${name}`, code: 'FST_WS_ERR_POLICY', retry: true }, `${request} ${name}`)
        t.notMatch(JSON.stringify(answer), /postgres|hunter2/, name)
        t.match(log.splice(0).join(''), new RegExp(`on${request === 'subscribe' ? 'Subscribe' : 'Publish'} of topic '${request}/:name' failed: `), name)
      }
    }
  }
  const client = await connectTopics(t, app)
  t.match(await client.subscribe('snapshot/code'), { refused: 'subscribe', code: 'NOT_A_MEMBER', message: 'members only' })
  t.match(await client.subscribe('snapshot/error'), { refused: 'subscribe', code: 'FST_WS_ERR_POLICY' })
  t.notMatch(JSON.stringify(log.splice(0)), /^$/)
})

t.test('clients publish only where the declaration says so', async t => {
  const app = await createApp(t)
  app.topic('silent')
  app.topic('server/:x', { schema: { message: { type: 'object' } }, onSubscribe () {} })
  app.topic('open', { schema: { publish: true } })
  app.topic('decided', { onPublish: (_connection, message) => message === 'nothing' ? null : { said: message } })
  const published: Answer[] = []
  const client = await connectTopics(t, app)
  t.match(await client.publish('silent', 1), { refused: 'publish', topic: 'silent', id: 'a', code: 'FST_WS_ERR_NO_PUBLISH', retry: false })
  t.match(await client.publish('server/1', {}), { code: 'FST_WS_ERR_NO_PUBLISH' })
  t.match(await client.publish('none', 1), { code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
  t.match(await client.publish('open', [1]), { published: 'a', topic: 'open' })
  await client.subscribe('decided')
  for (const message of ['nothing', 'hello']) client.send({ publish: 'decided', message, id: message })
  while (published.length < 3) published.push(await client.next())
  t.strictSame(published.filter(answer => 'published' in answer).map(({ published }) => published), ['nothing', 'hello'])
  t.strictSame(published.filter(answer => 'message' in answer).map(({ message }) => message), [{ said: 'hello' }])
})

t.test('where no callback decides about messages, those publish who may subscribe', async t => {
  const app = await createApp(t)
  let asked = 0
  app.topic('members', {
    schema: { publish: true },
    onSubscribe: async (_connection, _params, request) => {
      asked++
      if (request.headers['x-member'] !== 'yes') throw Object.assign(new Error('members only'), { code: 'NOT_A_MEMBER' })
    }
  })
  const stranger = await connectTopics(t, app)
  t.match(await stranger.publish('members', 1), { refused: 'publish', code: 'NOT_A_MEMBER', message: 'members only' })
  const member = await connectTopics(t, app, '/live', { 'x-member': 'yes' })
  t.match(await member.publish('members', 1), { published: 'a' }, 'without a subscription')
  t.equal(asked, 2)
  await member.subscribe('members')
  t.equal(asked, 3)
  member.send({ publish: 'members', message: 1, id: 'b' })
  const answers = [await member.next(), await member.next()]
  t.match(answers.find(answer => 'published' in answer), { published: 'b' })
  t.equal(asked, 3, 'a subscriber was asked already')
})

const said = { type: 'object', required: ['text'], additionalProperties: false, properties: { text: { type: 'string', minLength: 1 }, tone: { type: 'string', default: 'calm' } } }

t.test('messages of clients are validated, as request bodies are', async t => {
  const log: string[] = []
  const app = await createApp(t, log)
  const seen: unknown[] = []
  app.topic('rooms/:room', { schema: { publish: said }, onPublish: (_connection, message) => { seen.push(message); return message } })
  app.topic('strict', { schema: { publish: true, message: said } })
  const client = await connectTopics(t, app)
  t.match(await client.publish('rooms/7', { text: 5, more: true }), { published: 'a' })
  t.strictSame(seen, [{ text: '5', tone: 'calm' }], 'coerced, with defaults, without what is not named')
  t.match(await client.publish('rooms/7', {}), { refused: 'publish', id: 'a', code: 'FST_WS_ERR_INVALID_MESSAGE', message: "message must have required property 'text'", retry: false })
  t.match(await client.publish('rooms/7', { text: '' }), { code: 'FST_WS_ERR_INVALID_MESSAGE', message: 'message/text must NOT have fewer than 1 characters' })
  t.equal(seen.length, 1)
  t.match(await client.publish('strict', { text: '' }), { code: 'FST_WS_ERR_INVALID_MESSAGE', message: /^a message of topic 'strict' does not match its schema: message\/text/ })
  t.match(await client.publish('strict', {}), { code: 'FST_WS_ERR_INVALID_MESSAGE' })
  t.match(await client.publish('strict', { text: 'x' }), { published: 'a' })
  t.strictSame(log, [], 'the client is at fault')
})

t.test('a message of the app has to match the schema, and stays as it is', async t => {
  const log: string[] = []
  const app = await createApp(t, log)
  const rooms = app.topic('rooms/:room', { schema: { message: said }, onPublish: (_connection, message) => message })
  t.throws(() => rooms.publish({ room: '7' }, { text: 'early' }), { code: 'FST_WS_ERR_MESSAGE_SCHEMA', message: /compiled when the app gets ready/ })
  const client = await connectTopics(t, app)
  await client.subscribe('rooms/7')
  const message = { text: 5, more: true }
  await rooms.publish({ room: '7' }, message)
  t.match(await client.next(), { message: { text: '5', tone: 'calm' } }, 'serialized as responses are')
  t.strictSame(message, { text: 5, more: true })
  for (const publish of [
    (value: unknown) => rooms.publish({ room: '7' }, value),
    (value: unknown) => rooms.at({ room: '7' }).publish(value),
    (value: unknown) => app.websocketServer.publish('rooms/7', value),
    (value: unknown) => app.websocketServer.topic('rooms/7').publish(value)
  ]) {
    t.throws(() => publish({}), { name: 'TypeError', code: 'FST_WS_ERR_TOPIC_MESSAGE', message: /^a message of topic 'rooms\/:room' does not match its schema: "text" is required!/ })
    t.throws(() => publish({ text: '' }), { code: 'FST_WS_ERR_TOPIC_MESSAGE', message: /message\/text must NOT have fewer than 1 characters/, cause: { code: 'FST_WS_ERR_INVALID_MESSAGE' } })
  }
  t.match(await client.publish('rooms/7', { text: '' }), { refused: 'publish', code: 'FST_WS_ERR_POLICY' }, 'which onPublish has returned')
  t.match(log.join(''), /does not match its schema/)
})

t.test('values without a form in JSON are refused', async t => {
  const app = await createApp(t)
  const free = app.topic('free')
  await app.ready()
  for (const value of [undefined, () => {}, Symbol('x')]) t.throws(() => free.publish({}, value), { code: 'FST_WS_ERR_NOT_SERIALIZABLE', message: /^a message of topic 'free' must be a value with a form in JSON, not / })
  t.throws(() => free.publish({}, 1n), /BigInt/)
  t.throws(() => free.publish({}, 1, { binary: true }), { code: 'FST_WS_ERR_INVALID_ARGUMENT' })
  t.equal(await free.publish({}, false), null)
})

t.test('parameters are validated and converted, and a topic has one name', async t => {
  const app = await createApp(t)
  const seen: unknown[] = []
  const rooms = app.withTypeProvider<TypeBoxTypeProvider>().topic('rooms/:room', {
    schema: { params: Type.Object({ room: Type.Integer({ minimum: 1 }) }), publish: Type.Any() },
    onSubscribe: (_connection, { room }) => { seen.push(room) }
  })
  const client = await connectTopics(t, app)
  t.match(await client.subscribe('rooms/7'), { subscribed: 'rooms/7' })
  t.match(await client.subscribe('rooms/x'), { refused: 'subscribe', code: 'FST_WS_ERR_TOPIC_PARAMS', message: "there is no topic 'rooms/x': params/room must be integer", retry: false })
  t.match(await client.subscribe('rooms/0'), { code: 'FST_WS_ERR_TOPIC_PARAMS' })
  for (const name of ['rooms/07', 'rooms/7.0', 'rooms/ 7', 'rooms/7e0', 'rooms/+7']) {
    t.match(await client.subscribe(name), { refused: 'subscribe', code: 'FST_WS_ERR_TOPIC_PARAMS', message: `there is no topic '${name}': params/room must be written '7'` })
  }
  t.match(await client.publish('rooms/07', 1), { refused: 'publish', code: 'FST_WS_ERR_TOPIC_PARAMS' })
  t.strictSame(seen, [7])
  t.equal(rooms.name({ room: 7 }), 'rooms/7')
  t.throws(() => rooms.name({ room: 0 }), { code: 'FST_WS_ERR_INVALID_ARGUMENT', message: "topic 'rooms/:room' has no such name as 'rooms/0': params/room must be >= 1" })
})

t.test('Zod: compilers of an instance are those of its topics', async t => {
  const app = await createApp(t)
  const seen: unknown[] = []
  await app.register(async scope => {
    scope.setValidatorCompiler(validatorCompiler)
    scope.setSerializerCompiler(serializerCompiler)
    const rooms = scope.withTypeProvider<ZodTypeProvider>().topic('rooms/:room', {
      schema: {
        params: z.object({ room: z.enum(['lobby', 'hall']) }),
        publish: z.object({ text: z.string().min(1), at: z.coerce.number() }),
        message: z.object({ text: z.string().min(1) })
      },
      onPublish: (_connection, message) => { seen.push(message); return message }
    })
    scope.addHook('onReady', async () => {
      t.throws(() => rooms.publish({ room: 'hall' }, { text: '' }), { code: 'FST_WS_ERR_TOPIC_MESSAGE' })
    })
  })
  const client = await connectTopics(t, app)
  t.match(await client.subscribe('rooms/kitchen'), { code: 'FST_WS_ERR_TOPIC_PARAMS' })
  t.match(await client.subscribe('rooms/hall'), { subscribed: 'rooms/hall' })
  t.match(await client.publish('rooms/hall', { text: '', at: 1 }), { code: 'FST_WS_ERR_INVALID_MESSAGE', message: /text/ })
  client.send({ publish: 'rooms/hall', message: { text: 'x', at: '7' }, id: 'b' })
  const answers = [await client.next(), await client.next()]
  t.match(answers.find(answer => 'message' in answer), { message: { text: 'x' } })
  t.strictSame(seen, [{ text: 'x', at: 7 }])
})

t.test('a client that nests arrays deeply is refused', async t => {
  const log: string[] = []
  const app = await createApp(t, log)
  app.addSchema({ $id: 'nested', type: 'array', items: { $ref: 'nested#' } })
  app.topic('nested', { schema: { publish: { $ref: 'nested#' }, message: { $ref: 'nested#' } } })
  const client = await connectTopics(t, app)
  client.send('x')
  await client.next()
  const nested = (depth: number): unknown => { let value: unknown = []; for (let i = 0; i < depth; i++) value = [value]; return value }
  t.match(await client.publish('nested', nested(10)), { published: 'a' })
  t.match(await client.publish('nested', nested(3_000)), { published: 'a' })
})

t.test('a topic with history: published messages are kept, and read back as values', async t => {
  const app = await createApp(t)
  const rooms = app.topic('rooms/:room', { history: { messages: 2, seconds: 60 } })
  await app.ready()
  for (const n of [1, 2, 3]) t.match(await rooms.publish({ room: '7' }, { n }), { offset: n })
  const { messages, position } = await rooms.at({ room: '7' }).history()
  t.strictSame(messages.map(({ message }) => message), [{ n: 2 }, { n: 3 }])
  t.equal(position.offset, 3)
})

t.test('schemas that an instance shares, and its formatter of errors, are those of its topics', async t => {
  const app = await createApp(t)
  const Said = (type: string): object => ({ $id: 'Said', type: 'object', required: ['text'], properties: { text: { type } } })
  for (const [prefix, type] of [['/a', 'string'], ['/b', 'array']] as const) {
    await app.register(async scope => {
      scope.addSchema(Said(type))
      scope.setSchemaErrorFormatter((errors, context) => new Error(`${prefix}: ${context}${errors[0]!.instancePath} is wrong`))
      scope.topic('x', { schema: { publish: { $ref: 'Said#' }, message: { $ref: 'Said#' } } })
    }, { prefix })
  }
  const client = await connectTopics(t, app)
  t.match(await client.publish('a/x', { text: 'hello' }), { published: 'a' })
  t.match(await client.publish('b/x', { text: ['hello'] }), { published: 'a' })
  t.match(await client.publish('a/x', { text: { a: 1 } }), { code: 'FST_WS_ERR_INVALID_MESSAGE', message: '/a: message/text is wrong' })
})

t.test('names that are those of properties of objects are names like others', async t => {
  const app = await createApp(t)
  const seen: unknown[] = []
  app.topic('objects/:__proto__/:constructor', { onSubscribe: (_connection, params) => { seen.push(Object.entries(params)) } })
  const client = await connectTopics(t, app)
  for (const name of ['__proto__', 'constructor', 'toString', 'objects/__proto__']) t.match(await client.ask({ subscribe: JSON.parse(`{"${name}x":null}`) }), { code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
  t.match(await client.subscribe('objects/__proto__/constructor'), { subscribed: 'objects/__proto__/constructor' })
  t.strictSame(seen, [[['__proto__', '__proto__'], ['constructor', 'constructor']]])
  t.match(await client.subscribe('toString'), { code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
})

t.test('a decision that comes late decides about nothing', async t => {
  const app = await createApp(t)
  let decide = (): void => {}
  const asked: Array<() => void> = []
  const rooms = app.topic('rooms/:room', { onSubscribe: () => new Promise<void>(resolve => { decide = resolve; for (const tell of asked.splice(0)) tell() }) })
  const client = await connectTopics(t, app)
  const begun = new Promise<void>(resolve => asked.push(resolve))
  client.send({ subscribe: { 'rooms/7': null } })
  await begun
  client.send({ unsubscribe: ['rooms/7'] })
  t.match(await client.next(), { unsubscribed: 'rooms/7' })
  decide()
  await rooms.publish({ room: '7' }, 'for nobody')
  t.equal(rooms.at({ room: '7' }).subscribers, 0)
  t.match(await client.publish('rooms/7', 1), { code: 'FST_WS_ERR_NO_PUBLISH' }, 'and nothing came before')
})
