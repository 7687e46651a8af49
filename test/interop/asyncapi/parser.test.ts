import { DiagnosticSeverity, Parser, type AsyncAPIDocumentInterface } from '@asyncapi/parser'
import swagger from '@fastify/swagger'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { toJsonSchema, toStandardJsonSchema } from '@valibot/to-json-schema'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { jsonSchemaTransform, serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import t, { type Test } from 'tap'
import Type from 'typebox'
import * as v from 'valibot'
import { WebSocket } from 'ws'
import { z } from 'zod'
import websocket, { type AsyncApiDocument, type AsyncApiOptions } from '../../../lib/index.js'
import { exampleNamed } from '../../support/examples.js'
import { runExample } from '../../support/run-example.js'
import { SCHEMA_CASES } from '../../asyncapi/schema-cases.js'
import { chat } from '../../asyncapi/topics-app.js'

// AsyncAPI's own parser has to accept each document, and the document to say of messages what the server does with them.

// The parser compiles the schema of AsyncAPI itself anew for each document, twice, which takes half a second. Here one set of
// validators, those that it makes for its first document, is for all of them.
const schemaFunction = createRequire(import.meta.url)('@stoplight/spectral-functions/dist/schema/ajv.js') as { createAjvInstances (): unknown }
const validators = schemaFunction.createAjvInstances()
schemaFunction.createAjvInstances = () => validators

const parser = new Parser()

interface Described {
  app: FastifyInstance
  document: AsyncApiDocument
  parsed: AsyncAPIDocumentInterface
  /** The names of the messages of an operation that have such a payload. */
  namesOf (operation: string, payload: unknown): Promise<string[]>
}

async function describe (
  t: Test,
  configure: (app: FastifyInstance) => unknown,
  asyncapi: AsyncApiOptions = {},
  fastifyOptions: FastifyServerOptions = {}
): Promise<Described> {
  const app = Fastify(fastifyOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, { asyncapi })
  await configure(app)
  await app.ready()
  const document = app.asyncapi()
  const parsed = await parse(t, JSON.stringify(document))

  const checker = Fastify({ ajv: { customOptions: { strict: false, coerceTypes: false, useDefaults: false, removeAdditional: false } } })
  t.teardown(() => checker.close())
  for (const name of Object.keys(document.components.messages ?? {})) {
    const body = { components: document.components, $ref: `#/components/messages/${name}/payload` }
    checker.post(`/${name}`, { schema: { body } }, () => 'valid')
  }
  return {
    app,
    document,
    parsed,
    async namesOf (operation, payload) {
      const { channel, messages } = document.operations[operation]!
      const names: string[] = []
      for (const { $ref } of messages) {
        const inChannel = document.channels[lastOf(channel.$ref)]!.messages[lastOf($ref)]!
        const name = lastOf(inChannel.$ref)
        const { statusCode } = await checker.inject({ method: 'POST', url: `/${name}`, headers: { 'content-type': 'application/json' }, payload: JSON.stringify(payload) })
        if (statusCode === 200) names.push(document.components.messages![name]!.name)
      }
      return names
    }
  }
}

async function parse (t: Test, text: string): Promise<AsyncAPIDocumentInterface> {
  const { document, diagnostics } = await parser.parse(text)
  t.strictSame(diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning), [], 'the parser has nothing to object to')
  return document!
}

function lastOf (pointer: string): string {
  return pointer.slice(pointer.lastIndexOf('/') + 1)
}

/**
 * Sends each value to the route, which has to take it if and only if the document has a message for it.
 *
 * @param samples with the name of the one message that they are, or `null` for those that are none
 */
async function agree (t: Test, { app, namesOf }: Described, path: string, operation: string, samples: Array<[payload: unknown, name: string | null]>): Promise<void> {
  for (const [payload, name] of samples) {
    const text = JSON.stringify(payload)
    t.strictSame(await namesOf(operation, payload), name === null ? [] : [name], `${operation}: ${text}`)
    const client = await app.injectWS(path)
    const ended = Promise.race([once(client, 'message').then(() => 'taken'), once(client, 'close').then(([code]) => code === 1008 ? 'refused' : String(code))])
    client.send(text)
    t.equal(await ended, name === null ? 'refused' : 'taken', `${path}: ${text}`)
    client.terminate()
  }
}

