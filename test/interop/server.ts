import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { EventEmitter, once } from 'node:events'
import type { ListenOptions } from 'node:net'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { Inbox, type CloseEvent } from './clients/client.js'

export const MAX_PAYLOAD = 8 * 1024 * 1024

/** The bodies of the 401s: a usual one, and more than the buffers on the way hold. */
export const REFUSAL = JSON.stringify({ error: 'no ticket' })
export const LARGE_REFUSAL = JSON.stringify({ error: 'no ticket', padding: '.'.repeat(3 * 1024 * 1024) })

export const LARGE = 5 * 1024 * 1024

export interface InteropServer {
  app: FastifyInstance
  /** How the next connection to end ended, as the server saw it. */
  nextClose (): Promise<CloseEvent>
  /** The status of the next answer to a request for this path. Some clients ask again after a 401. */
  statusOf (path: string): Promise<number>
}

interface CloseRoute {
  Querystring: { code?: number, reason?: string }
}

/** A server with all that the clients' suite needs. Closed when the test ends. */
export async function startInteropServer (
  t: Teardown,
  listen: ListenOptions = { host: '127.0.0.1', port: 0 },
  options: FastifyServerOptions & { http2?: boolean, https?: { cert: string, key: string, allowHTTP1?: boolean } } = {},
  pluginOptions: WebSocketPluginOptions = {}
): Promise<InteropServer> {
  const app = Fastify(options as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  const closes = new Inbox()
  const answers = new EventEmitter()
  await app.register(websocket, { maxPayload: MAX_PAYLOAD, ...pluginOptions })
  app.websocketServer.on('connection', connection => {
    connection.on('close', (code: number, reason: Buffer) => closes.push(JSON.stringify({ code, reason: reason.toString() })))
  })
  app.addHook('onResponse', async (request, reply) => {
    answers.emit(request.url, reply.statusCode)
  })

  const page = '<!doctype html><title>interop</title><link rel="icon" href="data:,">'
  app.get('/page', (_request, reply) => reply.type('text/html').send(page))
  // A page whose origin is `null`.
  app.get('/sandboxed', (_request, reply) => reply.header('Content-Security-Policy', 'sandbox allow-scripts').type('text/html').send(page))

  app.get('/echo', { websocket: true }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })

  app.get('/small', { websocket: { maxPayload: 1024 } }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })

  app.get<CloseRoute>('/close', {
    websocket: true,
    schema: { querystring: { type: 'object', properties: { code: { type: 'integer' }, reason: { type: 'string' } } } }
  }, (connection, request) => connection.close(request.query.code, request.query.reason))

  // A large message and the Close frame right behind it.
  app.get('/last-words', { websocket: true }, connection => {
    connection.send(Buffer.alloc(LARGE, 'last words '))
    connection.close(4001, 'that was all, \u{1f44b}')
  })

  app.get('/ping', { websocket: true }, connection => {
    connection.on('pong', data => connection.send(`ponged ${data.toString()}`))
    connection.ping('are you there? \u{1f440}')
  })

  app.get('/protocols', { websocket: { protocols: ['feed.v2', 'feed.v1'] } }, connection => {
    connection.send(`speaking ${connection.protocol}`)
  })

  for (const [url, body] of [['/private', REFUSAL], ['/private/large', LARGE_REFUSAL]] as const) {
    app.get(url, {
      websocket: true,
      onRequest: async (_request, reply) => reply.code(401).header('WWW-Authenticate', 'Bearer').type('application/json').send(body)
    }, connection => connection.send('secret'))
  }

  app.get('/cookie', {
    websocket: true,
    onRequest: async (_request, reply) => { reply.header('Set-Cookie', 'visits=1; Path=/') }
  }, connection => connection.close(1000))

  app.get('/about-me', { websocket: true }, (connection, request) => {
    const { ip, protocol, host, hostname } = request
    connection.send(JSON.stringify({ ip, protocol, host, hostname, url: connection.url }))
  })

  await app.listen(listen)
  return {
    app,
    nextClose: async () => JSON.parse(await closes.next() as string) as CloseEvent,
    statusOf: async path => (await once(answers, path))[0] as number
  }
}
