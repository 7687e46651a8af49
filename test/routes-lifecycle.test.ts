import type { FastifyInstance, FastifyServerOptions, onRouteHookHandler } from 'fastify'
import Fastify from 'fastify'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import t from 'tap'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import websocket, { type WebSocketConnection } from '../lib/index.js'
import { startApp, type Teardown } from './support/app.js'
import { binary, close, RawClient, text, upgradeRequest } from './support/raw-client.js'
import { gate, turns } from './support/server-sockets.js'

interface Answer {
  status: number
  body: string
  client: RawClient
}

/** The status of an upgrade, and the first message that its handler sends, or the body of a refusal. */
async function upgrade (t: Teardown, port: number, path: string, headers: Record<string, string> = {}, requestLine?: string): Promise<Answer> {
  const client = await RawClient.connect(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  client.write(upgradeRequest(path, headers, requestLine))
  const { status, headers: fields } = await client.head()
  if (status === 101) return { status, body: (await client.frame()).payload.toString(), client }
  if (requestLine?.startsWith('HEAD')) return { status, body: '', client }
  return { status, body: (await client.bytes(Number(fields['content-length'] ?? 0))).toString(), client }
}

const says = (message: string) => (connection: WebSocketConnection): void => { connection.send(message) }

/** `[path, status, first message]` */
async function expectAll (t: Teardown & { same: (a: unknown, b: unknown, message: string) => unknown }, port: number, expected: Array<[string, number, string?, Record<string, string>?]>): Promise<void> {
  for (const [path, status, message, headers] of expected) {
    const answer = await upgrade(t, port, path, headers)
    t.same(message === undefined ? [answer.status] : [answer.status, answer.body], message === undefined ? [status] : [status, message], path)
  }
}

t.test('B2, B3: prefixes, a prefixed / with both its paths, parameters, wildcards', async t => {
  const { port } = await startApp(t, async app => {
    app.get('/', { websocket: true }, says('root'))
    app.get('/plain', { websocket: true }, says('plain'))
    await app.register(async instance => {
      instance.get('/', { websocket: true }, says('prefixed'))
      await instance.register(async inner => {
        inner.get('/', { websocket: true, prefixTrailingSlash: 'no-slash' }, says('no slash'))
        inner.get('/x/:id', { websocket: true }, (connection, request) => connection.send(JSON.stringify(request.params)))
      }, { prefix: '/v1' })
      await instance.register(async inner => {
        inner.get('/', { websocket: true, prefixTrailingSlash: 'slash' }, says('slash'))
      }, { prefix: '/v2' })
    }, { prefix: '/api' })
    app.get('/files/*', { websocket: true }, (connection, request) => connection.send(JSON.stringify(request.params)))
    app.get('/at/:lat(^\\d+)-:lng/opt/:o?', { websocket: true }, (connection, request) => connection.send(JSON.stringify(request.params)))
  })
  await expectAll(t, port, [
    ['/', 101, 'root'], ['/plain', 101, 'plain'], ['/plain/', 404], ['/Plain', 404],
    ['/api', 101, 'prefixed'], ['/api/', 101, 'prefixed'], ['/api?q=1', 101, 'prefixed'],
    ['/api/v1', 101, 'no slash'], ['/api/v1/', 404], ['/api/v2', 404], ['/api/v2/', 101, 'slash'],
    ['/api/v1/x/a%20b', 101, '{"id":"a b"}'], ['/files/a/b?c', 101, '{"*":"a/b"}'], ['/files', 404],
    ['/at/12-x/opt', 101, '{"lat":"12","lng":"x"}'], ['/at/12-x/opt/y', 101, '{"lat":"12","lng":"x","o":"y"}'], ['/at/z-x/opt', 404]
  ])
})

t.test('B2: constraints: host, version, and the user\'s own, sync and async', async t => {
  const { port } = await startApp(t, app => {
    app.route({ method: 'GET', url: '/', constraints: { host: 'a.example' }, websocket: true, handler: says('host a') })
    app.route({ method: 'GET', url: '/', constraints: { host: /^b\./ }, websocket: true, handler: says('host b') })
    app.route({ method: 'GET', url: '/v', constraints: { version: '1.2.0' }, websocket: true, handler: says('1.2') })
    app.route({ method: 'GET', url: '/v', constraints: { version: '2.0.0' }, websocket: true, handler: says('2.0') })
    app.route({ method: 'GET', url: '/v', handler: async () => 'http without version' })
    app.addConstraintStrategy({
      name: 'tenant',
      storage () {
        const handlers = new Map<string, unknown>()
        return {
          get: (key: string) => handlers.get(key) as never ?? null,
          set: (key: string, value: unknown) => { handlers.set(key, value) }
        }
      },
      deriveConstraint: (request: IncomingMessage, _context: unknown, done?: (error: Error | null, value?: unknown) => void) => {
        if (done === undefined) return request.headers['x-tenant']
        setImmediate(done, null, request.headers['x-tenant'])
      }
    } as Parameters<FastifyInstance['addConstraintStrategy']>[0])
    app.route({ method: 'GET', url: '/t', constraints: { tenant: 'one' }, websocket: true, handler: says('tenant one') })
    app.route({ method: 'GET', url: '/t', constraints: { tenant: 'two' }, websocket: true, handler: says('tenant two') })
  })
  await expectAll(t, port, [
    ['/', 101, 'host a', { Host: 'a.example' }], ['/', 101, 'host b', { Host: 'b.example' }], ['/', 404, undefined, { Host: 'c.example' }],
    ['/v', 101, '1.2', { 'Accept-Version': '1.x' }], ['/v', 101, '2.0', { 'Accept-Version': '2.0.0' }], ['/v', 404], ['/v', 404, undefined, { 'Accept-Version': '3.x' }],
    ['/t', 101, 'tenant one', { 'X-Tenant': 'one' }], ['/t', 101, 'tenant two', { 'X-Tenant': 'two' }], ['/t', 404, undefined, { 'X-Tenant': 'three' }]
  ])
})

t.test('B5: rewriteUrl is applied once; connection.url and originalUrl are what the client sent', async t => {
  let calls = 0
  const { port } = await startApp(t, app => {
    app.get('/new/:id', { websocket: true }, (connection, request) => {
      connection.send(JSON.stringify([request.url, request.originalUrl, connection.url, request.params]))
    })
  }, {}, {
    rewriteUrl (request) {
      calls++
      return request.url!.startsWith('/old') ? `/new${request.url!.slice(4)}` : `/new${request.url!}`
    }
  })
  const { body } = await upgrade(t, port, '/old/5?x=1')
  t.same(JSON.parse(body), ['/new/5?x=1', '/old/5?x=1', 'ws://localhost/old/5?x=1', { id: '5' }])
  t.equal(calls, 1)
  t.equal((await upgrade(t, port, '/7')).status, 101)
})

t.test('B2: the options of Fastify\'s router count', async t => {
  const cases: Array<[FastifyServerOptions, string, number]> = [
    [{ routerOptions: { ignoreTrailingSlash: true } }, '/Path/x/', 101],
    [{}, '/Path/x/', 404],
    [{ routerOptions: { ignoreDuplicateSlashes: true } }, '//Path///x', 101],
    [{}, '//Path///x', 404],
    [{ routerOptions: { caseSensitive: false } }, '/PATH/x', 101],
    [{}, '/PATH/x', 404],
    [{ routerOptions: { useSemicolonDelimiter: true } as object }, '/Path/x;q=1', 101],
    [{ routerOptions: { maxParamLength: 3 } }, '/Path/x', 101],
    [{ routerOptions: { maxParamLength: 3 } }, '/param/1234', 414]
  ]
  for (const [options, path, status] of cases) {
    const { port } = await startApp(t, app => {
      app.get('/Path/x', { websocket: true }, says('hi'))
      app.get('/param/:p', { websocket: true }, says('hi'))
    }, {}, options)
    t.equal((await upgrade(t, port, path)).status, status, `${JSON.stringify(options)} ${path}`)
  }
})

t.test('this is the encapsulated instance; decorators and the route\'s config are there', async t => {
  const { port } = await startApp(t, async app => {
    app.decorate('outer', 'o')
    app.decorateRequest('user', '')
    await app.register(async instance => {
      instance.decorate('inner', 'i')
      instance.addHook('onRequest', async request => { (request as unknown as { user: string }).user = 'somebody' })
      instance.get('/', { websocket: true, config: { mine: 1 } as object }, function (connection, request) {
        const self = this as unknown as { outer: string, inner: string }
        const { user } = request as unknown as { user: string }
        const { mine } = request.routeOptions.config as unknown as { mine: number }
        connection.send([self.outer, self.inner, user, mine, request.ws, request.routeOptions.url, this === instance].join())
      })
    }, { prefix: '/in' })
    app.get('/out', { websocket: true }, function (connection, request) {
      connection.send([(this as unknown as { inner?: string }).inner, (request as unknown as { user: string }).user].join())
    })
    app.get('/http', async request => String(request.ws))
  })
  await expectAll(t, port, [['/in', 101, 'o,i,somebody,1,true,/in,true'], ['/out', 101, ',']])
  const response = await fetch(`http://127.0.0.1:${port}/http`)
  t.equal(await response.text(), 'false')
})

t.test('hooks in order, onSend and onResponse for the 101 too, and then the handler', async t => {
  const order: string[] = []
  const note = (name: string) => async (): Promise<void> => {
    await turns(1)
    order.push(name)
  }
  const { port } = await startApp(t, async app => {
    app.addHook('onRequest', note('app onRequest'))
    await app.register(async instance => {
      instance.addHook('onRequest', note('instance onRequest'))
      instance.addHook('preParsing', note('preParsing'))
      instance.addHook('preValidation', note('preValidation'))
      instance.addHook('preHandler', note('preHandler'))
      instance.addHook('preSerialization', note('preSerialization'))
      instance.addHook('onSend', async (_request, reply) => { order.push(`onSend ${reply.statusCode}`) })
      instance.addHook('onResponse', async (_request, reply) => { order.push(`onResponse ${reply.statusCode}`) })
      instance.addHook('onError', note('onError'))
      instance.addHook('onRequestAbort', async _request => { order.push('onRequestAbort') })
      instance.addHook('onTimeout', note('onTimeout'))
      instance.get('/', {
        websocket: true,
        onRequest: note('route onRequest'),
        preHandler: [note('route preHandler 1'), note('route preHandler 2')]
      }, (connection, _request) => {
        order.push('handler')
        connection.send('hi')
      })
    })
  })
  const { client } = await upgrade(t, port, '/')
  t.same(order, [
    'app onRequest', 'instance onRequest', 'route onRequest', 'preParsing', 'preValidation', 'preHandler', 'route preHandler 1', 'route preHandler 2',
    'onSend 101', 'onResponse 101', 'handler'
  ])
  client.write(close(1000))
  await client.closed
  await turns()
  t.equal(order.length, 11, 'and none when the connection ends')
})

t.test('schema validation of params, querystring and headers: 400 through setErrorHandler, coerced values', async t => {
  const { port } = await startApp(t, app => {
    app.setErrorHandler((error, _request, reply) => {
      const { validation, validationContext } = error as unknown as { validation?: unknown[], validationContext?: string }
      return reply.code(400).send(`${String(validationContext)}: ${String(validation?.length)}`)
    })
    app.get('/:id', {
      websocket: true,
      schema: {
        params: { type: 'object', properties: { id: { type: 'integer' } } },
        querystring: { type: 'object', properties: { limit: { type: 'integer', default: 10, maximum: 100 } } },
        headers: { type: 'object', required: ['x-key'], properties: { 'x-key': { type: 'string', minLength: 2 } } }
      }
    }, (connection, request) => connection.send(JSON.stringify([request.params, request.query])))
  })
  const good = { 'X-Key': 'ok' }
  await expectAll(t, port, [
    ['/5', 101, '[{"id":5},{"limit":10}]', good], ['/5?limit=7', 101, '[{"id":5},{"limit":7}]', good],
    ['/five', 400, 'params: 1', good], ['/5?limit=101', 400, 'querystring: 1', good], ['/5', 400, 'headers: 1'], ['/5', 400, 'headers: 1', { 'X-Key': 'x' }]
  ])
})

t.test('B3: methods as an array, HEAD beside GET, and exposeHeadRoutes in both settings', async t => {
  for (const exposeHeadRoutes of [true, false]) {
    const { app, port } = await startApp(t, app => {
      app.route({ method: ['GET'], url: '/get', websocket: true, handler: says('get') })
      app.route({ method: ['GET', 'HEAD'], url: '/both', websocket: true, handler: says('both') })
      app.route({ method: ['HEAD', 'GET'], url: '/http-too', handler: async () => 'http', wsHandler: says('ws') })
    }, {}, { exposeHeadRoutes })
    await expectAll(t, port, [['/get', 101, 'get'], ['/both', 101, 'both'], ['/http-too', 101, 'ws']])
    t.equal((await app.inject({ method: 'HEAD', url: '/both' })).statusCode, 426)
    t.equal((await app.inject({ method: 'HEAD', url: '/get' })).statusCode, exposeHeadRoutes ? 426 : 404)
    const head = await app.inject({ method: 'HEAD', url: '/http-too' })
    t.same([head.statusCode, head.headers['content-length']], [200, '4'])
    t.equal((await upgrade(t, port, '/both', {}, 'HEAD /both HTTP/1.1')).status, 405)
  }
})

t.test('B3: other plugins wrap handlers in their own onRoute, before ours and after it', async t => {
  for (const isBefore of [true, false]) {
    const calls: string[] = []
    const wrap: onRouteHookHandler = routeOptions => {
      const { handler, url } = routeOptions
      routeOptions.handler = function (...args) {
        calls.push(url)
        return Reflect.apply(handler, this, args) as unknown
      }
    }
    const app = Fastify() as FastifyInstance
    t.teardown(() => app.close())
    if (isBefore) app.addHook('onRoute', wrap)
    await app.register(websocket)
    if (!isBefore) app.addHook('onRoute', wrap)
    app.get('/ws', { websocket: true }, function (connection) { connection.send(String(this === app)) })
    app.get('/async', { websocket: true }, async connection => {
      await turns(1)
      connection.send('async')
    })
    app.route({ method: 'GET', url: '/both', handler: async () => 'http', wsHandler: says('ws') })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as { port: number }
    await expectAll(t, port, [['/ws', 101, 'true'], ['/async', 101, 'async'], ['/both', 101, 'ws']])
    t.equal((await app.inject('/both')).body, 'http')
    t.equal((await app.inject('/ws')).statusCode, 426)
    t.ok(calls.includes('/ws') && calls.includes('/both'), 'the wrapper ran')
  }
})

t.test('B3: other onRoute hooks may add hooks, and see a route with websocket set', async t => {
  const seen: unknown[] = []
  const { port } = await startApp(t, app => {
    app.addHook('onRoute', routeOptions => {
      if (routeOptions.method === 'HEAD') return
      seen.push([routeOptions.url, routeOptions.websocket])
      routeOptions.preHandler = async (_request, reply) => { reply.header('x-added', 'by onRoute') }
    })
    app.get('/', { websocket: true }, says('hi'))
  })
  const client = await RawClient.connect(port)
  t.teardown(() => client.destroy())
  client.write(upgradeRequest('/'))
  t.equal((await client.head()).headers['x-added'], 'by onRoute')
  t.same(seen, [['/', true]])
})

interface LogLine {
  level: number
  msg: string
  reqId?: string
  res?: { statusCode: number }
  req?: { url: string }
  code?: number
  duration?: number
  received?: unknown
  sent?: unknown
}

async function startLogging (t: Teardown, options: FastifyServerOptions = {}): Promise<{ log: LogLine[], port: number, ended: Promise<void> }> {
  const log: LogLine[] = []
  const end = gate()
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(`re: ${String(data)}`))
      connection.on('close', () => end.open())
    })
  }, {}, { ...options, logger: { stream: { write: (line: string) => { log.push(JSON.parse(line) as LogLine) } } } })
  return { log, port, ended: end.passed }
}

