import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import websocket from '../../lib/index.js'
import type { Teardown } from '../support/app.js'

async function createApp (t: Teardown): Promise<FastifyInstance> {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  return app
}

t.test('wrong declarations are refused, with the topic, the option and what it accepts', async t => {
  const app = await createApp(t)
  const declare = (pattern: unknown, options?: unknown) => () => app.topic(pattern as string, options as object)
  for (const [pattern, options, message] of [
    [undefined, undefined, "the pattern of a topic must be a string, such as 'rooms/:room', not undefined"],
    ['', undefined, "topic '': there must be at least one character before, between and behind slashes, as in 'rooms/:room'"],
    ['/rooms/:room', undefined, /^topic '\/rooms\/:room': there must be at least one character before/],
    ['rooms/', undefined, /at least one character before, between and behind slashes/],
    ['rooms//a', undefined, /at least one character before, between and behind slashes/],
    ['rooms/*', undefined, "topic 'rooms/*': there are no wildcards: '*' stands for nothing; a parameter, such as ':room', stands for one part"],
    ['rooms/a*b', undefined, /there are no wildcards/],
    ['rooms/:', undefined, /^topic 'rooms\/:': ':' is no parameter: one is a whole part between slashes/],
    ['rooms/:room?', undefined, /is no parameter/],
    ['rooms/:room(\\d+)', undefined, /is no parameter/],
    ['room-:id', undefined, /'room-:id' is no parameter/],
    ['room:id', undefined, /'::' stands for a colon$/],
    ['rooms/:a-:b', undefined, /is no parameter/],
    ['rooms/:1', undefined, /is no parameter/],
    ['rooms/:id/:id', undefined, "topic 'rooms/:id/:id': the parameter ':id' is there twice"],
    ['a\nb', undefined, /there must be no control characters/],
    ['a'.repeat(256), undefined, /: a name that it stands for must have at most 255 bytes of UTF-8$/],
    ['\u00e9'.repeat(128), undefined, /at most 255 bytes/],
    ['\ud800', undefined, /must be well-formed Unicode/],
    ['x', 1, "topic 'x': the second argument must be an object of options, not 1"],
    ['x', null, /the second argument must be an object of options, not null/],
    ['x', { histroy: {} }, "topic 'x': unknown option 'histroy'; there are schema, onSubscribe, onPublish, history, presence, snapshot"],
    ['x', { schema: { mesage: {} } }, /^topic 'x': option 'schema': unknown option 'mesage'; there are params, publish, message, member, /],
    ['x', { schema: { receive: {} } }, /unknown option 'receive'/],
    ['x', { schema: [] }, /option 'schema' must be an object of schemas: params, publish, message, member, not an array/],
    ['x', { schema: { message: 'string' } }, /option 'schema': option 'message' must be a schema, not 'string'/],
    ['x', { schema: { hide: 1 } }, /option 'hide' must be true or false, not 1/],
    ['x', { schema: { member: {} } }, /the schema 'member' is for what 'presence.info' returns, and there is no option 'presence'/],
    ['x', { onSubscribe: true }, "topic 'x': option 'onSubscribe' must be a function, not true"],
    ['x', { onPublish: {} }, /option 'onPublish' must be a function/],
    ['x', { snapshot: 'x' }, /option 'snapshot' must be a function/],
    ['x', { history: true }, /option 'history' must be false or an object of both messages and seconds, not true/],
    ['x', { history: {} }, "topic 'x': option 'history' must have both 'messages' and 'seconds', and has no 'messages'"],
    ['x', { history: { messages: 1 } }, /has no 'seconds'$/],
    ['x', { history: { messages: 0, seconds: 1 } }, /option 'history': option 'messages' must be a number of messages, an integer from 1 to 2\^31 - 1, not 0/],
    ['x', { history: { messages: 1, seconds: 0.5 } }, /option 'seconds' must be a number of seconds, an integer from 1 to 2\^31 - 1, not 0.5/],
    ['x', { history: { messages: Infinity, seconds: 1 } }, /option 'messages' must be/],
    ['x', { history: { messages: 1, seconds: 1, bytes: 1 } }, /unknown option 'bytes'/],
    ['x', { presence: true }, /option 'presence' must be false or an object of options: info, grace, max, not true/],
    ['x', { presence: { info: {} } }, /option 'presence': option 'info' must be a function/],
    ['x', { presence: { grace: -1 } }, /option 'grace' must be a number of milliseconds, an integer from 0/],
    ['x', { presence: { max: 0 } }, /option 'max' must be an integer from 1/]
  ] as const) {
    t.throws(declare(pattern, options), { name: 'OptionError', code: 'FST_WS_ERR_INVALID_OPTION', message }, JSON.stringify([pattern, options]).slice(0, 60))
  }
  // Nothing of it is declared.
  t.doesNotThrow(declare('x'))
})

t.test('a topic is declared once, by whatever names its parameters have', async t => {
  const app = await createApp(t)
  app.topic('rooms/:room')
  t.throws(() => app.topic('rooms/:room'), { code: 'FST_WS_ERR_INVALID_OPTION', message: "topic 'rooms/:room': the pattern is declared already" })
  t.throws(() => app.topic('rooms/:id'), { message: "topic 'rooms/:id': the pattern is declared already, as 'rooms/:room'" })
  t.doesNotThrow(() => app.topic('rooms/lobby'))
})

t.test('a topic is declared before the app is ready', async t => {
  const app = await createApp(t)
  await app.ready()
  t.throws(() => app.topic('x'), { code: 'FST_WS_ERR_INVALID_OPTION', message: "topic 'x': topics are declared before the app is ready, as routes are" })
})

t.test('prefixes of instances are those of names', async t => {
  const app = await createApp(t)
  await app.register(async scope => {
    t.equal(scope.topic('rooms/:room').pattern, 'v1/rooms/:room')
    await scope.register(async inner => {
      t.equal(inner.topic(':x').name({ x: 'y' }), 'v1/admin/y')
    }, { prefix: '/admin/' })
  }, { prefix: '/v1' })
  await app.register(async scope => {
    const topic = scope.topic('news')
    t.equal(topic.pattern, ':tenant/news')
    t.equal(topic.name({ tenant: 'a' } as never), 'a/news')
  }, { prefix: '/:tenant' })
  await app.register(async scope => {
    t.throws(() => scope.topic('x'), { message: /^topic ':id\(\\d\+\)\/x': ':id\(\\d\+\)' is no parameter/ })
  }, { prefix: '/:id(\\d+)' })
  t.equal(app.topic('rooms/:room').name({ room: '7' }), 'rooms/7')
  await app.ready()
})

t.test('the app does not get ready with a schema that cannot be compiled', async t => {
  for (const [schema, message] of [
    [{ message: { type: 'strin' } }, /the schema 'message' of topic 'rooms\/:room' cannot be compiled: /],
    [{ publish: { $ref: 'nothing#' } }, /the schema 'publish' of topic 'rooms\/:room' cannot be compiled: /],
    [{ params: { type: 1 } }, /the schema 'params' of topic 'rooms\/:room' cannot be compiled: /],
    [{ message: { '~standard': { vendor: 'zod' } } }, /the schema 'message' of topic 'rooms\/:room' is no JSON schema but one of zod: set the compiler of its type provider with app.setSerializerCompiler\(\)/],
    [{ publish: { '~standard': { vendor: 'zod' } } }, /app.setValidatorCompiler\(\)/]
  ] as const) {
    const app = await createApp(t)
    app.topic('rooms/:room', { schema })
    await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_MESSAGE_SCHEMA', message })
  }
})
