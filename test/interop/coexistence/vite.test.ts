import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance } from 'fastify'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import t from 'tap'
import { createServer, type UserConfig, type ViteDevServer } from 'vite'
import { echo, startApp } from '../../support/app.js'
import { examplesOf } from '../../support/examples.js'
import { RawClient, upgradeRequest } from '../../support/raw-client.js'
import { checkExactBytes, closesWithin, echoOver, openWs, ORDERS, refusal, startBeside } from '../../coexistence/neighbours.js'

function startVite (app: FastifyInstance, root: string): Promise<ViteDevServer> {
  return createServer({
    configFile: false,
    root,
    appType: 'custom',
    logLevel: 'silent',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: { server: app.server }, watch: null }
  })
}

for (const order of ORDERS) {
  t.test(`B1: Vite in middleware mode, started ${order}`, async t => {
    const root = t.testdir({ 'main.js': 'export const answer = 42\n' })
    let vite: ViteDevServer | undefined
    t.teardown(() => vite?.close())
    const attach = async (app: FastifyInstance): Promise<void> => { vite = await startVite(app, root) }
    const { app, port, url } = await startBeside(t, order, attach, { plugin: { handshakeTimeout: 300, closeTimeout: 500 } })
    const { hot } = vite!.environments.client

    // As Vite's own page does it: the token of the server, and an Origin, since it is a browser.
    const hmr = await openWs(t, `${url}/?token=${vite!.config.webSocketToken}`, ['vite-hmr'], { origin: `http://127.0.0.1:${port}` })
    t.strictSame(JSON.parse((await hmr.messages.next()).value), { type: 'connected' })
    hot.send({ type: 'custom', event: 'ours', data: { hello: 'page' } })
    t.strictSame(JSON.parse((await hmr.messages.next()).value), { type: 'custom', event: 'ours', data: { hello: 'page' } })

    await checkExactBytes(t, port, '/ws')
    t.equal(await echoOver(t, `${url}/ws`, 'hello'), 'hello')
    t.equal((await refusal(port, upgradeRequest('/refused'))).status, 403)

    const withoutToken = await RawClient.connect(port)
    withoutToken.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'vite-hmr', Origin: 'http://evil.example' }))
    t.equal((await withoutToken.response()).status, 400, 'Vite refuses for itself')
    await withoutToken.ended
    t.equal(withoutToken.received.length, 0)
    withoutToken.destroy()

    // Vite leaves alone what it does not know, and nobody else is there.
    t.equal((await refusal(port, upgradeRequest('/unknown'))).status, 404)
    t.equal((await refusal(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'other' }))).status, 404)

    hot.send({ type: 'full-reload' })
    t.strictSame(JSON.parse((await hmr.messages.next()).value), { type: 'full-reload' }, 'still connected')
    const closed = once(hmr.client, 'close')
    t.ok(await closesWithin(10_000, app), 'although Vite is not closed')
    await closed
  })
}

for (const order of ['before our plugin', 'after our plugin'] as const) {
  t.test(`B1: Vite, Socket.IO and @fastify/http-proxy at once, ${order}`, async t => {
    const upstream = await startApp(t, echo)
    let vite: ViteDevServer | undefined
    t.teardown(() => vite?.close())
    const { app, port, url } = await startBeside(t, order, async app => {
      const server = new Server(app.server)
      server.on('connection', socket => socket.on('echo', (value, answer) => answer(`socket.io: ${value}`)))
      vite = await startVite(app, t.testdir({}))
      await app.register(httpProxy, { upstream: upstream.url.replace('ws', 'http'), prefix: '/proxy', websocket: true })
    }, { plugin: { closeTimeout: 300 } })

    const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, reconnection: false })
    t.teardown(() => socket.disconnect())
    t.equal(await socket.emitWithAck('echo', 1), 'socket.io: 1')
    const hmr = await openWs(t, `${url}/?token=${vite!.config.webSocketToken}`, ['vite-hmr'], { origin: `http://127.0.0.1:${port}` })
    t.strictSame(JSON.parse((await hmr.messages.next()).value), { type: 'connected' })
    const proxied = await openWs(t, `${url}/proxy/`)
    await Promise.all([checkExactBytes(t, port, '/ws'), checkExactBytes(t, port, '/slow')])

    // After engine.io's second for unanswered sockets, all are as they were.
    proxied.client.send('through the proxy')
    t.equal((await proxied.messages.next()).value, 'through the proxy')
    t.equal(await socket.emitWithAck('echo', 2), 'socket.io: 2')
    vite!.environments.client.hot.send({ type: 'full-reload' })
    t.strictSame(JSON.parse((await hmr.messages.next()).value), { type: 'full-reload' })
    t.ok(await closesWithin(20_000, app))
  })
}

t.test('behind the proxy of Vite, as docs/integrations.md has it', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/ws', { websocket: true }, connection => connection.send('from the app'))
  })
  const { text } = (await examplesOf('docs/integrations.md')).find(({ name }) => name === 'vite config')!
  const printed = text.replace('localhost:3000', `127.0.0.1:${port}`)
  const { default: { server } } = await import(`data:text/javascript,${encodeURIComponent(printed)}`) as { default: UserConfig }

  for (const changeOrigin of [false, true]) {
    const [[path, rule]] = Object.entries(server!.proxy!) as [[string, object]]
    const proxy = { [path]: { ...rule, changeOrigin } }
    const vite = await createServer({
      configFile: false, root: t.testdir({}), logLevel: 'silent', optimizeDeps: { noDiscovery: true }, server: { host: '127.0.0.1', port: 0, strictPort: false, watch: null, proxy }
    })
    t.teardown(() => vite.close())
    await vite.listen()
    const { port: vitePort } = vite.httpServer!.address() as AddressInfo
    const origin = `http://127.0.0.1:${vitePort}`
    if (changeOrigin) {
      t.equal((await refusal(vitePort, upgradeRequest('/ws', { Host: `127.0.0.1:${vitePort}`, Origin: origin }))).status, 403)
    } else {
      const { messages, client } = await openWs(t, `ws://127.0.0.1:${vitePort}/ws`, [], { origin })
      t.equal((await messages.next()).value, 'from the app')
      client.terminate()
    }
    await vite.close()
  }
  t.ok(await closesWithin(10_000, app))
})
