import type { FastifyInstance } from 'fastify'
import type { Socket } from 'node:net'
import t from 'tap'
import { echo, startApp } from '../../support/app.js'
import { certificate } from '../../support/certificate.js'
import { startOnLocalhost } from '../../support/localhost.js'
import { close, RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { connectSecure, gate, ServerSockets, turns } from '../../support/server-sockets.js'

async function refused (port: number, request: string): Promise<{ status: number, body: string }> {
  const client = await RawClient.connect(port)
  client.write(request)
  const { status, body } = await client.response()
  if (await client.ended !== true) throw new Error('the connection was reset')
  client.end()
  await client.closed
  return { status, body }
}

t.test('A1: what Fastify answers without running a hook is answered, and its socket closed', async t => {
  const hooks: string[] = []
  const { app, port } = await startApp(t, app => {
    for (const name of ['onRequest', 'onResponse'] as const) app.addHook(name, async request => { hooks.push(`${name} ${request.url}`) })
    app.get('/room/:name', { websocket: true }, () => {})
    app.get('/constrained', { websocket: true, constraints: { secret: 'x' } }, () => {})
  }, { closeTimeout: 5000 }, {
    routerOptions: {
      maxParamLength: 20,
      constraints: {
        secret: {
          name: 'secret',
          storage: () => ({ get: () => null, set: () => {} }),
          validate: () => {},
          deriveConstraint: (request: { headers: Record<string, unknown> }, _context: unknown, done: (error: Error | null, value?: unknown) => void) => {
            setImmediate(() => 'x-fail' in request.headers ? done(new Error('of the constraint')) : done(null, 'y'))
          }
        }
      }
    }
  } as object)
  const sockets = new ServerSockets(app.server)
  t.equal((await refused(port, upgradeRequest('/%zz'))).status, 400, 'a malformed URL')
  t.equal((await refused(port, upgradeRequest('/room/%E0%A4%A'))).status, 400, 'a malformed parameter')
  t.ok([404, 414].includes((await refused(port, upgradeRequest(`/room/${'x'.repeat(100)}`))).status), 'a parameter longer than maxParamLength')
  t.equal((await refused(port, upgradeRequest('/constrained', { 'X-Fail': '1' }))).status, 500, 'a constraint that fails')
  t.equal((await refused(port, upgradeRequest('/constrained'))).status, 404, 'a constraint that does not match')
  await sockets.allClosed()

  // The client leaves its half open, and hears no hook: closed all the same.
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/%zz'))
  await client.response()
  const closing = app.close()
  client.end()
  await closing
  await sockets.allClosed()
})

t.test('B7: 503 while the app closes: there is a listener until the server is closed', async t => {
  const closingBegun = gate()
  const held = gate()
  let handled = 0
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => { handled++ })
  }, {
    preClose: async () => {
      closingBegun.open()
      await held.passed
    }
  })
  const sockets = new ServerSockets(app.server)
  // Connected before, asking after.
  const early = await RawClient.connect(port)
  const closing = app.close()
  await closingBegun.passed
  const late = await RawClient.connect(port)
  for (const client of [early, late]) {
    client.write(upgradeRequest())
    t.equal((await client.response()).status, 503)
    t.equal(await client.ended, true)
    client.end()
  }
  held.open()
  await closing
  await sockets.allClosed()
  t.equal(handled, 0)
})

t.test('B7, B8: with return503OnClosing: false too, no hook holds up the end', async t => {
  const { app, port } = await startApp(t, app => {
    echo(app)
    app.get('/never', { websocket: true, onRequest: () => new Promise<void>(() => {}) }, () => {})
  }, { handshakeTimeout: 2 ** 31 - 1 }, { return503OnClosing: false })
  const open = await RawClient.open(port)
  const asking = await Promise.all(['/', '/never'].map(async path => ({ path, client: await RawClient.connect(port) })))
  const closing = app.close()
  // Until it answers, close() waits.
  t.equal((await open.closeFrame()).code, 1001)
  for (const { path, client } of asking) {
    client.write(upgradeRequest(path))
    const response = await client.response()
    t.equal(response.status, 503, path)
    t.equal(response.headers['retry-after'], '1')
    client.end()
  }
  open.write(close(1001))
  open.end()
  await closing
})

t.test('B7: localhost: both addresses serve upgrades, refuse them, and answer 503 while closing', async t => {
  const closingBegun = gate()
  const held = gate()
  const { app, port, second } = await startOnLocalhost(t, app => {
    echo(app)
    app.get('/http', async () => 'http')
  }, {
    preClose: async () => {
      closingBegun.open()
      await held.passed
    }
  })
  const late: RawClient[] = []
  for (const host of ['127.0.0.1', second]) {
    const client = await RawClient.connect(port, host)
    client.write(Buffer.concat([Buffer.from(upgradeRequest()), text(host)]))
    t.equal((await client.head()).status, 101, host)
    t.equal((await client.frame()).payload.toString(), host)
    client.write(close(1000))
    await client.closeFrame()
    client.end()
    for (const [path, status] of [['/nowhere', 404], ['/http', 404]] as const) {
      const other = await RawClient.connect(port, host)
      other.write(upgradeRequest(path))
      t.equal((await other.response()).status, status)
      other.end()
      await other.closed
    }
    late.push(await RawClient.connect(port, host))
  }
  const open = await RawClient.connect(port, second)
  open.write(upgradeRequest())
  t.equal((await open.head()).status, 101)
  const closing = app.close()
  await closingBegun.passed
  for (const client of late) {
    client.write(upgradeRequest())
    t.equal((await client.response()).status, 503)
    t.equal(await client.ended, true)
    client.end()
  }
  held.open()
  t.equal((await open.closeFrame()).code, 1001)
  open.write(close(1001))
  open.end()
  await closing
})