/** A handler that answers each message that has come through validation. */
function acknowledge (connection: { on (event: 'json', listener: () => void): unknown, send (text: string): unknown }): void {
  connection.on('json', () => connection.send('taken'))
}

t.test('declared topics, and routes that speak their protocol', async t => {
  const { document, parsed } = await describe(t, chat)
  t.equal(parsed.channels().length, Object.keys(document.channels).length)
  t.equal(parsed.operations().length, Object.keys(document.operations).length)
})

t.test('routes without schemas: any message, both ways', async t => {
  const { document, parsed } = await describe(t, app => {
    app.get('/', { websocket: true }, () => {})
    app.get('/echo', { websocket: true }, () => {})
    app.get('/http', async () => 'not a WebSocket')
    app.route({ method: ['GET', 'HEAD'], url: '/both', handler: async () => 'http', wsHandler: () => {} })
    app.get('/json', { websocket: true, schema: { receive: true, send: { type: 'object', properties: { any: { $ref: '#/definitions/any' } }, definitions: { any: true } } } }, () => {})
    app.get('/off', { websocket: false }, async () => 'not a WebSocket either')
  })
  t.strictSame(Object.entries(document.channels).map(([key, { address }]) => [key, address]), [['root', '/'], ['echo', '/echo'], ['both', '/both'], ['json', '/json']])
  t.strictSame(document.info, { title: 'WebSocket API', version: '1.0.0' })
  t.notHas(document, 'servers')
  t.strictSame(document.channels.echo, {
    address: '/echo',
    messages: { any: { $ref: '#/components/messages/any' } },
    bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } }
  })
  t.strictSame(Object.keys(document.operations), ['receiveRoot', 'sendRoot', 'receiveEcho', 'sendEcho', 'receiveBoth', 'sendBoth', 'receiveJson', 'sendJson'])
  t.strictSame(document.components.messages!.any!.payload, {})
  t.notHas(document.components.messages!.any, 'contentType', 'it may be binary')
  t.match(document.components.messages, { jsonFromClient: { contentType: 'application/json', payload: {} } })
  t.strictSame(document.components.schemas, { any: {} }, 'AsyncAPI allows no booleans there')
  t.equal(parsed.channels().length, 4)
  t.strictSame(parsed.operations().all().map(operation => operation.action()), Array(4).fill(['receive', 'send']).flat())
})

t.test('an app without WebSocket routes, and all options', async t => {
  const info = { title: 'Chat', version: '2.1.0', description: 'Rooms', contact: { email: 'chat@example.com' }, tags: [{ name: 'chat' }], 'x-logo': 'logo.svg' }
  const servers = { production: { host: '{region}.example.com', pathname: '/ws', protocol: 'wss', variables: { region: { enum: ['eu', 'us'] } } } }
  const { document, parsed } = await describe(t, () => {}, { info, servers, id: 'urn:example:chat', defaultContentType: 'application/json' })
  t.strictSame(document, {
    asyncapi: '3.0.0', id: 'urn:example:chat', info, servers, defaultContentType: 'application/json', channels: {}, operations: {}, components: {}
  })
  t.equal(parsed.servers().get('production')!.protocol(), 'wss')
})

