import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { describe, type DescribedRoute } from '../../lib/asyncapi/document.js'
import websocket, { type AsyncApiDocument, type AsyncApiOptions, type AsyncApiSchema } from '../../lib/index.js'
import { resolvePluginOptions } from '../../lib/options/index.js'
import { CASES_FOR_NO_PARSER, SCHEMA_CASES } from './schema-cases.js'

// What no app with Fastify's own compilers can have, and how names come about: without I/O, and without the parser.

type Routes = Array<Partial<DescribedRoute> & { url: string }>

function documentOf (routes: Routes, asyncapi: AsyncApiOptions = {}): AsyncApiDocument {
  const defaults: Omit<DescribedRoute, 'url'> = { schema: {}, sharedSchemas: {}, subprotocols: [], constraints: {}, topics: 'none' }
  return describe(routes.map(route => ({ ...defaults, ...route })), [], resolvePluginOptions({ asyncapi }).asyncapi)
}

/** What becomes of a schema of messages. */
function payloadOf (receive: unknown, sharedSchemas: Record<string, unknown> = {}): { payload: AsyncApiSchema, schemas: Record<string, AsyncApiSchema> | undefined } {
  const { messages, schemas } = documentOf([{ url: '/x', schema: { receive, send: false }, sharedSchemas }]).components
  const [message, ...others] = Object.values(messages!)
  if (others.length > 0) throw new Error(`${others.length + 1} messages`)
  return { payload: message!.payload, schemas }
}

function namesOf (receive: unknown, sharedSchemas: Record<string, unknown> = {}): string[] {
  return Object.values(documentOf([{ url: '/x', schema: { receive, send: false }, sharedSchemas }]).components.messages!).map(({ name }) => name)
}

const tagged = (type: unknown, more: object = {}): object => ({ type: 'object', properties: { type: { const: type } }, ...more })

t.test('words of other drafts, of OpenAPI and of Ajv are said in those of draft-07', async t => {
  for (const [schema, payload] of [...SCHEMA_CASES, ...CASES_FOR_NO_PARSER]) {
    const described = payloadOf(schema)
    t.equal(JSON.stringify(described.payload), JSON.stringify(payload))
    t.equal(described.schemas, undefined)
  }
})

t.test('references of every kind lead to one component each, and to the right one', async t => {
  const shared = {
    plain: { $id: 'plain', type: 'string', title: 'plain' },
    'http://example.com/a/b.json': { $id: 'http://example.com/a/b.json', definitions: { c: { $id: '#anchor', title: 'c' }, 'd/e~f %': { title: 'd' }, inner: { $id: 'inner.json', title: 'inner', allOf: [{ $ref: '#/definitions/deep' }], definitions: { deep: { title: 'deep' } } } } },
    'urn:example:thing': { $id: 'urn:example:thing', title: 'urn', items: { $ref: '#' } },
    later: { $id: 'later', $defs: { named: { $anchor: 'name', title: 'named' } }, properties: { list: { items: [{ title: 'first' }] } } }
  }
  for (const [$ref, title, name] of [
    ['plain', 'plain', 'plain'],
    ['plain#', 'plain', 'plain'],
    ['http://example.com/a/b.json#/definitions/c', 'c', 'c'],
    ['http://example.com/a/b.json#anchor', 'c', 'anchor'],
    ['http://example.com/a/b.json#/definitions/d~1e~0f%20%25', 'd', 'd-e-f'],
    ['http://example.com/a/inner.json', 'inner', 'inner'],
    ['http://example.com/a/b.json#/definitions/inner', 'inner', 'inner'],
    ['http://example.com/a/inner.json#/definitions/deep', 'deep', 'deep'],
    ['urn:example:thing', 'urn', 'urn-example-thing'],
    ['later#name', 'named', 'name'],
    ['later#/properties/list/items/0', 'first', 'later.properties.list.items.0']
  ] as const) {
    const { payload, schemas } = payloadOf({ type: 'array', items: { $ref } }, shared)
    t.strictSame(payload, { type: 'array', items: { $ref: `#/components/schemas/${name}` } }, $ref)
    t.match(schemas![name], { title }, $ref)
    t.equal(Object.keys(schemas!).length, title === 'inner' ? 2 : 1)
  }
  t.strictSame(payloadOf({ items: { $ref: 'urn:example:thing' } }, shared).schemas!['urn-example-thing'], { title: 'urn', items: { $ref: '#/components/schemas/urn-example-thing' } })
})

