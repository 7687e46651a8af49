import { createServer, Server as HttpServer, ServerResponse, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { WebSocketServer } from 'ws'
import websocket from '../../lib/index.js'
import { RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { checkExactBytes, closesWithin, echoOver, ORDERS, refusal, startBeside } from './neighbours.js'

/** Listens for upgrades to `/theirs`, to which it speaks by hand, and counts all that it is shown. */
function speakByHand (app: FastifyInstance, seen: string[] = []): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    seen.push(request.url!)
    if (!request.url!.startsWith('/theirs')) return
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`)
    socket.write(head)
    socket.pipe(socket, { end: false })
  }
  app.server.on('upgrade', listener)
  return listener
}

const FOO = 'GET /theirs HTTP/1.1\r\nHost: localhost\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n'
const SWITCHED_TO_FOO = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n'

for (const order of ORDERS) {
  t.test(`B1: a listener for a path of its own, ${order}`, async t => {
    const seen: string[] = []
    const { app, port } = await startBeside(t, order, app => speakByHand(app, seen))

    await checkExactBytes(t, port, '/ws')
    const refused = await refusal(port, upgradeRequest('/refused'))
    t.equal(refused.status, 403)
    t.equal(refused.body, '{"refused":"by a hook"}')
    t.strictSame(seen, [], 'it is not shown what is ours')

    const theirs = await RawClient.open(port, '/theirs', {}, Buffer.from('early '))
    theirs.write('late')
    t.equal((await theirs.bytes(10)).toString(), 'early late', 'bytes go to and fro as it likes, the head included')
    theirs.end()
    await theirs.closed
    t.equal(theirs.received.length, 0)
    t.ok(await closesWithin(10_000, app))
  })

  t.test(`B1, A3: a listener for another protocol, ${order}`, async t => {
    const { port } = await startBeside(t, order, speakByHand)
    const theirs = await RawClient.connect(port)
    theirs.write(`${FOO}early`)
    t.equal((await theirs.bytes(SWITCHED_TO_FOO.length + 5)).toString(), `${SWITCHED_TO_FOO}early`)
    theirs.end()
    await theirs.closed
    t.equal(theirs.received.length, 0)
    await checkExactBytes(t, port, '/ws')
  })

  t.test(`B1: ws on the same server, ${order}`, async t => {
    const server = new WebSocketServer({ noServer: true })
    server.on('connection', socket => socket.on('message', data => socket.send(`ws: ${String(data)}`)))
    const { port, url } = await startBeside(t, order, app => {
      app.server.on('upgrade', (request, socket, head) => {
        if (request.url !== '/theirs') return
        server.handleUpgrade(request, socket, head, client => server.emit('connection', client, request))
      })
    })
    t.equal(await echoOver(t, `${url}/theirs`, 'hello'), 'ws: hello')
    t.equal(await echoOver(t, `${url}/ws`, 'hello'), 'hello')
    await checkExactBytes(t, port, '/ws')
  })
}

t.test('B1: upgrades that no listener answers are answered by Fastify after handshakeTimeout', async t => {
  const { app, port } = await startBeside(t, 'after our plugin', app => {
    app.server.on('upgrade', () => {})
    app.server.on('upgrade', () => {})
  }, { plugin: { handshakeTimeout: 200 } })

  const unknown = await refusal(port, upgradeRequest('/unknown'))
  t.equal(unknown.status, 404)
  t.match(unknown.body, 'Route GET:/unknown not found')
  t.equal((await refusal(port, upgradeRequest('/http'))).status, 404)
  t.ok(await closesWithin(10_000, app))
})

t.test('A3: what asks for another protocol, and gets no answer, is served as plain HTTP with its body', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => app.server.on('upgrade', () => {}), { plugin: { handshakeTimeout: 200 } })
  const client = await RawClient.connect(port)
  const body = '{"to":"be kept"}'
  client.write(`POST /http HTTP/1.1\r\nHost: localhost\r\nUpgrade: foo\r\nConnection: Upgrade\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, '{"method":"POST","body":{"to":"be kept"}}')
  client.write('GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.equal((await client.response()).body, '{"method":"GET","body":null}', 'the connection stays')
  client.destroy()
})

