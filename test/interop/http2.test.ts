import { connect, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createCertificate } from '../support/generated-certificate.js'
import { needs } from '../support/system-packages.js'
import type { Client } from './clients/client.js'
import { undiciHttp2Client } from './clients/undici.js'
import { wsClient } from './clients/ws.js'
import { startHaproxy } from './proxies.js'
import { startInteropServer, type InteropServer } from './server.js'
import { interopSuite, type Place } from './suite.js'

const LOCALHOST = { host: '127.0.0.1', port: 0 }

const portOf = ({ app }: InteropServer): number => (app.server.address() as AddressInfo).port

/** Notes which versions of HTTP the handshakes of a server's connections came with. */
function versionsOf (server: InteropServer): Set<string> {
  const versions = new Set<string>()
  server.app.websocketServer.on('connection', (_connection, request) => versions.add(request.httpVersion))
  return versions
}

/** Notes the sessions of a server. */
function sessionsOf ({ app }: InteropServer): ServerHttp2Session[] {
  const sessions: ServerHttp2Session[] = []
  app.server.on('session', (session: ServerHttp2Session) => sessions.push(session))
  return sessions
}

async function suiteOverHttp2 (t: Test, client: Client, place: Place, server: InteropServer): Promise<void> {
  const versions = versionsOf(server)
  await interopSuite(t, client, place, server)
  t.test('all of it came to the app over HTTP/2', async t => { t.strictSame([...versions], ['2.0']) })
}

t.test('undici over TLS', needs('openssl'), async t => {
  const ca = await createCertificate(t)
  const server = await startInteropServer(t, LOCALHOST, { http2: true, https: { cert: ca.cert, key: ca.key } })
  await suiteOverHttp2(t, undiciHttp2Client, { url: `wss://localhost:${portOf(server)}`, options: { ca } }, server)
})

t.test('haproxy, which speaks HTTP/2 to the app', needs('haproxy', 'openssl'), async t => {
  t.test('ws, which speaks HTTP/1.1 to haproxy', async t => {
    const server = await startInteropServer(t, LOCALHOST, { http2: true })
    const { port } = await startHaproxy(t, { target: portOf(server), http2: true })
    await suiteOverHttp2(t, wsClient, { url: `ws://127.0.0.1:${port}` }, server)
  })

  t.test('undici, which speaks HTTP/2 to haproxy', async t => {
    const ca = await createCertificate(t)
    const server = await startInteropServer(t, LOCALHOST, { http2: true, trustProxy: '127.0.0.1' })
    const { port } = await startHaproxy(t, { target: portOf(server), bundleFile: ca.bundleFile, http2: true })
    await suiteOverHttp2(t, undiciHttp2Client, { url: `wss://localhost:${port}`, options: { ca } }, server)
  })

  t.test('connections share what haproxy has open to the app, and one that ends leaves the others', async t => {
    const server = await startInteropServer(t, LOCALHOST, { http2: true })
    const sessions = sessionsOf(server)
    const { port } = await startHaproxy(t, { target: portOf(server), http2: true })
    const connections = await Promise.all(Array.from({ length: 20 }, async () => wsClient.open(`ws://127.0.0.1:${port}/echo`)))
    t.ok(sessions.length < connections.length, `${sessions.length} sessions for ${connections.length} connections`)
    const [first] = server.app.websocketServer.clients
    first!.terminate()
    await server.nextClose()
    let codes = 0
    for (const connection of connections) connection.closed.then(({ code }) => { if (code === 1006) codes++ }, () => {})
    t.equal(server.app.websocketServer.clients.size, 19)
    server.app.websocketServer.broadcast('still here')
    const heard = await Promise.all(connections.map(async connection => connection.next().catch(() => null)))
    t.equal(heard.filter(message => message === 'still here').length, 19)
    t.equal(codes, 1)
    for (const connection of connections) connection.close(1000)
  })
})

t.test('Node\'s own client: pages and connections on one session', async t => {
  const server = await startInteropServer(t, LOCALHOST, { http2: true })
  const sessions = sessionsOf(server)
  const session = connect(`http://127.0.0.1:${portOf(server)}`)
  t.teardown(() => session.destroy())
  await new Promise(resolve => session.once('remoteSettings', resolve))
  for (let i = 0; i < 10; i++) {
    const socket = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/about-me', 'sec-websocket-version': '13' })
    const [frame, page] = await Promise.all([
      new Promise<Buffer>(resolve => socket.once('data', resolve)),
      new Promise<unknown>(resolve => session.request({ ':path': '/page' }).on('response', headers => resolve(headers[':status'])).resume())
    ])
    t.match(JSON.parse(frame.subarray(2).toString()), { ip: '127.0.0.1', protocol: 'http' })
    t.equal(page, 200)
  }
  t.equal(sessions.length, 1)
  t.equal(server.app.websocketServer.clients.size, 10)
})
