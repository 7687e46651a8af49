import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { WebSocket, type ClientOptions } from 'ws'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import { close, RawClient, text, type RawResponse } from '../support/raw-client.js'

/** When a neighbour gets onto the server. */
export const ORDERS = ['before our plugin', 'after our plugin', 'after listen'] as const
export type Order = typeof ORDERS[number]

export interface Beside {
  app: FastifyInstance
  port: number
  url: string
}

export interface BesideOptions {
  plugin?: WebSocketPluginOptions
  fastify?: FastifyServerOptions
  host?: string
  /** More routes. */
  configure?: (app: FastifyInstance) => unknown
}

/** An app with our plugin and a neighbour that comes at the given time. It has the routes of `addRoutes`. */
export async function startBeside (
  t: Pick<Test, 'teardown'>,
  order: Order,
  attach: (app: FastifyInstance) => unknown,
  { plugin = {}, fastify = {}, host = '127.0.0.1', configure }: BesideOptions = {}
): Promise<Beside> {
  const app = Fastify(fastify) as FastifyInstance
  t.teardown(() => app.close())
  if (order === 'before our plugin') await attach(app)
  await app.register(websocket, { closeTimeout: 500, ...plugin })
  if (order === 'after our plugin') await attach(app)
  addRoutes(app)
  await configure?.(app)
  await app.listen({ port: 0, host })
  if (order === 'after listen') await attach(app)
  const { port } = app.server.address() as AddressInfo
  return { app, port, url: `ws://127.0.0.1:${port}` }
}

/** Longer than engine.io waits (1 s) before it ends a socket on which nothing was written. */
const SLOW = 1500

/** `/ws` and `/slow` echo, `/refused` has a hook that replies, `/http` is HTTP only and tells what it got. */
function addRoutes (app: FastifyInstance): void {
  app.get('/ws', { websocket: true }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
  app.get('/slow', {
    websocket: true,
    preValidation: () => new Promise(resolve => setTimeout(resolve, SLOW))
  }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
  app.get('/refused', {
    websocket: true,
    preValidation: async (_request, reply) => reply.code(403).send({ refused: 'by a hook' })
  }, () => { throw new Error('refused, and yet called') })
  app.route({
    method: ['GET', 'POST'],
    url: '/http',
    handler: async request => ({ method: request.method, body: request.body ?? null })
  })
}

/**
 * One echo over raw bytes, with a frame behind the request in one packet, and the close handshake: whatever
 * anybody else wrote to this socket, or took from it, shows.
 */
export async function checkExactBytes (t: Test, port: number, path: string): Promise<void> {
  const client = await RawClient.open(port, path, {}, text('early'))
  client.write(Buffer.concat([text('late'), close(1000)]))
  await client.ended
  t.equal(client.received.toString('latin1'), '\x81\x05early\x81\x04late\x88\x02\x03\xe8', `${path}: nothing but our frames`)
  client.end()
  await client.closed
}

/** The refusal of an upgrade, of which nothing may be missing and behind which nothing may come. */
export async function refusal (port: number, request: string | Buffer): Promise<RawResponse> {
  const client = await RawClient.connect(port)
  client.write(request)
  const response = await client.response()
  if (!await client.ended) throw new Error('reset')
  if (client.received.length > 0) throw new Error(`behind the answer came ${JSON.stringify(client.received.toString('latin1'))}`)
  client.end()
  await client.closed
  return response
}

/** An open `ws` client, and the headers of its 101. */
export async function openWs (
  t: Pick<Test, 'teardown'>, url: string, protocols: string[] = [], options: ClientOptions = {}
): Promise<{ client: WebSocket, headers: Record<string, string | string[] | undefined>, messages: AsyncIterator<string> }> {
  const client = new WebSocket(url, protocols, options)
  t.teardown(() => client.terminate())
  const messages = messagesOf(client)
  const opened = once(client, 'open')
  const [[response]] = await Promise.all([once(client, 'upgrade'), opened])
  return { client, headers: response.headers, messages }
}

/** From now on, so that none is lost. */
function messagesOf (client: WebSocket): AsyncIterator<string> {
  const waiting: string[] = []
  let wake = (): void => {}
  client.on('message', data => {
    waiting.push(String(data))
    wake()
  })
  client.on('close', () => wake())
  return {
    async next () {
      while (waiting.length === 0) {
        if (client.readyState === WebSocket.CLOSED) return { done: true, value: undefined }
        await new Promise<void>(resolve => { wake = resolve })
      }
      return { done: false, value: waiting.shift()! }
    }
  }
}

/** What comes back for a message. */
export async function echoOver (t: Pick<Test, 'teardown'>, url: string, message: string, options: ClientOptions = {}): Promise<string> {
  const { client, messages } = await openWs(t, url, [], options)
  client.send(message)
  const { value } = await messages.next()
  client.close()
  await once(client, 'close')
  return value
}

/** Guard against a close that hangs: far above what is allowed, far below the suite's timeout. */
export async function closesWithin (milliseconds: number, app: FastifyInstance): Promise<boolean> {
  let timer: NodeJS.Timeout
  const late = new Promise<boolean>(resolve => { timer = setTimeout(() => resolve(false), milliseconds) })
  return Promise.race([app.close().then(() => true), late]).finally(() => clearTimeout(timer))
}
