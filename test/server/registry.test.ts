import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import type { WebSocketConnection, WebSocketData } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { close, ping, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

async function open (t: Teardown, port: number, path = '/', headers: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.open(port, path, headers)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return client
}

/** Gives the next connection of a route. */
class Arrivals {
  readonly connections: WebSocketConnection[] = []
  readonly handler = (connection: WebSocketConnection): void => { this.connections.push(connection) }
}

async function gone (app: FastifyInstance, count: number): Promise<void> {
  while (app.websocketServer.clients.size > count) await turns(1)
}

t.test('B13: clients of the server, and of each route by its declared URL with prefix and parameters', async t => {
  const { app, port } = await startApp(t, async app => {
    app.get('/', { websocket: true }, () => {})
    await app.register(async instance => {
      instance.get('/:room', { websocket: true }, () => {})
      instance.get('/', { websocket: true }, () => {})
      instance.get('/files/*', { websocket: true }, () => {})
    }, { prefix: '/chat/v1' })
    app.route({ method: 'GET', url: '/versions', constraints: { version: '1.0.0' }, websocket: true, handler: () => {} })
    app.route({ method: 'GET', url: '/versions', constraints: { version: '2.0.0' }, websocket: true, handler: () => {} })
    app.get('/http', async () => 'http')
  })
  const server = app.websocketServer
  const sizes = (): Record<string, number> => Object.fromEntries(
    ['/', '/chat/v1/:room', '/chat/v1', '/chat/v1/files/*', '/versions'].map(url => [url, server.route(url).clients.size])
  )
  const clients = [
    await open(t, port),
    await open(t, port, '/chat/v1/a'),
    await open(t, port, '/chat/v1/b?x=1'),
    await open(t, port, '/chat/v1'),
    await open(t, port, '/chat/v1/'),
    await open(t, port, '/chat/v1/files/a/b/c'),
    await open(t, port, '/versions', { 'Accept-Version': '1.x' }),
    await open(t, port, '/versions', { 'Accept-Version': '2.x' })
  ]
  t.same(sizes(), { '/': 1, '/chat/v1/:room': 2, '/chat/v1': 2, '/chat/v1/files/*': 1, '/versions': 2 })
  t.equal(server.clients.size, clients.length)
  for (const connection of server.clients) {
    t.ok(connection.route.clients.has(connection))
    t.equal(server.route(connection.route.url), connection.route)
  }

  t.equal(server.route('/chat/v1/:room').broadcast('to the rooms'), 2)
  for (const client of clients.slice(1, 3)) t.equal((await client.frame()).payload.toString(), 'to the rooms')
  t.equal(server.broadcast('to all'), clients.length)
  for (const client of clients) t.equal((await client.frame()).payload.toString(), 'to all')

  clients[1]!.destroy()
  clients[3]!.write(close(1000))
  await gone(app, clients.length - 2)
  t.same(sizes(), { '/': 1, '/chat/v1/:room': 1, '/chat/v1': 1, '/chat/v1/files/*': 1, '/versions': 2 })

  for (const url of ['/http', '/chat/v1/a', '/nowhere', '', 'constructor']) {
    t.throws(() => server.route(url), { code: 'FST_WS_ERR_UNKNOWN_ROUTE' }, url)
  }
  t.equal(server.broadcast('x', { filter: () => false }), 0)
})

t.test('B13: a connection is in the sets while its handler runs, and not any more when close is emitted', async t => {
  const seen: unknown[] = []
  const done = gate()
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, function (connection) {
      seen.push(this.websocketServer.clients.has(connection), connection.route.clients.has(connection))
      connection.on('close', () => {
        seen.push(this.websocketServer.clients.has(connection), connection.route.clients.has(connection))
        done.open()
      })
    })
  })
  const client = await open(t, port)
  client.write(close(1000))
  await done.passed
  t.same(seen, [true, true, false, false])
})

