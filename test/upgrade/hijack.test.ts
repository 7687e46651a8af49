import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'
import type { Teardown } from '../support/app.js'

// A hook that calls `reply.hijack()` has the socket from then on, and all that came on it.

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

interface Transport {
  options: object
  /** Sends the request, and bytes behind it. */
  ask (t: Teardown, port: number, early: Buffer): Promise<RawClient>
  /** Answers that the protocol is switched. */
  accept (request: FastifyRequest): Duplex
  /** Waits for that. */
  accepted (client: RawClient): Promise<unknown>
}

function http1 (options: object, connect: (port: number) => Promise<RawClient>): Transport {
  return {
    options,
    async ask (_t, port, early) {
      const client = await connect(port)
      client.write(Buffer.concat([Buffer.from(upgradeRequest()), early]))
      return client
    },
    accept ({ raw: { socket } }) {
      socket.write(SWITCHED)
      return socket
    },
    accepted: async client => await client.head()
  }
}

const TRANSPORTS: Record<string, Transport> = {
  TCP: http1({}, port => RawClient.connect(port)),
  TLS: http1({ https: certificate }, connectSecure),
  'HTTP/2': {
    options: { http2: true },
    async ask (t, port, early) {
      const stream = extendedConnect(await connectHttp2(t, `http://127.0.0.1:${port}`))
      if (early.length > 0) stream.write(early)
      return new RawClient(stream)
    },
    accept ({ raw }) {
      const { stream } = raw as unknown as { stream: ServerHttp2Stream }
      stream.respond({ ':status': 200 })
      return stream
    },
    accepted: async client => await responseHeaders(client.socket as ClientHttp2Stream)
  }
}

type Hijack = (request: FastifyRequest, reply: FastifyReply) => unknown

/** Where a hook may call it. */
const HOOKS = ['onRequest before the plugin', 'onRequest', 'preParsing', 'preValidation', 'preHandler', 'preHandler of the route', 'not found', 'error handler'] as const

