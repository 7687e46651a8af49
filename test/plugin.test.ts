import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import websocket, { type WebSocketConnection } from '../lib/index.js'
import { echo, startApp, type Teardown } from './support/app.js'
import { close, ping, RawClient, text } from './support/raw-client.js'
import { gate, turns } from './support/server-sockets.js'

async function open (t: Teardown, port: number, path = '/'): Promise<RawClient> {
  const client = await RawClient.open(port, path)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return client
}

t.test('B4: routes declared before the plugin: a clear error at ready that names them', async t => {
  const early: Record<string, (app: FastifyInstance) => void> = {
    'websocket: true': app => { app.get('/early', { websocket: true }, () => {}) },
    'options and a prefix': app => { app.register(async instance => { instance.get('/early', { websocket: { maxPayload: 5 } }, () => {}) }, { prefix: '/api' }) },
    wsHandler: app => { app.route({ method: 'GET', url: '/early', handler: async () => 'http', wsHandler: () => {} }) }
  }
  for (const [name, declare] of Object.entries(early)) {
    const app = Fastify() as FastifyInstance
    t.teardown(() => app.close())
    app.get('/http', async () => 'fine')
    declare(app)
    // a plugin that is awaited loads what was registered before it
    await app.register(websocket)
    app.get('/late', { websocket: true }, () => {})
    const error = await app.ready().then(() => null, (error: unknown) => error as Error & { code: string })
    t.equal(error?.code, 'FST_WS_ERR_UNSEEN_ROUTE', name)
    t.match(error?.message, name === 'options and a prefix' ? /: \/api\/early\./ : /: \/early\./)
    t.match(error?.message, /register the plugin first/i)
    t.notMatch(error?.message, /\/late|\/http/)
  }
})

t.test('B4: without await: a route in the same tick is too early, one in a later plugin is not', async t => {
  const early = Fastify()
  t.teardown(() => early.close())
  early.register(websocket)
  early.get('/early', { websocket: true }, () => {})
  await t.rejects(async () => { await early.ready() }, { code: 'FST_WS_ERR_UNSEEN_ROUTE', message: /\/early/ })

  const late = Fastify()
  t.teardown(() => late.close())
  late.register(websocket)
  late.register(async instance => { instance.get('/late', { websocket: true }, connection => connection.send('hi')) })
  await late.ready()
  const client = await late.injectWS('/late')
  t.equal(String((await once(client, 'message'))[0]), 'hi')
  client.terminate()
})

t.test('B4: two apps do not take each other\'s routes for their own', async t => {
  const [one, two] = [Fastify(), Fastify()]
  t.teardown(() => Promise.all([one.close(), two.close()]))
  one.get('/early', { websocket: true }, () => {})
  await two.register(websocket)
  two.get('/', { websocket: true }, () => {})
  await two.ready()
})

t.test('the plugin has the metadata of fastify-plugin, and package.json agrees', async t => {
  const plugin = websocket as unknown as Record<symbol, unknown>
  t.equal(plugin[Symbol.for('skip-override')], true)
  t.equal(plugin[Symbol.for('fastify.display-name')], 'fastify-ws-routes')
  t.match(plugin[Symbol.for('plugin-meta')], { name: 'fastify-ws-routes', fastify: '5.x' })

  const { name, keywords, peerDependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  t.equal(name, 'fastify-ws-routes')
  t.equal(peerDependencies.fastify, '^5.0.0')
  for (const keyword of ['fastify', 'fastify-plugin', 'websocket']) t.ok(keywords.includes(keyword), keyword)
})

t.test('the plugin cannot be registered twice', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await t.rejects(async () => { await app.register(websocket) }, { code: 'FST_WS_ERR_REGISTERED_TWICE', message: /already registered/ })
})

t.test('registered in an encapsulated context it reaches what is declared there', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async instance => {
    await instance.register(websocket)
    instance.get('/ws', { websocket: true }, connection => connection.send('hi'))
    await instance.register(async inner => { inner.get('/inner', { websocket: true }, connection => connection.send('inner')) })
  }, { prefix: '/in' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  for (const [path, expected] of [['/in/ws', 'hi'], ['/in/inner', 'inner']] as const) {
    t.equal((await (await open(t, port, path)).frame()).payload.toString(), expected)
  }
})

t.test('app.close(): 1001 to all routes\' connections, close is emitted, and it waits for their handshakes', async t => {
  const codes: number[] = []
  const { app, port } = await startApp(t, app => {
    for (const url of ['/', '/other']) app.get(url, { websocket: true }, connection => { connection.on('close', code => codes.push(code)) })
  })
  const clients = [await open(t, port), await open(t, port), await open(t, port, '/other')]
  let resolved = false
  const closing = app.close().then(() => { resolved = true })
  for (const client of clients) t.same(await client.closeFrame(), { code: 1001, reason: '' })
  await turns()
  t.equal(resolved, false)
  for (const client of clients) client.write(close(1001))
  await closing
  t.same(codes, [1001, 1001, 1001])
})