t.test('broadcast: except one, several, filter, binary, and nobody', async t => {
  const arrivals = new Arrivals()
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, arrivals.handler)
  })
  const { connections } = arrivals
  const server = app.websocketServer
  t.equal(server.broadcast('nobody there'), 0)
  const clients = [await open(t, port), await open(t, port), await open(t, port)]
  const [a, b, c] = connections as [WebSocketConnection, WebSocketConnection, WebSocketConnection]
  const counts = [
    server.broadcast('1'),
    server.broadcast('2', { except: a }),
    server.broadcast('3', { except: [a, b] }),
    server.broadcast('4', { except: new Set([c]) }),
    server.broadcast('5', { except: [] }),
    server.broadcast('6', { except: new Map([['a', a], ['b', b]]).values(), filter: connection => connection === c || connection === a }),
    server.broadcast('7', { filter: connection => connection !== b }),
    server.broadcast('8', { binary: true }),
    server.broadcast(Buffer.from('9')),
    server.broadcast(Buffer.from('10'), { binary: false, except: connections })
  ]
  t.same(counts, [3, 2, 1, 2, 3, 1, 2, 3, 3, 0])
  const expected = [
    [1, '1'], [1, '4'], [1, '5'], [1, '7'], [2, '8'], [2, '9']
  ]
  const all: unknown[][] = []
  for (const [client, count] of [[clients[0]!, 6], [clients[1]!, 6], [clients[2]!, 8]] as const) {
    const frames: unknown[] = []
    for (let i = 0; i < count; i++) {
      const { opcode, payload } = await client.frame()
      frames.push([opcode, payload.toString()])
    }
    all.push(frames)
  }
  t.same(all[0], expected)
  t.same(all[1], [[1, '1'], [1, '2'], [1, '4'], [1, '5'], [2, '8'], [2, '9']])
  t.same(all[2], [[1, '1'], [1, '2'], [1, '3'], [1, '5'], [1, '6'], [1, '7'], [2, '8'], [2, '9']])
  t.same(clients.map(client => client.received.length), [0, 0, 0])
})

t.test('broadcast: not to those that are closing, nor into a fragmented message; C4: wrong data is a TypeError', async t => {
  const arrivals = new Arrivals()
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, arrivals.handler)
  })
  const clients = [await open(t, port), await open(t, port), await open(t, port)]
  const [closing, fragmenting] = arrivals.connections as [WebSocketConnection, WebSocketConnection]
  closing.close(1000)
  fragmenting.send('first ', { fin: false })
  t.equal(app.websocketServer.broadcast('x'), 1)
  fragmenting.send('last')
  t.equal(app.websocketServer.broadcast('y'), 2)
  t.same(await clients[0]!.closeFrame(), { code: 1000, reason: '' })
  t.same([(await clients[1]!.frame()).payload.toString(), (await clients[1]!.frame()).payload.toString(), (await clients[1]!.frame()).payload.toString()], ['first ', 'last', 'y'])
  t.same([(await clients[2]!.frame()).payload.toString(), (await clients[2]!.frame()).payload.toString()], ['x', 'y'])
  for (const data of [5, null, undefined, {}, [1]]) {
    t.throws(() => app.websocketServer.broadcast(data as unknown as WebSocketData), TypeError)
    t.throws(() => app.websocketServer.route('/').broadcast(data as unknown as WebSocketData), TypeError)
  }
})

t.test('broadcast: sizes around the length forms, framed once, read through the view\'s own offset', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  })
  const clients = [await open(t, port), await open(t, port)]
  for (const size of [0, 1, 125, 126, 16_383, 16_384, 65_535, 65_536, 500_000]) {
    const memory = new Uint8Array(size + 20).fill(0x53)
    memory.fill(0x76, 10, 10 + size)
    app.websocketServer.broadcast(new DataView(memory.buffer, 10, size))
    app.websocketServer.broadcast('€'.repeat(size / 10))
    for (const client of clients) {
      const { opcode, payload } = await client.frame()
      t.ok(opcode === 2 && payload.length === size && payload.every(byte => byte === 0x76), String(size))
      t.equal((await client.frame()).payload.toString(), '€'.repeat(size / 10))
    }
  }
})

t.test('the connection event: before the handler, with the connection and the raw request', async t => {
  const order: unknown[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/here', { websocket: true }, (connection, request) => { order.push(['handler', connection, request.raw]) })
  })
  app.websocketServer.on('connection', (connection, request: IncomingMessage) => { order.push(['event', connection, request]) })
  await open(t, port, '/here')
  t.equal(order.length, 2)
  const [event, handler] = order as [unknown[], unknown[]]
  t.same([event[0], handler[0]], ['event', 'handler'])
  t.equal(event[1], handler[1])
  t.equal(event[2], handler[2])
})

