import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import websocket from '../../lib/index.js'
import { cases, earlyCases } from './message-schemas-cases.js'

for (const [name, test] of Object.entries({ ...cases, ...earlyCases })) t.test(name, test)

async function createApp (t: { teardown (clean: () => unknown): void }): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  return app
}

t.test('schemas are compiled once, when the app gets ready', async t => {
  const app = await createApp(t)
  const compiled: unknown[] = []
  app.get('/', {
    websocket: true,
    schema: { receive: { receive: 1 }, send: { send: 1 } },
    validatorCompiler: ({ schema, method, url, httpPart }) => {
      compiled.push([schema, method, url, httpPart])
      return () => true
    },
    serializerCompiler: ({ schema, method, url }) => {
      compiled.push([schema, method, url])
      return value => JSON.stringify(value)
    }
  }, connection => { connection.on('json', message => connection.sendJson(message)) })
  await app.ready()
  t.strictSame(compiled, [[{ receive: 1 }, 'GET', '/', 'body'], [{ send: 1 }, 'GET', '/']])
  for (let i = 0; i < 2; i++) {
    const client = await app.injectWS('/')
    client.sendJson(1)
    client.sendJson(2)
    for await (const message of client.json()) if (message === 2) break
    client.terminate()
  }
  t.equal(compiled.length, 2)
})

t.test('a schema that cannot be compiled fails the start, and says which it is', async t => {
  for (const [name, schema] of [['receive', { type: 'no such type' }], ['send', { $ref: 'nowhere#' }]] as const) {
    const app = await createApp(t)
    app.get('/chat/:room', { websocket: true, schema: { [name]: schema } }, () => {})
    await t.rejects(Promise.resolve(app.ready()), { code: 'FST_WS_ERR_MESSAGE_SCHEMA', message: new RegExp(`^the schema '${name}' of WebSocket route /chat/:room cannot be compiled: `) })
  }
})

t.test('schemas of messages at a route that is not for WebSocket are refused', async t => {
  const app = await createApp(t)
  for (const name of ['receive', 'send']) {
    t.throws(() => app.get('/', { schema: { [name]: { type: 'object' } } }, async () => ''), { code: 'FST_WS_ERR_INVALID_OPTION', message: `GET /: schema '${name}' is for WebSocket routes only` })
  }
  t.doesNotThrow(() => app.get('/both', { schema: { receive: { type: 'object' } }, wsHandler: () => {} }, async () => ''), 'the HEAD route beside it is none either')
})