t.test('B5: the request log says that the handshake ended with 101, and one line that the connection ended, with what it had', async t => {
  const { log, port, ended } = await startLogging(t)
  const client = await RawClient.open(port)
  client.socket.on('end', () => client.end())
  for (const word of ['ü', 'two', '']) client.write(text(word))
  client.write(binary(Buffer.alloc(3)))
  for (let i = 0; i < 4; i++) await client.frame()
  t.same(log.filter(({ reqId }) => reqId !== undefined).map(({ msg, res }) => [msg, res?.statusCode]), [['incoming request', undefined], ['request completed', 101]])
  client.write(close(4001))
  await ended
  await client.closed
  const lines = log.filter(({ msg }) => msg === 'websocket connection closed')
  t.equal(lines.length, 1)
  const [line] = lines as [LogLine]
  t.equal(line.reqId, log.find(({ msg }) => msg === 'incoming request')!.reqId, 'the same request')
  t.same([line.level, line.code, line.received, line.sent], [30, 4001, { messages: 4, bytes: 8 }, { messages: 4, bytes: 24 }])
  t.ok(typeof line.duration === 'number' && line.duration > 0 && line.duration < 60_000)
  t.equal(log.filter(({ msg }) => msg === 'request completed').length, 1)
})

t.test('B5: a connection that breaks is logged with 1006; broadcasts and fragments count', async t => {
  const log: LogLine[] = []
  const end = gate()
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.send('a', { fin: false })
      connection.send('b')
      connection.on('close', () => end.open())
    })
  }, {}, { logger: { stream: { write: (line: string) => { log.push(JSON.parse(line) as LogLine) } } } })
  const client = await RawClient.open(port)
  app.websocketServer.broadcast('1234')
  for (let i = 0; i < 3; i++) await client.frame()
  client.destroy()
  await end.passed
  const lines = log.filter(({ msg }) => msg === 'websocket connection closed')
  t.same(lines.map(({ code, sent, received }) => [code, sent, received]), [[1006, { messages: 2, bytes: 6 }, { messages: 0, bytes: 0 }]])
})

