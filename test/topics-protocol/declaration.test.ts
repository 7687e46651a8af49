import t from 'tap'
import Fastify from 'fastify'
import websocket from '../../lib/index.js'

t.test('a route that speaks the topics protocol needs no handler', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/a', { websocket: { topics: true } })
  app.route({ method: 'GET', url: '/b', websocket: { topics: { beat: 1000 } } })
  app.register(async child => {
    child.get('/a', { websocket: { topics: true }, preHandler: async () => {} })
    child.route({ method: 'GET', url: '/b', websocket: { topics: true } })
  }, { prefix: '/child' })
  for (const url of ['/a', '/b', '/child/a', '/child/b']) {
    const client = await app.injectWS(url, { protocols: ['topics.v1'] })
    t.equal(client.protocol, 'topics.v1')
    client.terminate()
    t.equal((await app.inject(url)).statusCode, 426, 'over plain HTTP it is as any WebSocket route')
  }
})

t.test('other routes need a handler', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  for (const options of [{}, { websocket: true }, { websocket: { topics: false } }, { websocket: {} }]) {
    t.throws(() => app.get('/', options as never), { code: 'FST_ERR_ROUTE_MISSING_HANDLER' })
    t.throws(() => app.route({ method: 'GET', url: '/', ...options } as never), { code: 'FST_ERR_ROUTE_MISSING_HANDLER' })
  }
})

t.test('wrong options are refused by name', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  const declare = (topics: unknown) => () => app.get('/', { websocket: { topics } as never }, () => {})
  for (const topics of [1, 'yes', null, [], () => {}]) {
    t.throws(declare(topics), { code: 'FST_WS_ERR_INVALID_OPTION', message: /^GET \/: option 'topics' must be true, false or an object of options, not / })
  }
  for (const beat of [0, 0.5, -1, 2 ** 31, '1', null, Infinity]) {
    t.throws(declare({ beat }), { code: 'FST_WS_ERR_INVALID_OPTION', message: /^GET \/: option 'topics': option 'beat' must be a number of milliseconds/ })
  }
  t.throws(declare({ beats: 1 }), { message: /^GET \/: option 'topics': unknown option 'beats'; there are beat$/ })
  t.throws(() => app.get('/', { websocket: true, topics: true } as never, () => {}), { message: "GET /: option 'topics' belongs in 'websocket': websocket: { topics }" })
})

t.test('the option of the plugin is another one', async t => {
  for (const topics of [true, false, { beat: 1 }]) {
    const app = Fastify()
    await t.rejects(Promise.resolve(app.register(websocket, { topics } as never)), { code: 'FST_WS_ERR_INVALID_OPTION', message: /option 'topics'/ })
  }
})
