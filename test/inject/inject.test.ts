import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { once } from 'node:events'
import t from 'tap'
import websocket, { type InjectWSError, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { certificate } from '../support/certificate.js'
import { gate, turns } from '../support/server-sockets.js'

/** An app that does not listen. */
async function createApp (
  t: { teardown (clean: () => unknown): void },
  configure: (app: FastifyInstance) => unknown,
  options: WebSocketPluginOptions = {},
  fastifyOptions: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify(fastifyOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, options)
  await configure(app)
  return app
}

async function rejection (promise: Promise<unknown>): Promise<InjectWSError> {
  return promise.then(() => { throw new Error('it did not reject') }, (error: InjectWSError) => error)
}

t.test('extensions that the caller offers are not, since the client has none', async t => {
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, connection => connection.send('x'.repeat(5000)))
  }, { perMessageDeflate: true })
  const client = await app.injectWS('/', { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } })
  t.equal(client.extensions, '')
  const [data] = await once(client, 'message') as [Buffer]
  t.equal(data.length, 5000)
  client.terminate()
})

t.test('injectWS: messages both ways, in order, and a close with code and reason', async t => {
  const closed = gate()
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      connection.send('hello')
      connection.send(request.url)
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
      connection.on('close', (code, reason) => {
        t.equal(code, 4000)
        t.equal(reason.toString(), 'enough')
        closed.open()
      })
    })
  })
  const heard: unknown[] = []
  const connection = await app.injectWS('/?a=1', {}, {
    // Nothing is lost: also what came with the 101.
    onInit: connection => connection.on('message', (data, isBinary) => { heard.push(isBinary ? data : data.toString()) })
  })
  t.equal(connection.readyState, connection.OPEN)
  t.equal(connection.url, 'ws://localhost:80/?a=1')
  t.equal(app.websocketServer.clients.size, 1)
  connection.send('text')
  connection.send(Buffer.from([1, 2, 3]))
  connection.send('x'.repeat(100_000))
  while (heard.length < 5) await once(connection, 'message')
  t.same(heard.slice(0, 4), ['hello', '/?a=1', 'text', Buffer.from([1, 2, 3])])
  t.equal((heard[4] as string).length, 100_000)
  const over = once(connection, 'close')
  connection.close(4000, 'enough')
  t.same(await over, [4000, Buffer.from('enough')], 'code and reason are echoed')
  await closed.passed
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('injectWS: / is the default path, onInit comes before onOpen, which comes before it resolves', async t => {
  const app = await createApp(t, app => { app.get('/', { websocket: true }, () => {}) })
  const order: string[] = []
  const connection = await app.injectWS(undefined, undefined, { onInit: () => { order.push('init') }, onOpen: () => { order.push('open') } })
  order.push('resolved')
  t.same(order, ['init', 'open', 'resolved'])
  connection.terminate()
})

t.test('B11: it is a real request: ip, headers, cookies, subprotocol, hostname, raw socket', async t => {
  const requests: object[] = []
  const app = await createApp(t, async app => {
    await app.register(cookie)
    app.get('/room/:name', { websocket: { protocols: ['b', 'a'] } }, (connection, request) => {
      const { ip, ips, host, hostname, protocol, method, params, query, cookies, ws } = request
      requests.push({
        ip,
        ips,
        host,
        hostname,
        protocol,
        method,
        params,
        query,
        cookies,
        ws,
        header: request.headers['x-header'],
        userAgent: request.headers['user-agent'],
        httpVersion: request.raw.httpVersion,
        remoteAddress: request.socket.remoteAddress,
        remoteFamily: request.socket.remoteFamily,
        chosen: connection.protocol
      })
    })
  })
  const connection = await app.injectWS('/room/a%20b?q=1', {
    headers: { host: 'example.com:8080', 'x-header': 'value', cookie: 'a=1; b=2', 'user-agent': 'test' },
    protocols: ['a', 'b', 'c']
  })
  t.equal(connection.protocol, 'b')
  t.equal(connection.url, 'ws://example.com:8080/room/a%20b?q=1')
  connection.terminate();
  (await app.injectWS('/room/x', { protocols: 'a', remoteAddress: '::ffff:10.0.0.1' })).terminate()
  t.match(requests, [{
    ip: '127.0.0.1',
    host: 'example.com:8080',
    hostname: 'example.com',
    protocol: 'http',
    method: 'GET',
    params: { name: 'a b' },
    query: { q: '1' },
    cookies: { a: '1', b: '2' },
    ws: true,
    header: 'value',
    userAgent: 'test',
    httpVersion: '1.1',
    remoteAddress: '127.0.0.1',
    remoteFamily: 'IPv4',
    chosen: 'b'
  }, { ip: '::ffff:10.0.0.1', remoteFamily: 'IPv6', chosen: 'a' }])
})

