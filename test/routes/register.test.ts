import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { echo, startApp } from '../support/app.js'
import { RawClient, text, upgradeRequest, type RawResponse } from '../support/raw-client.js'
import { ServerSockets } from '../support/server-sockets.js'

/** Sends the request, and reads its answer to the end of the connection: complete and closed. */
async function refusal (port: number, request: string): Promise<RawResponse> {
  const client = await RawClient.connect(port)
  client.write(request)
  const response = await client.response()
  if (await client.ended !== true) throw new Error('the connection was reset')
  if (client.received.length > 0) throw new Error(`behind the answer: ${client.received.toString('latin1')}`)
  if (!/(?:^|, )close$/.test(response.headers.connection ?? '')) throw new Error(`Connection: ${response.headers.connection}`)
  client.end()
  await client.closed
  return response
}

/** A plain request on a connection that stays open. */
async function plain (port: number, method: string, path: string): Promise<Omit<RawResponse, 'body'>> {
  const client = await RawClient.connect(port)
  client.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  const head = await client.head()
  client.destroy()
  return head
}

t.test('A14: an upgrade to an HTTP-only route is a 404, before any 101, and its handler is not called', async t => {
  let handled = 0
  const { app, port } = await startApp(t, app => {
    app.get('/http', async () => { handled++ })
    app.get('/of-false', { websocket: false }, async () => { handled++ })
    app.get('/all/*', async () => { handled++ })
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  for (const path of ['/http', '/of-false', '/all/of/it', '/http?query=1']) {
    const response = await refusal(port, upgradeRequest(path))
    t.equal(response.status, 404, path)
    t.equal(JSON.parse(response.body).statusCode, 404)
  }
  t.equal(handled, 0)
  t.equal((await plain(port, 'GET', '/http')).status, 200, 'HTTP goes on')
  await sockets.allClosed()
})

t.test('an upgrade to an unknown path is the 404 of Fastify', async t => {
  const { port } = await startApp(t, echo)
  const response = await refusal(port, upgradeRequest('/nowhere?a=1'))
  t.equal(response.status, 404)
  t.same(JSON.parse(response.body), { message: 'Route GET:/nowhere?a=1 not found', error: 'Not Found', statusCode: 404 })
})

t.test('setNotFoundHandler is honoured, that of an encapsulated context too, with its hooks', async t => {
  const calls: string[] = []
  const { port } = await startApp(t, async app => {
    app.setNotFoundHandler({ preHandler: async (request: FastifyRequest) => { calls.push(`preHandler ${request.url}`) } }, async (request, reply) =>
      reply.code(404).header('x-from', 'root').send(`no ${request.url} here, ${request.ws}`))
    echo(app)
    await app.register(async inner => {
      inner.setNotFoundHandler(async (request, reply) => reply.code(410).header('x-from', 'inner').send(`gone: ${request.url}`))
      inner.get('/http', async () => 'http')
      inner.get('/ws', { websocket: true }, () => {})
    }, { prefix: '/inner' })
  })
  for (const [path, status, from, body] of [
    ['/nowhere', 404, 'root', 'no /nowhere here, true'],
    ['/inner/nowhere', 410, 'inner', 'gone: /inner/nowhere'],
    ['/inner/http', 410, 'inner', 'gone: /inner/http']
  ] as const) {
    const response = await refusal(port, upgradeRequest(path))
    t.equal(response.status, status, path)
    t.equal(response.headers['x-from'], from)
    t.equal(response.body, body)
  }
  t.same(calls, ['preHandler /nowhere'])
  const client = await RawClient.open(port, '/inner/ws')
  client.destroy()
})

t.test('A15: plain HTTP to a WebSocket-only route is a 426 with Upgrade, and the connection stays', async t => {
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/with-hook', { websocket: true, onRequest: async (_request, reply) => { reply.header('x-of-hook', '1') } }, () => {})
  })
  const client = await RawClient.connect(port)
  for (const path of ['/', '/with-hook']) {
    client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    const response = await client.response()
    t.equal(response.status, 426)
    t.equal(response.headers.upgrade, 'websocket')
    t.equal(response.headers['sec-websocket-version'], '13')
    t.match(response.headers.connection, /^upgrade$/i)
    t.equal(JSON.parse(response.body).code, 'FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED')
  }
  client.write(upgradeRequest())
  t.equal((await client.head()).status, 101)
  client.destroy()
})

t.test('A15: Upgrade without Connection: upgrade is hop-by-hop leftover of somebody else: a plain request', async t => {
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/both', { handler: async () => 'http', wsHandler: () => {} })
  })
  for (const [path, status] of [['/', 426], ['/both', 200]] as const) {
    const client = await RawClient.connect(port)
    client.write(upgradeRequest(path, { Connection: 'keep-alive' }))
    t.equal((await client.response()).status, status, path)
    client.destroy()
  }
})