t.test('A3: h2c offers are plain requests although another listener is there', async t => {
  const seen: string[] = []
  const { port } = await startBeside(t, 'before our plugin', app => speakByHand(app, seen))
  const client = await RawClient.connect(port)
  client.write('POST /http HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}')
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, '{"method":"POST","body":{"a":1}}')
  t.strictSame(seen, [])
  client.destroy()
})

t.test('B8: app.close() answers what nobody has answered yet', async t => {
  const { app, port } = await startBeside(t, 'after our plugin', app => app.server.on('upgrade', () => {}))
  const client = await RawClient.connect(port)
  const shown = new Promise(resolve => app.server.once('upgrade', resolve))
  client.write(upgradeRequest('/unknown'))
  await shown
  const closing = closesWithin(10_000, app)
  t.equal((await client.response()).status, 503)
  t.ok(await client.ended)
  client.end()
  t.ok(await closing)
})

t.test("B8: app.close() is bounded although another listener's connections stay open", async t => {
  const { app, port } = await startBeside(t, 'after our plugin', speakByHand, { plugin: { closeTimeout: 300 } })
  const theirs = await RawClient.open(port, '/theirs')
  t.ok(await closesWithin(10_000, app))
  await theirs.ended
  theirs.destroy()
})

t.test('B8: another listener that closes its connections within closeTimeout does so undisturbed', async t => {
  let farewell = (): void => {}
  const { app, port } = await startBeside(t, 'before our plugin', app => {
    app.server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      farewell = () => socket.end('farewell')
    })
    // Fastify runs it before ours, and does not wait for the end of the connection.
    app.addHook('preClose', async () => { setTimeout(() => farewell(), 200) })
  }, { plugin: { closeTimeout: 5000 } })
  const theirs = await RawClient.open(port, '/theirs')
  const closing = app.close()
  t.ok(await theirs.ended, 'ended, not reset')
  t.equal(theirs.received.toString(), 'farewell')
  theirs.end()
  await closing
})

t.test('B1: a listener that is there once, and one that leaves', async t => {
  const seen: string[] = []
  const { app, port } = await startBeside(t, 'after listen', app => {
    app.server.once('upgrade', (request, socket) => {
      seen.push(request.url!)
      socket.end('HTTP/1.1 418 once\r\nContent-Length: 0\r\n\r\n')
    })
  }, { plugin: { handshakeTimeout: 60_000 } })
  await checkExactBytes(t, port, '/ws')
  t.strictSame(seen, [], 'ours does not use it up')
  t.equal((await refusal(port, upgradeRequest('/theirs'))).status, 418)
  t.equal((await refusal(port, upgradeRequest('/theirs'))).status, 404, 'alone again, without any wait')

  const listener = speakByHand(app)
  const theirs = await RawClient.open(port, '/theirs')
  theirs.destroy()
  app.server.off('upgrade', listener)
  t.equal((await refusal(port, upgradeRequest('/theirs'))).status, 404)
  await checkExactBytes(t, port, '/ws')
})

t.test('B1: a listener stays in charge of its path although somebody has removed ours', async t => {
  const { app, port } = await startBeside(t, 'after listen', app => {
    app.server.removeAllListeners('upgrade')
    speakByHand(app)
  })
  await checkExactBytes(t, port, '/ws')
  const theirs = await RawClient.open(port, '/theirs', {}, Buffer.from('to them'))
  t.equal((await theirs.bytes(7)).toString(), 'to them')
  theirs.end()
  await theirs.closed
  t.ok(await closesWithin(10_000, app))
})

for (const order of ORDERS) {
  // What @fastify/websocket and @fastify/http-proxy do with every upgrade.
  t.test(`B1, B5: a listener that sends upgrades through Fastify's router itself, ${order}`, async t => {
    const { port } = await startBeside(t, order, app => {
      app.server.on('upgrade', (request, socket) => {
        const response = new ServerResponse(request)
        response.assignSocket(socket as never)
        app.routing(request, response)
        response.on('finish', () => socket.end())
      })
    })
    await checkExactBytes(t, port, '/ws')
    t.equal((await refusal(port, upgradeRequest('/refused'))).status, 403)
    const routed = await refusal(port, upgradeRequest('/http'))
    t.equal(routed.status, 200)
    t.equal(routed.body, '{"method":"GET","body":null}')
    t.equal((await refusal(port, upgradeRequest('/unknown'))).status, 404)
  })
}