t.test('clientTracking: false leaves clients empty, and everything else works', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  }, { options: { clientTracking: false } })
  const client = await open(t, port)
  t.equal(app.websocketServer.clients.size, 0)
  t.equal(app.websocketServer.broadcast('all the same'), 1)
  t.equal((await client.frame()).payload.toString(), 'all the same')
  const closed = app.close()
  t.equal((await client.closeFrame()).code, 1001)
  client.write(close(1001))
  await closed
})

t.test('websocketServer.close(): 1001 to all, resolves when they are gone, calls back, and the app lives', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(data, { binary: false }))
    })
  })
  const clients = [await open(t, port), await open(t, port)]
  let called = 0
  let resolved = false
  const closing = app.websocketServer.close(error => {
    t.notOk(error)
    called++
  }).then(() => { resolved = true })
  for (const client of clients) t.equal((await client.closeFrame()).code, 1001)
  t.equal(resolved, false)
  clients[0]!.write(close(1001))
  await clients[0]!.ended
  await turns()
  t.equal(resolved, false, 'one is left')
  clients[1]!.write(close(1001))
  await closing
  t.equal(called, 1)
  t.equal(app.websocketServer.clients.size, 0)
  await app.websocketServer.close()
  const another = await open(t, port)
  another.write(text('x'))
  t.equal((await another.frame()).payload.toString(), 'x')
})

t.test('websocketServer.close() destroys the silent ones after closeTimeout, and not those that came meanwhile', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(data, { binary: false }))
    })
  }, { closeTimeout: 100 })
  const silent = await open(t, port)
  const closing = app.websocketServer.close()
  t.equal((await silent.closeFrame()).code, 1001)
  const newcomer = await open(t, port)
  await closing
  await silent.ended
  newcomer.write(text('still here'))
  t.equal((await newcomer.frame()).payload.toString(), 'still here')
})

t.test('websocketServer.close() in the middle of everything: paused, closing, choked, with a handler that never settles', async t => {
  const arrivals = new Arrivals()
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      arrivals.handler(connection)
      return new Promise(() => {})
    })
  }, { closeTimeout: 100 })
  const clients = await Promise.all(Array.from({ length: 4 }, () => open(t, port)))
  const [paused, closing, choked] = arrivals.connections as [WebSocketConnection, WebSocketConnection, WebSocketConnection]
  paused.pause()
  closing.close(4000)
  for (const client of clients) client.socket.pause()
  choked.send(Buffer.alloc(32 * 1024 * 1024))
  const closes = arrivals.connections.map(connection => once(connection, 'close'))
  for (const client of clients) client.write(Buffer.concat([text('m'), ping()]))
  await app.websocketServer.close()
  t.equal(app.websocketServer.clients.size, 0)
  for (const closed of closes) t.equal((await closed)[0], 1006)
})

t.test('B12: handleProtocols assigned to websocketServer.options, as graphql-ws does, reaches only routes without protocols', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/graphql', { websocket: true }, () => {})
    app.get('/feed', { websocket: { protocols: ['feed.v2', 'feed.v1'] } }, () => {})
    app.get('/chosen', { websocket: { protocols: offered => offered.at(-1)! } }, () => {})
  })
  const agreed = async (path: string, offered: string): Promise<string | undefined> => {
    const client = await RawClient.connect(port)
    t.teardown(() => client.destroy())
    client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${offered}\r\n\r\n`)
    const { status, headers } = await client.head()
    t.equal(status, 101)
    return headers['sec-websocket-protocol']
  }
  t.equal(await agreed('/graphql', 'other, graphql-transport-ws'), 'other')
  const calls: unknown[] = []
  app.websocketServer.options.handleProtocols = (protocols, request) => {
    calls.push([...protocols, request.url])
    return protocols.has('graphql-transport-ws') && 'graphql-transport-ws'
  }
  t.equal(await agreed('/graphql', 'other, graphql-transport-ws'), 'graphql-transport-ws')
  t.equal(await agreed('/graphql', 'other'), undefined)
  t.equal(await agreed('/feed', 'feed.v1, feed.v2'), 'feed.v2')
  t.equal(await agreed('/feed', 'graphql-transport-ws'), undefined)
  t.equal(await agreed('/chosen', 'a, b'), 'b')
  t.same(calls, [['other', 'graphql-transport-ws', '/graphql'], ['other', '/graphql']])
})
