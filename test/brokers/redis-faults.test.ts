import Fastify from 'fastify'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import t from 'tap'
import websocket, { type Broker, type BrokerEvents, type BrokerMessage } from '../../lib/index.js'
import { redis } from '../../lib/redis/index.js'
import type { Teardown } from '../support/app.js'
import { isUp, range, startApp, subscribe, until, type Running } from './apps.js'
import { CLUSTERS, COMMON, type Client } from './redis-clients.js'
import { freePort, noRedis, RedisServer, startCluster, until as untilServer } from './redis-server.js'
import { TcpProxy } from './tcp-proxy.js'

// Apps, a real redis-server between them, and what can happen to it.

const publish = ({ app }: Running, n: number, id?: string): Promise<unknown> => app.websocketServer.publish('rooms/1', n as never, id === undefined ? {} : { id })

/** Publishes until it succeeds. The same id stores it once. */
async function insist (running: Running, n: number): Promise<void> {
  while (await publish(running, n, `the-${n}`).then(() => false, () => true)) await new Promise(resolve => setTimeout(resolve, 20))
}

for (const [name, create] of COMMON) {
  t.test(`topics over Redis, with ${name}`, { skip: noRedis }, async t => {
    const server = await RedisServer.start(t)
    const start = (): Promise<Running> => startApp(t, redis({ client: create(server.port), timeout: 500 }))
    const [one, two] = [await start(), await start()]
    const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]
    const both = (): boolean => isUp(one) && isUp(two)

    await t.test('from one app to the other', async t => {
      for (const n of range(1, 20)) await publish(one, n)
      await one.app.websocketServer.publish('prices', 1 as never)
      await room.until(20)
      await price.until(1)
      t.same(room.got, range(1, 20))
    })

    await t.test('no key is kept for ever', async t => {
      const keys = (await server.cli('KEYS', '*')).split('\n')
      t.ok(keys.length > 20, `${keys.length} keys`)
      for (const key of keys) t.ok(Number(await server.cli('PTTL', key)) > 0, key)
    })

    await t.test('killed, and restarted with its data', async t => {
      await server.kill()
      await until(() => !isUp(one) && !isUp(two))
      const began = performance.now()
      await t.rejects(publish(one, 99), { code: 'FST_WS_ERR_PUBLISH', message: /Redis cannot be reached/ })
      t.ok(performance.now() - began < 500, 'at once')
      await server.run()
      await until(both)
      await publish(one, 21)
      await one.app.websocketServer.publish('prices', 2 as never)
      await room.until(21)
      await price.until(2)
      t.same(room.got.slice(-1), [21])
      t.equal(room.resets, 0)
      t.ok(price.gaps >= 1, 'without history, the subscriber hears of the gap')
      t.same(price.got, [1, 2], 'and gets nothing twice')
    })

    await t.test('frozen for longer than publishTimeout', async t => {
      await server.freeze()
      await t.rejects(publish(one, 22, 'the-22'), { code: 'FST_WS_ERR_PUBLISH' })
      server.thaw()
      await insist(one, 22)
      await insist(one, 23)
      await room.until(23)
      t.same(room.got.slice(-2), [22, 23], 'it was stored once')
    })

    await t.test('its scripts flushed', async t => {
      await until(both)
      await server.cli('SCRIPT', 'FLUSH')
      await publish(one, 24)
      await room.until(24)
      t.same(room.got.slice(-1), [24])
    })

    await t.test('the connections that messages come through killed', async t => {
      for (const n of range(25, 60)) {
        if (n % 6 === 0) await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await publish(one, n)
      }
      await room.until(60)
      t.same(room.got.slice(-36), range(25, 60), 'each once, in order')
      t.equal(room.resets, 0)
    })

    await t.test('all connections killed, while messages are published', async t => {
      for (const n of range(61, 100)) {
        if (n % 10 === 0) await server.cutAll()
        await insist(one, n)
      }
      await room.until(100)
      t.same(room.got.slice(-40), range(61, 100))
      t.equal(room.resets, 0)
    })

    await t.test('out of memory', async t => {
      await until(both)
      await server.cli('CONFIG', 'SET', 'maxmemory', '1')
      await t.rejects(publish(one, 101, 'the-101'), { code: 'FST_WS_ERR_PUBLISH', message: /OOM/ })
      await server.cli('CONFIG', 'SET', 'maxmemory', '0')
      await publish(one, 101, 'the-101')
      await room.until(101)
      t.same(room.got.slice(-2), [100, 101])
      t.equal(room.resets, 0, 'what was refused has left no hole')
    })

    await t.test('restarted without its data', async t => {
      await server.kill()
      await server.forget()
      await server.run()
      await until(() => both() && room.resets > 0)
      t.equal(room.resets, 1)
      await insist(one, 102)
      await room.until(102)
      t.same(room.got.slice(-1), [102])
    })
  })

  t.test(`lines that die without a word, and slow ones, with ${name}`, { skip: noRedis }, async t => {
    const server = await RedisServer.start(t)
    const proxy = await TcpProxy.start(t, server.port)
    const one = await startApp(t, redis({ client: create(server.port) }))
    const far = await startApp(t, redis({ client: create(proxy.port), timeout: 500 }))
    const room = await subscribe(t, far, 'rooms/1')

    proxy.isFrozen = true
    await publish(one, 1)
    await until(() => !isUp(far))
    await publish(one, 2)
    proxy.isFrozen = false
    await room.until(2)
    t.same(room.got, [1, 2], 'what was missed is read')

    await until(() => isUp(far))
    proxy.delay = 100
    for (const n of range(3, 10)) await publish(n % 2 === 0 ? far : one, n)
    await room.until(10)
    t.same(room.got, range(1, 10))
    t.ok(isUp(far), 'slow is not dead')
    t.equal(room.resets, 0)
  })

  t.test(`a fail-over to a replica, with ${name}`, { skip: noRedis }, async t => {
    for (const isLagging of [false, true]) {
      await t.test(isLagging ? 'that lags: acknowledged messages are gone' : 'that has everything', async t => {
        const primary = await RedisServer.start(t)
        const replica = await RedisServer.start(t, '--replicaof', `127.0.0.1 ${primary.port}`)
        await untilServer(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica')
        const proxy = await TcpProxy.start(t, primary.port)
        const apps = [await startApp(t, redis({ client: create(proxy.port), timeout: 500 })), await startApp(t, redis({ client: create(proxy.port), timeout: 500 }))] as const
        const room = await subscribe(t, apps[1], 'rooms/1')
        for (const n of range(1, 5)) await publish(apps[0], n)
        await primary.cli('WAIT', '1', '5000')
        await untilServer(async () => (await replica.cli('DBSIZE')) === (await primary.cli('DBSIZE')), 'replication')
        if (isLagging) await replica.cli('REPLICAOF', 'NO', 'ONE')
        for (const n of range(6, 8)) await publish(apps[0], n)
        await room.until(8)
        if (!isLagging) await untilServer(async () => (await replica.cli('DBSIZE')) === (await primary.cli('DBSIZE')), 'replication')
        await primary.kill()
        if (!isLagging) await replica.cli('REPLICAOF', 'NO', 'ONE')
        proxy.target = replica.port
        proxy.cut()
        // With the lagging one, these get offsets that others had.
        for (const n of range(9, 14)) await insist(apps[0], n)
        // What was stored before the process is back is behind the reset, if there is one.
        await until(() => room.got.includes(14) || room.resets > 0)
        await insist(apps[0], 15)
        await until(() => room.got.includes(15))
        t.equal(room.resets, isLagging ? 1 : 0)
        t.same(room.got.slice(0, 8), range(1, 8))
        const after = room.got.slice(8) as number[]
        t.same(after, range(15 - after.length + 1, 15), 'without a hole behind it')
        if (!isLagging) t.equal(after.length, 7)

        const { isComplete } = await apps[0].app.websocketServer.topic('rooms/1').history({ since: { epoch: 'gone', offset: 8, id: 'x' } })
        t.equal(isComplete, false)
      })
    }
  })

  t.test(`a server that is of no use is refused at start, with ${name}`, { skip: noRedis }, async t => {
    const unreachable = await freePort()
    const message = async (client: Client): Promise<string> => {
      const app = Fastify()
      await app.register(websocket, { broker: redis({ client, timeout: 500 }), topics: { waitForBroker: 300 } })
      const error = await Promise.resolve(app.ready()).then(() => null, (err: NodeJS.ErrnoException) => err)
      await app.close()
      t.equal(error?.code, 'FST_WS_ERR_BROKER')
      return error!.message
    }
    t.match(await message(create(unreachable)), /'redis' cannot be used: Redis cannot be reached: .*ECONNREFUSED/)

    const server = await RedisServer.start(t)
    await server.cli('ACL', 'SETUSER', 'default', '-@scripting')
    t.match(await message(create(server.port)), /this Redis does not allow scripts \(EVAL and EVALSHA\)/)
    await server.cli('ACL', 'SETUSER', 'default', '+@scripting')
    await server.freeze()
    t.match(await message(create(server.port)), /did not answer|has not answered/)
    server.thaw()
  })
}