t.test('JSON schemas: shared ones, parts of them, recursion, definitions, and a union with a tag', async t => {
  const described = await describe(t, app => {
    app.addSchema({
      $id: 'person',
      type: 'object',
      required: ['name'],
      properties: { name: { $ref: '#/definitions/name' }, friends: { type: 'array', items: { $ref: '#' } }, boss: { $ref: 'person' } },
      definitions: { name: { type: 'string', minLength: 1 } }
    })
    app.addSchema({ $id: 'https://example.com/schemas/place.json', type: 'object', required: ['city'], properties: { city: { $ref: '/schemas/city.json#' } } })
    app.addSchema({ $id: 'https://example.com/schemas/city.json', enum: ['Paris', 'Rome'] })
    app.get('/people', {
      websocket: true,
      schema: {
        receive: {
          type: 'object',
          discriminator: { propertyName: 'type' },
          required: ['type'],
          oneOf: [
            { properties: { type: { const: 'add' }, person: { $ref: 'person#' } }, required: ['person'] },
            { properties: { type: { const: 'rename' }, to: { $ref: 'person#/definitions/name' } }, required: ['to'], title: 'Gives another name' },
            { $ref: '#/definitions/move' }
          ],
          definitions: {
            move: { type: 'object', description: 'To another place', properties: { type: { const: 'move' }, to: { $ref: 'https://example.com/schemas/place.json' } }, required: ['type', 'to'] }
          }
        },
        send: { $ref: 'person#' }
      }
    }, acknowledge)
    app.get('/tree', { websocket: true, schema: { receive: { $id: 'tree', type: 'object', required: ['value'], properties: { value: { type: 'integer', nullable: true }, children: { type: 'array', items: { $ref: '#' } } } }, send: false } }, acknowledge)
  }, {}, { ajv: { customOptions: { discriminator: true } } })
  const { document, namesOf } = described

  await agree(t, described, '/people', 'receivePeople', [
    [{ type: 'add', person: { name: 'Ada', friends: [{ name: 'Bob', friends: [{ name: 'Eve' }] }], boss: { name: 'Zoe' } } }, 'add'],
    [{ type: 'add', person: { name: 'Ada', friends: [{ name: 'Bob', friends: [{ name: '' }] }] } }, null],
    [{ type: 'add', person: { name: 'Ada', boss: {} } }, null],
    [{ type: 'rename', to: 'Ada' }, 'rename'],
    [{ type: 'rename', to: '' }, null],
    [{ type: 'move', to: { city: 'Rome' } }, 'move'],
    [{ type: 'move', to: { city: 'Berlin' } }, null],
    [{ person: { name: 'Ada' } }, null]
  ])
  await agree(t, described, '/tree', 'receiveTree', [
    [{ value: 1, children: [{ value: 2, children: [{ value: 3 }] }] }, 'tree'],
    [{ value: 1, children: [{ value: 2, children: [{ value: 'three' }] }] }, null],
    [{ value: null }, 'tree']
  ])
  t.strictSame(await namesOf('sendPeople', { name: 'Ada', friends: [{ name: 'Bob' }] }), ['person'])
  t.strictSame(await namesOf('sendPeople', { name: 'Ada', friends: [{}] }), [])
  t.notHas(document.operations, 'sendTree', 'nothing goes that way')

  const { messages, schemas } = document.components
  t.strictSame(Object.keys(messages!), ['add', 'rename', 'move', 'person', 'tree'])
  t.strictSame(Object.keys(schemas!).sort(), ['city', 'move', 'name', 'person', 'place', 'tree'])
  t.equal(messages!.rename!.title, 'Gives another name')
  t.equal(messages!.move!.description, 'To another place')
  t.strictSame(messages!.person!.payload, { $ref: '#/components/schemas/person' }, 'not a copy')
  t.strictSame(Object.keys(messages!.add!.payload).sort(), ['properties', 'required', 'type'], 'what the union wants besides is in the member')
  t.notMatch(JSON.stringify(document), /"(\$id|definitions)":/)
})

t.test('schemas in the words of other drafts, of OpenAPI and of Ajv', async t => {
  const { parsed } = await describe(t, app => {
    app.setValidatorCompiler(() => () => true)
    for (const [i, [receive]] of SCHEMA_CASES.entries()) app.get(`/${i}`, { websocket: true, schema: { receive, send: false } }, () => {})
  })
  t.equal(parsed.operations().length, SCHEMA_CASES.length)
})

t.test('TypeBox: unions of literals, ids, and recursion', async t => {
  const Node = Type.Cyclic({ Node: Type.Object({ type: Type.Literal('grow'), branches: Type.Array(Type.Ref('Node')) }) }, 'Node')
  const Cut = Type.Object({ type: Type.Literal('cut'), at: Type.Tuple([Type.Number(), Type.Number()]) }, { $id: 'Cut' })
  const described = await describe(t, app => {
    app.withTypeProvider<TypeBoxTypeProvider>().get('/garden', {
      websocket: true,
      schema: { receive: Type.Union([Node, Cut, Type.Union([Type.Object({ type: Type.Literal('water') }), Type.Object({ type: Type.Literal('rest') })])]), send: Type.Array(Type.String()) }
    }, acknowledge)
  })
  await agree(t, described, '/garden', 'receiveGarden', [
    [{ type: 'grow', branches: [{ type: 'grow', branches: [] }] }, 'grow'],
    [{ type: 'grow', branches: [{ type: 'cut', at: [1, 2] }] }, null],
    [{ type: 'cut', at: [1, 2] }, 'cut'],
    [{ type: 'cut', at: [1] }, null],
    [{ type: 'water' }, 'water'],
    [{ type: 'rest' }, 'rest'],
    [{ type: 'weed' }, null]
  ])
  t.strictSame(await described.namesOf('sendGarden', ['a']), ['gardenFromServer'])
  t.strictSame(Object.keys(described.document.components.schemas!).sort(), ['Cut', 'Node'])
})