t.test('B11: trustProxy', async t => {
  const seen: unknown[] = []
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, (connection, { ip, ips, host, protocol }) => { seen.push({ ip, ips, host, protocol, url: connection.url }) })
  }, {}, { trustProxy: '10.0.0.0/8' } as FastifyServerOptions)
  const forwarded = { 'x-forwarded-for': '203.0.113.7, 10.1.1.1', 'x-forwarded-host': 'outside.example', 'x-forwarded-proto': 'https' };
  (await app.injectWS('/', { headers: forwarded, remoteAddress: '10.0.0.1' })).terminate();
  (await app.injectWS('/', { headers: forwarded, remoteAddress: '192.0.2.1' })).terminate()
  t.same(seen, [
    { ip: '203.0.113.7', ips: ['10.0.0.1', '10.1.1.1', '203.0.113.7'], host: 'outside.example', protocol: 'https', url: 'wss://outside.example/' },
    { ip: '192.0.2.1', ips: ['192.0.2.1'], host: 'localhost:80', protocol: 'http', url: 'ws://localhost:80/' }
  ])
})

t.test('B11: hooks: onTimeout, handlerTimeout, onRequestAbort, onResponse', async t => {
  const calls: string[] = []
  const held = gate()
  const responded = gate()
  const app = await createApp(t, app => {
    app.addHook('onTimeout', async () => { calls.push('onTimeout') })
    app.addHook('onRequestAbort', async _request => { calls.push('onRequestAbort') })
    app.addHook('onResponse', async (_request, reply) => {
      calls.push(`onResponse ${reply.statusCode}`)
      responded.open()
    })
    app.get('/', { websocket: true, onRequest: async () => turns(2) }, () => { calls.push('handler') })
    app.get('/held', { websocket: true, preHandler: () => held.passed }, () => { calls.push('held handler') })
  }, {}, { handlerTimeout: 500 })
  const connection = await app.injectWS()
  await responded.passed
  t.same(calls.sort(), ['handler', 'onResponse 101'])
  const error = await rejection(app.injectWS('/held'))
  t.equal(error.statusCode, 503)
  t.equal(JSON.parse(error.body).code, 'FST_ERR_HANDLER_TIMEOUT')
  held.open()
  await turns()
  t.notOk(calls.includes('held handler'))
  t.equal(connection.readyState, connection.OPEN, 'long after handlerTimeout')
  connection.terminate()
  t.notOk(calls.includes('onTimeout'))
})

t.test('B11: a rejection has status, headers and body, and is an Error', async t => {
  const body = JSON.stringify({ reason: 'x'.repeat(300_000) })
  const app = await createApp(t, app => {
    app.get('/refused', {
      websocket: true,
      onRequest: async (_request, reply) => reply.code(401).headers({ 'WWW-Authenticate': 'Basic', 'Set-Cookie': ['a=1', 'b=2'] }).type('application/json').send(body)
    }, () => {})
    app.get('/http', async () => 'http')
    app.get('/origin', { websocket: true }, () => {})
    app.setNotFoundHandler(async (request, reply) => reply.code(404).send(`nothing at ${request.url}`))
  })
  const refused = await rejection(app.injectWS('/refused'))
  t.ok(refused instanceof Error)
  t.equal(refused.message, 'Unexpected server response: 401')
  t.equal(refused.code, 'FST_WS_ERR_UNEXPECTED_RESPONSE')
  t.equal(refused.statusCode, 401)
  t.match(refused.headers, { 'www-authenticate': 'Basic', 'set-cookie': ['a=1', 'b=2'], connection: 'close' })
  t.equal(refused.body, body)
  for (const path of ['/http', '/nowhere']) {
    const { statusCode, body } = await rejection(app.injectWS(path))
    t.equal(statusCode, 404)
    t.equal(body, `nothing at ${path}`)
  }
  t.equal((await rejection(app.injectWS('/origin', { headers: { origin: 'http://evil.example' } }))).statusCode, 403);
  (await app.injectWS('/origin', { headers: { origin: 'http://localhost' } })).terminate()
})

