import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { RawClient } from '../support/raw-client.js'
import { connectSecure, gate, turns } from '../support/server-sockets.js'

// A connection breaks off while messages are being written. Each callback of `send` is called exactly once, in the order of
// the calls, and with an error from some message on.

/** The other side of a connection, which does not read. */
interface Peer {
  /** Its connection, if it has one. */
  connection?: WebSocketConnection
  breakOff: () => unknown
  reset?: () => unknown
  destroySession?: () => unknown
}

type Headers = Record<string, string>

interface Transport {
  fastify?: object
  open: (t: Teardown, app: FastifyInstance, port: number, headers: Headers) => Promise<Peer>
}

function fromRaw (t: Teardown, client: RawClient, ways: Partial<Peer>): Peer {
  t.teardown(() => client.destroy())
  client.socket.on('error', () => {})
  client.socket.pause()
  return { breakOff: () => client.destroy(), ...ways }
}

async function openStream (t: Teardown, url: string, headers: Headers, options = {}): Promise<Peer> {
  const session = await connectHttp2(t, url, options)
  session.on('error', () => {})
  const client = await openHttp2(session, '/', headers)
  return fromRaw(t, client, { reset: () => client.socket.close(constants.NGHTTP2_CANCEL), destroySession: () => session.destroy() })
}

async function inject (t: Teardown, app: FastifyInstance, _port: number, headers: Headers): Promise<Peer> {
  const connection = await app.injectWS('/', { headers })
  t.teardown(() => connection.terminate())
  connection.pause()
  return { connection, breakOff: () => connection.terminate() }
}

const TRANSPORTS: Record<string, Transport> = {
  TCP: {
    async open (t, _app, port, headers) {
      const client = await RawClient.open(port, '/', headers)
      return fromRaw(t, client, { reset: () => (client.socket as Socket).resetAndDestroy() })
    }
  },
  TLS: {
    fastify: { https: certificate },
    async open (t, _app, port, headers) {
      const client = await connectSecure(port)
      await client.upgrade('/', headers)
      return fromRaw(t, client, {})
    }
  },
  'HTTP/2': { fastify: { http2: true }, open: (t, _app, port, headers) => openStream(t, `http://127.0.0.1:${port}`, headers) },
  'HTTP/2 over TLS': {
    fastify: { http2: true, https: certificate },
    open: (t, _app, port, headers) => openStream(t, `https://127.0.0.1:${port}`, headers, { ca: certificate.cert })
  },
  injectWS: { open: inject },
  'injectWS over HTTP/2': { fastify: { http2: true }, open: inject }
}

interface Sides { app: FastifyInstance, sender: WebSocketConnection, peer: Peer }

/** Breaks the connection off; `undefined` where the transport has no such way. */
const ENDS: Record<string, (sides: Sides) => (() => unknown) | undefined> = {
  'the peer destroys its socket': ({ peer }) => peer.breakOff,
  'the peer resets': ({ peer }) => peer.reset,
  'the peer destroys its session': ({ peer }) => peer.destroySession,
  'terminate()': ({ sender }) => () => sender.terminate(),
  'close() and terminate()': ({ sender }) => () => {
    sender.close()
    sender.terminate()
  },
  'app.close() runs out of time': ({ app }) => () => { app.close() },
  'the socket fails': ({ sender }) => () => sessionOf(sender as Connection).socket.destroy(new Error('a broken line')),
  'the session is destroyed': ({ sender }) => {
    const { session } = sessionOf(sender as Connection).socket as ServerHttp2Stream
    return session === undefined ? undefined : () => session.destroy()
  }
}

const DEFLATE = { 'sec-websocket-extensions': 'permessage-deflate' }

for (const [transport, { fastify = {}, open }] of Object.entries(TRANSPORTS)) {
  for (const from of transport.startsWith('injectWS') ? ['server', 'client'] as const : ['server'] as const) {
    for (const headers of [{}, DEFLATE]) {
      t.test(`${transport}, ${from} sends${headers === DEFLATE ? ', compressed' : ''}`, async t => {
        for (const [name, end] of Object.entries(ENDS)) {
          const store = new AsyncLocalStorage<string>()
          const opened = gate()
          let connection!: WebSocketConnection
          const { app, port } = await startApp(t, app => {
            app.addHook('onRequest', (_request, _reply, done) => store.run('handshake', done))
            app.get('/', { websocket: true }, accepted => {
              connection = accepted
              opened.open()
            })
          }, { maxBufferedAmount: Infinity, closeTimeout: 20, perMessageDeflate: true, heartbeat: false }, fastify)
          const peer = await open(t, app, port, headers)
          await opened.passed
          const sender = from === 'server' ? connection : peer.connection!
          if (from === 'client') {
            peer.connection!.resume()
            connection.pause()
            peer.breakOff = () => connection.terminate()
          }
          const act = end({ app, sender, peer })
          if (act !== undefined) {
            const calls: { index: number, failed: boolean, context: string | undefined }[] = []
            let sent = 0
            const send = (data: Buffer | Blob): void => {
              const index = sent++
              sender.send(data, { compress: data instanceof Blob }, error => calls.push({ index, failed: error instanceof Error, context: store.getStore() }))
            }
            const closed = once(sender, 'close')
            // More than buffers and flow control take while the peer does not read, in writes of their own.
            send(Buffer.alloc(8 * 1024 * 1024))
            await turns(3)
            for (let i = 0; i < 4; i++) send(Buffer.alloc(100_000))
            send(Buffer.alloc(10))
            await turns(3)
            // The writer that can read a Blob takes over from the one that has written so far.
            send(new Blob([Buffer.alloc(50_000)]))
            send(Buffer.alloc(10))
            await turns(3)
            send(Buffer.alloc(100_000))
            send(Buffer.alloc(10))
            act()
            await closed
            t.same(calls.map(({ index }) => index), Array.from({ length: sent }, (_, i) => i), `${name}: each once, in order, before close`)
            const written = calls.filter(({ failed }) => !failed).length
            t.ok(calls.every(({ index, failed }) => failed === (index >= written)), `${name}: with an error from some on`)
            // A server that closes reads what its client has sent.
            if (from === 'server') {
              t.ok(written < sent, `${name}: the last gets an error`)
              t.ok(calls.every(({ context }) => context === 'handshake'), `${name}: in the context of the handshake`)
            }
            await app.close()
            await turns()
            t.equal(calls.length, sent, `${name}: and none later`)
          }
          await app.close()
        }
      })
    }
  }
}