t.test('Zod: converted by itself, what comes as it comes and what goes as it goes', async t => {
  const Point = z.object({ x: z.number(), y: z.number() }).meta({ id: 'Point' })
  const Shape = z.object({ type: z.literal('shape'), get parts () { return z.array(Shape).optional() } })
  const described = await describe(t, app => {
    app.setValidatorCompiler(validatorCompiler)
    app.setSerializerCompiler(serializerCompiler)
    app.withTypeProvider<ZodTypeProvider>().get('/draw/:board', {
      websocket: true,
      schema: {
        params: z.object({ board: z.enum(['left', 'right']).describe('Which one') }),
        querystring: z.object({ scale: z.coerce.number().default(1) }),
        receive: z.discriminatedUnion('type', [
          z.object({ type: z.literal('line'), to: Point, width: z.number().default(1) }),
          z.object({ type: z.literal('at'), when: z.iso.datetime().transform(text => new Date(text)) }),
          Shape
        ]),
        send: z.union([
          z.object({ type: z.literal('drawn'), to: Point }),
          z.object({ type: z.literal('saved'), when: z.codec(z.iso.datetime(), z.date(), { decode: text => new Date(text), encode: date => date.toISOString() }) })
        ])
      }
    }, acknowledge)
    app.get('/clock', { websocket: true, schema: { send: z.object({ now: z.date(), zone: z.string() }), receive: z.never() } }, () => {})
  })
  const { document, namesOf } = described
  await agree(t, described, '/draw/left', 'receiveDrawBoard', [
    [{ type: 'line', to: { x: 1, y: 2 } }, 'line'],
    [{ type: 'line', to: { x: 1 } }, null],
    [{ type: 'at', when: '2026-01-01T00:00:00Z' }, 'at'],
    [{ type: 'at', when: 5 }, null],
    [{ type: 'shape', parts: [{ type: 'shape', parts: [] }] }, 'shape'],
    [{ type: 'shape', parts: [{ type: 'line' }] }, null]
  ])
  t.strictSame(await namesOf('sendDrawBoard', { type: 'saved', when: '2026-01-01T00:00:00Z' }), ['saved'], 'the text that goes over the wire, not the date that the handler has')
  t.strictSame(await namesOf('sendDrawBoard', { type: 'saved', when: 0 }), [])
  t.strictSame(document.channels.drawBoard!.parameters, { board: { description: 'Which one', enum: ['left', 'right'] } })
  t.match(document.channels.drawBoard!.bindings!.ws.query, { type: 'object', properties: { scale: { default: 1 } } })
  t.ok(Object.hasOwn(document.components.schemas!, 'Point'))
  t.match(document.components.messages!.clockFromServer!.payload, { properties: { now: {}, zone: { type: 'string' } } }, 'what JSON has no word for takes nothing else with it')
  t.notHas(document.operations, 'receiveClock')
})

t.test('Valibot: as Standard JSON Schema, by transform, and not at all', async t => {
  const Order = v.variant('type', [v.object({ type: v.literal('buy'), count: v.pipe(v.number(), v.integer()) }), v.object({ type: v.literal('cancel') })])
  const seen: unknown[] = []
  const configure = (app: FastifyInstance): void => {
    app.setValidatorCompiler<v.GenericSchema>(({ schema }) => data => {
      const { success, output, issues } = v.safeParse(schema, data)
      return success ? { value: output } : { error: new Error(issues[0].message) }
    })
    app.setSerializerCompiler(() => JSON.stringify)
    app.get('/standard', { websocket: true, schema: { receive: { ...Order, ...toStandardJsonSchema(Order) } } }, acknowledge)
    app.get('/bare', { websocket: true, schema: { receive: Order, params: v.object({}) } }, acknowledge)
  }
  const samples: Array<[unknown, string | null]> = [[{ type: 'buy', count: 2 }, 'buy'], [{ type: 'buy', count: 2.5 }, null], [{ type: 'cancel' }, 'cancel'], [{}, null]]
  const described = await describe(t, configure, {
    transform: (schema, context) => {
      seen.push([context, schema])
      return schema === Order ? toJsonSchema(Order) : undefined
    }
  })
  await agree(t, described, '/standard', 'receiveStandard', samples)
  await agree(t, described, '/bare', 'receiveBare', samples)
  t.match(seen, [[{ url: '/standard', kind: 'receive' }, {}], [{ url: '/bare', kind: 'params' }, {}], [{ url: '/bare', kind: 'receive' }, Order]])

  const { document } = await describe(t, configure)
  t.strictSame(document.components.messages!.bareFromClient!.payload, {
    description: 'Not described: the schema is of valibot, which does not convert it to JSON Schema by itself. The option asyncapi.transform can.'
  })
})

