import { Type, TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyInstance, type FastifySchema } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { once } from 'node:events'
import type { Test } from 'tap'
import * as v from 'valibot'
import { z } from 'zod'
import websocket, { InvalidMessageError, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'

type Cases = Record<string, (t: Test) => Promise<void>>

/** An app with the plugin, not ready yet. */
async function createApp (t: Test, options: WebSocketPluginOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket, options)
  return app
}

function echo (connection: WebSocketConnection): void {
  connection.on('json', message => connection.sendJson(message))
}

/** Sends messages, one by one. @returns what came back for each: a value, or what the connection was closed with */
async function ask (app: FastifyInstance, path: string, ...messages: unknown[]): Promise<unknown[]> {
  const answers: unknown[] = []
  let client: WebSocketConnection | null = null
  for (const message of messages) {
    client ??= await app.injectWS(path)
    const answer = Promise.race([
      once(client, 'json').then(([value]: unknown[]) => value),
      once(client, 'close').then(([code, reason]) => [code, String(reason)])
    ])
    client.sendJson(message)
    answers.push(await answer)
    if (client.readyState !== client.OPEN) client = null
  }
  client?.terminate()
  return answers
}

const id = { type: 'object', required: ['id'], properties: { id: { type: 'integer' }, note: { type: 'string', default: 'none' } } }

