import { once } from 'node:events'
import t from 'tap'
import type { AnyWebSocketConnection, WebSocketConnection, WebSocketRouteConnections } from '../../lib/index.js'
import { startApp, type Teardown, type TestApp } from '../support/app.js'

// `to`: the connections that the app names, instead of all of a route or server.

interface Fixture extends TestApp {
  connections: Map<string, WebSocketConnection>
  clients: Map<string, AnyWebSocketConnection>
  got: string[]
  open (name: string, url?: string): Promise<WebSocketConnection>
  /** Everything that was sent has arrived: the answer to a Ping comes behind it. */
  settle (): Promise<void>
}

async function start (t: Teardown, http2 = false): Promise<Fixture> {
  const connections = new Map<string, WebSocketConnection>()
  const clients = new Map<string, AnyWebSocketConnection>()
  const got: string[] = []
  const handler = (connection: WebSocketConnection, request: { query: unknown }): void => {
    connections.set((request.query as { name: string }).name, connection)
  }
  const fixture = await startApp(t, app => {
    app.get('/a', { websocket: true }, handler)
    app.get('/b', { websocket: true }, handler)
    app.get('/typed', {
      websocket: true,
      schema: { send: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false } }
    }, handler)
  }, {}, { http2 })
  return {
    ...fixture,
    connections,
    clients,
    got,
    async open (name, url = '/a') {
      const client = await fixture.app.injectWS(`${url}?name=${name}`)
      client.on('message', data => got.push(`${name}: ${String(data)}`))
      clients.set(name, client)
      return connections.get(name)!
    },
    async settle () {
      for (const [name, connection] of connections) {
        if (connection.readyState !== connection.OPEN) continue
        const pong = once(clients.get(name)!, 'pong')
        clients.get(name)!.ping()
        await pong
      }
    }
  }
}

for (const http2 of [false, true]) {
  t.test(`a broadcast to some reaches them and nobody else, over HTTP/${http2 ? 2 : 1}`, async t => {
    const { app, open, got, settle, clients } = await start(t, http2)
    const [one, two, three, elsewhere] = [await open('one'), await open('two'), await open('three'), await open('elsewhere', '/b')]
    await open('stranger')
    const { route } = one
    t.equal(route.broadcast('set', { to: new Set([one, two]) }), 2)
    t.equal(route.broadcast('array', { to: [one, two, one] }), 2, 'each once')
    t.equal(route.broadcast('generator', { to: (function * () { yield one; yield three })() }), 2)
    t.equal(route.broadcast('except', { to: [one, two, three], except: [two], filter: connection => connection !== three }), 1)
    t.equal(route.broadcast('nobody', { to: [] }), 0)
    t.equal(route.broadcastJson({ n: 1 }, { to: new Map([['x', one]]).values() }), 1)
    t.equal(app.websocketServer.broadcast('server', { to: [one, elsewhere] }), 2)
    t.equal(app.websocketServer.broadcastJson({ n: 2 }, { to: [two, elsewhere] }), 2)
    await settle()
    t.strictSame([...got].sort(), [
      'elsewhere: server', 'elsewhere: {"n":2}',
      'one: array', 'one: except', 'one: generator', 'one: server', 'one: set', 'one: {"n":1}',
      'three: generator',
      'two: array', 'two: set', 'two: {"n":2}'
    ])
    const closed = once(clients.get('one')!, 'close')
    one.terminate()
    await closed
    t.equal(route.broadcast('x', { to: [one, two] }), 1, 'closed ones are skipped')
    t.equal(app.websocketServer.broadcastJson({ n: 3 }, { to: [one, two] }), 1)
  })
}

t.test('JSON to connections of several routes is written by the schema of each, or for none', async t => {
  const { app, open, got, settle } = await start(t)
  const to = [await open('plain'), await open('typed', '/typed')]
  t.equal(app.websocketServer.broadcastJson({ n: 1, secret: true }, { to }), 2)
  t.throws(() => app.websocketServer.broadcastJson({ secret: true }, { to }), /n.*required/)
  await settle()
  t.strictSame(got.sort(), ['plain: {"n":1,"secret":true}', 'typed: {"n":1}'])
})

t.test('what is no connection, or of another route or server, is a TypeError, and nobody gets anything', async t => {
  const { app, open, got, settle, clients } = await start(t)
  const foreign = await (await start(t)).open('foreign')
  const [one, elsewhere] = [await open('one'), await open('elsewhere', '/b')]
  const route: WebSocketRouteConnections = one.route
  const cases: [unknown, RegExp][] = [
    [null, /^'to' must be an iterable of connections, such as a Set or an array, not null$/],
    [1, /not 1$/], ['one', /not 'one'$/], [true, /not true$/], [{}, /^'to' must be an iterable of connections/],
    [one, /^'to' must be an iterable of connections/],
    [[one, null], /^'to' must have connections as its elements, not null$/],
    [[one, undefined], /not undefined$/], [[one, 'two'], /not 'two'$/],
    [[one, Object.create(one)], /^'to' must have connections as its elements/],
    [new Map([['one', one]]), /: pass the keys\(\) or values\(\) of a Map$/],
    [[one, foreign], /^'to' has a connection of another/],
    [[one, clients.get('one')], /^'to' has a connection of another .*the client of injectWS$/]
  ]
  const send = [
    (to: unknown) => route.broadcast('x', { to: to as [] }), (to: unknown) => route.broadcastJson('x', { to: to as [] }),
    (to: unknown) => app.websocketServer.broadcast('x', { to: to as [] }), (to: unknown) => app.websocketServer.broadcastJson('x', { to: to as [] })
  ]
  for (const [to, message] of cases) for (const one of send) t.throws(() => one(to), { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT', message })
  t.throws(() => route.broadcast('x', { to: [one, elsewhere] }), { message: "'to' has a connection of another route than /a, or of the client of injectWS" })
  await settle()
  t.strictSame(got, [])
})

t.test('route.close closes the connections of a route that the filter lets through', async t => {
  const { open, connections, clients } = await start(t)
  const [one, two, three] = [await open('one'), await open('two'), await open('three')]
  await open('elsewhere', '/b')
  const { route } = one
  const closed = once(clients.get('two')!, 'close')
  t.equal(await route.close(4001, 'logged out', { filter: connection => connection === two }), 1)
  t.strictSame((await closed).map(String), ['4001', 'logged out'])
  t.equal(two.readyState, two.CLOSED)
  t.equal(three.readyState, three.OPEN)
  const thrown = new Error('of the filter')
  t.throws(() => route.close(1000, '', { filter: connection => { if (connection === three) throw thrown; return true } }), thrown)
  t.throws(() => route.close(1005), { name: 'RangeError' })
  t.throws(() => route.close('1000' as never), { name: 'TypeError' })
  t.throws(() => route.close(1000, 'x'.repeat(124)), { name: 'RangeError' })
  t.throws(() => route.close(1000, '', { filter: true as never }), { name: 'TypeError', message: "'filter' must be a function, not true" })
  t.throws(() => route.close(1000, '', { filter: (async () => true) as never }), { name: 'TypeError' })
  t.equal(one.readyState, one.OPEN, 'nothing was closed')
  t.equal(await route.close(), 2)
  t.equal((await clients.get('one')!.closed).code, 1001)
  t.equal(connections.get('elsewhere')!.readyState, one.OPEN)
  t.equal(await route.close(), 0)
})