t.test('prefixes and contexts: schemas of the same name are those of their context, and the same ones are there once', async t => {
  const described = await describe(t, async app => {
    for (const [prefix, type] of [['/v1', 'string'], ['/v2', 'number'], ['/v3', 'string']] as const) {
      await app.register(async instance => {
        instance.addSchema({ $id: 'id', type })
        instance.addSchema({ $id: 'item', type: 'object', required: ['id'], properties: { id: { $ref: 'id#' }, next: { $ref: 'item#' } } })
        instance.get('/items', { websocket: true, schema: { receive: { oneOf: [{ $ref: 'item#' }] } } }, acknowledge)
        instance.get('/', { websocket: true }, () => {})
      }, { prefix })
    }
  }, {}, { ajv: { customOptions: { coerceTypes: false } } })
  const { document } = described
  t.strictSame(Object.values(document.channels).map(({ address }) => address), ['/v1/items', '/v1', '/v2/items', '/v2', '/v3/items', '/v3'])
  t.strictSame(Object.keys(document.components.schemas!).sort(), ['id', 'id_2', 'item', 'item_2'])
  for (const version of [1, 2, 3]) {
    const [valid, invalid] = version === 2 ? [5, 'five'] : ['five', 5]
    await agree(t, described, `/v${version}/items`, `receiveV${version}Items`, [
      [{ id: valid, next: { id: valid } }, 'item'],
      [{ id: valid, next: { id: invalid } }, null],
      [{ id: invalid }, null]
    ])
  }
})

t.test('addresses: whatever URLs there are, the parser takes them, and filled in they lead to their routes', async t => {
  const routes: Array<[url: string, addresses: Record<string, Record<string, string>>]> = [
    ['/rooms/:room/seats/:seat', { '/rooms/{room}/seats/{seat}': { room: 'a', seat: 'b' } }],
    ['/near/:lat-:lng/radius/:r', { '/near/{lat}-{lng}/radius/{r}': { lat: '1', lng: '2', r: '3' } }],
    ['/files/:name.json', { '/files/{name}.json': { name: 'x' } }],
    ['/numbers/:id(^\\d+$)', { '/numbers/{id}': { id: '42' } }],
    ['/at/:hour(^\\d{2})h:minute(^\\d{2})m', { '/at/{hour}h{minute}m': { hour: '10', minute: '30' } }],
    ['/nested/:p(^(?:ab|c\\))+$)/end', { '/nested/{p}/end': { p: 'abab' } }],
    ['/maybe/:id?', { '/maybe/{id}': { id: '1' }, '/maybe': {} }],
    ['/verb::watch', { '/verb:watch': {} }],
    ['/all/*', { '/all/{wildcard}': { wildcard: 'a' } }],
    ['/wild/:wildcard/*', { '/wild/{wildcard}/{wildcard_2}': { wildcard: 'a', wildcard_2: 'b' } }],
    ['/odd/:it\'s me', { '/odd/{it_s_me}': { it_s_me: 'x' } }],
    ['/bräu', { '/bräu': {} }],
    ['/чат', { '/чат': {} }],
    ['/__proto__', { '/__proto__': {} }],
    ['/constructor', { '/constructor': {} }],
    ['/a-b', { '/a-b': {} }],
    ['/a/b', { '/a/b': {} }],
    ['/aB', { '/aB': {} }]
  ]
  const { app, document, parsed } = await describe(t, app => {
    for (const [url] of routes) app.get(url, { websocket: true }, connection => { connection.send(url) })
  })
  t.strictSame(Object.values(document.channels).map(({ address }) => address), routes.flatMap(([, addresses]) => Object.keys(addresses)))
  t.equal(parsed.channels().length, 19)
  for (const [url, addresses] of routes) {
    for (const [address, values] of Object.entries(addresses)) {
      const { parameters = {} } = Object.values(document.channels).find(channel => channel.address === address)!
      t.strictSame(Object.keys(parameters), Object.keys(values), address)
      const path = address.replace(/\{([^}]+)\}/g, (_, name: string) => values[name]!)
      const client = await app.injectWS(encodeURI(path))
      t.equal(String((await once(client, 'message'))[0]), url, `${path} leads to ${url}`)
      client.terminate()
    }
  }
  t.equal(document.channels.numbersId!.parameters!.id!['x-pattern'], '^\\d+$')
  t.strictSame(Object.keys(document.channels).filter(key => /^(brau|channel|proto|constructor|aB(_\d)?)$/.test(key)), ['brau', 'channel', 'proto', 'constructor', 'aB', 'aB_2', 'aB_3'])
})