/** A server with a client in each state in which `close` could wait for ever. */
async function crowd (port: number, connect: (port: number) => Promise<RawClient>, inHook: Promise<void>): Promise<RawClient[]> {
  const all: RawClient[] = []
  const add = async (...bytes: (string | Uint8Array)[]): Promise<RawClient> => {
    const client = await connect(port)
    all.push(client)
    for (const one of bytes) client.write(one)
    return client
  }
  // Accepted, and silent from then on; half-open from the client's side; in the middle of a frame; not reading.
  await (await add(upgradeRequest())).head()
  const halfOpen = await add(upgradeRequest())
  await halfOpen.head()
  halfOpen.end()
  await (await add(upgradeRequest(), text('half of it').subarray(0, 9))).head()
  const deaf = await add(upgradeRequest('/flood'))
  await deaf.head()
  deaf.socket.pause()
  // Waiting in a hook, and behind another request.
  await add(upgradeRequest('/held'))
  await add('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n', upgradeRequest())
  await inHook
  // Refused: with the client's half left open, and with a body that it does not read.
  await (await add(upgradeRequest('/nowhere'))).response()
  const rejected = await add(upgradeRequest('/rejected'))
  await rejected.head()
  rejected.socket.pause()
  return all
}

for (const forceCloseConnections of [undefined, 'idle', true] as const) {
  for (const scheme of ['http', 'https'] as const) {
    t.test(`B8: app.close() is bounded over ${scheme}, whatever clients do (forceCloseConnections: ${forceCloseConnections})`, async t => {
      const inHook = gate()
      const { app, port } = await startApp(t, app => {
        echo(app)
        app.get('/held', { websocket: true, onRequest: () => { inHook.open(); return new Promise<void>(() => {}) } }, () => {})
        app.get('/flood', { websocket: true }, connection => { connection.send(Buffer.alloc(10e6)) })
        app.get('/slow', () => {})
        app.get('/rejected', { websocket: true, onRequest: async (_request, reply) => reply.code(401).type('x/y').send(Buffer.alloc(20e6)) }, () => {})
      }, { closeTimeout: 200 }, { forceCloseConnections, ...(scheme === 'https' ? { https: certificate } : {}) } as object)
      const sockets = new ServerSockets(app.server)
      const clients = await crowd(port, scheme === 'https' ? connectSecure : async port => RawClient.connect(port), inHook.passed)
      await app.close()
      await sockets.allClosed()
      t.equal(sockets.open.size, 0)
      t.equal(app.websocketServer.clients.size, 0)
      t.equal((await clients[0]!.closeFrame()).code, 1001)
      for (const client of clients) client.destroy()
    })
  }
}

t.test('B8: well-behaved clients see 1001, clients in hooks 503, and close() does not wait for its deadline', async t => {
  const inHook = gate()
  const { app, port } = await startApp(t, (app: FastifyInstance) => {
    echo(app)
    app.get('/held', { websocket: true, onRequest: () => { inHook.open(); return new Promise<void>(() => {}) } }, () => {})
  }, { closeTimeout: 2 ** 31 - 1, handshakeTimeout: 2 ** 31 - 1 })
  const client = await RawClient.open(port)
  const waiting = await RawClient.connect(port)
  waiting.write(upgradeRequest('/held'))
  await inHook.passed
  const closing = app.close()
  t.equal((await client.closeFrame()).code, 1001)
  client.write(close(1001))
  t.equal(await client.ended, true)
  client.end()
  const response = await waiting.response()
  t.equal(response.status, 503)
  t.equal(response.headers['retry-after'], '1')
  waiting.end()
  await closing
})

t.test('A1, A5: sockets that only ever began leave nothing behind', async t => {
  const { app, port } = await startApp(t, echo)
  const sockets = new ServerSockets(app.server)
  const clients: RawClient[] = []
  for (let length = 1; length < upgradeRequest().length; length += 20) {
    const client = await RawClient.connect(port)
    client.write(upgradeRequest().slice(0, length))
    clients.push(client)
  }
  await turns()
  clients.forEach((client, index) => index % 2 === 0 ? client.end() : (client.socket as Socket).resetAndDestroy())
  await sockets.allClosed()
  t.equal(sockets.open.size, 0)
  for (const client of clients) client.destroy()
})