t.test('B1: a listener that has a response on the socket is not answered for, however slow its hooks are', async t => {
  let answer = (): void => {}
  const { port } = await startBeside(t, 'after our plugin', app => {
    app.server.on('upgrade', (request, socket) => {
      const response = new ServerResponse(request)
      response.assignSocket(socket as never)
      const over = 'x'.repeat(100 * 1024)
      let received = ''
      socket.on('data', chunk => {
        received += chunk
        if (received.length === over.length) answer()
      })
      answer = () => {
        response.writeHead(200, { 'Content-Length': 4, Connection: 'close' })
        response.end('late')
        response.on('finish', () => socket.end())
      }
    })
  }, { plugin: { handshakeTimeout: 100 } })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/unknown'))
  // Twice handshakeTimeout and more, in which nothing may be written or read by us.
  await new Promise(resolve => setTimeout(resolve, 400))
  client.write('x'.repeat(100 * 1024))
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, 'late')
  await client.ended
  t.equal(client.received.length, 0)
  client.end()
})

t.test('A7, B1: other listeners see a pipelined upgrade only once the answer before it was sent', async t => {
  const { app, port } = await startBeside(t, 'after our plugin', app => {
    app.get('/later', async () => {
      await new Promise(resolve => setTimeout(resolve, 200))
      return 'first'
    })
    speakByHand(app)
  }, { plugin: { closeTimeout: 200 } })
  for (const path of ['/theirs', '/ws']) {
    const client = await RawClient.connect(port)
    client.write(`GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest(path)}`)
    const first = await client.response()
    t.equal(first.status, 200)
    t.equal(first.body, 'first')
    t.equal((await client.head()).status, 101)
    client.write(text('frame'))
    // Theirs echoes raw bytes.
    t.equal((await client.frame()).payload.length, 5)
    client.destroy()
  }

  // Theirs assigns a response of its own, which throws while the first has the socket.
  app.server.removeAllListeners('upgrade')
  app.server.on('upgrade', (request, socket) => {
    const response = new ServerResponse(request)
    response.assignSocket(socket as never)
    response.writeHead(200, { 'Content-Length': 6 })
    response.end('second')
  })
  const client = await RawClient.connect(port)
  client.write(`GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest('/unknown')}`)
  t.equal((await client.response()).body, 'first')
  t.equal((await client.response()).body, 'second')
  client.destroy()
})

t.test('A7, B1: a pipelined upgrade that nobody answers is answered too', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => {
    app.get('/later', async () => {
      await new Promise(resolve => setTimeout(resolve, 200))
      return 'first'
    })
    app.server.on('upgrade', () => {})
  }, { plugin: { handshakeTimeout: 100 } })
  const client = await RawClient.connect(port)
  client.write(`GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest('/unknown')}`)
  t.equal((await client.response()).body, 'first')
  t.equal((await client.response()).status, 404)
  t.ok(await client.ended)
  client.end()
})

t.test('A4: a client that resets while nobody answers does no harm', async t => {
  const { app, port } = await startBeside(t, 'after our plugin', app => app.server.on('upgrade', () => {}))
  const shown = new Promise<Duplex>(resolve => app.server.once('upgrade', (_request, socket) => resolve(socket)))
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/unknown'))
  const socket = await shown
  const closed = new Promise(resolve => socket.once('close', resolve))
  ;(client.socket as import('node:net').Socket).resetAndDestroy()
  socket.resume()
  await closed
  await checkExactBytes(t, port, '/ws')
})

t.test('B5: rewriteUrl is applied once, and decides whose an upgrade is', async t => {
  const { port, url } = await startBeside(t, 'before our plugin', speakByHand, {
    // Not idempotent: applied twice it would lead nowhere.
    fastify: { rewriteUrl: request => request.url!.startsWith('/theirs') ? request.url! : request.url!.slice('/v1'.length) }
  })
  t.equal(await echoOver(t, `${url}/v1/ws`, 'hello'), 'hello')
  await checkExactBytes(t, port, '/v1/ws')
  const theirs = await RawClient.open(port, '/theirs')
  theirs.destroy()
})

t.test('B5, A10: the rewritten URL is not rewritten again to tell that the method is wrong', async t => {
  for (const attach of [() => {}, speakByHand]) {
    const { port } = await startBeside(t, 'after our plugin', attach, { fastify: { rewriteUrl: request => request.url!.slice('/v1'.length) } })
    const response = await refusal(port, upgradeRequest('', {}, 'POST /v1/ws HTTP/1.1'))
    t.equal(response.status, 405)
    t.equal(response.headers.allow, 'GET')
  }
})

