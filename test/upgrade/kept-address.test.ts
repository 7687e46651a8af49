import { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { close, frame, RawClient, text } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'

// Apps log who has left. Node forgets the address of a socket that is closed, and of a stream without a session.

/** Connects, and opens a WebSocket. */
type Open = (t: Teardown, port: number) => Promise<RawClient>

interface Transport {
  fastify: object
  open: Open
}

const TRANSPORTS: Record<string, Transport> = {
  TCP: { fastify: {}, open: (_t, port) => RawClient.open(port) },
  TLS: {
    fastify: { https: certificate },
    async open (_t, port) {
      const client = await connectSecure(port)
      await client.upgrade()
      return client
    }
  },
  'HTTP/2': { fastify: { http2: true }, open: async (t, port) => openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`)) },
  'HTTP/2 over TLS': {
    fastify: { http2: true, https: certificate },
    open: async (t, port) => openHttp2(await connectHttp2(t, `https://127.0.0.1:${port}`, { ca: certificate.cert, servername: 'localhost' }))
  }
}

const ENDS: Record<string, (client: RawClient, connection: WebSocketConnection) => unknown> = {
  'the client closes': client => client.write(close(1000)),
  'the client resets the connection': client => {
    const { socket } = client
    // TLS has no way to reset.
    if (Object.getPrototypeOf(socket) === Socket.prototype) (socket as Socket).resetAndDestroy()
    else if ('session' in socket) (socket.session as { destroy: () => void }).destroy()
    else socket.destroy()
  },
  'the client breaks a rule': client => client.write(frame(3)),
  'the server terminates': (_client, connection) => connection.terminate()
}

/** All that Fastify and loggers take from the socket of a request. */
const seen = (request: FastifyRequest): unknown => {
  const { ip, ips, protocol, socket: { remoteAddress, remotePort, remoteFamily } } = request
  return { ip, ips, protocol, remoteAddress, remotePort, remoteFamily }
}

for (const [name, { fastify, open }] of Object.entries(TRANSPORTS)) {
  for (const trustProxy of [false, true]) {
    for (const [end, act] of Object.entries(ENDS)) {
      t.test(`${name}${trustProxy ? ' with trustProxy' : ''}: ${end}: the request still knows the peer`, async t => {
        const entries: Array<[where: string, what: unknown]> = []
        let opened!: (connection: WebSocketConnection) => void
        const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
        let later!: () => unknown
        const { port } = await startApp(t, app => {
          app.get('/', { websocket: true }, (connection, request) => {
            entries.push(['handler', seen(request)])
            connection.on('close', () => entries.push(['close', seen(request)]))
            later = () => seen(request)
            opened(connection)
          })
        }, { closeTimeout: 200, errorHandler: (_error, _connection, request) => { entries.push(['errorHandler', seen(request)]) } }, { trustProxy, ...fastify })
        const client = await open(t, port)
        client.socket.on('error', () => {})
        client.socket.on('end', () => client.end())
        const connection = await whenOpened
        const closed = new Promise<void>(resolve => connection.on('close', () => resolve()))
        await act(client, connection)
        await closed
        await turns()
        entries.push(['later', later()])
        const [[, first]] = entries as [[string, { ip: string, remotePort: number }]]
        t.equal(first.ip, '127.0.0.1')
        t.type(first.remotePort, 'number')
        for (const [where, what] of entries) t.same(what, first, where)
        t.equal(entries.length, end === 'the client breaks a rule' ? 4 : 3)
        client.destroy()
      })
    }
  }
}

t.test('streams of one session', async t => {
  const ips: string[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      connection.on('message', () => connection.close())
      connection.on('close', () => ips.push(request.ip))
    })
  }, { closeTimeout: 200 }, { http2: true })
  const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
  const clients = await Promise.all(Array.from({ length: 3 }, () => openHttp2(session)))
  for (const client of clients) {
    client.write(text('end'))
    await client.closeFrame()
    client.write(close())
    await client.ended
  }
  session.close()
  while (ips.length < 3) await turns(1)
  t.same(ips, Array<string>(3).fill('127.0.0.1'))
})

t.test('injectWS: the address that the test has chosen', async t => {
  for (const http2 of [false, true]) {
    const ips: string[] = []
    const { app } = await startApp(t, app => {
      app.get('/', { websocket: true }, (connection, request) => connection.on('close', () => ips.push(request.ip)))
    }, { closeTimeout: 200 }, { http2 })
    const client = await app.injectWS('/', { remoteAddress: '192.0.2.7' })
    client.terminate()
    while (ips.length === 0) await turns(1)
    t.same(ips, ['192.0.2.7'])
  }
})
