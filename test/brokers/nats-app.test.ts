import { jetstreamManager } from '@nats-io/jetstream'
import Fastify from 'fastify'
import t from 'tap'
import websocket from '../../lib/index.js'
import { nats } from '../../lib/nats/index.js'
import type { Teardown } from '../support/app.js'
import { isUp, startApp, subscribe, until, type Running } from './apps.js'
import { NatsServer, noNats } from './nats-server.js'
import { TcpProxy } from './tcp-proxy.js'

// Two apps, a real nats-server between them, and what can happen to it.

async function startNatsApp (t: Teardown, server: NatsServer, port = server.port): Promise<Running> {
  return startApp(t, nats({ connection: await server.connect(t, port), timeout: 500 }))
}

t.test('topics over NATS', { skip: noNats }, async t => {
  const server = await NatsServer.start(t)
  const [one, two] = [await startNatsApp(t, server), await startNatsApp(t, server)]
  const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]

  await t.test('from one app to the other', async t => {
    for (let n = 1; n <= 20; n++) await one.app.websocketServer.publish('rooms/1', n)
    await one.app.websocketServer.publish('prices', 1)
    await room.until(20)
    await price.until(1)
    t.same(room.got, Array.from({ length: 20 }, (_, i) => i + 1))
  })

  await t.test('killed, and restarted with its data', async t => {
    await server.kill()
    await until(() => !isUp(one) && !isUp(two))
    await t.rejects(one.app.websocketServer.publish('rooms/1', 99), { code: 'FST_WS_ERR_PUBLISH' })
    await server.run()
    await until(() => isUp(one) && isUp(two))
    await one.app.websocketServer.publish('rooms/1', 21)
    await one.app.websocketServer.publish('prices', 2)
    await room.until(21)
    await price.until(2)
    t.equal(room.got.at(-1), 21)
    t.equal(room.resets, 0)
    t.ok(price.gaps >= 1, 'without history, the subscriber hears of the gap')
    t.same(price.got, [1, 2], 'and gets nothing twice')
  })

  await t.test('frozen for longer than publishTimeout', async t => {
    await server.freeze()
    const id = 'the-same'
    await t.rejects(one.app.websocketServer.publish('rooms/1', 22, { id }), { code: 'FST_WS_ERR_PUBLISH' })
    server.thaw()
    await until(() => isUp(one) && isUp(two))
    let at = null
    while (at === null) at = await one.app.websocketServer.publish('rooms/1', 22, { id }).catch(() => null)
    await one.app.websocketServer.publish('rooms/1', 23)
    await room.until(23)
    t.same(room.got.slice(-2), [22, 23], 'it was stored once')
  })

  await t.test('restarted without its data', async t => {
    await server.kill()
    await server.forget()
    await server.run()
    await until(() => isUp(one) && isUp(two) && room.resets > 0)
    t.equal(room.resets, 1)
    await one.app.websocketServer.publish('rooms/1', 24)
    await room.until(24)
    t.equal(room.got.at(-1), 24)
  })
})

t.test('a line to the server that dies without a word', { skip: noNats }, async t => {
  const server = await NatsServer.start(t)
  const proxy = await TcpProxy.start(t, server.port)
  const [one, cutOff] = [await startNatsApp(t, server), await startNatsApp(t, server, proxy.port)]
  const room = await subscribe(t, cutOff, 'rooms/1')
  proxy.isFrozen = true
  await one.app.websocketServer.publish('rooms/1', 1)
  await until(() => !isUp(cutOff))
  await one.app.websocketServer.publish('rooms/1', 2)
  proxy.isFrozen = false
  proxy.cut()
  await room.until(2)
  t.same(room.got, [1, 2], 'what was missed is read')
  t.equal(room.resets, 0)
})

t.test('a slow line to the server', { skip: noNats }, async t => {
  const server = await NatsServer.start(t)
  const proxy = await TcpProxy.start(t, server.port)
  const [one, far] = [await startNatsApp(t, server), await startNatsApp(t, server, proxy.port)]
  const room = await subscribe(t, far, 'rooms/1')
  proxy.delay = 100
  for (let n = 1; n <= 10; n++) await (n % 2 === 0 ? far : one).app.websocketServer.publish('rooms/1', n)
  await room.until(10)
  t.same(room.got, Array.from({ length: 10 }, (_, i) => i + 1))
  t.ok(isUp(far), 'slow is not dead')
  t.same([room.resets, far.app.websocketServer.stats.topics.reconnects], [0, 0])
})

t.test('a stream that takes nothing more', { skip: noNats }, async t => {
  const server = await NatsServer.start(t)
  const [one, two] = [await startNatsApp(t, server), await startNatsApp(t, server)]
  const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]
  await one.app.websocketServer.publish('rooms/1', 1)
  await room.until(1)
  const { streams } = await jetstreamManager(await server.connect(t))
  const { config } = await streams.info('fastify-ws-1000-60')
  await streams.update(config.name, { ...config, max_bytes: 1, discard: 'new' as never })
  const id = 'when-there-is-room'
  await t.rejects(one.app.websocketServer.publish('rooms/1', 2, { id }), { code: 'FST_WS_ERR_PUBLISH', message: /maximum bytes exceeded/ })
  await one.app.websocketServer.publish('prices', 1)
  await price.until(1)
  await streams.update(config.name, config)
  for (let n = 0; n < 2; n++) await one.app.websocketServer.publish('rooms/1', 2, { id })
  await one.app.websocketServer.publish('rooms/1', 3)
  await room.until(3)
  t.same(room.got, [1, 2, 3], 'what was refused has left no hole')
  t.equal(room.resets, 0)
})

t.test('servers that are of no use are refused at start', { skip: noNats }, async t => {
  const plain = await NatsServer.start(t, [])
  const app = Fastify()
  await app.register(websocket, { broker: nats({ connection: await plain.connect(t) }), topics: { waitForBroker: 500 } })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_BROKER', message: /JetStream/ })
  await app.close()

  const server = await NatsServer.start(t)
  const connection = await server.connect(t)
  await server.kill()
  const away = Fastify()
  await away.register(websocket, { broker: nats({ connection, timeout: 200 }), topics: { waitForBroker: 500 } })
  await t.rejects(async () => { await away.ready() }, { code: 'FST_WS_ERR_BROKER', message: /'nats' cannot be used/ })
  await away.close()
})

t.test('wrong options name what is accepted', async t => {
  for (const [options, message] of [
    [undefined, /takes an object of options, not undefined/],
    [{}, /'connection' must be a connection of @nats-io\/transport-node 3/],
    [{ conection: 1 }, /unknown option 'conection'; there are connection, prefix/],
    [{ connection: {} }, /'connection' must be/]
  ] as const) t.throws(() => nats(options as never), { code: 'FST_WS_ERR_INVALID_OPTION', message })
})