t.test('B11: https apps, and those that speak HTTP/2, too', async t => {
  for (const options of [{ https: certificate }, { http2: true, https: { ...certificate, allowHTTP1: true } }]) {
    const app = await createApp(t, app => {
      app.get('/', { websocket: true }, (connection, request) => { connection.send(`${request.protocol} ${connection.url} ${request.ip}`) })
    }, {}, options as object)
    let first = ''
    const heard = gate()
    const connection = await app.injectWS('/', {}, {
      onInit: connection => connection.on('message', data => {
        first = data.toString()
        heard.open()
      })
    })
    await heard.passed
    t.equal(first, 'https wss://localhost:80/ 127.0.0.1')
    t.match(connection.url, /^wss:/)
    connection.terminate()
    t.equal((await rejection(app.injectWS('/nowhere'))).statusCode, 404)
  }
})

t.test('injectWS while the app listens, and many at once', async t => {
  const app = await createApp(t, app => {
    app.get('/:id', { websocket: true }, (connection, request) => { connection.send((request.params as { id: string }).id) })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const ids = Array.from({ length: 50 }, (_, index) => String(index))
  const connections = await Promise.all(ids.map(async id => {
    let message = ''
    const heard = gate()
    const connection = await app.injectWS(`/${id}`, {}, { onInit: connection => connection.on('message', data => { message = data.toString(); heard.open() }) })
    await heard.passed
    t.equal(message, id)
    return connection
  }))
  t.equal(app.websocketServer.clients.size, ids.length)
  for (const connection of connections) connection.terminate()
})

t.test('injectWS: terminate on either side ends the other with 1006', async t => {
  const serverClosed = gate()
  const app = await createApp(t, app => {
    app.get('/server', { websocket: true }, connection => { setImmediate(() => connection.terminate()) })
    app.get('/client', { websocket: true }, connection => {
      connection.on('close', code => {
        t.equal(code, 1006)
        serverClosed.open()
      })
    })
  })
  const first = await app.injectWS('/server')
  const [code] = await once(first, 'close')
  t.equal(code, 1006)
  const second = await app.injectWS('/client')
  second.terminate()
  await serverClosed.passed
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('B8: app.close() with injected connections and with one that waits in a hook', async t => {
  const inHook = gate()
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, () => {})
    app.get('/held', { websocket: true, onRequest: () => { inHook.open(); return new Promise<void>(() => {}) } }, () => {})
  })
  const connection = await app.injectWS('/')
  const waiting = rejection(app.injectWS('/held'))
  await inHook.passed
  const over = once(connection, 'close')
  await app.close()
  const [code] = await over
  t.equal(code, 1001)
  t.equal((await waiting).statusCode, 503)
})

t.test('injectWS: its client echoes the code and the reason with which the server closes', async t => {
  let heard!: Promise<unknown[]>
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      heard = once(connection, 'close')
      connection.close(4001, 'schönen Tag')
    })
  })
  const client = await app.injectWS('/')
  t.same(await once(client, 'close'), [4001, Buffer.from('schönen Tag')])
  t.same(await heard, [4001, Buffer.from('schönen Tag')])
})

t.test('injectWS: messages that wait for a listener do not keep the end from being seen', async t => {
  let closed!: Promise<unknown[]>
  const app = await createApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      closed = once(connection, 'close')
      for (let i = 0; i < 20; i++) connection.send(`news ${i}`)
      connection.on('message', () => connection.close(4000))
    })
  })
  const client = await app.injectWS('/')
  client.send('done')
  // Each is a view of the buffer that the server writes from, and once counted with all of that: reading stopped.
  t.equal((await closed)[0], 4000)
  let heard = 0
  client.on('message', () => { heard++ })
  t.equal((await once(client, 'close'))[0], 4000)
  t.equal(heard, 20)
})

