import Fastify, { type FastifySchema } from 'fastify'
import websocket, { type AsyncApiDocument, type AsyncApiOptions, type AsyncApiSchema } from '../../lib/index.js'
import { expectAssignable, expectNotAssignable, expectType } from './expect.js'

// The document, what it is made with, and what schemas may say for it without @fastify/swagger.

const app = Fastify()
await app.register(websocket, {
  asyncapi: {
    info: { title: 'Chat', 'x-logo': 'logo.svg' },
    servers: { main: { host: 'example.com', protocol: 'wss' } },
    route: '/asyncapi.json',
    transform (schema, { url, kind }) {
      expectType<unknown>()(schema)
      expectType<string>()(url)
      expectType<'params' | 'querystring' | 'headers' | 'receive' | 'send' | 'publish' | 'message' | 'member'>()(kind)
      return undefined
    }
  }
})

const document = app.asyncapi()
expectType<AsyncApiDocument>()(document)
expectType<'receive' | 'send'>()(document.operations.sendChat!.action)
expectType<string[] | undefined>()(document.channels.chat!.bindings?.ws['x-subprotocols'])
expectType<AsyncApiSchema>()(document.components.messages!.say!.payload)
expectType<unknown>()(document['x-anything'])
expectNotAssignable<{ name: unknown }>()(document.info)

expectAssignable<AsyncApiOptions>({ route: false })
expectNotAssignable<AsyncApiOptions>()({ route: true })
// @ts-expect-error there is no such member
expectAssignable<AsyncApiOptions>({ info: { name: 'Chat' } })
expectNotAssignable<AsyncApiOptions>()({ servers: { main: { url: 'wss://example.com' } } })
expectNotAssignable<AsyncApiOptions>()({ securitySchemes: { key: { type: 'apikey' } } })

const described = {
  summary: 'A room',
  description: 'For all',
  tags: ['chat'],
  operationId: 'chat',
  deprecated: true,
  hide: false,
  security: [{ bearer: [] }]
}
app.get('/chat', { websocket: true, schema: { ...described, receive: {}, send: {} } }, connection => connection.close())
app.route({ method: 'GET', url: '/both', schema: { summary: 'Both', hide: true }, handler: async () => 'http', wsHandler: connection => connection.close() })
expectNotAssignable<FastifySchema>()({ summary: 5 })