t.test('the client of the app is left alone', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = new Redis(server.port, '127.0.0.1')
  t.teardown(() => client.disconnect())
  await once(client, 'ready')
  const listeners = client.eventNames().map(name => client.listenerCount(name))
  const { app } = await startApp(t, redis({ client }))
  await app.close()
  t.equal(await client.ping(), 'PONG')
  t.same(client.eventNames().map(name => client.listenerCount(name)), listeners)
  await untilServer(async () => (await server.cli('CLIENT', 'LIST')).trim().split('\n').length === 2, 'connections of the broker to be closed')
})

t.test('an app that is killed while it publishes', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const survivor = await startApp(t, redis({ client: new Redis(server.port, '127.0.0.1', { lazyConnect: true }) }))
  const room = await subscribe(t, survivor, 'rooms/1')
  let acknowledged = 0
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, ['--import', 'tsx', new URL('programs/redis-publisher.ts', import.meta.url).pathname, String(server.port), String(acknowledged + 1)], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    t.teardown(() => child.kill('SIGKILL'))
    const until = acknowledged + 100
    for await (const line of createInterface(child.stdout)) {
      acknowledged = Number(line)
      if (acknowledged >= until) child.kill('SIGKILL')
    }
    await room.until(acknowledged)
    // What was stored, and not acknowledged any more, counts too.
    await publish(survivor, -1)
    while (room.got.at(-1) !== -1) await room.until(room.got.length + 1)
    room.got.pop()
    acknowledged = room.got.length
    t.same(room.got, range(1, acknowledged), 'everything that was acknowledged, each once, in order')
  }
})