for (const http2 of [false, true]) {
  const version = http2 ? 'HTTP/2' : 'HTTP/1.1'

  for (const side of ['client', 'server'] as const) {
    t.test(`injectWS, ${version}: after terminate of the ${side} every callback is called, and nothing is buffered`, async t => {
      let connection!: WebSocketConnection
      const app = await createApp(t, app => {
        app.get('/', { websocket: true }, accepted => {
          connection = accepted
          connection.pause()
          connection.on('message', () => {})
        })
      }, { maxBufferedAmount: Infinity }, { http2 } as FastifyServerOptions)
      const client = await app.injectWS('/')
      client.pause()
      const end = side === 'client' ? client : connection
      const results: unknown[] = []
      const callback = (error?: Error | null): void => { results.push(error) }
      for (let i = 0; i < 4; i++) end.send(Buffer.alloc(300_000), callback)
      await turns(10)
      t.ok(end.bufferedAmount > 0, 'the other does not read')
      end.send('in the batch', callback)
      end.terminate()
      await once(end, 'close')
      await turns(2)
      t.equal(results.length, 5, 'each is called, and once')
      t.type(results.at(-1), Error, 'those that did not leave get an error')
      t.equal(end.bufferedAmount, 0)
      end.send('too late', callback)
      await turns(1)
      t.match(results.at(-1), { code: 'FST_WS_ERR_NOT_OPEN' })
      t.equal(end.bufferedAmount, 0)
    })
  }

  t.test(`injectWS, ${version}: what was sent before terminate arrives, and the end behind it`, async t => {
    const events: string[] = []
    const closed = gate()
    const app = await createApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('message', data => events.push(String(data)))
        connection.on('close', code => {
          events.push(`close ${code}`)
          closed.open()
        })
      })
    }, {}, { http2 } as FastifyServerOptions)
    const client = await app.injectWS('/')
    client.send('1')
    client.send('2')
    await new Promise(resolve => client.send('3', resolve))
    await turns(10)
    client.terminate()
    await closed.passed
    t.strictSame(events, ['1', '2', '3', 'close 1006'])
  })

  t.test(`injectWS, ${version}: two ends that always answer each other let other things happen`, async t => {
    const app = await createApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('message', data => connection.send(data))
      })
    }, {}, { http2 } as FastifyServerOptions)
    const client = await app.injectWS('/')
    let isOver = false
    let count = 0
    client.on('message', data => {
      count++
      if (!isOver && count < 1_000_000) client.send(data)
    })
    client.send('ball')
    for (let i = 0; i < 20; i++) await turns(1)
    isOver = true
    t.ok(count < 1000, `${count} round trips in 20 turns`)
    client.terminate()
  })

  t.test(`injectWS, ${version}: a client that does not read holds the server back, and gets everything`, async t => {
    const done = gate()
    let drains = 0
    const app = await createApp(t, app => {
      app.get('/', { websocket: true }, async connection => {
        for (let i = 0; i < 50; i++) {
          if (connection.send(Buffer.alloc(32 * 1024, i))) continue
          drains++
          await once(connection, 'drain')
        }
        done.open()
        connection.close(1000, 'all')
      })
    }, {}, { http2 } as FastifyServerOptions)
    const client = await app.injectWS('/')
    client.pause()
    await turns(50)
    t.ok(drains > 0 && drains < 40, 'the server waits')
    let received = 0
    client.on('message', data => {
      t.equal(data.length, 32 * 1024)
      t.equal(data[0], received++)
    })
    client.resume()
    await done.passed
    const [code, reason] = await once(client, 'close') as [number, Buffer]
    t.strictSame([received, code, reason.toString(), client.bufferedAmount], [50, 1000, 'all', 0])
  })
}

t.test('injectWS of a scope, before the app is ready, when it is, and when it has closed', async t => {
  const app = Fastify()
  let scope!: FastifyInstance
  await app.register(async instance => {
    scope = instance
    await instance.register(websocket)
    instance.get('/', { websocket: true }, connection => connection.send('hello'))
  })
  for (let time = 0; time < 3; time++) {
    const client = await scope.injectWS('/')
    t.same((await once(client, 'message')).map(String), ['hello', 'false'])
    client.terminate()
    await app.ready()
  }
  await app.close()
  await t.rejects(scope.injectWS('/'), { name: 'Error', statusCode: 503 })
})