t.test('B2: the most specific route decides whose an upgrade is', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => {
    app.get('/before/list', async () => 'http')
    app.server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 418 theirs\r\nContent-Length: 0\r\n\r\n'))
  }, {
    fastify: { routerOptions: { ignoreTrailingSlash: true, caseSensitive: false } },
    configure: async app => {
      for (const url of ['/rooms/:id', '/before/:id', '/optional/:id?', '/files/*', '/hosts/:id']) {
        app.get(url, { websocket: true }, connection => connection.close(4000, url))
      }
      app.get('/rooms/list', async () => 'http')
      app.get('/files/static/*', async () => 'http')
      app.post('/rooms/posted', async () => 'http')
      app.get('/hosts/fixed', { constraints: { host: 'other.example' } }, async () => 'http')
      app.get('/versions', { constraints: { version: '1.0.0' } }, async () => 'http')
      app.get('/versions', { websocket: true }, connection => connection.close(4000, '/versions'))
      await app.register(async instance => {
        instance.get('/', { websocket: true }, connection => connection.close(4000, '/prefix'))
      }, { prefix: '/prefix' })
    }
  })
  for (const [path, expected] of [
    ['/rooms/1', '/rooms/:id'],
    ['/ROOMS/1/', '/rooms/:id'],
    ['/rooms/list', null],
    ['/rooms/posted', '/rooms/:id'],
    ['/before/1', '/before/:id'],
    ['/before/list', null],
    ['/optional', '/optional/:id?'],
    ['/optional/1?x=y', '/optional/:id?'],
    ['/files/a/b', '/files/*'],
    ['/files/static/b', null],
    ['/hosts/fixed', '/hosts/:id'],
    ['/versions', '/versions'],
    ['/prefix', '/prefix'],
    ['/prefix/', '/prefix'],
    ['/%zz', null]
  ] as const) {
    if (expected === null) {
      t.equal((await refusal(port, upgradeRequest(path))).status, 418, `${path} is theirs`)
    } else {
      const client = await RawClient.open(port, path)
      t.strictSame(await client.closeFrame(), { code: 4000, reason: expected }, `${path} is ours`)
      client.destroy()
    }
  }
})

t.test('B5: a rewriteUrl that throws does not kill the process, with other listeners present', async t => {
  let isAlone = true
  const { port } = await startBeside(t, 'after our plugin', app => {
    app.server.on('upgrade', () => { isAlone = false })
  }, { fastify: { rewriteUrl: request => { throw new Error(`no way to ${request.url}`) } } })
  const response = await refusal(port, upgradeRequest('/any'))
  t.equal(response.status, 500)
  t.notMatch(response.body, 'no way')
  t.ok(isAlone)
})

t.test('B1: diagnostics that replace emit, on the instance or on the prototype, before or after us', async t => {
  const seen: string[] = []
  const original = HttpServer.prototype.emit
  const patch = (target: HttpServer, name: string): () => void => {
    const { emit } = target
    const replacement = function (this: HttpServer, event: string, ...args: unknown[]): boolean {
      if (event === 'request' || event === 'upgrade') seen.push(`${name} ${event} ${(args[0] as IncomingMessage).url}`)
      return Reflect.apply(emit, this, [event, ...args]) as boolean
    }
    target.emit = replacement as never
    return () => { t.equal(target.emit, replacement, `the replacement ${name} stays when the app is closed`) }
  }
  t.teardown(() => { HttpServer.prototype.emit = original })

  for (const order of ORDERS) {
    let checkOwn = (): void => {}
    const { app, port } = await startBeside(t, order, app => {
      checkOwn = patch(app.server, 'own')
      patch(HttpServer.prototype, 'prototype')
      speakByHand(app)
    })
    seen.length = 0
    await checkExactBytes(t, port, '/ws')
    const theirs = await RawClient.open(port, '/theirs')
    theirs.destroy()
    const client = await RawClient.connect(port)
    client.write('GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n')
    t.equal((await client.response()).status, 200)
    client.destroy()
    // Ours has no need to go further than to us; what is not ours has to be seen.
    t.ok(seen.includes('own upgrade /theirs'), `${order}: upgrades of others`)
    t.ok(seen.includes('own request /http'), `${order}: requests`)
    HttpServer.prototype.emit = original
    await app.close()
    checkOwn()
  }
})

