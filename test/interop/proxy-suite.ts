import type { FastifyServerOptions } from 'fastify'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { WebSocketPluginOptions } from '../../lib/index.js'
import { stopProgram } from '../support/child-process.js'
import { createCertificate, PUBLIC_NAME } from '../support/generated-certificate.js'
import { close, RawClient, text } from '../support/raw-client.js'
import { needs, type SystemPackage } from '../support/system-packages.js'
import { startChromiumClient } from './clients/chromium.js'
import { Refused } from './clients/client.js'
import { wsClient } from './clients/ws.js'
import type { StartProxy } from './proxies.js'
import { startInteropServer, type InteropServer } from './server.js'
import { interopSuite } from './suite.js'

/** The differences between proxies that the suite has to know. */
export interface ProxyTraits {
  /** Whether it passes on a FIN and keeps the other direction open. */
  halfCloses: boolean
  wholeSuiteInBrowser: boolean
  /** Why it cannot end TLS. */
  withoutTls?: string
  /** Why it does not cut idle connections. */
  keepsIdle?: string
  /** Why it passes on no `X-Forwarded-Host`. */
  withoutForwardedHost?: string
  /** Speaks HTTP/2 to the app. */
  http2?: boolean
}

const portOf = (server: InteropServer): number => (server.app.server.address() as AddressInfo).port

const LOCALHOST = { host: '127.0.0.1', port: 0 }

interface AboutMe {
  ip: string
  protocol: string
  host: string
  url: string
}

