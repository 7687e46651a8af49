import type { FastifyInstance } from 'fastify'
import { Server, type ServerOptions } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { RawClient, upgradeRequest } from '../../support/raw-client.js'
import { checkExactBytes, closesWithin, echoOver, ORDERS, refusal, startBeside } from '../../coexistence/neighbours.js'

function attachSocketIo (app: FastifyInstance, options: Partial<ServerOptions> = {}): Server {
  const server = new Server(app.server, options)
  server.on('connection', socket => socket.on('echo', (value, answer) => answer(`socket.io: ${value}`)))
  return server
}

function connect (t: Pick<Test, 'teardown'>, port: number, transports: string[]): Socket {
  const socket = io(`http://127.0.0.1:${port}`, { transports, forceNew: true, reconnection: false })
  t.teardown(() => socket.disconnect())
  return socket
}

async function connected (socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject))
}

for (const order of ORDERS) {
  t.test(`B1: Socket.IO, attached ${order}`, async t => {
    const { app, port, url } = await startBeside(t, order, app => {
      const server = attachSocketIo(app)
      if (order !== 'after listen') app.addHook('preClose', async () => { server.disconnectSockets(true) })
    })

    const websocketOnly = connect(t, port, ['websocket'])
    await connected(websocketOnly)
    t.equal(await websocketOnly.emitWithAck('echo', 1), 'socket.io: 1')
    t.equal(websocketOnly.io.engine.transport.name, 'websocket')

    const upgrading = connect(t, port, ['polling', 'websocket'])
    // engine.io's client emits it once its websocket has taken over from polling.
    const upgraded = new Promise(resolve => upgrading.io.on('open', () => upgrading.io.engine.once('upgrade', resolve)))
    await connected(upgrading)
    t.equal(await upgrading.emitWithAck('echo', 2), 'socket.io: 2')
    await upgraded
    t.equal(await upgrading.emitWithAck('echo', 3), 'socket.io: 3')
    t.equal(upgrading.io.engine.transport.name, 'websocket')

    await Promise.all([
      checkExactBytes(t, port, '/ws'),
      // engine.io would end a socket on which nothing is written for a second.
      checkExactBytes(t, port, '/slow'),
      echoOver(t, `${url}/slow`, 'hello').then(echoed => t.equal(echoed, 'hello'))
    ])
    t.equal((await refusal(port, upgradeRequest('/refused'))).body, '{"refused":"by a hook"}')
    t.equal(await websocketOnly.emitWithAck('echo', 4), 'socket.io: 4', 'still connected')
    t.ok(await closesWithin(10_000, app))
  })
}

t.test('B1: with Socket.IO an unknown path is answered with 404 by whoever of us is patient', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => attachSocketIo(app), { plugin: { handshakeTimeout: 300 } })
  const response = await refusal(port, upgradeRequest('/unknown'))
  t.equal(response.status, 404)
  t.match(response.body, 'Route GET:/unknown not found')
})

t.test("B1: the answer is not written behind engine.io's back: it has ended the socket before", async t => {
  const { port } = await startBeside(t, 'after our plugin', app => attachSocketIo(app, { destroyUpgradeTimeout: 100 }), { plugin: { handshakeTimeout: 300 } })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/unknown'))
  t.ok(await client.ended)
  // Half open until the handshake would have timed out, when there is nothing to answer to any more.
  await new Promise(resolve => setTimeout(resolve, 500))
  t.equal(client.received.length, 0)
  client.end()
  await client.closed
})

t.test('B8: app.close() is bounded with Socket.IO, its clients and a socket that it has half closed', async t => {
  const { app, port } = await startBeside(t, 'before our plugin', app => attachSocketIo(app, { destroyUpgradeTimeout: 50 }), { plugin: { closeTimeout: 300 } })
  const client = connect(t, port, ['websocket'])
  const halfClosed = await RawClient.connect(port)
  halfClosed.write(upgradeRequest('/unknown'))
  await Promise.all([connected(client), halfClosed.ended])
  t.ok(await closesWithin(10_000, app))
  halfClosed.destroy()
})

t.test('A3: h2c offers with Socket.IO present', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => attachSocketIo(app))
  const client = await RawClient.connect(port)
  const offer = 'Host: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n'
  client.write(`POST /http HTTP/1.1\r\n${offer}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}`)
  t.equal((await client.response()).body, '{"method":"POST","body":{"a":1}}')
  client.write(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n${offer}\r\n`)
  const polled = await client.response()
  t.equal(polled.status, 200)
  t.match(polled.body, /^0\{"sid":/)
  client.destroy()
})

t.test('B1: Socket.IO refuses on its own path, with nothing of ours behind it', async t => {
  const { port } = await startBeside(t, 'after our plugin', app => attachSocketIo(app, { allowRequest: (_request, answer) => answer('no', false) }))
  const response = await refusal(port, upgradeRequest('/socket.io/?EIO=4&transport=websocket'))
  t.equal(response.status, 400)
  t.equal(response.body, 'no')
})