async function start (t: Teardown, transport: Transport, hook: typeof HOOKS[number], hijack: Hijack, options: WebSocketPluginOptions = {}): Promise<{ app: FastifyInstance, port: number }> {
  const app = Fastify({ ...transport.options, forceCloseConnections: false } as object) as FastifyInstance
  t.teardown(() => app.close())
  if (hook === 'onRequest before the plugin') app.addHook('onRequest', async (request, reply) => { if (request.url === '/') await hijack(request, reply) })
  await app.register(websocket, { handshakeTimeout: 60_000, closeTimeout: 60_000, ...options })
  for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
    if (name === hook) app.addHook(name as 'onRequest', async (request: FastifyRequest, reply: FastifyReply) => { if (request.url === '/') await hijack(request, reply) })
  }
  if (hook === 'error handler') {
    app.setErrorHandler(async (_error, request, reply) => { await hijack(request, reply) })
    app.addHook('preHandler', async () => { throw new Error('boom') })
  }
  const websocketOptions = { maxConnections: 1 }
  if (hook === 'not found') app.setNotFoundHandler(async (request, reply) => { await hijack(request, reply) })
  else if (hook === 'preHandler of the route') app.get('/', { websocket: websocketOptions, preHandler: async (request, reply) => { await hijack(request, reply) } }, () => { t.teardown(() => { throw new Error('handled') }) })
  else app.get('/', { websocket: websocketOptions }, () => { t.teardown(() => { throw new Error('handled') }) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: (app.server.address() as AddressInfo).port }
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const hook of HOOKS) {
    t.test(`${name}, ${hook}: the socket is the app's, with all that came on it, and nothing of ours`, async t => {
      for (const awaits of [false, true]) {
        for (const size of [0, 1, 20_000, 200_000]) {
          const label = `${awaits ? 'after' : 'before'} an await, ${size} bytes before`
          const early = randomBytes(size)
          const outlivesTimeout = size === 0 && hook === 'onRequest'
          let socket!: Duplex
          const got: Buffer[] = []
          const { app, port } = await start(t, transport, hook, async (request, reply) => {
            // Time for what is sent early to come.
            if (awaits) await turns(outlivesTimeout ? 2 : 40)
            reply.hijack()
            socket = transport.accept(request)
            await turns(1)
            socket.on('data', (chunk: Buffer) => got.push(chunk))
          }, { handshakeTimeout: outlivesTimeout ? 400 : 60_000 })
          const client = await transport.ask(t, port, early)
          await transport.accepted(client)
          const late = Buffer.from('and later')
          client.write(late)
          while (Buffer.concat(got).length < size + late.length) await turns(1)
          t.ok(Buffer.concat(got).equals(Buffer.concat([early, late])), `${label}: nothing is lost, doubled or out of order`)
          t.equal(socket.listenerCount('data'), 1, 'only the app reads')
          t.equal(app.websocketServer.stats.pending, 0, 'its place is given back')
          t.match(app.websocketServer.stats.refused, { hijacked: 1 })
          if (outlivesTimeout) {
            await wait(500)
            socket.write('mine')
            t.equal((await client.bytes(4)).toString(), 'mine', `${label}: nothing but what the app writes`)
            t.equal(client.received.length, 0)
          }
          socket.end('bye')
          t.equal((await client.bytes(3)).toString(), 'bye')
          client.end()
          await client.closed
          await app.close()
        }
      }
    })
  }

  t.test(`${name}: app.close() waits for the app to end what it has hijacked, and destroys it after closeTimeout`, async t => {
    for (const endsItself of [true, false]) {
      let socket!: Duplex
      const { app, port } = await start(t, transport, 'onRequest', (request, reply) => {
        reply.hijack()
        socket = transport.accept(request)
        socket.resume()
      }, { closeTimeout: endsItself ? 60_000 : 150, ...(endsItself ? { preClose: async () => { setImmediate(() => socket.end('bye')) } } : {}) })
      const client = await transport.ask(t, port, Buffer.alloc(0))
      await transport.accepted(client)
      client.socket.on('end', () => client.end())
      client.socket.once('close', () => { if ('session' in client.socket) (client.socket as ClientHttp2Stream).session?.close() })
      await app.close()
      t.ok(socket.destroyed || socket.writableFinished)
      if (endsItself) t.equal(client.received.toString(), 'bye')
      await client.closed
    }
  })

  t.test(`${name}: a client that ends or resets is the app's to hear, and does not end the process`, async t => {
    for (const way of ['ends', 'is destroyed']) {
      const events: string[] = []
      let socket!: Duplex
      const { app, port } = await start(t, transport, 'preHandler', (request, reply) => {
        reply.hijack()
        socket = transport.accept(request)
        for (const event of ['end', 'close']) socket.on(event, () => events.push(event))
        socket.resume()
      })
      const client = await transport.ask(t, port, Buffer.alloc(0))
      await transport.accepted(client)
      if (way === 'ends') {
        client.end()
        while (!events.includes('end')) await turns(1)
        // Node ends the server's side of TLS by itself.
        if (name !== 'TLS') t.equal(socket.writableEnded, false, 'nobody has ended it for the app')
        socket.end()
      } else if ('resetAndDestroy' in client.socket && name === 'TCP') {
        (client.socket as Socket).resetAndDestroy()
      } else {
        client.destroy()
      }
      while (!events.includes('close')) await turns(1)
      await client.closed
      await app.close()
      t.strictSame(app.websocketServer.stats.pending, 0)
    }
  })

  t.test(`${name}: an app that hijacks and answers by reply.raw`, async t => {
    for (const later of [false, true]) {
      const { app, port } = await start(t, transport, 'onRequest', async (_request, reply) => {
        reply.hijack()
        if (later) await turns(3)
        reply.raw.writeHead(418, { 'Content-Type': 'text/plain' })
        reply.raw.end('teapot')
      })
      const client = await transport.ask(t, port, Buffer.from('unread'))
      if (name === 'HTTP/2') {
        t.equal((await responseHeaders(client.socket as ClientHttp2Stream)).status, 418)
        t.equal((await client.bytes(6)).toString(), 'teapot')
        client.end()
      } else {
        const { status, body } = await client.response()
        t.equal(status, 418)
        t.match(body, /teapot/)
        t.equal(await client.ended, true, 'the connection ends, as the answer says')
        client.end()
      }
      await client.closed
      await app.close()
    }
  })
}

t.test('a reply of a plain request is hijacked as before, and the decorated method is chained', async t => {
  const { app, port } = await start(t, TRANSPORTS.TCP!, 'onRequest', () => {})
  app.server.close()
  await app.close()
  const other = Fastify() as FastifyInstance
  t.teardown(() => other.close())
  await other.register(async instance => {
    await instance.register(websocket)
    await instance.register(async inner => {
      inner.get('/http', (_request, reply) => {
        t.equal(reply.hijack(), reply)
        t.equal(reply.sent, true)
        reply.raw.end('mine')
      })
    })
  })
  await other.listen({ port: 0, host: '127.0.0.1' })
  const response = await fetch(`http://127.0.0.1:${(other.server.address() as AddressInfo).port}/http`)
  t.equal(await response.text(), 'mine')
  t.ok(port > 0)
})