t.test('references that are relative: to the id around them, and to the schema that they are in', async t => {
  const local = {
    type: 'object',
    properties: {
      self: { $ref: '#' },
      own: { $ref: '#/definitions/x' },
      other: { $id: 'http://example.com/dir/other.json', properties: { sibling: { $ref: 'sibling.json' }, mine: { $ref: '#/definitions/x' } }, definitions: { x: { title: 'x of other' } } },
      described: { $ref: '#/definitions/x', description: 'besides', allOf: [{ minLength: 1 }] }
    },
    definitions: { x: { title: 'x of mine' } }
  }
  const { payload, schemas } = payloadOf(local, { s: { $id: 'http://example.com/dir/sibling.json', title: 'sibling' } })
  t.strictSame(payload, { $ref: '#/components/schemas/xReceive' })
  t.strictSame(schemas, {
    xReceive: {
      type: 'object',
      properties: {
        self: { $ref: '#/components/schemas/xReceive' },
        own: { $ref: '#/components/schemas/x' },
        other: { $ref: '#/components/schemas/other' },
        described: { description: 'besides', allOf: [{ $ref: '#/components/schemas/x' }, { minLength: 1 }] }
      }
    },
    x: { title: 'x of mine' },
    other: { properties: { sibling: { $ref: '#/components/schemas/sibling' }, mine: { $ref: '#/components/schemas/x_2' } } },
    sibling: { title: 'sibling' },
    x_2: { title: 'x of other' }
  })
})

t.test('schemas that are alike but refer to others are others; copies are one, whatever they refer to in turn', async t => {
  const node = { $id: 'node', properties: { next: { $ref: 'node' }, leaf: { $ref: 'leaf' } } }
  const route = (url: string, leaf: object): Routes[number] => ({ url, schema: { receive: { $ref: 'node' } }, sharedSchemas: structuredClone({ node, leaf: { $id: 'leaf', ...leaf } }) })
  const { channels, components: { schemas, messages } } = documentOf([route('/a', { type: 'string' }), route('/b', { type: 'number' }), route('/c', { type: 'string' })])
  t.strictSame(schemas, {
    node: { properties: { next: { $ref: '#/components/schemas/node' }, leaf: { $ref: '#/components/schemas/leaf' } } },
    leaf: { type: 'string' },
    node_2: { properties: { next: { $ref: '#/components/schemas/node_2' }, leaf: { $ref: '#/components/schemas/leaf_2' } } },
    leaf_2: { type: 'number' }
  })
  const payloads = ['a', 'b', 'c'].map(key => messages![channels[key]!.messages.node!.$ref.split('/').at(-1)!]!.payload)
  t.strictSame(payloads, [{ $ref: '#/components/schemas/node' }, { $ref: '#/components/schemas/node_2' }, { $ref: '#/components/schemas/node' }])
})

t.test('a reference to nothing is an error that names the route, the schema and the reference', async t => {
  for (const [$ref, shared] of [['ghost#', {}], ['#/definitions/ghost', {}], ['user#/definitions/ghost', { user: { $id: 'user' } }], ['#ghost', {}], ['user#/title', { user: { $id: 'user', title: 'x' } }]] as const) {
    t.throws(() => documentOf([{ url: '/rooms/:id', schema: { send: { items: { $ref } } }, sharedSchemas: shared }]), {
      code: 'FST_WS_ERR_ASYNCAPI',
      message: `/rooms/:id: schema.send refers to '${$ref}', which is neither part of it nor a shared schema: add it with app.addSchema()`
    })
  }
  t.throws(() => documentOf([{ url: '/x', schema: { security: [{ bearer: [] }] } }]), { code: 'FST_WS_ERR_ASYNCAPI', message: /^\/x: schema.security names 'bearer'/ })
})

