import type { Socket } from 'node:net'
import t from 'tap'
import { echo, startApp } from '../../support/app.js'
import { close, RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { gate, ServerSockets, turns } from '../../support/server-sockets.js'

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`

t.test('A7: a slow GET and an upgrade behind it on one connection: first the 200, then the 101, then frames', async t => {
  const held = gate()
  const inHandler = gate()
  const inHook = gate()
  const { port } = await startApp(t, app => {
    app.get('/slow', async () => {
      inHandler.open()
      await held.passed
      return 'slow answer'
    })
    app.addHook('onRequest', async request => { if (request.ws) inHook.open() })
    echo(app)
  })
  const client = await RawClient.connect(port)
  client.write(Buffer.concat([Buffer.from(get('/slow') + upgradeRequest()), text('one')]))
  await inHandler.passed
  client.write(text('two'))
  await turns()
  t.equal(client.received.length, 0, 'nothing before its turn')
  held.open()

  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, 'slow answer')
  t.equal((await client.head()).status, 101)
  client.write(text('three'))
  for (const expected of ['one', 'two', 'three']) t.equal((await client.frame()).payload.toString(), expected)
  client.write(close(1000))
  await client.closeFrame()
  t.equal(client.received.length, 0)
  client.end()
  await inHook.passed
})

t.test('A7: several requests before the upgrade, answered in another order than they came', async t => {
  const gates = [gate(), gate(), gate()]
  const allStarted = gate()
  const { app, port } = await startApp(t, app => {
    app.get('/slow/:index', async request => {
      const { index } = request.params as { index: string }
      if (index === '2') allStarted.open()
      await gates[Number(index)]!.passed
      return `answer ${index}`
    })
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(Buffer.concat([Buffer.from(get('/slow/0') + get('/slow/1') + get('/slow/2') + upgradeRequest()), text('one')]))
  await allStarted.passed
  for (const one of [gates[2]!, gates[1]!, gates[0]!]) {
    one.open()
    await turns(5)
  }
  for (const index of [0, 1, 2]) {
    const response = await client.response()
    t.equal(response.status, 200)
    t.equal(response.body, `answer ${index}`)
  }
  t.equal((await client.head()).status, 101)
  t.equal((await client.frame()).payload.toString(), 'one')
  client.end()
  await sockets.allClosed()
})

t.test('A7: an upgrade that is refused waits for its turn too, and closes the connection', async t => {
  let held = gate()
  const { app, port } = await startApp(t, app => {
    app.get('/slow', async () => {
      await held.passed
      return 'slow answer'
    })
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  for (const [what, request, status] of [
    ['an unknown path', upgradeRequest('/nowhere'), 404],
    ['another version', upgradeRequest('/', { 'Sec-WebSocket-Version': '8' }), 426],
    // Newer versions of Node give such an upgrade another stream than that of the request before.
    ['a body', upgradeRequest('/', { 'Content-Length': '5' }) + 'body!', 400],
    ['a body that is not all there', upgradeRequest('/', { 'Content-Length': '5' }) + 'bo', 400]
  ] as const) {
    held = gate()
    const client = await RawClient.connect(port)
    client.write(get('/slow') + request)
    await turns()
    t.equal(client.received.length, 0, 'nothing before its turn')
    held.open()
    const first = await client.response()
    t.equal(first.status, 200, what)
    t.equal(first.body, 'slow answer')
    const second = await client.response()
    t.equal(second.status, status)
    t.match(second.headers.connection, /close/)
    t.equal(await client.ended, true)
    client.end()
  }
  await sockets.allClosed()
})

for (const who of ['request', 'response']) {
  t.test(`A7: behind a ${who} that says Connection: close there is no upgrade`, async t => {
    const calls: string[] = []
    const held = gate()
    const { app, port } = await startApp(t, app => {
      app.get('/slow', async (_request, reply) => {
        if (who === 'response') reply.header('Connection', 'close')
        await held.passed
        return 'the last answer'
      })
      app.get('/', { websocket: true, onRequest: async () => { calls.push('hook') } }, () => { calls.push('handler') })
    })
    const sockets = new ServerSockets(app.server)
    const client = await RawClient.connect(port)
    client.write(Buffer.concat([
      Buffer.from(get('/slow', who === 'request' ? 'Connection: close\r\n' : '') + upgradeRequest()),
      text('one')
    ]))
    await turns()
    held.open()
    await client.ended
    const received = client.received.toString('latin1')
    // Behind such a request there must be nothing at all: Node's own parser refuses what is in the same packet.
    if (who === 'response') {
      t.match(received, /^HTTP\/1\.1 200 OK\r\n/)
      t.match(received, /\r\nconnection: close\r\n/i)
      t.match(received, /\r\n\r\nthe last answer$/, 'no 101 and no refusal behind it')
    }
    t.notMatch(received, /HTTP\/1\.1 101/)
    client.end()
    await sockets.allClosed()
    t.same(calls, [])
  })
}

t.test('A7: a client that leaves while its upgrade waits for its turn leaves nothing behind', async t => {
  const held = gate()
  const calls: string[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/slow', async () => {
      await held.passed
      return 'slow answer'
    })
    app.get('/', { websocket: true, onRequest: async () => { calls.push('hook') } }, () => { calls.push('handler') })
  })
  const sockets = new ServerSockets(app.server)
  for (const leave of [(client: RawClient) => client.end(), (client: RawClient) => (client.socket as Socket).resetAndDestroy()]) {
    const client = await RawClient.connect(port)
    client.write(get('/slow') + upgradeRequest())
    while (sockets.open.size === 0 || sockets.only.bytesRead === 0) await turns(1)
    leave(client)
    await sockets.allClosed()
    client.destroy()
  }
  held.open()
  await turns()
  t.same(calls, [])
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('A7: handshakeTimeout counts from the upgrade request; its 503 comes in its turn', async t => {
  const held = gate()
  const calls: string[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/slow', async () => {
      await held.passed
      return 'slow answer'
    })
    app.get('/', { websocket: true, onRequest: async () => { calls.push('hook') } }, () => { calls.push('handler') })
    app.get('/hangs', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
  }, { handshakeTimeout: 30 })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(get('/slow') + upgradeRequest())
  await turns()
  // One that came later is over the limit.
  const later = await RawClient.connect(port)
  later.write(upgradeRequest('/hangs'))
  t.equal((await later.response()).status, 503)
  later.end()
  t.equal(client.received.length, 0)
  held.open()
  const first = await client.response()
  t.equal(first.status, 200)
  t.equal(first.body, 'slow answer')
  const second = await client.response()
  t.equal(second.status, 503)
  t.equal(second.headers.connection, 'close')
  t.equal(await client.ended, true)
  client.end()
  await sockets.allClosed()
  t.same(calls, [])
})

t.test('A7: an upgrade that waits for its turn does not hold app.close() for longer than closeTimeout', async t => {
  const inHandler = gate()
  const { app, port } = await startApp(t, app => {
    // Never answers.
    app.get('/slow', () => { inHandler.open() })
    echo(app)
  }, { closeTimeout: 100 })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(get('/slow') + upgradeRequest())
  await inHandler.passed
  await app.close()
  await sockets.allClosed()
  t.equal(sockets.open.size, 0)
  client.destroy()
})

t.test('A7: an upgrade right behind its own WebSocket request is data of that connection and not a request', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest() + upgradeRequest())
  t.equal((await client.head()).status, 101)
  // 'G' is no frame of a client: neither masked nor with an opcode that there is.
  t.equal((await client.closeFrame()).code, 1002)
  client.end()
  await sockets.allClosed()
})
