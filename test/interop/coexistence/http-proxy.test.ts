import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { startApp } from '../../support/app.js'
import { RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { checkExactBytes, closesWithin, echoOver, openWs, refusal, startBeside, type Order } from '../../coexistence/neighbours.js'

// A plugin cannot be registered on a server that listens.
const PLUGIN_ORDERS = ['before our plugin', 'after our plugin'] as const satisfies readonly Order[]

/** The app behind the proxy, which has our plugin too. */
async function startUpstream (t: Pick<Test, 'teardown'>): Promise<{ app: FastifyInstance, port: number }> {
  return startApp(t, app => {
    for (const url of ['/', '/deep/:name']) {
      app.get(url, { websocket: { protocols: ['v2', 'v1'] } }, (connection, request) => {
        connection.on('message', (data, isBinary) => connection.send(isBinary ? data : `upstream ${request.url}: ${String(data)}`))
        connection.on('close', (code, reason) => app.log.info({ code, reason }))
      })
    }
    app.get('/page', async () => 'page of upstream')
    app.get('/closes', { websocket: true }, connection => connection.close(4001, 'upstream says'))
  })
}

for (const order of PLUGIN_ORDERS) {
  for (const prefix of ['/proxy', '/'] as const) {
    const base = prefix === '/' ? '' : prefix

    t.test(`B1: @fastify/http-proxy with the prefix ${prefix}, ${order}`, async t => {
      const upstream = await startUpstream(t)
      const { app, port, url } = await startBeside(t, order, async app => {
        await app.register(httpProxy, { upstream: `http://127.0.0.1:${upstream.port}`, prefix, websocket: true })
      })

      t.equal(await echoOver(t, `${url}${base}/`, 'hello'), 'upstream /: hello')
      t.equal(await echoOver(t, `${url}${base}/deep/x?y=z`, 'hello'), 'upstream /deep/x?y=z: hello')
      const offering = await openWs(t, `${url}${base}/deep/x`, ['v2'])
      t.equal(offering.client.protocol, 'v2')
      offering.client.close(4000, 'bye')
      await once(offering.client, 'close')

      const closed = await openWs(t, `${url}${base}/closes`)
      const [code, reason] = await once(closed.client, 'close')
      t.strictSame([code, String(reason)], [4001, 'upstream says'])

      await checkExactBytes(t, port, '/ws')
      t.equal(await echoOver(t, `${url}/ws`, 'hello'), 'hello')
      t.equal((await refusal(port, upgradeRequest('/refused'))).body, '{"refused":"by a hook"}')
      const page = await fetch(`http://127.0.0.1:${port}${base}/page`)
      t.equal(await page.text(), 'page of upstream')

      // The proxy answers 101 by itself: nothing may come between that and its frames.
      const raw = await RawClient.open(port, `${base}/`, {}, text('early'))
      t.equal((await raw.frame()).payload.toString(), 'upstream /: early')
      raw.destroy()
      t.ok(await closesWithin(20_000, app))
    })
  }

  t.test(`B1: hooks of @fastify/http-proxy refuse, ${order}`, async t => {
    const upstream = await startUpstream(t)
    const { port } = await startBeside(t, order, async app => {
      await app.register(httpProxy, {
        upstream: `http://127.0.0.1:${upstream.port}`,
        prefix: '/proxy',
        websocket: true,
        preHandler: async (_request, reply) => {
          // Longer than handshakeTimeout: it is not for us to answer.
          await new Promise(resolve => setTimeout(resolve, 400))
          return reply.code(401).header('connection', 'close').send({ refused: 'by the proxy' })
        }
      })
    }, { plugin: { handshakeTimeout: 100 } })
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/proxy/'))
    const response = await client.response()
    t.equal(response.status, 401)
    t.equal(response.body, '{"refused":"by the proxy"}')
    await client.ended
    t.equal(client.received.length, 0)
    client.destroy()
  })

  t.test(`A7, B1: an upgrade pipelined to @fastify/http-proxy, ${order}`, async t => {
    const upstream = await startUpstream(t)
    const { port } = await startBeside(t, order, async app => {
      app.get('/later', async () => {
        await new Promise(resolve => setTimeout(resolve, 100))
        return 'first'
      })
      await app.register(httpProxy, { upstream: `http://127.0.0.1:${upstream.port}`, prefix: '/proxy', websocket: true })
    })
    const client = await RawClient.connect(port)
    // The proxy alone assigns its response at once: ERR_HTTP_SOCKET_ASSIGNED, uncaught.
    client.write(`GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest('/proxy/')}`)
    t.equal((await client.response()).body, 'first')
    t.equal((await client.head()).status, 101)
    client.write(text('hello'))
    t.equal((await client.frame()).payload.toString(), 'upstream /: hello')
    client.destroy()
  })

  t.test(`B8: app.close() is bounded with a silent client of @fastify/http-proxy, ${order}`, async t => {
    const upstream = await startUpstream(t)
    const { app, port } = await startBeside(t, order, async app => {
      await app.register(httpProxy, { upstream: `http://127.0.0.1:${upstream.port}`, prefix: '/proxy', websocket: true })
    }, { plugin: { closeTimeout: 300 } })
    // Answers no Close frame, and does not end its side.
    const silent = await RawClient.open(port, '/proxy/', {}, text('hello'))
    t.equal((await silent.frame()).payload.toString(), 'upstream /: hello')
    t.ok(await closesWithin(10_000, app), 'ws alone would wait 30 s')
    silent.destroy()
  })
}

t.test('A14: @fastify/http-proxy without websocket: an upgrade for it is refused', async t => {
  const upstream = await startUpstream(t)
  const { port } = await startBeside(t, 'after our plugin', async app => {
    await app.register(httpProxy, { upstream: `http://127.0.0.1:${upstream.port}`, prefix: '/proxy' })
  })
  t.equal((await refusal(port, upgradeRequest('/proxy/'))).status, 404)
})

for (const order of PLUGIN_ORDERS) {
  t.test(`B1: our catch-all route leaves to @fastify/http-proxy what has its prefix, ${order}`, async t => {
    const upstream = await startUpstream(t)
    const { app, url } = await startBeside(t, order, async app => {
      await app.register(httpProxy, { upstream: `http://127.0.0.1:${upstream.port}`, prefix: '/proxy', websocket: true })
    }, {
      configure: app => {
        app.get('/', { websocket: { protocols: ['a'] }, constraints: { host: 'other.example' } }, () => {})
        app.get('/*', { websocket: true }, connection => {
          connection.on('message', data => connection.send(`ours: ${String(data)}`))
        })
      }
    })
    t.equal(await echoOver(t, `${url}/any`, 'hello'), 'ours: hello')
    t.equal(await echoOver(t, `${url}/proxy/deep/x`, 'hello'), 'upstream /deep/x: hello')
    t.ok(await closesWithin(20_000, app))
  })
}

t.test('our routes behind @fastify/http-proxy know of it what they are told', async t => {
  const upstream = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      connection.send(JSON.stringify({ cookie: request.headers.cookie, ip: request.ip, url: connection.url }))
    })
  }, {}, { trustProxy: true })
  const proxy = Fastify()
  t.teardown(() => proxy.close())
  await proxy.register(httpProxy, {
    upstream: upstream.url.replace('ws', 'http'),
    websocket: true,
    wsClientOptions: { headers: { cookie: 'a=b', 'x-forwarded-for': '192.0.2.7' } }
  })
  await proxy.listen({ port: 0, host: '127.0.0.1' })
  const { messages } = await openWs(t, `ws://127.0.0.1:${(proxy.server.address() as AddressInfo).port}/`)
  t.strictSame(JSON.parse((await messages.next()).value), { cookie: 'a=b', ip: '192.0.2.7', url: `${upstream.url}/` })
})
