import type { FastifyRequest } from 'fastify'
import type { Duplex, Writable } from 'node:stream'
import { constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { certificate } from '../support/certificate.js'
import { startApp, type Teardown, type TestApp } from '../support/app.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'

// A socket is handed over several times: from Node to the pending upgrade, from there to the connection. `end`, `close` and
// `error` come once, and may come at any of these moments: whoever has the socket then must hear it.

interface Client {
  raw: RawClient
  /** Sends the request, behind another if it is pipelined; resolves when it was answered. */
  ask (isPipelined: boolean): Promise<unknown>
}

interface Transport {
  options: Parameters<typeof startApp>[3]
  connect (t: Teardown, port: number): Promise<Client>
  ends: Record<string, (client: RawClient, server: Duplex) => unknown>
  /** Whether a hook can hold back what is written. */
  corks: boolean
}

function http1 (connect: (port: number) => Promise<RawClient>): Transport['connect'] {
  return async (_t, port) => {
    const raw = behave(await connect(port))
    return {
      raw,
      async ask (isPipelined) {
        raw.write(`${isPipelined ? 'GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n' : ''}${upgradeRequest()}`)
        return await raw.head()
      }
    }
  }
}

/** A stream that is asked for when the client asks: its session is there before. */
function http2 (scheme: string): Transport['connect'] {
  return async (t, port) => {
    const session = await connectHttp2(t, `${scheme}://127.0.0.1:${port}`, { ca: certificate.cert, servername: 'localhost' })
    const client: Client = {
      raw: null as never,
      async ask () {
        const stream = extendedConnect(session)
        client.raw = behave(new RawClient(stream))
        stream.on('close', () => session.close())
        return await responseHeaders(stream)
      }
    }
    return client
  }
}

const ENDS: Transport['ends'] = {
  'ends its side': client => client.end(),
  'sends frames and ends its side': client => {
    client.write(Buffer.concat([text('1'), text('2')]))
    client.end()
  },
  'sends a Close frame and ends its side': client => {
    client.write(close(3000))
    client.end()
  },
  'is destroyed': client => client.destroy(),
  'is dropped by the app': (_client, socket) => socket.destroy(),
  'is dropped by the app with a FIN': (_client, socket) => socket.end()
}

const streamOf = ({ socket }: RawClient): ClientHttp2Stream => socket as ClientHttp2Stream
const sessionOf = (client: RawClient): ClientHttp2Session => streamOf(client).session as ClientHttp2Session

const HTTP2_ENDS: Transport['ends'] = {
  ...ENDS,
  'resets with NO_ERROR': client => streamOf(client).close(constants.NGHTTP2_NO_ERROR),
  'resets with CANCEL': client => streamOf(client).close(constants.NGHTTP2_CANCEL),
  'resets with INTERNAL_ERROR': client => streamOf(client).close(constants.NGHTTP2_INTERNAL_ERROR),
  'sends frames and resets with NO_ERROR': client => {
    client.write(text('1'))
    setImmediate(() => streamOf(client).close(constants.NGHTTP2_NO_ERROR))
  },
  'destroys its session': client => sessionOf(client).destroy()
}

const TRANSPORTS: Record<string, Transport> = {
  TCP: {
    options: {},
    connect: http1(port => RawClient.connect(port)),
    ends: { ...ENDS, 'resets the connection': client => (client.socket as Socket).resetAndDestroy() },
    corks: true
  },
  TLS: { options: { https: certificate }, connect: http1(connectSecure), ends: ENDS, corks: true },
  'HTTP/2': { options: { http2: true }, connect: http2('http'), ends: HTTP2_ENDS, corks: false },
  'HTTP/2 over TLS': { options: { http2: true, https: certificate }, connect: http2('https'), ends: HTTP2_ENDS, corks: false }
}

type Moment = 'pipelined' | 'onRequest' | 'preHandler' | 'onSend' | 'behind the answer' | 'handler' | 'after the answer'

const MOMENTS: Moment[] = ['pipelined', 'onRequest', 'preHandler', 'onSend', 'behind the answer', 'handler', 'after the answer']

function serverSocketOf ({ raw }: FastifyRequest): Duplex {
  return 'stream' in raw ? raw.stream as Duplex : raw.socket
}

/** Resolves when the server's socket has seen that the client ended, or has had the time for it. */
async function seen (socket: Duplex): Promise<void> {
  await Promise.race([turns(60), ...['end', 'close', 'aborted'].map(event => new Promise(resolve => socket.once(event, resolve)))])
  await turns(3)
}

/** Holds back what is written, as a client does that does not read. @returns a function that lets it go */
function stall (socket: Writable): () => void {
  const { _write: write } = socket
  let release = (): void => {}
  socket._write = (...args) => {
    release = () => write.apply(socket, args)
  }
  return () => {
    socket._write = write
    release()
  }
}

interface Log {
  app: TestApp['app']
  handled: number
  closed: number[]
  messages: string[]
  client: Client
  /** Resolves when the client has acted. */
  acted: Promise<void>
}

/** A client that does something at a moment of its handshake. */
async function play (t: Teardown, transport: Transport, moment: Moment, end: Transport['ends'][string], refuses: boolean): Promise<Log> {
  let act!: () => void
  const log: Log = { app: null as never, handled: 0, closed: [], messages: [], client: null as never, acted: new Promise(resolve => { act = resolve }) }
  const now = async (at: Moment, request: FastifyRequest): Promise<void> => {
    if (at !== moment) return
    const socket = serverSocketOf(request)
    end(log.client.raw, socket)
    await seen(socket)
    act()
  }
  let socket: Duplex
  const { app, port } = await startApp(t, app => {
    app.addHook('onRequest', async request => {
      socket = serverSocketOf(request)
      await now('onRequest', request)
    })
    app.get('/slow', async request => {
      await now('pipelined', request)
      return 'slow'
    })
    app.get('/', {
      websocket: { maxConnections: 1, heartbeat: false },
      preHandler: async (request, reply) => {
        await now('preHandler', request)
        if (refuses) await reply.code(403).send({ why: 'no' })
      },
      onSend: async (request, reply) => {
        if (moment === 'behind the answer' && transport.corks) {
          const release = stall(reply.raw.socket!)
          setImmediate(() => {
            now('behind the answer', request).finally(release)
          })
        }
        await now('onSend', request)
      }
    }, connection => {
      log.handled++
      connection.on('message', data => log.messages.push(String(data)))
      connection.on('close', code => log.closed.push(code))
      if (moment === 'handler') {
        end(log.client.raw, socket)
        act()
      }
    })
  }, { closeTimeout: 60_000, handshakeTimeout: 60_000 }, transport.options)
  log.app = app
  log.client = await transport.connect(t, port)
  const answered = log.client.ask(moment === 'pipelined').then(() => true, () => false)
  if (moment === 'after the answer' || (moment === 'behind the answer' && !transport.corks)) {
    if (await answered) end(log.client.raw, socket!)
    act()
  }
  await log.acted
  return log
}

/** Answers our Close frame and our FIN, as any client does. */
function behave (client: RawClient): RawClient {
  client.socket.on('end', () => client.end())
  return client
}

const LATE = 5000

async function inTime (promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => { timer = setTimeout(resolve, LATE, false) })
  const result = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return result
}