// --- brokers alone

/** A broker that is started, and what it calls. */
async function startBroker (t: Teardown, client: Client): Promise<{ broker: Broker, got: BrokerMessage[], interrupted: Array<readonly string[] | undefined>, states: boolean[] }> {
  const broker = redis({ client, timeout: 500 })
  const started = { broker, got: [] as BrokerMessage[], interrupted: [] as Array<readonly string[] | undefined>, states: [] as boolean[] }
  const events: BrokerEvents = {
    message: (_topic, message) => started.got.push(message),
    interrupted: topics => started.interrupted.push(topics),
    state: isUp => started.states.push(isUp)
  }
  await broker.start(events)
  t.teardown(() => broker.close())
  return started
}

async function store (broker: Broker, topic: string, id: string): Promise<void> {
  const message = { id, data: Buffer.from(id), history: { messages: 100, seconds: 60 } }
  while (await broker.publish(topic, message).then(() => false, () => true)) await new Promise(resolve => setTimeout(resolve, 50))
}

t.test('clocks of processes do not count', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = new Redis(server.port, '127.0.0.1', { lazyConnect: true })
  const [one, two] = [await startBroker(t, client), await startBroker(t, client)]
  const { now } = Date
  t.teardown(() => { Date.now = now })
  Date.now = () => now() - 10 * 60_000
  await one.broker.presence.renew('one', 10_000)
  await one.broker.presence.enter('one', [{ topic: 'a', id: '1', data: Buffer.alloc(0) }])
  Date.now = () => now() + 10 * 60_000
  t.equal(await two.broker.presence.count('a'), 1)
  t.same(await two.broker.presence.expired(), [])
  await store(one.broker, 'a', 'x')
  Date.now = now
  await store(two.broker, 'a', 'y')
  t.equal((await two.broker.read('a', null, 10)).messages.length, 2)
})