t.test('B1: a prototype whose emit is replaced while the app runs is seen through ours', async t => {
  const { app, port } = await startBeside(t, 'after our plugin', speakByHand)
  const original = HttpServer.prototype.emit
  t.teardown(() => { HttpServer.prototype.emit = original })
  const seen: string[] = []
  HttpServer.prototype.emit = function (this: HttpServer, event: string, ...args: unknown[]) {
    if (event === 'request') seen.push((args[0] as IncomingMessage).url!)
    return Reflect.apply(original, this, [event, ...args]) as boolean
  } as never
  const client = await RawClient.connect(port)
  client.write('GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.equal((await client.response()).status, 200)
  client.destroy()
  t.strictSame(seen, ['/http'])
  HttpServer.prototype.emit = original
  await app.close()
  t.notOk(Object.hasOwn(app.server, 'emit'), 'nothing is left behind')
})

t.test('B1, B8: another server, in options.server, lives on when the app is closed', async t => {
  const other = createServer((_request, response) => response.end('theirs'))
  t.teardown(() => other.close())
  const seen: string[] = []
  const app = Fastify() as FastifyInstance
  await app.register(websocket, { closeTimeout: 200, options: { server: other } })
  app.get('/ws', { websocket: true }, connection => {
    connection.on('message', data => connection.send(data, { binary: false }))
  })
  await app.ready()
  const { emit } = other
  const replacement = function (this: HttpServer, ...args: Parameters<typeof emit>): boolean {
    if (args[0] === 'upgrade') seen.push((args[1] as unknown as IncomingMessage).url!)
    return Reflect.apply(emit, this, args) as boolean
  }
  other.emit = replacement as never
  speakByHand({ server: other } as FastifyInstance)
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo

  t.equal(await echoOver(t, `ws://127.0.0.1:${port}/ws`, 'ours'), 'ours')
  const theirs = await RawClient.open(port, '/theirs')
  await app.close()
  // Longer than closeTimeout: what was not ours stays.
  await new Promise(resolve => setTimeout(resolve, 400))
  theirs.write('still here')
  t.equal((await theirs.bytes(10)).toString(), 'still here')
  theirs.destroy()
  t.equal(other.emit, replacement as never)

  const later = await RawClient.open(port, '/theirs/ws')
  later.destroy()
  other.on('upgrade', (request, socket) => {
    if (request.url === '/ws') socket.end('HTTP/1.1 418 theirs now\r\nContent-Length: 0\r\n\r\n')
  })
  t.equal((await refusal(port, upgradeRequest('/ws'))).status, 418)
  t.strictSame(seen, ['/ws', '/theirs', '/theirs/ws', '/ws'])
})

t.test('B7: localhost, with its second server, and another listener on both', async t => {
  for (const order of ORDERS) {
    const { app } = await startBeside(t, order, speakByHand, { host: 'localhost' })
    const addresses = app.addresses()
    t.ok(addresses.length > 0)
    for (const { address, port } of addresses as AddressInfo[]) {
      const connectTo = async (request: string): Promise<RawClient> => {
        const client = await RawClient.connect(port, address)
        client.write(request)
        return client
      }
      const ours = await connectTo(upgradeRequest('/ws') + text('hello').toString('latin1'))
      t.equal((await ours.head()).status, 101, `${order}: ours on ${address}`)
      ours.destroy()
      const theirs = await connectTo(FOO)
      t.equal((await theirs.head()).head, SWITCHED_TO_FOO.slice(0, -4), `${order}: theirs on ${address}`)
      theirs.destroy()
      const plain = await connectTo('GET /http HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n')
      t.equal((await plain.response()).status, 200, `${order}: plain HTTP on ${address}`)
      plain.destroy()
    }
    t.ok(await closesWithin(10_000, app))
  }
})

t.test('our plugin twice on one app is a clear error', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  await t.rejects(async () => { await app.register(websocket) }, /fastify-ws-routes.*already registered/)
})

