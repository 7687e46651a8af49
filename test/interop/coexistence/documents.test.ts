import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import t from 'tap'
import { upgradeRequest } from '../../support/raw-client.js'
import { checkExactBytes, echoOver, refusal, startBeside } from '../../coexistence/neighbours.js'

for (const order of ['before our plugin', 'after our plugin'] as const) {
  t.test(`@fastify/swagger, registered ${order}`, async t => {
    const { app, port, url } = await startBeside(t, order, async app => {
      await app.register(swagger, { openapi: { info: { title: 'ours', version: '1' } } })
    }, {
      configure: app => {
        app.get('/rooms/:room', {
          websocket: { maxPayload: 10 },
          schema: {
            summary: 'A room',
            tags: ['websocket'],
            params: { type: 'object', properties: { room: { type: 'string', maxLength: 5 } }, required: ['room'] },
            querystring: { type: 'object', properties: { since: { type: 'integer' } }, required: ['since'] }
          }
        }, (connection, request) => {
          connection.on('message', () => connection.send(JSON.stringify({ params: request.params, query: request.query })))
        })
        app.route({
          method: 'GET',
          url: '/both',
          schema: { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } },
          handler: async () => ({ hello: 'http', more: 'left out' }),
          wsHandler: connection => { connection.on('message', data => connection.send(data, { binary: false })) }
        })
      }
    })
    const document = app.swagger() as unknown as { paths: Record<string, Record<string, unknown>> }
    t.strictSame(Object.keys(document.paths).sort(), ['/both', '/http', '/rooms/{room}'])
    t.match(document.paths['/rooms/{room}'], {
      get: {
        summary: 'A room',
        tags: ['websocket'],
        parameters: [
          { in: 'query', name: 'since', required: true, schema: { type: 'integer' } },
          { in: 'path', name: 'room', required: true, schema: { type: 'string', maxLength: 5 } }
        ]
      }
    })
    t.strictSame(Object.keys(document.paths['/rooms/{room}']!), ['get'], 'nothing is told of HEAD')
    t.match(document.paths['/both'], { get: { responses: { 200: { content: { 'application/json': {} } } } } })
    t.doesNotThrow(() => app.swagger({ yaml: true }))

    t.equal(await echoOver(t, `${url}/rooms/a?since=1`, 'x'), '{"params":{"room":"a"},"query":{"since":1}}', 'the schemas hold')
    const invalid = await refusal(port, upgradeRequest('/rooms/a?since=yesterday'))
    t.equal(invalid.status, 400)
    t.match(JSON.parse(invalid.body), { code: 'FST_ERR_VALIDATION', message: 'querystring/since must be integer' })
    t.strictSame(await (await fetch(`http://127.0.0.1:${port}/both`)).json(), { hello: 'http' })
    t.equal(await echoOver(t, `${url}/both`, 'hello'), 'hello')
  })

  for (const wildcard of [true, false]) {
    t.test(`@fastify/static${wildcard ? '' : ' with a route for each file'}, registered ${order}`, async t => {
      const page = '<!doctype html><script>new WebSocket("/ws")</script>'
      const root = t.testdir({ 'index.html': page, 'app.js': 'export {}' })
      const { port } = await startBeside(t, order, async app => { await app.register(fastifyStatic, { root, wildcard }) })
      const index = await fetch(`http://127.0.0.1:${port}/`)
      t.equal(await index.text(), page)
      await checkExactBytes(t, port, '/ws')
      for (const path of ['/', '/app.js', '/none.js']) {
        t.equal((await refusal(port, upgradeRequest(path))).status, 404, `there is no WebSocket at ${path}`)
      }
      const plain = await fetch(`http://127.0.0.1:${port}/ws`)
      t.equal(plain.status, 426)
      t.equal((await fetch(`http://127.0.0.1:${port}/app.js`)).status, 200)
    })
  }
}