t.test('names of messages: by tag, id, definition or title, and one for all if there are none', async t => {
  const cases: Array<[receive: unknown, names: string[]]> = [
    [{ oneOf: [tagged('a'), tagged('b')] }, ['a', 'b']],
    [{ anyOf: [{ properties: { type: { enum: ['a'] } } }, { allOf: [{ properties: { id: {} } }, tagged('b')] }] }, ['a', 'b']],
    [{ oneOf: [{ properties: { v: { const: '2.0' }, method: { const: 'x' } } }, { properties: { v: { const: '2.0' }, method: { const: 'y' } } }] }, ['x', 'y']],
    [{ discriminator: { propertyName: 'kind' }, oneOf: [{ properties: { id: { const: '1' }, kind: { const: 'x' } } }, { properties: { id: { const: '2' }, kind: { const: 'y' } } }] }, ['x', 'y']],
    [{ oneOf: [{ properties: { op: { const: 1 } } }, { properties: { op: { const: 2 } } }] }, ['op-1', 'op-2']],
    [{ oneOf: [{ properties: { ok: { const: true } } }, { properties: { ok: { const: false } } }] }, ['ok-true', 'ok-false']],
    [{ oneOf: [tagged('a'), { type: 'string', title: 'Plain text' }] }, ['a', 'Plain-text']],
    [{ oneOf: [tagged('a'), tagged('a', { title: 'Again' })] }, ['xFromClient']],
    [{ oneOf: [tagged('a b'), tagged('a/b')] }, ['xFromClient']],
    [{ oneOf: [{ $ref: 'first' }, { $ref: '#/$defs/second' }, { title: 'Third one' }], $defs: { second: {} } }, ['first', 'second', 'Third-one']],
    [{ oneOf: [tagged('a'), { oneOf: [tagged('b'), { anyOf: [tagged('c'), tagged('d')] }] }] }, ['a', 'b', 'c', 'd']],
    [{ oneOf: [tagged('only')] }, ['only']],
    [{ oneOf: [{ type: 'string' }, { type: 'number' }] }, ['xFromClient']],
    [{ $id: 'json', anyOf: [{ type: 'string', title: 'text' }, { type: 'array', items: { $ref: '#' }, title: 'list' }] }, ['text', 'list']],
    [{ $id: 'loop', anyOf: [{ $ref: '#' }, { title: 'other' }] }, ['loop', 'other']],
    [{ $ref: 'first' }, ['first']],
    [tagged('say'), ['say']],
    [{ properties: { jsonrpc: { const: '2.0' }, method: { const: 'x' } } }, ['xFromClient']],
    [{ oneOf: [] }, ['xFromClient']],
    [{ oneOf: [tagged('a'), false] }, ['xFromClient']]
  ]
  for (const [receive, names] of cases) t.strictSame(namesOf(receive, { first: { $id: 'first', type: 'object' } }), names, JSON.stringify(receive))
})

t.test('what a union wants besides its members counts for each of them', async t => {
  const besides = { type: 'object', required: ['type', 'id'], properties: { id: { type: 'integer' } } }
  const { messages } = documentOf([{ url: '/x', schema: { receive: { ...besides, title: 'Any of them', oneOf: [{ required: ['to', 'type'], ...tagged('a') }, { $ref: 'b' }] } }, sharedSchemas: { b: tagged('b', { $id: 'b' }) } }]).components
  t.strictSame(messages!.a!.payload, { allOf: [besides, { required: ['to', 'type'], ...tagged('a') }] }, 'both have properties')
  t.strictSame(messages!.b!.payload, { allOf: [besides, { $ref: '#/components/schemas/b' }] })
  t.strictSame(documentOf([{ url: '/x', schema: { receive: { type: 'object', required: ['type'], oneOf: [tagged('a', { required: ['to'] }), tagged('b')] } } }]).components.messages!.a!.payload,
    { type: 'object', required: ['type', 'to'], properties: { type: { const: 'a' } } })
})

t.test('messages of the same name: one if they are the same, else by channel and direction, in whatever order routes are declared', async t => {
  const routes: Routes = [
    { url: '/a', schema: { receive: { oneOf: [tagged('same'), tagged('differs')] }, send: tagged('same') } },
    { url: '/b', schema: { receive: tagged('differs', { required: ['type'] }), send: tagged('differs') } },
    { url: '/c', schema: { deprecated: true, send: tagged('same') } }
  ]
  const { channels, operations, components: { messages } } = documentOf(routes)
  t.strictSame(Object.keys(messages!).sort(), ['a.differs', 'a.same', 'any', 'b.differs.fromClient', 'b.differs.fromServer', 'c.same'])
  t.strictSame(documentOf(routes.toReversed()).components.messages, messages)
  t.strictSame(Object.keys(channels.b!.messages), ['differs.fromClient', 'differs.fromServer'])
  t.strictSame(operations.receiveB!.messages, [{ $ref: '#/channels/b/messages/differs.fromClient' }])
  t.strictSame(channels.a!.messages.same, { $ref: '#/components/messages/a.same' })
  t.equal(messages!['b.differs.fromClient']!.name, 'differs')
  t.strictSame([messages!['c.same']!.deprecated, messages!['a.same']!.deprecated], [true, undefined])
})

