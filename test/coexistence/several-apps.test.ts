import Fastify, { type FastifyInstance } from 'fastify'
import { createServer, type Server as HttpServer } from 'node:http'
import type { ClientHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { connectHttp2, extendedConnect, openHttp2, responseHeaders } from '../support/http2-client.js'
import { close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

// Several instances of the plugin on one server: of several apps, by `options.server`, or of contexts of one app.

const LONG = 60_000

interface Version {
  create: (() => HttpServer) | null
  fastifyOptions: object
  /** A connection whose handshake is done. */
  open (t: Teardown, port: number, path: string): Promise<RawClient>
  /** The status that a handshake is answered with. */
  status (t: Teardown, port: number, path: string): Promise<number>
}

async function session (t: Teardown, port: number): Promise<ClientHttp2Session> {
  return await connectHttp2(t, `http://127.0.0.1:${port}`)
}

const VERSIONS: Record<string, Version> = {
  'HTTP/1.1': {
    create: () => createServer(),
    fastifyOptions: {},
    open: async (_t, port, path) => await RawClient.open(port, path),
    async status (_t, port, path) {
      const client = await RawClient.connect(port)
      client.write(upgradeRequest(path))
      const { status } = await client.head()
      client.destroy()
      return status
    }
  },
  'HTTP/2': {
    create: null,
    fastifyOptions: { http2: true },
    open: async (t, port, path) => await openHttp2(await session(t, port), path),
    async status (t, port, path) {
      const connected = await session(t, port)
      const { status } = await responseHeaders(extendedConnect(connected, path))
      connected.destroy()
      return status === 200 ? 101 : status
    }
  }
}

/** An app whose only route is `/name`, on the server of another. */
async function startOn (t: Teardown, server: HttpServer | null, name: string, options: WebSocketPluginOptions = {}, fastifyOptions: object = {}): Promise<FastifyInstance> {
  const app = Fastify(fastifyOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, { closeTimeout: LONG, handshakeTimeout: LONG, ...options, ...(server === null ? {} : { options: { server } }) })
  app.get(`/${name}`, { websocket: true }, () => {})
  await app.ready()
  return app
}

/** Answers our Close frame and our end. */
async function closesWith (client: RawClient): Promise<number> {
  const { code } = await client.closeFrame()
  client.write(close(code))
  client.end()
  await client.closed
  return code
}

const LATE = 5000

async function inTime (promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => { timer = setTimeout(resolve, LATE, false) })
  const result = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return result
}

function permutations<T> (values: readonly T[]): T[][] {
  if (values.length === 0) return [[]]
  return values.flatMap((value, i) => permutations(values.toSpliced(i, 1)).map(rest => [value, ...rest]))
}

for (const [version, { create, fastifyOptions, open, status }] of Object.entries(VERSIONS)) {
  // `options.server` takes servers of HTTP/1.1 alone.
  for (const names of create === null ? [] : [['a', 'b'], ['a', 'b', 'c']]) {
    for (const order of permutations(names)) {
      t.test(`${version}: apps ${names.join(', ')} on a server of neither, closed in the order ${order.join(', ')}`, async t => {
        const server = create!()
        const apps = new Map<string, FastifyInstance>()
        for (const name of names) apps.set(name, await startOn(t, server, name))
        await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
        const { port } = server.address() as AddressInfo
        const clients = new Map<string, RawClient>()
        for (const name of names) clients.set(name, await open(t, port, `/${name}`))
        const living = new Set(names)
        for (const name of order) {
          const closed = closesWith(clients.get(name)!)
          t.ok(await inTime(apps.get(name)!.close()), `${name} closes`)
          t.equal(await closed, 1001)
          living.delete(name)
          if (living.size === 0) break
          t.equal(await status(t, port, '/nowhere'), 404, 'an unknown path is answered')
          t.equal(await status(t, port, `/${name}`), 404, 'so is the route of the app that has closed')
          for (const other of living) {
            t.equal(await status(t, port, `/${other}`), 101)
            t.equal(apps.get(other)!.websocketServer.stats.open > 0, true, 'and the others live')
          }
        }
        t.ok(await inTime(new Promise<void>(resolve => server.close(() => resolve()))), 'the server closes')
        t.equal(server.listenerCount('upgrade'), 0)
      })
    }
  }

  for (const ownerIs of create === null ? [] : ['first', 'last'] as const) {
    t.test(`${version}: the server's own app, registered ${ownerIs}, closes within closeTimeout whatever clients of guests do`, async t => {
      const closeTimeout = 300
      const owner = Fastify(fastifyOptions) as FastifyInstance
      t.teardown(() => owner.close())
      const register = async (): Promise<void> => {
        await owner.register(websocket, { closeTimeout })
        owner.get('/owner', { websocket: true }, () => {})
      }
      if (ownerIs === 'first') await register()
      const guest = await startOn(t, owner.server, 'guest', {}, fastifyOptions)
      const inHook = gate()
      const held = Fastify(fastifyOptions) as FastifyInstance
      t.teardown(() => held.close())
      await held.register(websocket, { closeTimeout: LONG, handshakeTimeout: LONG, options: { server: owner.server } })
      held.get('/held', { websocket: true, onRequest: () => { inHook.open(); return new Promise<void>(() => {}) } }, () => {})
      await held.ready()
      if (ownerIs === 'last') await register()
      await owner.listen({ port: 0, host: '127.0.0.1' })
      const { port } = owner.server.address() as AddressInfo

      const silent = [await open(t, port, '/owner'), await open(t, port, '/guest'), await open(t, port, '/guest')]
      const answered = status(t, port, '/held')
      await inHook.passed
      t.equal(await status(t, port, '/nowhere'), 404)
      t.ok(await inTime(owner.close()))
      for (const client of silent) t.equal((await client.closeFrame()).code, 1001)
      t.equal(await answered, 503)
      t.strictSame([guest, held].map(({ websocketServer: { stats } }) => [stats.open, stats.pending]), [[0, 0], [0, 0]])
      // The guests are not closed.
      const injected = await guest.injectWS('/guest')
      injected.terminate()
      t.ok(await inTime(guest.close()))
      for (const client of silent) client.destroy()
    })
  }

  for (const names of [['a', 'b'], ['a', 'b', 'c']]) {
    t.test(`${version}: contexts ${names.join(', ')} of one app close together, each behind its own preClose`, async t => {
      const app = Fastify(fastifyOptions) as FastifyInstance
      t.teardown(() => app.close())
      const events: string[] = []
      for (const name of names) {
        await app.register(async instance => {
          await instance.register(websocket, {
            closeTimeout: LONG,
            preClose: async function () {
              t.equal(this, instance)
              await turns(2)
              events.push(name)
              instance.websocketServer.broadcast(`bye from ${name}`)
            }
          })
          instance.get(`/${name}`, { websocket: true }, () => {})
        })
      }
      await app.listen({ port: 0, host: '127.0.0.1' })
      const { port } = app.server.address() as AddressInfo
      const clients = new Map<string, RawClient>()
      for (const name of names) clients.set(name, await open(t, port, `/${name}`))
      t.equal(await status(t, port, '/nowhere'), 404)

      const closed = app.close()
      // None of them answers before all have heard it.
      for (const [name, client] of clients) {
        t.equal((await client.frame()).payload.toString(), `bye from ${name}`)
        t.equal((await client.closeFrame()).code, 1001)
      }
      for (const client of clients.values()) {
        client.write(close(1001))
        client.end()
      }
      t.ok(await inTime(closed))
      t.strictSame(events, names, 'each preClose ran once')
      for (const client of clients.values()) client.destroy()
    })
  }

  t.test(`${version}: a preClose that fails or never calls back does not keep app.close() from its end`, async t => {
    const failing: Record<string, WebSocketPluginOptions['preClose'] & {}> = {
      'one that throws': () => { throw new Error('boom') },
      'one that rejects': async () => { throw new Error('boom') },
      'one that calls back with an error': done => { done(new Error('boom')) },
      'one that calls back': done => { setImmediate(done) },
      'one that never calls back': (_done) => {},
      'one that never resolves': () => new Promise<void>(() => {})
    }
    for (const [name, preClose] of Object.entries(failing)) {
      const app = Fastify({ ...fastifyOptions, pluginTimeout: 300 } as object) as FastifyInstance
      t.teardown(() => app.close())
      await app.register(websocket, { preClose, closeTimeout: LONG })
      app.get('/', { websocket: true }, () => {})
      await app.listen({ port: 0, host: '127.0.0.1' })
      const client = await open(t, (app.server.address() as AddressInfo).port, '/')
      const closed = app.close().catch(() => {})
      t.equal((await client.closeFrame()).code, 1001, name)
      t.ok(await inTime(closed), name)
      client.destroy()
    }
  })
}

t.test('a preClose hook of the user that fails before ours, which Fastify then skips', async t => {
  for (const [version, { fastifyOptions, open }] of Object.entries(VERSIONS)) {
    const app = Fastify(fastifyOptions) as FastifyInstance
    t.teardown(() => app.close().catch(() => {}))
    app.addHook('preClose', async () => { throw new Error('boom') })
    await app.register(websocket, { closeTimeout: LONG })
    app.get('/', { websocket: true }, () => {})
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = await open(t, (app.server.address() as AddressInfo).port, '/')
    const closed = app.close().catch(() => {})
    t.equal(await closesWith(client), 1001, version)
    t.ok(await inTime(closed), version)
    t.notOk(Object.hasOwn(app.server, 'close'), 'nothing is left behind')
  }
})

t.test('a server that the user closes by itself leaves its connections alone', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/', { websocket: true }, connection => {
    connection.on('message', data => connection.send(data))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = await RawClient.open((app.server.address() as AddressInfo).port)
  app.server.close()
  await turns()
  client.write(text('still here'))
  t.equal((await client.frame()).payload.toString(), 'still here')
  client.destroy()
})

t.test('an upgrade that no listener has answered when the eldest app closes is answered by another', async t => {
  const server = createServer()
  const [a, b] = [await startOn(t, server, 'a'), await startOn(t, server, 'b', { handshakeTimeout: 200 })]
  // Another listener, which never answers.
  const shown: string[] = []
  server.on('upgrade', request => shown.push(request.url!))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await a.close()
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/nowhere'))
  t.equal((await client.response()).status, 404)
  client.end()
  t.strictSame(shown, ['/nowhere'])
  await b.close()
  t.ok(await inTime(new Promise<void>(resolve => server.close(() => resolve()))))
})

t.test('an app takes over from the one that is closing, on the same path', async t => {
  const server = createServer()
  const entered = gate()
  const go = gate()
  const old = await startOn(t, server, 'ws', {
    preClose: async () => {
      entered.open()
      await go.passed
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const next = await startOn(t, server, 'ws')
  const closing = old.close()
  await entered.passed
  const client = await RawClient.open(port, '/ws')
  t.equal(next.websocketServer.stats.open, 1)
  client.destroy()
  go.open()
  await closing
  await next.close()
  t.ok(await inTime(new Promise<void>(resolve => server.close(() => resolve()))))
})