t.test('handshake: parameters, query, headers and subprotocols', async t => {
  const { document } = await describe(t, app => {
    app.addSchema({ $id: 'paging', type: 'object', properties: { after: { type: 'integer', minimum: 0 } } })
    app.addSchema({ $id: 'level', type: 'string', enum: ['low', 'high'], description: 'How much', default: 'low' })
    app.get('/feed/:level/:page/:flag/:slug', {
      websocket: { protocols: ['feed.v2', 'feed.v1'] },
      schema: {
        params: {
          type: 'object',
          properties: {
            level: { $ref: 'level#' },
            page: { type: 'integer', minimum: 1, default: 1, examples: [1, 7], description: 'Counted from 1' },
            flag: { type: 'boolean' },
            slug: Type.Union([Type.Literal('a'), Type.Literal('b')])
          }
        },
        querystring: { $ref: 'paging#' },
        headers: { allOf: [{ type: 'object', properties: { 'x-token': { type: 'string' } }, required: ['x-token'] }] }
      }
    }, () => {})
    app.get('/chosen', { websocket: { protocols: () => false }, schema: { query: { type: 'object', properties: { q: { type: 'string' } } } } as object }, () => {})
    app.get('/declared', { websocket: { protocols: ['x'] }, schema: { headers: { type: 'object', properties: { 'sec-websocket-protocol': { type: 'string', const: 'x' } } } } }, () => {})
  })
  const { parameters, bindings } = document.channels.feedLevelPageFlagSlug!
  const { ws } = bindings!
  t.strictSame(parameters, {
    level: { description: 'How much', enum: ['low', 'high'], default: 'low', 'x-schema': { $ref: '#/components/schemas/level' } },
    page: { description: 'Counted from 1', default: '1', examples: ['1', '7'], 'x-schema': { type: 'integer', minimum: 1 } },
    flag: { enum: ['true', 'false'], 'x-schema': { type: 'boolean' } },
    slug: { enum: ['a', 'b'] }
  })
  t.strictSame(ws.query, { type: 'object', properties: { after: { type: 'integer', minimum: 0 } } }, 'the binding wants properties, not a reference')
  t.match(ws.headers, { type: 'object', properties: { 'Sec-WebSocket-Protocol': { enum: ['feed.v2', 'feed.v1'] } }, allOf: [{ required: ['x-token'] }] })
  t.strictSame(ws['x-subprotocols'], ['feed.v2', 'feed.v1'])
  t.match(document.channels.chosen!.bindings!.ws, { query: { properties: { q: { type: 'string' } } }, headers: { properties: { 'Sec-WebSocket-Protocol': { type: 'string', description: /chooses one of them/ } } } })
  t.notHas(document.channels.chosen!.bindings!.ws, 'x-subprotocols')
  t.strictSame(document.channels.declared!.bindings!.ws.headers, { type: 'object', properties: { 'sec-websocket-protocol': { type: 'string', const: 'x' } } })
})