t.test('disableRequestLogging silences both', async t => {
  const { log, port, ended } = await startLogging(t, { disableRequestLogging: true })
  const client = await RawClient.open(port)
  client.write(close(1000))
  await client.ended
  client.end()
  await ended
  t.same(log.filter(({ msg }) => !msg.startsWith('Server listening')), [])
})

t.test('disableRequestLogging as a function silences both for the requests it says', async t => {
  const { log, port, ended } = await startLogging(t, { disableRequestLogging: () => true })
  const client = await RawClient.open(port)
  client.write(close(1000))
  await client.ended
  client.end()
  await ended
  t.same(log.filter(({ msg }) => !msg.startsWith('Server listening')).map(({ msg }) => msg), [])
})

t.test('connection.signal aborts before close is emitted, also if asked for afterwards', async t => {
  const order: string[] = []
  let connection!: WebSocketConnection
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, opened => {
      connection = opened
      connection.on('close', () => order.push(`close, aborted: ${connection.signal.aborted}`))
      if (opened.url.endsWith('?early')) connection.signal.addEventListener('abort', () => order.push('abort'))
    })
  })
  for (const path of ['/?early', '/?late']) {
    const client = await RawClient.open(port, path)
    if (path === '/?early') t.equal(connection.signal.aborted, false)
    const closed = once(connection, 'close')
    client.destroy()
    await closed
    t.equal(connection.signal, connection.signal)
    t.equal(connection.signal.aborted, true)
  }
  t.same(order, ['abort', 'close, aborted: true', 'close, aborted: true'])
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** @param rounds of collecting at most; one is enough for what nobody keeps */
async function areCollected (references: Array<WeakRef<object>>, rounds = 50): Promise<boolean[]> {
  const isCollected = (): boolean[] => references.map(reference => reference.deref() === undefined)
  for (let round = 0; round < rounds && isCollected().includes(false); round++) {
    // A target that was seen in this turn lives until its end.
    await new Promise(resolve => setTimeout(resolve, 0))
    collectGarbage()
  }
  return isCollected()
}

