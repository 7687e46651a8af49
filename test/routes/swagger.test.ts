import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t from 'tap'
import websocket from '../../lib/index.js'

const ORDERS = {
  'before our plugin': [swagger, websocket],
  'after our plugin': [websocket, swagger]
} as const

for (const [order, plugins] of Object.entries(ORDERS)) {
  for (const exposeHeadRoutes of [false, true]) {
    t.test(`@fastify/swagger ${order}, exposeHeadRoutes: ${exposeHeadRoutes}: WebSocket routes without any schema are hidden`, async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      for (const plugin of plugins) await app.register(plugin as typeof swagger, { ...(plugin === swagger as unknown && { openapi: { info: { title: 't', version: '1' } }, exposeHeadRoutes }) })
      const handler = (): void => {}
      app.get('/none', { websocket: true }, handler)
      app.get('/undefined', { websocket: { maxPayload: 10 }, schema: undefined as never }, handler)
      await app.register(async scope => { scope.get('/', { websocket: true }, handler) }, { prefix: '/prefixed' })
      app.get('/empty', { websocket: true, schema: {} }, handler)
      app.get('/shown', { websocket: true, schema: { hide: false } }, handler)
      app.get('/query', { websocket: true, schema: { querystring: { type: 'object', properties: { a: { type: 'string' } } } } }, handler)
      app.get('/messages', { websocket: true, schema: { receive: { type: 'object' } } }, handler)
      app.get('/hidden', { websocket: true, schema: { hide: true, receive: { type: 'object' } } }, handler)
      app.route({ method: 'GET', url: '/both', handler: async () => 'http', wsHandler: handler })
      app.route({ method: 'GET', url: '/both-hidden', schema: { hide: true }, handler: async () => 'http', wsHandler: handler })
      app.get('/http', async () => 'http')
      await app.ready()

      const { paths } = app.swagger() as unknown as { paths: Record<string, Record<string, unknown>> }
      t.strictSame(Object.keys(paths).sort(), ['/both', '/empty', '/http', '/messages', '/query', '/shown'])
      const methods = exposeHeadRoutes ? ['get', 'head'] : ['get']
      t.strictSame(Object.keys(paths['/both']!).sort(), methods)

      const channels = Object.values(app.asyncapi().channels).map(({ address }) => address).sort()
      t.strictSame(channels, ['/both', '/empty', '/messages', '/none', '/prefixed', '/query', '/shown', '/undefined'], 'in AsyncAPI all have their place')

      const client = await app.injectWS('/none')
      client.terminate()
      t.equal((await app.inject('/none')).statusCode, 426)
      t.equal((await app.inject('/both')).body, 'http')
    })
  }
}