t.test('what is no JSON Schema is described as anything, with the reason', async t => {
  class Builder { readonly type = 'object' }
  const throwing = { '~standard': { vendor: 'acme', jsonSchema: { input () { throw new Error('no way') }, output () { throw new Error('no way') } } } }
  const callable = Object.assign(() => {}, { '~standard': { vendor: 'arktype', jsonSchema: { input: ({ target }: { target: string }) => ({ title: target }), output: () => ({}) } } })
  for (const [schema, description] of [
    [new Builder(), /is of a library that does not convert it to JSON Schema/],
    [() => true, /is of a library that does not convert it/],
    ['string', /is no schema but string/],
    [throwing, /is of acme, which does not convert it to JSON Schema: no way/],
    [{ '~standard': { vendor: 'old', version: 1, validate () {} } }, /is of old, which does not convert it to JSON Schema by itself/]
  ] as const) {
    t.match(payloadOf(schema).payload, { description })
    t.strictSame(Object.keys(payloadOf(schema).payload), ['description'])
  }
  t.strictSame(payloadOf(callable).payload, { title: 'draft-07' }, 'schemas of ArkType are functions')
  t.strictSame(documentOf([{ url: '/x', schema: { querystring: new Builder(), params: new Builder() } }]).channels.x!.bindings!.ws.query,
    { properties: {}, description: 'Not described: the schema is of a library that does not convert it to JSON Schema. The option asyncapi.transform can.', type: 'object' })
})

t.test('a new document at each call: what one does to it the others do not see', async t => {
  const asyncapi: AsyncApiOptions = { info: { title: 'Chat', tags: [{ name: 'x' }] }, servers: { main: { host: 'example.com', protocol: 'wss' } } }
  const route = { url: '/x', schema: { receive: { required: ['a'] } } }
  const before = JSON.stringify(documentOf([route], asyncapi))
  const document = documentOf([route], asyncapi)
  document.info.tags!.push({ name: 'y' })
  document.servers!.main!.host = 'evil.example'
  document.components.messages!.any!.title = 'changed'
  const { payload } = document.components.messages!.xFromClient!
  ;(payload as { required: string[] }).required.push('b')
  t.equal(JSON.stringify(documentOf([route], asyncapi)), before)
})

t.test('app.asyncapi() and the route that serves it', async t => {
  const start = async (t: Test, asyncapi: AsyncApiOptions | undefined, configure: (app: FastifyInstance) => unknown = () => {}): Promise<FastifyInstance> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket, { asyncapi })
    await configure(app)
    return app as FastifyInstance
  }
  const app = await start(t, { route: '/docs/asyncapi.json', info: { title: 'Chat' } })
  t.throws(() => app.asyncapi(), { code: 'FST_WS_ERR_ASYNCAPI', message: /await app\.ready\(\)/ })
  app.get('/late', { websocket: true, schema: { receive: tagged('ü') } }, () => {})
  const { statusCode, headers, body } = await app.inject('/docs/asyncapi.json')
  t.equal(statusCode, 200)
  t.equal(headers['content-type'], 'application/json; charset=utf-8')
  t.strictSame(JSON.parse(body), app.asyncapi())
  t.strictSame(Object.keys(app.asyncapi().channels), ['late'])
  t.equal(app.asyncapi().info.title, 'Chat')

  for (const asyncapi of [undefined, {}, { route: false as const }]) {
    const silent = await start(t, asyncapi)
    t.equal((await silent.inject('/asyncapi.json')).statusCode, 404)
    t.strictSame(silent.asyncapi().channels, {})
  }

  // Any compiler will do; the document has to find the schema all the same.
  const broken = (app: FastifyInstance): void => {
    app.setSerializerCompiler(() => JSON.stringify)
    app.get('/broken', { websocket: true, schema: { send: { $ref: 'ghost#' } } }, () => {})
  }
  const served = await start(t, { route: '/asyncapi.json' }, broken)
  await t.rejects(async () => { await served.ready() }, { code: 'FST_WS_ERR_ASYNCAPI', message: /^\/broken: schema\.send/ }, 'the app that serves it does not start')
  const unserved = await start(t, {}, broken)
  await unserved.ready()
  t.throws(() => unserved.asyncapi(), { code: 'FST_WS_ERR_ASYNCAPI' }, 'who does not ask is not told')

  const two = Fastify()
  t.teardown(() => two.close())
  for (const prefix of ['/one', '/two']) {
    await two.register(async context => {
      await context.register(websocket, { asyncapi: { route: '/asyncapi.json' } })
      context.get('/feed', { websocket: true }, () => {})
    }, { prefix })
  }
  for (const prefix of ['/one', '/two']) {
    const { channels } = (await two.inject(`${prefix}/asyncapi.json`)).json<AsyncApiDocument>()
    t.strictSame(Object.values(channels).map(({ address }) => address), [`${prefix}/feed`], 'each plugin describes the routes of its context')
  }
})