async function isEmpty ({ websocketServer }: TestApp['app']): Promise<void> {
  const start = performance.now()
  while (websocketServer.stats.open + websocketServer.stats.pending > 0 && performance.now() - start < LATE) await turns(1)
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  const cells = MOMENTS.flatMap(moment => [false, true].map(refuses => ({ moment, refuses })))
  for (const { moment, refuses } of cells) {
    if ((moment === 'handler' && refuses) || (moment === 'pipelined' && !transport.corks)) continue
    t.test(`${name}, ${moment}${refuses ? ', refused' : ''}: a client that leaves leaves nothing behind`, async t => {
      for (const [way, end] of Object.entries(transport.ends)) {
        const log = await play(t, transport, moment, end, refuses)
        const { app, client, closed, messages } = log
        const gone = await inTime(client.raw.closed) && await inTime(isEmpty(app))
        t.ok(gone, `${way}: the connection ends, and its place is given back`)
        const closing = performance.now()
        t.ok(await inTime(app.close()), `${way}: app.close() does not wait`)
        t.ok(performance.now() - closing < LATE)
        await turns(2)
        const { handled } = log
        t.equal(closed.length, handled, `${way}: close is emitted once`)
        t.ok(handled <= 1)
        const { opened, refused, open, pending } = app.websocketServer.stats
        t.strictSame([opened + Object.values(refused).reduce((sum, count) => sum + count, 0), open, pending], [1, 0, 0], `${way}: it became a connection or was refused`)
        if (messages.length > 0) t.strictSame(messages, ['1', '2'].slice(0, messages.length))
        client.raw.destroy()
      }
    })
  }
}

for (const http2 of [false, true]) {
  const name = http2 ? 'HTTP/2' : 'HTTP/1.1'
  const drops: Record<string, (socket: Duplex) => unknown> = {
    'destroys the socket': socket => socket.destroy(),
    'ends the socket': socket => socket.end()
  }

  t.test(`injectWS over ${name}: a hook that drops the socket makes it reject`, async t => {
    for (const [way, drop] of Object.entries(drops)) {
      for (const hook of ['onRequest', 'preHandler', 'onSend'] as const) {
        const { app } = await startApp(t, app => {
          app.get('/', { websocket: true, [hook]: async (request: FastifyRequest) => { drop(serverSocketOf(request)) } }, () => {})
        }, { closeTimeout: 60_000, handshakeTimeout: 60_000 }, { http2 })
        const opened = app.injectWS('/').then(async connection => {
          // The drop was later than the answer: then it is an end like any other.
          if (connection.readyState !== connection.CLOSED) await new Promise(resolve => connection.once('close', resolve))
        }, () => {})
        t.ok(await inTime(opened), `${hook} ${way}`)
        t.ok(await inTime(app.close()), `${hook} ${way}: app.close() does not wait`)
        t.equal(app.websocketServer.stats.open + app.websocketServer.stats.pending, 0)
      }
    }
  })

  t.test(`injectWS over ${name}: a handler that ends at once, in each way, is heard on both sides`, async t => {
    const ends: Record<string, (connection: WebSocketConnection, socket: Duplex) => unknown> = {
      ...Object.fromEntries(Object.entries(drops).map(([way, drop]) => [way, (_: unknown, socket: Duplex) => drop(socket)])),
      closes: connection => connection.close(),
      terminates: connection => connection.terminate(),
      throws: () => { throw new Error('boom') }
    }
    for (const [way, end] of Object.entries(ends)) {
      const closes: string[] = []
      const { app } = await startApp(t, app => {
        app.get('/', { websocket: true }, (connection, request) => {
          connection.on('close', () => closes.push('server'))
          end(connection, serverSocketOf(request))
        })
      }, { closeTimeout: 60_000 }, { http2 })
      const client = await app.injectWS('/').catch(() => null)
      if (client !== null) {
        t.ok(await inTime(new Promise<void>(resolve => client.on('close', () => {
          closes.push('client')
          resolve()
        }))), `${way}: the client hears it`)
      }
      t.ok(await inTime(app.close()), `${way}: app.close() does not wait`)
      await turns(2)
      t.strictSame(closes.sort(), client === null ? ['server'] : ['client', 'server'], way)
    }
  })
}
