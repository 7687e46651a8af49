import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import t from 'tap'
import { ACCEPT, RawClient, upgradeRequest } from '../../support/raw-client.js'
import { checkExactBytes, closesWithin, openWs, refusal, startBeside } from '../../coexistence/neighbours.js'

for (const order of ['before our plugin', 'after our plugin'] as const) {
  t.test(`A2: @fastify/jwt, registered ${order}`, async t => {
    const { app, port, url } = await startBeside(t, order, async app => { await app.register(jwt, { secret: 'a secret' }) }, {
      configure: app => {
        app.get('/by-header', { websocket: true, onRequest: request => request.jwtVerify() }, (connection, request) => {
          connection.send(JSON.stringify(request.user))
        })
        app.get<{ Querystring: { token?: string } }>('/by-query', {
          websocket: true,
          // Browsers cannot set headers on a WebSocket.
          onRequest: async request => {
            request.headers.authorization = `Bearer ${request.query.token}`
            await request.jwtVerify()
          }
        }, (connection, request) => {
          connection.send(JSON.stringify(request.user))
        })
      }
    })
    const token = app.jwt.sign({ name: 'ann' }, { noTimestamp: true })

    const byHeader = await openWs(t, `${url}/by-header`, [], { headers: { authorization: `Bearer ${token}` } })
    t.equal((await byHeader.messages.next()).value, '{"name":"ann"}')
    const byQuery = await openWs(t, `${url}/by-query?token=${token}`)
    t.equal((await byQuery.messages.next()).value, '{"name":"ann"}')

    const without = await refusal(port, upgradeRequest('/by-header'))
    t.equal(without.status, 401)
    t.match(without.headers['content-type'], 'application/json')
    t.match(JSON.parse(without.body), { statusCode: 401, error: 'Unauthorized', code: 'FST_JWT_NO_AUTHORIZATION_IN_HEADER' })
    const forged = await refusal(port, upgradeRequest(`/by-query?token=${token.slice(0, -4)}AAAA`))
    t.equal(forged.status, 401)
    t.match(JSON.parse(forged.body), { code: 'FST_JWT_AUTHORIZATION_TOKEN_INVALID' })
    t.equal(app.websocketServer.clients.size, 2)
  })

  t.test(`A2: @fastify/rate-limit, registered ${order}`, async t => {
    const { app, port } = await startBeside(t, order, async app => {
      await app.register(rateLimit, { global: false })
    }, {
      configure: app => {
        app.route({
          method: 'GET',
          url: '/limited',
          config: { rateLimit: { max: 2, timeWindow: 60_000 } },
          handler: async () => 'page',
          wsHandler: connection => { connection.send('in') }
        })
        app.get('/free', async () => 'free')
      }
    })
    for (const remaining of ['1', '0']) {
      const client = await RawClient.connect(port)
      client.write(upgradeRequest('/limited'))
      const { status, headers } = await client.head()
      t.equal(status, 101)
      t.equal(headers['x-ratelimit-remaining'], remaining, 'the 101 tells')
      t.equal((await client.frame()).payload.toString(), 'in')
      client.destroy()
    }
    const refused = await refusal(port, upgradeRequest('/limited'))
    t.equal(refused.status, 429)
    t.equal(refused.headers['x-ratelimit-limit'], '2')
    t.equal(refused.headers['x-ratelimit-remaining'], '0')
    t.match(refused.headers['retry-after'], /^\d+$/)
    t.equal(refused.headers.connection, 'close')
    t.match(JSON.parse(refused.body), { statusCode: 429, error: 'Too Many Requests' })
    for (let i = 0; i < 3; i++) t.equal((await app.inject('/free')).statusCode, 200, 'what is not limited is not')
    await checkExactBytes(t, port, '/ws')
  })

  t.test(`A13: @fastify/helmet, registered ${order}`, async t => {
    const { port, url } = await startBeside(t, order, async app => {
      await app.register(helmet, { contentSecurityPolicy: { directives: { 'connect-src': ["'self'"] } } })
    }, {
      configure: app => {
        app.get('/page', async (_request, reply) => reply.type('text/html').send('<!doctype html>'))
        app.get('/strict', { websocket: { protocols: ['v1'] }, helmet: { frameguard: { action: 'deny' } } }, () => {})
      }
    })
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/ws'))
    const { status, headers } = await client.head()
    t.equal(status, 101)
    // The fields that clients check (RFC 6455 §4.1) are the same as without helmet.
    t.equal(headers.upgrade, 'websocket')
    t.equal(headers.connection, 'Upgrade')
    t.equal(headers['sec-websocket-accept'], ACCEPT)
    t.notOk('content-length' in headers || 'transfer-encoding' in headers)
    t.equal(headers['x-frame-options'], 'SAMEORIGIN')
    t.equal(headers['x-content-type-options'], 'nosniff')
    client.destroy()

    const strict = await openWs(t, `${url}/strict`, ['v1'], { origin: `http://127.0.0.1:${port}` })
    t.equal(strict.headers['x-frame-options'], 'DENY', "the route's own")
    // undici is what browsers do, as far as Node has it.
    const { WebSocket } = await import('undici')
    const browser = new WebSocket(`${url}/ws`)
    await new Promise((resolve, reject) => {
      browser.addEventListener('open', resolve, { once: true })
      browser.addEventListener('error', reject, { once: true })
    })
    browser.close()

    for (const [path, expected] of [['/refused', 403], ['/unknown', 404]] as const) {
      const refused = await refusal(port, upgradeRequest(path))
      t.equal(refused.status, expected)
      t.equal(refused.headers['x-content-type-options'], 'nosniff', `${path} has the headers`)
    }
    const page = await fetch(`http://127.0.0.1:${port}/page`)
    t.match(page.headers.get('content-security-policy'), "connect-src 'self'")
    const plain = await fetch(`http://127.0.0.1:${port}/ws`)
    t.equal(plain.status, 426)
    t.equal(plain.headers.get('x-frame-options'), 'SAMEORIGIN')
    await checkExactBytes(t, port, '/ws')
  })

  t.test(`A2: @fastify/under-pressure, registered ${order}`, async t => {
    let isHealthy = true
    const { app, port } = await startBeside(t, order, async app => {
      await app.register(underPressure, {
        retryAfter: 7,
        healthCheck: async () => isHealthy,
        healthCheckInterval: 20
      })
    })
    const before = await RawClient.open(port, '/ws')
    isHealthy = false
    // The health check runs by a clock of its own.
    while ((await app.inject('/http')).statusCode === 200) await new Promise(resolve => setTimeout(resolve, 10))
    const refused = await refusal(port, upgradeRequest('/ws'))
    t.equal(refused.status, 503)
    t.equal(refused.headers['retry-after'], '7')
    t.match(JSON.parse(refused.body), { code: 'FST_UNDER_PRESSURE', statusCode: 503 })
    t.equal(app.websocketServer.clients.size, 1, 'who is there stays')
    isHealthy = true
    while ((await app.inject('/http')).statusCode !== 200) await new Promise(resolve => setTimeout(resolve, 10))
    await checkExactBytes(t, port, '/ws')
    before.destroy()
    t.ok(await closesWithin(10_000, app))
  })
}
