import type { Duplex } from 'node:stream'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { InjectedWebSocket } from '../../types/injected.js'
import type { InjectWSContext, InjectWSOptions } from '../../types/fastify.js'
import { captureContext, runInContext } from '../async-context.js'
import { Connection, sessionOf } from '../connection/connection.js'
import type { ConnectionSettings } from '../connection/settings.js'
import { plainJson } from '../connection/json-messages.js'
import { isHttp2Server } from '../upgrade/http2/listener.js'
import type { InjectingClient } from './handshake.js'
import { createHttp1Client } from './http1-client.js'
import { createHttp2Client } from './http2-client.js'
import { MemorySocket } from './socket-pair.js'
import type { PendingUpgrades } from '../upgrade/upgrades.js'

const DEFAULT_HOST = 'localhost:80'

export type InjectWS = (path?: string, context?: InjectWSContext, options?: InjectWSOptions) => Promise<InjectedWebSocket>

/**
 * Makes `app.injectWS`: a real HTTP server, parser and all, on a pair of in-memory streams, so that the request is
 * what Fastify knows, of the version that the app speaks.
 */
export function createInjectWS (fastify: FastifyInstance, upgrades: PendingUpgrades, closeTimeout: number): InjectWS {
  const settings: ConnectionSettings = { role: 'client', maxPayload: Infinity, maxBufferedAmount: Infinity, rateLimit: null, closeTimeout, json: plainJson, onInvalidMessage: null }
  const isSecure = fastify.initialConfig.https !== undefined && fastify.initialConfig.https !== false
  let client: InjectingClient | null = null

  return async function injectWS (path = '/', context = {}, options = {}) {
    await getReady(fastify)
    client ??= isHttp2Server(fastify.server) ? createHttp2Client(upgrades) : createHttp1Client(fastify.routing, upgrades)
    const { protocols = [], remoteAddress = '127.0.0.1' } = context
    const [clientSocket, serverSocket] = createSocketPair(remoteAddress, isSecure)

    const offered = typeof protocols === 'string' ? protocols : protocols.join(', ')
    const headers: OutgoingHttpHeaders = { host: DEFAULT_HOST, ...context.headers, 'sec-websocket-version': '13' }
    if (offered !== '') headers['sec-websocket-protocol'] = offered
    // This client knows none, and could not read what was agreed on.
    for (const name of Object.keys(headers)) if (name.toLowerCase() === 'sec-websocket-extensions') Reflect.deleteProperty(headers, name)

    const caller = captureContext()
    return new Promise((resolve, reject) => client!({ path, headers, clientSocket, serverSocket }, {
      onAccepted: (socket, answer, early) => runInContext(caller, () => {
        const protocol = answer['sec-websocket-protocol'] ?? ''
        const extensions = answer['sec-websocket-extensions'] ?? ''
        const url = `${isSecure ? 'wss' : 'ws'}://${String(headers.host)}${path}`
        const connection = new Connection(socket, settings, { protocol, extensions, url, context: caller, deflate: null }, null)
        const client = connection as unknown as InjectedWebSocket
        if (options.onOpen !== undefined) connection.once('open', () => options.onOpen!(client))
        options.onInit?.(client)
        sessionOf(connection).begin(early)
        connection.emit('open')
        resolve(client)
      }, undefined),
      onFailed: reject
    }))
  }
}

/** Creates two connected sockets that have the members Fastify, Node and plugins ask a socket for. */
function createSocketPair (remoteAddress: string, encrypted: boolean): [client: Duplex, server: Duplex] {
  const [client, server] = MemorySocket.pair()
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
  return [client, server]
}

/** The promise of `ready()` fails in a scope of an app that is ready already: avvio 9 then uses a variable before it is there. */
function getReady (fastify: FastifyInstance): Promise<void> {
  return new Promise((resolve, reject) => {
    fastify.ready(error => {
      if (error === null || error === undefined) resolve()
      else reject(error)
    })
  })
}