t.test('app.close() is bounded by closeTimeout, whatever the clients and handlers are doing', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
    app.get('/paused', { websocket: true }, connection => connection.pause())
    app.get('/never', { websocket: true }, () => new Promise(() => {}))
    app.get('/choked', { websocket: true }, connection => connection.send(Buffer.alloc(64 * 1024 * 1024)))
    app.get('/loop', { websocket: true }, async connection => {
      for await (const message of connection) await new Promise(() => {}).then(() => message)
    })
    app.get('/closing', { websocket: true }, connection => connection.close(4000))
    app.get('/stream', { websocket: true }, connection => { connection.stream() })
  }, { closeTimeout: 150 })
  const clients: RawClient[] = []
  for (const path of ['/', '/paused', '/never', '/choked', '/loop', '/closing', '/stream']) {
    const client = await RawClient.open(port, path)
    t.teardown(() => client.destroy())
    client.socket.pause()
    client.write(Buffer.concat([text('message'), ping()]))
    clients.push(client)
  }
  // half a frame, and a fragmented message without end
  const half = await RawClient.open(port)
  half.write(text('a message of which the end never comes').subarray(0, 10))
  const fragments = await RawClient.open(port)
  fragments.write(text('first', { fin: false }))
  t.teardown(() => [half, fragments].forEach(client => client.destroy()))
  await turns()
  await app.close()
  t.equal(app.websocketServer.clients.size, 0)
  t.equal(app.server.listening, false)
  await app.close()
  t.pass('and again')
})

t.test('app.close() called twice at once, and together with websocketServer.close()', async t => {
  const { app, port } = await startApp(t, echo, { closeTimeout: 150 })
  await open(t, port)
  await Promise.all([app.close(), app.close(), app.websocketServer.close()])
})

t.test('app.close() resolves when handlers and listeners throw while it runs', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('close', () => { throw new Error('in close') })
      connection.on('message', async () => { throw new Error('in message') })
      connection.signal.addEventListener('abort', () => connection.send('too late'))
    })
  }, { closeTimeout: 1000, errorHandler: () => { throw new Error('in errorHandler') } })
  const client = await open(t, port)
  const closing = app.close()
  await client.closeFrame()
  client.write(Buffer.concat([text('m'), close(1001)]))
  await closing
})

t.test('app.close() from within a handler, a listener and a hook', async t => {
  const where: Record<string, (app: FastifyInstance, closed: (promise: PromiseLike<unknown>) => void) => void> = {
    handler: (app, closed) => { app.get('/', { websocket: true }, () => closed(app.close())) },
    listener: (app, closed) => {
      app.get('/', { websocket: true }, connection => { connection.on('message', () => closed(app.close())) })
    },
    'onSend hook': (app, closed) => {
      app.get('/', { websocket: true, onSend: (_request, _reply, payload, done) => { closed(app.close()); done(null, payload) } }, () => {})
    },
    'onResponse hook': (app, closed) => {
      app.get('/', { websocket: true, onResponse: (_request, _reply, done) => { closed(app.close()); done() } }, () => {})
    }
  }
  for (const [name, configure] of Object.entries(where)) {
    let closed!: (promise: PromiseLike<unknown>) => void
    const done = new Promise<unknown>((resolve, reject) => { closed = promise => { promise.then(resolve, reject) } })
    const { port } = await startApp(t, app => configure(app, closed), { closeTimeout: 1000 })
    const client = await open(t, port)
    if (name === 'listener') client.write(text('close'))
    t.equal((await client.closeFrame()).code, 1001, name)
    client.write(close(1001))
    await done
  }
})

t.test('preClose runs while the connections are open, and may say good-bye first', async t => {
  const seen: unknown[] = []
  const asynchronous = async function (this: FastifyInstance): Promise<void> {
    seen.push(this.websocketServer.clients.size)
    this.websocketServer.broadcast('good-bye')
    await turns(2)
  }
  const callback = function (this: FastifyInstance, done: () => void): void {
    seen.push(this.websocketServer.clients.size)
    for (const connection of this.websocketServer.clients) (connection as WebSocketConnection).send('good-bye')
    setImmediate(done)
  }
  for (const preClose of [asynchronous, callback]) {
    const { app, port } = await startApp(t, echo, { preClose })
    const client = await open(t, port)
    const closing = app.close()
    t.equal((await client.frame()).payload.toString(), 'good-bye')
    t.equal((await client.closeFrame()).code, 1001)
    client.write(close(1001))
    await closing
  }
  t.same(seen, [1, 1])
})

t.test('app.close() without any connection, and of an app that never listened', async t => {
  const { app } = await startApp(t, echo)
  await app.close()
  const silent = Fastify()
  await silent.register(websocket)
  await silent.close()
})

t.test('an upgrade while the app closes is not accepted', async t => {
  const preClosing = gate()
  const goOn = gate()
  const { app, port } = await startApp(t, echo, {
    preClose: async () => {
      preClosing.open()
      await goOn.passed
    }
  })
  const closing = app.close()
  await preClosing.passed
  const client = await RawClient.connect(port)
  t.teardown(() => client.destroy())
  client.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  const { status } = await client.response()
  client.end()
  t.equal(status, 503)
  goOn.open()
  await closing
})