t.test('histories are bounded by messages and by seconds', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const { broker } = await startBroker(t, new Redis(server.port, '127.0.0.1', { lazyConnect: true }))
  const put = (topic: string, id: string, messages: number, seconds: number): Promise<unknown> => broker.publish(topic, { id, data: Buffer.alloc(100), history: { messages, seconds } })
  await Promise.all(range(1, 2_000).map(n => put('many', String(n), 50, 60)))
  const { messages, top } = await broker.read('many', null, 10_000)
  t.equal(top.offset, 2_000)
  t.ok(messages.length >= 50 && messages.length < 300, `${messages.length} are kept`)

  await Promise.all(range(1, 20).map(n => put('old', String(n), 1_000, 1)))
  await new Promise(resolve => setTimeout(resolve, 1_100))
  for (const n of range(21, 24)) await put('old', String(n), 1_000, 1)
  t.same((await broker.read('old', null, 1_000)).messages.map(({ id }) => id), ['21', '22', '23', '24'], 'what is too old is removed')
})

for (const [name, create] of Object.entries(CLUSTERS).filter(([name]) => name.endsWith('6'))) {
  t.test(`a cluster that changes, with ${name}`, { skip: noRedis }, async t => {
    const nodes = await startCluster(t, 3, 1)
    const ports = nodes.map(({ port }) => port)
    const { broker, got, interrupted, states } = await startBroker(t, create(ports))
    const topics = range(1, 60).map(n => `topic-${n}`)
    await broker.subscribe(topics)
    for (const topic of topics) await store(broker, topic, `1-${topic}`)
    await until(() => got.length === 60)
    t.pass('channels are on all nodes')

    // All slots of partitions on the first node move to the second.
    const [from, to] = [nodes[0]!, nodes[1]!]
    const [fromId, toId] = [await from.cli('CLUSTER', 'MYID'), await to.cli('CLUSTER', 'MYID')]
    for (let partition = 0; partition < 128; partition++) {
      const slot = await from.cli('CLUSTER', 'KEYSLOT', `{${partition}}`)
      if (Number(slot) >= Math.ceil(16384 / 3)) continue
      await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
      await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
      const keys = await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, '1000')
      if (keys !== '') await from.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys.split('\n'))
      await to.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
      await from.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    }
    await until(() => interrupted.length > 0 && states.at(-1) !== false)
    for (const topic of topics) await store(broker, topic, `2-${topic}`)
    await until(() => new Set(got.map(({ id }) => id)).size === 120)
    t.pass('channels have moved with their slots')

    // The node that has most of them is killed, and its replica takes its place.
    const before = interrupted.length
    await to.kill()
    for (const topic of topics) await store(broker, topic, `3-${topic}`)
    await until(() => interrupted.length > before && states.at(-1) === true)
    for (const topic of topics) await store(broker, topic, `4-${topic}`)
    await until(() => topics.every(topic => got.some(({ id }) => id === `4-${topic}`)))
    t.pass('the replica has the channels')
    t.equal(got.length, new Set(got.map(({ id }) => id)).size, 'nothing comes twice')
  })
}
