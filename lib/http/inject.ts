import { createServer, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type Server as HttpServer } from 'node:http'
import { duplexPair, type Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection } from '../../types/connection.js'
import type { InjectWSContext, InjectWSError, InjectWSOptions } from '../../types/fastify.js'
import { Connection, type ConnectionSettings } from '../connection/connection.js'
import { plainJson } from '../connection/json-messages.js'
import { createKey, verifyAccept } from '../protocol/handshake.js'
import type { UpgradeListener } from './upgrade-listener.js'

const DEFAULT_HOST = 'localhost:80'

/** What the request of `injectWS` was answered with instead of 101. */
export class UnexpectedResponseError extends Error implements InjectWSError {
  readonly code = 'FST_WS_ERR_UNEXPECTED_RESPONSE'
  readonly statusCode: number
  readonly headers: IncomingMessage['headers']
  readonly body: string

  constructor (response: IncomingMessage, body: string) {
    super(`Unexpected server response: ${response.statusCode}`)
    this.statusCode = response.statusCode!
    this.headers = response.headers
    this.body = body
  }
}

export type InjectWS = (path?: string, context?: InjectWSContext, options?: InjectWSOptions) => Promise<WebSocketConnection>

/**
 * Makes `app.injectWS`: a real HTTP server, parser and all, on a pair of in-memory streams, so that the request is
 * what Fastify knows. It is one of its own, since the app's may speak TLS or HTTP/2.
 */
export function createInjectWS (fastify: FastifyInstance, listener: UpgradeListener, closeTimeout: number): InjectWS {
  const settings: ConnectionSettings = { role: 'client', maxPayload: Infinity, maxBufferedAmount: Infinity, rateLimit: null, closeTimeout, json: plainJson, onInvalidMessage: null }
  const isSecure = fastify.initialConfig.https !== undefined && fastify.initialConfig.https !== false
  let server: HttpServer | null = null

  return async function injectWS (path = '/', context = {}, options = {}) {
    await fastify.ready()
    server ??= createServer((request, response) => fastify.routing(request, response))
      .on('upgrade', (request, socket, head) => listener.handle(request, socket, head))
    const { protocols = [], remoteAddress = '127.0.0.1' } = context
    const [clientSocket, serverSocket] = createSocketPair(remoteAddress, isSecure)
    server.emit('connection', serverSocket)

    const key = createKey()
    const offered = typeof protocols === 'string' ? protocols : protocols.join(', ')
    const headers: OutgoingHttpHeaders = {
      host: DEFAULT_HOST,
      ...context.headers,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': key
    }
    if (offered !== '') headers['sec-websocket-protocol'] = offered
    // This client knows none, and could not read what was agreed on.
    for (const name of Object.keys(headers)) if (name.toLowerCase() === 'sec-websocket-extensions') Reflect.deleteProperty(headers, name)

    return new Promise((resolve, reject) => {
      const request = httpRequest({ path, headers, createConnection: () => clientSocket })
      request.on('error', reject)
      request.on('response', response => {
        readBody(response).then(body => reject(new UnexpectedResponseError(response, body)), reject)
      })
      request.on('upgrade', (response: IncomingMessage, _socket: Duplex, head: Buffer) => {
        if (!verifyAccept(key, response.headers['sec-websocket-accept'])) {
          clientSocket.destroy()
          return reject(new Error('the server sent a wrong Sec-WebSocket-Accept'))
        }
        const protocol = response.headers['sec-websocket-protocol'] ?? ''
        const extensions = response.headers['sec-websocket-extensions'] ?? ''
        const url = `${isSecure ? 'wss' : 'ws'}://${String(headers.host)}${path}`
        const connection = new Connection(clientSocket, settings, { protocol, extensions, url, deflate: null }, null)
        if (options.onOpen !== undefined) connection.once('open', () => options.onOpen!(connection))
        options.onInit?.(connection)
        connection._begin([head])
        connection.emit('open')
        resolve(connection)
      })
      request.end()
    })
  }
}

async function readBody (response: IncomingMessage): Promise<string> {
  let body = ''
  response.setEncoding('utf8')
  for await (const chunk of response) body += chunk
  return body
}

/** What Fastify, Node and plugins ask a socket for. */
function createSocketPair (remoteAddress: string, encrypted: boolean): [client: Duplex, server: Duplex] {
  const [client, server] = duplexPair()
  const returnThis = function (this: Duplex): Duplex { return this }
  for (const socket of [client, server]) {
    Object.assign(socket, { setTimeout: returnThis, setNoDelay: returnThis, setKeepAlive: returnThis, ref: returnThis, unref: returnThis })
  }
  Object.assign(server, {
    remoteAddress,
    remotePort: 1,
    remoteFamily: remoteAddress.includes(':') ? 'IPv6' : 'IPv4',
    localAddress: remoteAddress,
    localPort: encrypted ? 443 : 80,
    encrypted
  })
  destroyWith(client, server)
  destroyWith(server, client)
  return [client, server]
}

/** One end that is destroyed before it has ended is to the other like a connection reset. */
function destroyWith (socket: Duplex, other: Duplex): void {
  socket.once('close', () => {
    if (!socket.writableFinished || !socket.readableEnded) other.destroy()
  })
}