/** What holds however the compilers come about. */
export const cases: Cases = {
  'JSON Schema: Fastify\'s own Ajv and fast-json-stringify, with their defaults': async t => {
    const app = await createApp(t)
    app.get('/', { websocket: true, schema: { receive: { ...id, additionalProperties: false }, send: id } }, echo)
    t.strictSame(await ask(app, '/', { id: 1 }, { id: '2', extra: true }, { note: 'x' }, { id: 'x' }), [
      { id: 1, note: 'none' },
      { id: 2, note: 'none' },
      [1008, "message must have required property 'id'"],
      [1008, 'message/id must be integer']
    ], 'as request bodies: coerced, with defaults, without what is not named')
  },

  'sendJson leaves out what the schema does not name, and throws where the value does not fit': async t => {
    const app = await createApp(t, { errorHandler: (error, connection) => connection.close(4000, error.message) })
    app.get('/', { websocket: true, schema: { send: id } }, connection => {
      connection.on('json', message => connection.sendJson(message))
    })
    t.strictSame(await ask(app, '/', { id: 1, secret: 'x' }, { note: 'no id' }), [{ id: 1, note: 'none' }, [4000, '"id" is required!']])
  },

  'shared schemas, of each context its own': async t => {
    const app = await createApp(t)
    app.addSchema({ $id: 'id', ...id })
    for (const [prefix, type] of [['/a', 'boolean'], ['/b', 'string']] as const) {
      await app.register(async app => {
        app.addSchema({ $id: 'own', type: 'object', required: ['own'], properties: { own: { type }, of: { $ref: 'id#' } } })
        app.get('/', { websocket: true, schema: { receive: { $ref: 'own#' }, send: { $ref: 'own#' } } }, echo)
      }, { prefix })
    }
    t.strictSame(await ask(app, '/a', { own: true, of: { id: 1 } }, { own: 'x' }), [{ own: true, of: { id: 1, note: 'none' } }, [1008, 'message/own must be boolean']])
    t.strictSame(await ask(app, '/b', { own: 'x' }, { own: 'x', of: {} }), [{ own: 'x' }, [1008, "message/of must have required property 'id'"]])
  },

  'TypeBox, with its own compiler and a union that is told apart by a tag': async t => {
    const app = (await createApp(t)).withTypeProvider<TypeBoxTypeProvider>().setValidatorCompiler(TypeBoxValidatorCompiler)
    app.get('/', {
      websocket: true,
      schema: {
        receive: Type.Union([Type.Object({ type: Type.Literal('add'), n: Type.Integer() }), Type.Object({ type: Type.Literal('get') })]),
        send: Type.Object({ sum: Type.Integer() })
      }
    }, connection => {
      let sum = 0
      connection.on('json', message => {
        if (message.type === 'add') sum += message.n
        connection.sendJson({ sum })
      })
    })
    const answers = await ask(app as never, '/', { type: 'add', n: 2 }, { type: 'get' }, { type: 'add', n: '2' })
    t.strictSame(answers.slice(0, 2), [{ sum: 2 }, { sum: 2 }])
    t.match(answers[2], [1008, /\S/], 'as with bodies, TypeBox converts nothing')
  },

  'Zod: transformed on the way in, checked on the way out': async t => {
    const app = (await createApp(t, { errorHandler: (_error, connection) => connection.close(4000) })).withTypeProvider<ZodTypeProvider>()
    app.setValidatorCompiler(validatorCompiler)
    app.setSerializerCompiler(serializerCompiler)
    app.get('/', {
      websocket: true,
      schema: { receive: z.object({ at: z.iso.datetime().transform(text => new Date(text)) }), send: z.object({ year: z.number().max(2026) }) }
    }, connection => {
      connection.on('json', ({ at }) => connection.sendJson({ year: at.getUTCFullYear() }))
    })
    const answers = await ask(app as never, '/', { at: '2026-11-23T00:00:00Z' }, { at: 'today' }, { at: '2027-11-23T00:00:00Z' })
    t.strictSame(answers[0], { year: 2026 })
    t.match(answers[1], [1008, /^message\/at Invalid ISO datetime|at/])
    t.strictSame(answers[2], [4000, ''], 'what must not go out throws in sendJson')
  },

  'Valibot, by compilers of one\'s own for one route': async t => {
    const app = await createApp(t)
    app.get('/', {
      websocket: true,
      schema: { receive: v.object({ n: v.pipe(v.string(), v.transform(Number)) }), send: v.number() },
      validatorCompiler: ({ schema }) => value => {
        const result = v.safeParse(schema as unknown as v.GenericSchema, value)
        return result.success ? { value: result.output } : { error: new Error(v.flatten(result.issues).nested?.n?.[0] ?? 'not valid') }
      },
      serializerCompiler: ({ schema }) => value => JSON.stringify(v.parse(schema as unknown as v.GenericSchema, value))
    }, connection => {
      connection.on('json', message => connection.sendJson((message as { n: number }).n + 1))
    })
    app.get('/other', { websocket: true, schema: { receive: id, send: id } }, echo)
    t.strictSame(await ask(app, '/', { n: '41' }, { n: 41 }), [42, [1008, 'Invalid type: Expected string but received 41']])
    t.strictSame(await ask(app, '/other', { id: 1 }), [{ id: 1, note: 'none' }])
  },

  'all that validators may return': async t => {
    const app = await createApp(t, { errorHandler: (error, connection) => connection.close(4000, error.message) })
    const validators: Record<string, (value: unknown) => unknown> = {
      true: () => true,
      nothing: () => undefined,
      false: Object.assign(() => false, { errors: [{ instancePath: '/a', message: 'is bad' }, { message: 'is worse' }] }),
      falsy: () => ({ value: 0 }),
      errors: () => ({ error: [{ instancePath: '/b', message: 'is bad' }] }),
      text: () => ({ error: 'is bad' }),
      throws: () => { throw new Error('the validator failed') },
      promise: async () => true
    }
    for (const [name, validator] of Object.entries(validators)) {
      app.get(`/${name}`, { websocket: true, schema: { receive: {} }, validatorCompiler: () => validator as never }, echo)
    }
    const answers: Record<string, unknown> = {}
    for (const name of Object.keys(validators)) answers[name] = (await ask(app, `/${name}`, 'message'))[0]
    t.strictSame(answers, {
      true: 'message',
      nothing: 'message',
      false: [1008, 'message/a is bad, message is worse'],
      falsy: 0,
      errors: [1008, 'message/b is bad'],
      text: [1008, 'is bad'],
      throws: [4000, 'the validator failed'],
      promise: [4000, 'a validator of messages must not be asynchronous: they would get out of order']
    })
  },

  'the schemaErrorFormatter of the route, or of the context, says what is wrong; the reason fits into a Close frame': async t => {
    const app = await createApp(t)
    app.setSchemaErrorFormatter((errors, dataVar) => new Error(`context: ${errors.length} in ${dataVar} ${'ü'.repeat(200)}`))
    await app.register(async app => {
      app.get('/context', { websocket: true, schema: { receive: id } }, echo)
      app.get('/route', { websocket: true, schema: { receive: id }, schemaErrorFormatter: errors => new Error(`route: ${errors[0]!.keyword}`) }, echo)
    })
    const [[code, reason]] = await ask(app, '/context', {}) as [[number, string]]
    t.equal(code, 1008)
    t.match(reason, /^context: 1 in message ü+$/)
    t.ok(Buffer.byteLength(reason) <= 123)
    t.strictSame(await ask(app, '/route', {}), [[1008, 'route: required']])
  },

  'onInvalidMessage: of the route before that of the plugin, with what the validator found, and the instance as this': async t => {
    const app = await createApp(t, { onInvalidMessage: (_error, connection) => { connection.sendJson('plugin') } })
    await app.register(async app => {
      app.decorate('local', 'the instance of the route')
      app.get('/route', {
        schema: { receive: id },
        websocket: {
          onInvalidMessage (error, connection, data) {
            t.ok(error instanceof InvalidMessageError)
            t.match(error, { code: 'FST_WS_ERR_INVALID_MESSAGE', closeCode: 1008, validationContext: 'message', validation: [{ instancePath: '/id', keyword: 'type' }] })
            connection.sendJson([data.toString(), (this as unknown as { local: string }).local])
          }
        }
      }, echo)
      app.get('/plugin', { schema: { receive: id }, websocket: true }, echo)
    })
    t.strictSame(await ask(app, '/route', { id: 'x' }, { id: 1 }), [['{"id":"x"}', 'the instance of the route'], { id: 1, note: 'none' }])
    t.strictSame(await ask(app, '/plugin', {}), ['plugin'])
  },

  'attachValidation is for the handshake, and messages are validated all the same': async t => {
    const app = await createApp(t)
    app.get('/', { websocket: true, attachValidation: true, schema: { querystring: id, receive: id } }, (connection, request) => {
      connection.sendJson(request.validationError?.validation?.length ?? 0)
      echo(connection)
    })
    const client = await app.injectWS('/')
    t.strictSame((await once(client, 'json'))[0], 1)
    client.sendJson({})
    t.equal((await once(client, 'close'))[0], 1008)
  },

  'broadcastJson: each route with its own schema, serialized once for each; if one cannot, nobody gets it': async t => {
    const app = await createApp(t)
    const compiled: string[] = []
    for (const name of ['a', 'b']) {
      app.get(`/${name}`, {
        websocket: true,
        schema: { send: { type: 'object', properties: { [name]: { type: 'integer' } } } },
        serializerCompiler: () => (value: unknown) => {
          compiled.push(name)
          if ((value as { bad?: string }).bad === name) throw new Error('does not fit')
          return JSON.stringify({ [name]: (value as Record<string, unknown>)[name] })
        }
      }, () => {})
    }
    const clients = await Promise.all(['/a', '/a', '/b', '/b'].map(path => app.injectWS(path)))
    const next = clients.map(client => once(client, 'json'))
    t.throws(() => app.websocketServer.broadcastJson({ bad: 'b' }), { message: 'does not fit' })
    compiled.length = 0
    t.equal(app.websocketServer.broadcastJson({ a: 1, b: 2 }), 4)
    t.strictSame(compiled.sort(), ['a', 'b'])
    t.strictSame((await Promise.all(next)).map(([message]: unknown[]) => message), [{ a: 1 }, { a: 1 }, { b: 2 }, { b: 2 }])
    for (const client of clients) client.terminate()
  },

  'a fluent schema': async t => {
    const app = await createApp(t)
    const fluent = { isFluentSchema: true, valueOf: () => id }
    app.get('/', { websocket: true, schema: { receive: fluent, send: fluent } as FastifySchema }, echo)
    t.strictSame(await ask(app, '/', { id: 1 }, 1), [{ id: 1, note: 'none' }, [1008, 'message must be object']])
  }
}

/** What a request does not know how to do. */
export const earlyCases: Cases = {
  'a context that already has compilers, for other schemas, gets those of shared schemas which came later': async t => {
    const app = await createApp(t)
    app.get('/http', { schema: { querystring: { type: 'object' }, response: { 200: { type: 'string' } } } }, async () => 'http')
    await app.register(async app => {
      app.addSchema({ $id: 'late', ...id })
      app.get('/', { websocket: true, schema: { receive: { $ref: 'late#' }, send: { $ref: 'late#' } } }, echo)
    })
    t.strictSame(await ask(app, '/', { id: 1 }, {}), [{ id: 1, note: 'none' }, [1008, "message must have required property 'id'"]])
  }
}