t.test('one URL for HTTP and WebSocket: each gets its own handler', async t => {
  const { port } = await startApp(t, app => {
    app.route({
      method: 'GET',
      url: '/both',
      handler: async request => ({ ws: request.ws }),
      wsHandler: (connection, request) => { connection.send(JSON.stringify({ ws: request.ws })) }
    })
  })
  const client = await RawClient.connect(port)
  client.write('GET /both HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.equal((await client.response()).body, '{"ws":false}')
  client.write(upgradeRequest('/both'))
  t.equal((await client.head()).status, 101)
  t.equal((await client.frame()).payload.toString(), '{"ws":true}')
  client.destroy()
})

t.test('B3: HEAD on a WebSocket route is not a WebSocket route: no handler, no 101', async t => {
  const calls: string[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/ws', { websocket: true }, () => { calls.push('ws') })
    app.get('/both', { handler: async () => { calls.push('http'); return 'http' }, wsHandler: () => { calls.push('both') } })
  })
  const sockets = new ServerSockets(app.server)
  const head = await plain(port, 'HEAD', '/ws')
  t.equal(head.status, 426)
  t.equal(head.headers.upgrade, 'websocket')
  t.equal((await plain(port, 'HEAD', '/both')).status, 200)
  t.same(calls, ['http'])
  for (const path of ['/ws', '/both']) {
    const client = await RawClient.connect(port)
    client.write(upgradeRequest(path, {}, `HEAD ${path} HTTP/1.1`))
    const response = await client.head()
    t.equal(response.status, 405)
    t.match(response.headers.allow, /GET/)
    t.equal(await client.ended, true)
    t.equal(client.received.length, 0, 'an answer to HEAD has no body')
    client.end()
  }
  await sockets.allClosed()
  t.same(calls, ['http'])
})

t.test('A10: a handshake whose method is not GET is a 405 with Allow', async t => {
  let handled = 0
  const { port } = await startApp(t, app => {
    app.get('/ws', { websocket: true }, () => { handled++ })
    app.get('/room/:name', { websocket: true }, () => { handled++ })
    app.post('/ws', async () => { handled++ })
  })
  for (const [method, path] of [['POST', '/ws'], ['PUT', '/ws'], ['DELETE', '/room/a?b=c'], ['OPTIONS', '/room/a']] as const) {
    const response = await refusal(port, upgradeRequest(path, {}, `${method} ${path} HTTP/1.1`))
    t.equal(response.status, 405, `${method} ${path}`)
    t.equal(response.headers.allow, 'GET')
  }
  t.equal((await refusal(port, upgradeRequest('/nowhere', {}, 'POST /nowhere HTTP/1.1'))).status, 404)
  t.equal(handled, 0)
})

t.test('refusals are what hooks, schemas and error handlers make of them', async t => {
  const { port } = await startApp(t, app => {
    app.get('/replies', { websocket: true, preValidation: async (_request, reply) => reply.code(401).header('WWW-Authenticate', 'Basic').send({ who: 'are you' }) }, () => {})
    app.get('/throws', { websocket: true, preHandler: async () => { throw Object.assign(new Error('not today'), { statusCode: 418 }) } }, () => {})
    app.get('/redirects', { websocket: true, onRequest: async (_request, reply) => reply.redirect('/elsewhere', 307) }, () => {})
    app.get('/schema', { websocket: true, schema: { querystring: { type: 'object', required: ['token'], properties: { token: { type: 'string' } } } } }, () => {})
    app.register(async inner => {
      inner.setErrorHandler(async (error, _request, reply) => reply.code(422).send({ handled: (error as Error).message }))
      inner.get('/throws', { websocket: true, onRequest: async () => { throw new Error('inside') } }, () => {})
      inner.get('/version', { websocket: true }, () => {})
    }, { prefix: '/inner' })
  })
  const replies = await refusal(port, upgradeRequest('/replies'))
  t.equal(replies.status, 401)
  t.equal(replies.headers['www-authenticate'], 'Basic')
  t.same(JSON.parse(replies.body), { who: 'are you' })
  const throws = await refusal(port, upgradeRequest('/throws'))
  t.equal(throws.status, 418)
  t.equal(JSON.parse(throws.body).message, 'not today')
  const redirects = await refusal(port, upgradeRequest('/redirects'))
  t.equal(redirects.status, 307)
  t.equal(redirects.headers.location, '/elsewhere')
  const schema = await refusal(port, upgradeRequest('/schema'))
  t.equal(schema.status, 400)
  t.match(JSON.parse(schema.body).message, /token/)
  t.same(JSON.parse((await refusal(port, upgradeRequest('/inner/throws'))).body), { handled: 'inside' })
  const version = await refusal(port, upgradeRequest('/inner/version', { 'Sec-WebSocket-Version': '12' }))
  t.equal(version.status, 422, 'our own refusals go through setErrorHandler too')
})

t.test('a hook that sets Connection: keep-alive on its refusal does not make it true', async t => {
  const { port } = await startApp(t, app => {
    app.get('/reply', { websocket: true, onRequest: async (_request, reply) => reply.code(403).header('Connection', 'keep-alive').send('no') }, () => {})
    app.get('/raw', {
      websocket: true,
      onRequest: (_request, reply) => {
        reply.hijack()
        reply.raw.setHeader('Connection', 'Keep-Alive')
        reply.raw.statusCode = 403
        reply.raw.end('no')
      }
    }, () => {})
  })
  for (const path of ['/reply', '/raw']) {
    const response = await refusal(port, upgradeRequest(path))
    t.equal(response.status, 403)
    t.equal(response.headers.connection, 'close')
    t.match(response.body, /no/)
  }
})

t.test('frames behind a request that is refused are not taken for requests', async t => {
  const { port } = await startApp(t, echo)
  const client = await RawClient.connect(port)
  client.write(Buffer.concat([Buffer.from(upgradeRequest('/nowhere')), text('GET / HTTP/1.1\r\n\r\n', { mask: 0 }), Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')]))
  t.equal((await client.response()).status, 404)
  t.equal(await client.ended, true)
  t.equal(client.received.length, 0)
  client.end()
})