t.test('registered in an encapsulated context the plugin covers that context only', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  app.get('/http', async () => 'outside')
  await app.register(async instance => {
    await instance.register(websocket, { maxPayload: 5 })
    instance.get('/ws', { websocket: true }, connection => {
      connection.on('message', data => connection.send(data, { binary: false }))
    })
    instance.get('/http', async () => 'inside')
  }, { prefix: '/inside' })
  t.notOk(app.hasDecorator('websocketServer'))
  t.notOk(app.hasDecorator('injectWS'))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  t.equal(await echoOver(t, `ws://127.0.0.1:${port}/inside/ws`, 'hello'), 'hello')
  t.equal((await refusal(port, upgradeRequest('/inside/http'))).status, 404)
  t.equal((await refusal(port, upgradeRequest('/unknown'))).status, 404)
  // A server may ignore an Upgrade (RFC 9110 §7.8), and nobody has asked for more than that here.
  const outside = await refusal(port, upgradeRequest('/http'))
  t.equal(outside.status, 200)
  t.equal(outside.body, 'outside')
  t.ok(await closesWithin(10_000, app))
})

t.test('B4: a WebSocket route outside of the context that has the plugin is an error that names it', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(async instance => {
    await instance.register(websocket)
    instance.get('/inside', { websocket: true }, () => {})
  })
  app.get('/outside', { websocket: true }, () => {})
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_UNSEEN_ROUTE', message: /\/outside(?!.*\/inside)/ })
})

t.test('B1: two contexts of one app, each with the plugin and options of its own', async t => {
  const errors: string[] = []
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  for (const name of ['a', 'b']) {
    await app.register(async instance => {
      await instance.register(websocket, {
        handshakeTimeout: name === 'a' ? 200 : 60_000,
        errorHandler (error, connection) {
          errors.push(`${name}: ${error.message}`)
          connection.close(4000, name)
        }
      })
      instance.get('/ws', { websocket: true }, connection => {
        connection.on('message', () => { throw new Error('thrown') })
      })
      instance.get('/hangs', { websocket: true, preValidation: () => new Promise(() => {}) }, () => {})
    }, { prefix: `/${name}` })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  for (const name of ['a', 'b']) {
    const client = await RawClient.open(port, `/${name}/ws`)
    client.write(text('go'))
    t.strictSame(await client.closeFrame(), { code: 4000, reason: name })
    client.destroy()
  }
  t.strictSame(errors, ['a: thrown', 'b: thrown'])
  t.equal((await refusal(port, upgradeRequest('/unknown'))).status, 404, 'without waiting for the other')
  t.equal((await refusal(port, upgradeRequest('/a/hangs'))).status, 503, 'each has its own timeout')
  t.ok(await closesWithin(10_000, app))
})

t.test('a listener that looks like a guard is warned of once, when the app is ready or when it is added', async t => {
  const guard = (_request: IncomingMessage, socket: Duplex): void => { socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n') }
  const places: Record<string, { before?: boolean, behind?: boolean, later?: boolean, warnings: number }> = {
    'before the plugin': { before: true, warnings: 1 },
    'behind it': { behind: true, warnings: 1 },
    'once the app listens': { later: true, warnings: 1 },
    'at each moment': { before: true, behind: true, later: true, warnings: 1 },
    never: { warnings: 0 }
  }
  for (const [place, { before, behind, later, warnings }] of Object.entries(places)) {
    for (const contexts of [1, 2]) {
      const lines: string[] = []
      const app = Fastify({ logger: { level: 'warn', stream: { write: line => { lines.push(JSON.parse(line).msg) } } } }) as FastifyInstance
      t.teardown(() => app.close())
      if (before === true) app.server.on('upgrade', guard)
      for (let i = 0; i < contexts; i++) {
        await app.register(async instance => {
          await instance.register(websocket)
          instance.get(`/${i}`, { websocket: true }, () => {})
        })
      }
      if (behind === true) app.server.on('upgrade', guard)
      // With a second server, whose listener passes its upgrades on.
      await app.listen({ port: 0, host: 'localhost' })
      if (later === true) {
        app.server.on('upgrade', guard)
        app.server.once('upgrade', guard)
      }
      const client = await RawClient.open((app.server.address() as AddressInfo).port, '/0')
      client.destroy()
      t.equal(lines.length, warnings, `${place}, ${contexts} instances`)
      for (const line of lines) t.match(line, /'upgrade'.*does not see requests for WebSocket routes.*hook/)
      await app.close()
      t.equal(app.server.listenerCount('newListener'), 0)
    }
  }
})