t.test('B6: after the 101 request, reply and their raw ones are collected while the connection is open, if the user keeps none', async t => {
  const handlers: Record<string, (connection: WebSocketConnection, request: object) => unknown> = {
    'a sync handler': connection => { connection.on('message', data => connection.send(data)) },
    'an async handler': async connection => {
      await turns(1)
      connection.on('message', data => connection.send(data))
    }
  }
  for (const [name, handler] of Object.entries(handlers)) {
    const references: Array<WeakRef<object>> = []
    const { port } = await startApp(t, app => {
      app.get('/', {
        websocket: true,
        onRequest: async (request, reply) => {
          references.push(new WeakRef(request), new WeakRef(reply), new WeakRef<IncomingMessage>(request.raw), new WeakRef<ServerResponse>(reply.raw))
        }
      }, handler)
    }, {}, { logger: { level: 'silent' } })
    const client = await RawClient.open(port)
    t.teardown(() => client.destroy())
    client.write(binary('x'))
    t.equal((await client.frame()).payload.toString(), 'x')
    t.same(await areCollected(references), [true, true, true, true], name)
    client.write(binary('y'))
    t.equal((await client.frame()).payload.toString(), 'y', 'and the connection lives')
  }
})

t.test('B6: what the user keeps is kept: the proof above can fail', async t => {
  const references: Array<WeakRef<object>> = []
  const kept: object[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      references.push(new WeakRef(request))
      connection.on('message', () => kept.push(request))
    })
  })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  t.same(await areCollected(references, 5), [false])
})

t.test('B6: a connection that is over is collected', async t => {
  let reference: WeakRef<object> | null = null
  const ended = gate()
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      reference = new WeakRef(connection)
      connection.on('message', data => connection.send(data))
      connection.on('close', () => ended.open())
      t.ok(connection.signal)
    })
  })
  const client = await RawClient.open(port)
  client.write(binary('x'))
  await client.frame()
  client.destroy()
  await ended.passed
  t.same(await areCollected([reference!]), [true])
})
