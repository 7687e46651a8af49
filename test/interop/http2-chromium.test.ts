import type { ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createCertificate } from '../support/generated-certificate.js'
import { needs } from '../support/system-packages.js'
import { launchChromium, newContext, pageClient } from './clients/chromium.js'
import { startInteropServer } from './server.js'

const CONNECTIONS = 10
const MESSAGES = 100

const refused = { message: /^refused with/ }

t.test('Chromium: pages, requests and ten WebSockets on one connection', needs('chromium', 'openssl'), async t => {
  const { cert, key } = await createCertificate(t)
  const server = await startInteropServer(t, { host: '127.0.0.1', port: 0 }, { http2: true, https: { cert, key, allowHTTP1: true } })
  const { app } = server
  const { port } = app.server.address() as AddressInfo
  const versions: string[] = []
  const origins = new Set<string | undefined>()
  const sessions = new Set<ServerHttp2Session>()
  let sockets = 0
  app.server.on('session', (session: ServerHttp2Session) => sessions.add(session))
  app.server.on('secureConnection', () => { sockets++ })
  app.websocketServer.on('connection', (_connection, request) => {
    versions.push(request.httpVersion)
    origins.add(request.headers.origin)
  })

  const page = await (await newContext(await launchChromium(t))).newPage()
  const home = `https://localhost:${port}`
  const client = pageClient(page)
  await page.goto(`${home}/page`)
  t.equal(await page.evaluate('performance.getEntriesByType("navigation")[0].nextHopProtocol'), 'h2', 'the browser says so')

  // The first connection waits for nobody: the session that the page came with has it.
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, async () => client.open(`wss://localhost:${port}/echo`)))
  t.equal(app.websocketServer.clients.size, CONNECTIONS)
  const fetches = page.evaluate<number[]>(`Promise.all(Array.from({ length: 20 }, (_, i) =>
    fetch('/page?' + i).then(async response => (await response.text()).length)))`)
  for (let i = 0; i < MESSAGES; i++) for (const connection of connections) connection.send(`message ${i}`)
  for (const connection of connections) {
    const answers: unknown[] = []
    for (let i = 0; i < MESSAGES; i++) answers.push(await connection.next())
    t.strictSame(answers, Array.from({ length: MESSAGES }, (_, i) => `message ${i}`))
  }
  const large = Buffer.alloc(1024 * 1024, 'over HTTP/2 ')
  connections[0]!.send(large)
  t.ok(large.equals(await connections[0]!.next() as Buffer), '1 MiB')
  t.equal(new Set(await fetches).size, 1, 'pages meanwhile')
  t.strictSame(await page.evaluate('[...new Set(performance.getEntriesByType("resource").map(entry => entry.nextHopProtocol))]'), ['h2'])

  t.strictSame(versions, Array.from({ length: CONNECTIONS }, () => '2.0'))
  t.strictSame([...origins], [home])

  await t.test('ends, each way', async t => {
    connections[0]!.close(3000, 'done')
    t.equal((await connections[0]!.closed).code, 3000)
    t.strictSame(await server.nextClose(), { code: 3000, reason: 'done' })
    const [one] = app.websocketServer.clients
    one!.close(4000, 'enough')
    t.strictSame(await server.nextClose(), { code: 4000, reason: 'enough' })
    const [another] = app.websocketServer.clients
    another!.terminate()
    t.strictSame(await server.nextClose(), { code: 1006, reason: '' })
    t.equal(app.websocketServer.clients.size, CONNECTIONS - 3)
  })

  await t.test('a subprotocol, a cookie, and refusals', async t => {
    t.equal((await client.open(`wss://localhost:${port}/protocols`, { protocols: ['feed.v1', 'feed.v2'] })).protocol, 'feed.v2')
    await client.open(`wss://localhost:${port}/cookie`).then(async ({ closed }) => closed)
    t.equal(await page.evaluate('document.cookie'), 'visits=1')
    for (const path of ['/private', '/nowhere']) await t.rejects(client.open(`wss://localhost:${port}${path}`), refused)
  })

  t.equal(sessions.size, 1, 'one session')
  t.equal(sockets, 1, 'on one connection')

  // A page with an opaque origin shares no connection with others.
  await page.goto(`${home}/sandboxed`)
  await t.rejects(client.open(`wss://localhost:${port}/echo`), refused, 'an opaque origin')
})