export async function proxySuite (t: Test, start: StartProxy, traits: ProxyTraits): Promise<void> {
  const startServer = async (t: Test, options: FastifyServerOptions = {}, pluginOptions: WebSocketPluginOptions = {}): Promise<InteropServer> =>
    startInteropServer(t, LOCALHOST, { ...options, ...(traits.http2 ? { http2: true } : {}) }, pluginOptions)
  const needsTls = (...packages: SystemPackage[]): { skip?: string } =>
    traits.withoutTls === undefined ? needs('openssl', ...packages) : { skip: traits.withoutTls }

  t.test('ws', async t => {
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server) })
    await interopSuite(t, wsClient, { url: `ws://127.0.0.1:${port}` }, server)
  })

  t.test('ws, the proxy ends TLS', needsTls(), async t => {
    const ca = await createCertificate(t)
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server), bundleFile: ca.bundleFile })
    await interopSuite(t, wsClient, { url: `wss://localhost:${port}`, options: { ca } }, server)
  })

  // Its requests have an `Origin`: 'same-origin' has to find that `https` there and plain HTTP here are the same.
  t.test('Chromium, the proxy ends TLS', needsTls('chromium'), async t => {
    const { bundleFile } = await createCertificate(t)
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server), bundleFile })
    const client = await startChromiumClient(t)
    const url = `wss://localhost:${port}`
    if (traits.wholeSuiteInBrowser) return interopSuite(t, client, { url }, server)
    const connection = await client.open(`${url}/echo`)
    connection.send('hello')
    t.equal(await connection.next(), 'hello')
    connection.close(1000)
    t.strictSame(await connection.closed, { code: 1000, reason: '' })
  })

  t.test('the same origin behind a proxy that ends TLS', needsTls(), async t => {
    const ca = await createCertificate(t)
    const status = async (port: number, headers: Record<string, string>): Promise<number> => {
      try {
        const connection = await wsClient.open(`wss://localhost:${port}/echo`, { ca, headers: { Host: PUBLIC_NAME, ...headers } })
        connection.close(1000)
        await connection.closed
        return 101
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        return error.status!
      }
    }

    t.test('the proxy passes Host on', async t => {
      const { port } = await start(t, { target: portOf(await startServer(t)), bundleFile: ca.bundleFile })
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}` }), 101)
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}:443` }), 101, 'the default port may be named')
      t.equal(await status(port, { Origin: 'https://evil.example.test' }), 403)
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}.evil.example.test` }), 403)
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}:8443` }), 403, 'another port is another origin')
      t.equal(await status(port, { Origin: 'null' }), 403, 'a sandboxed page')
      t.equal(await status(port, {}), 101, 'no browser')
    })

    t.test('the proxy replaces Host, and is trusted', { skip: traits.withoutForwardedHost ?? false }, async t => {
      const server = await startServer(t, { trustProxy: true })
      const { port } = await start(t, { target: portOf(server), bundleFile: ca.bundleFile, replacesHost: true })
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}` }), 101)
      t.equal(await status(port, { Origin: 'https://evil.example.test' }), 403)
      // What the client itself claims, the proxy replaces.
      t.equal(await status(port, { Origin: 'https://evil.example.test', 'X-Forwarded-Host': 'evil.example.test' }), 403)
    })

    t.test('the proxy replaces Host, and is not trusted', async t => {
      const server = await startServer(t)
      const { port } = await start(t, { target: portOf(server), bundleFile: ca.bundleFile, replacesHost: true })
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}` }), 403, 'nothing says under which name it is known')
      t.equal(await status(port, { Origin: `https://${PUBLIC_NAME}`, 'X-Forwarded-Host': PUBLIC_NAME }), 403)
    })
  })

  t.test('who the client is, with trustProxy', needsTls(), async t => {
    const { cert, bundleFile } = await createCertificate(t)
    const server = await startServer(t, { trustProxy: '127.0.0.1' })
    const target = portOf(server)
    const { port } = await start(t, { target, bundleFile, replacesHost: true })
    const ask = async (headers: Record<string, string>): Promise<AboutMe> => {
      const socket = new WebSocket(`wss://localhost:${port}/about-me?q=1`, { ca: cert, localAddress: '127.0.0.7', headers: { Host: PUBLIC_NAME, ...headers } })
      const [message] = await once(socket, 'message') as [Buffer]
      socket.close(1000)
      await once(socket, 'close')
      return JSON.parse(message.toString()) as AboutMe
    }
    const expected = {
      ip: '127.0.0.7',
      protocol: 'https',
      ...(traits.withoutForwardedHost === undefined && { host: PUBLIC_NAME, hostname: PUBLIC_NAME, url: `wss://${PUBLIC_NAME}/about-me?q=1` })
    }
    t.has(await ask({}), expected)
    t.has(await ask({ 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'http' }), expected, 'what the client claims is not believed')
  })

  t.test('who the client is, without trustProxy', async t => {
    const server = await startServer(t)
    const target = portOf(server)
    const { port } = await start(t, { target, replacesHost: true })
    const connection = await wsClient.open(`ws://127.0.0.1:${port}/about-me`)
    const host = `127.0.0.1:${target}`
    t.match(JSON.parse(await connection.next() as string), { ip: '127.0.0.1', protocol: 'http', host, url: `ws://${host}/about-me` })
    connection.close(1000)
    await connection.closed
  })

  t.test('idle connections are cut by the proxy, and leave nothing; those that the server pings stay', { skip: traits.keepsIdle ?? false }, async t => {
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server), idle: 2 })
    const pinged = await wsClient.open(`ws://127.0.0.1:${port}/echo`)
    const [onServer] = server.app.websocketServer.clients
    const interval = setInterval(() => onServer!.ping(), 50)
    t.teardown(() => clearInterval(interval))
    const idle = await wsClient.open(`ws://127.0.0.1:${port}/echo`)
    t.equal((await idle.closed).code, 1006)
    t.equal((await server.nextClose()).code, 1006)
    t.strictSame([...server.app.websocketServer.clients], [onServer])
    pinged.send('still here')
    t.equal(await pinged.next(), 'still here')
    pinged.close(1000)
    await pinged.closed
  })

  t.test('A1: a client that leaves with no more than a FIN', async t => {
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server) })
    const client = await RawClient.open(port, '/echo')
    client.write(text('goodbye'))
    t.equal((await client.frame()).payload.toString(), 'goodbye')
    client.end()
    t.equal((await server.nextClose()).code, 1006)
    await client.ended
    t.equal(server.app.websocketServer.clients.size, 0)
  })

  t.test('a client that sends its Close frame and a FIN in one', async t => {
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server) })
    const client = await RawClient.open(port, '/echo')
    client.write(Buffer.concat([text('last'), close(4000, 'bye')]))
    client.end()
    t.strictSame(await server.nextClose(), { code: 4000, reason: 'bye' })
    if (traits.halfCloses) {
      t.equal((await client.frame()).payload.toString(), 'last')
      t.strictSame(await client.closeFrame(), { code: 4000, reason: 'bye' })
      t.ok(await client.ended, 'ended, not reset')
    }
    await client.closed
  })

  t.test('terminate() reaches the client', async t => {
    const server = await startServer(t)
    const { port } = await start(t, { target: portOf(server) })
    const connection = await wsClient.open(`ws://127.0.0.1:${port}/echo`)
    for (const onServer of server.app.websocketServer.clients) onServer.terminate()
    t.equal((await connection.closed).code, 1006)
    t.equal((await server.nextClose()).code, 1006)
  })

  t.test('B8: a silent client behind the proxy does not hold app.close()', async t => {
    const server = await startServer(t, {}, { closeTimeout: 200 })
    const { port } = await start(t, { target: portOf(server) })
    const silent = await RawClient.open(port, '/echo')
    await server.app.close()
    t.strictSame(await silent.closeFrame(), { code: 1001, reason: '' })
    await silent.ended
    t.equal((await server.nextClose()).code, 1006)
    silent.destroy()
  })

  t.test('the proxy dies: every connection ends, and the app can close', async t => {
    const server = await startServer(t)
    const { port, process } = await start(t, { target: portOf(server) })
    const connections = await Promise.all([1, 2, 3, 4, 5].map(() => wsClient.open(`ws://127.0.0.1:${port}/echo`)))
    await stopProgram(process, 'SIGKILL')
    for (const connection of connections) {
      t.equal((await connection.closed).code, 1006)
      t.equal((await server.nextClose()).code, 1006)
    }
    t.equal(server.app.websocketServer.clients.size, 0)
    await server.app.close()
  })
}
