import t from 'tap'
import { once } from 'node:events'
import { echo, startApp } from './support/app.js'
import { RawClient, upgradeRequest } from './support/raw-client.js'

// Fastify rejects `app.close()` after its `pluginTimeout`: 10 s by default, as long as `closeTimeout`.
const PLUGIN_TIMEOUT = 4000

t.jobs = 2

t.test('B8: app.close() resolves within the pluginTimeout of Fastify, whatever closeTimeout says', { buffered: true }, async t => {
  const { app, port } = await startApp(t, app => {
    echo(app)
    app.get('/refused', { websocket: true, onRequest: async (_request, reply) => reply.code(401).send('x'.repeat(8 * 1024 * 1024)) }, () => {})
    app.get('/waiting', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
  }, { closeTimeout: 60_000 }, { pluginTimeout: PLUGIN_TIMEOUT })

  const silent = await RawClient.open(port)
  const notReading = await RawClient.connect(port)
  notReading.write(upgradeRequest('/refused'))
  await notReading.head()
  notReading.socket.pause()
  const inHook = await RawClient.connect(port)
  inHook.write(upgradeRequest('/waiting'))
  t.teardown(() => [silent, notReading, inHook].forEach(client => client.destroy()))

  await t.resolves(app.close())
  t.strictSame(await silent.closeFrame(), { code: 1001, reason: '' })
})

t.test('B8: also after a preClose of the user\'s own that took its time', { buffered: true }, async t => {
  let isPreClosed = false
  const preClose = async (): Promise<void> => {
    await new Promise(resolve => setTimeout(resolve, PLUGIN_TIMEOUT / 2))
    isPreClosed = true
  }
  const { app, port } = await startApp(t, echo, { closeTimeout: 60_000, preClose }, { pluginTimeout: PLUGIN_TIMEOUT })
  const silent = await RawClient.open(port)
  t.teardown(() => silent.destroy())
  await t.resolves(app.close())
  t.ok(isPreClosed)
  t.strictSame(await silent.closeFrame(), { code: 1001, reason: '' })
})

t.test('without a pluginTimeout it is closeTimeout that ends a silent client', async t => {
  const { app, port } = await startApp(t, echo, { closeTimeout: 100 }, { pluginTimeout: 0 })
  const silent = await RawClient.open(port)
  t.teardown(() => silent.destroy())
  const isOver = once(silent.socket, 'close')
  await t.resolves(app.close())
  silent.end()
  await isOver
})