t.test('what @fastify/swagger knows of routes: summary, description, tags, security, deprecated, hide, operationId', async t => {
  const { document, parsed } = await describe(t, app => {
    app.get('/orders', {
      websocket: true,
      schema: {
        operationId: 'watchOrders',
        summary: 'Orders',
        description: 'As they come.',
        tags: ['shop', 'shop', 'live'],
        externalDocs: { url: 'https://example.com/orders' },
        security: [{ bearer: [] }, { oauth: ['read'] }],
        send: { type: 'object', title: 'An order', properties: { id: { type: 'integer' } } }
      }
    }, () => {})
    app.get('/old', { websocket: true, schema: { deprecated: true, send: { type: 'object', title: 'An order', properties: { id: { type: 'integer' } } } } }, () => {})
    app.get('/secret', { websocket: true, schema: { hide: true } }, () => {})
    app.get('/tenant', { websocket: true, constraints: { host: 'a.example.com' } }, () => {})
    app.get('/tenant', { websocket: true, constraints: { host: /^b\./ } }, () => {})
  }, {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer' },
      oauth: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://example.com/token', availableScopes: { read: 'Reading' } } } }
    }
  })
  t.strictSame(Object.keys(document.channels), ['watchOrders', 'old', 'tenant', 'tenant_2'])
  t.match(document.channels.watchOrders, {
    address: '/orders', summary: 'Orders', description: 'As they come.', tags: [{ name: 'shop' }, { name: 'live' }], externalDocs: { url: 'https://example.com/orders' }
  })
  t.strictSame(document.operations.sendWatchOrders!.security, [
    { $ref: '#/components/securitySchemes/bearer' },
    { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://example.com/token', availableScopes: { read: 'Reading' } } }, scopes: ['read'] }
  ])
  t.equal(parsed.operations().get('sendWatchOrders')!.security().length, 2)
  t.strictSame(document.operations.sendWatchOrders!.tags, [{ name: 'shop' }, { name: 'live' }])
  const { messages } = document.components
  t.notHas(messages!['watchOrders.An-order'], 'deprecated')
  t.equal(messages!['old.An-order']!.deprecated, true)
  t.strictSame(document.channels.tenant_2!['x-constraints'], { host: '/^b\\./' })
})

t.test('@fastify/swagger beside it shows the handshake, and not our route', async t => {
  for (const provider of ['ajv', 'zod']) {
    const room = provider === 'zod' ? z.object({ room: z.string() }) : { type: 'object', properties: { room: { type: 'string' } }, required: ['room'] }
    const message = provider === 'zod' ? z.object({ text: z.string() }) : { type: 'object', properties: { text: { type: 'string' } } }
    const switching = provider === 'zod' ? z.undefined().describe('Switching Protocols') : { type: 'null', description: 'Switching Protocols' }
    const { app, document } = await describe(t, async app => {
      if (provider === 'zod') {
        app.setValidatorCompiler(validatorCompiler)
        app.setSerializerCompiler(serializerCompiler)
      }
      await app.register(swagger, { openapi: { info: { title: 'Chat', version: '1.0.0' } }, ...(provider === 'zod' && { transform: jsonSchemaTransform }) })
      app.get('/chat/:room', { websocket: true, schema: { params: room, receive: message, send: message, response: { 101: switching } } }, acknowledge)
    }, { route: '/asyncapi.json' })
    t.strictSame(app.swagger().paths, {
      '/chat/{room}': {
        get: {
          parameters: [{ schema: { type: 'string' }, in: 'path', name: 'room', required: true }],
          responses: { 101: { description: 'Switching Protocols' } }
        }
      }
    })
    t.strictSame(Object.keys(document.channels), ['chatRoom'])
    const client = await app.injectWS('/chat/a')
    client.send('{"text":"hello"}')
    t.equal(String((await once(client, 'message'))[0]), 'taken', 'the response schema does not get into the way of the 101')
    client.terminate()
  }
})

t.test('examples/asyncapi, and the document in the documentation', async t => {
  const { url } = await runExample(t, 'examples/asyncapi/server.ts')
  const parsed = await parse(t, await (await fetch(`${url}/asyncapi.json`)).text())
  t.strictSame(parsed.messages().all().map(message => message.name()), ['subscribe', 'unsubscribe', 'price'])
  const client = new WebSocket(`${url.replace('http', 'ws')}/markets/paris`, ['prices.v1'])
  t.teardown(() => client.terminate())
  await once(client, 'open')
  client.send(JSON.stringify({ type: 'subscribe', product: 'pears' }))
  const [data] = await once(client, 'message')
  t.match(JSON.parse(String(data)), { type: 'price', product: 'pears', cents: Number })

  const document = await exampleNamed('docs/asyncapi.md', 'asyncapi document')
  t.equal((await parse(t, document.text)).channels().length, 1)
})
