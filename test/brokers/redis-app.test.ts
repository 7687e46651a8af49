import Fastify from 'fastify'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import websocket from '../../lib/index.js'
import { redis } from '../../lib/redis/index.js'
import type { Teardown } from '../support/app.js'
import { isUp, range, startApp, subscribe, type Running } from './apps.js'
import { COMMON, type Client } from './redis-clients.js'
import { noRedis, RedisServer, until } from './redis-server.js'
import { TcpProxy } from './tcp-proxy.js'

// Apps, a real redis-server between them, and what they do when it is not what it was: redis-faults.test.ts has the plain outages.

/** @param port of Redis, or of a proxy */
const start = (t: Teardown, create: (port: number) => Client, port: number, timeout = 500): Promise<Running> => startApp(t, redis({ client: create(port), timeout }))

const areUp = (...apps: Running[]) => (): boolean => apps.every(isUp)

interface Replicated {
  master: RedisServer
  replica: RedisServer
  /** In front of the master. */
  proxy: TcpProxy
  /** The replica gets all that the master has, nothing of what follows, and takes writes itself. */
  promote (): Promise<void>
}

async function startReplicated (t: Test): Promise<Replicated> {
  const master = await RedisServer.start(t, '--repl-diskless-sync-delay', '0')
  const replica = await startReplica(t, master)
  const offset = async (server: RedisServer, role: string): Promise<string> => new RegExp(`${role}_repl_offset:(\\d+)`).exec(await server.cli('INFO', 'replication'))![1]!
  return {
    master,
    replica,
    proxy: await TcpProxy.start(t, master.port),
    async promote () {
      await until(async () => await offset(replica, 'slave') === await offset(master, 'master'), 'the replica')
      await replica.cli('REPLICAOF', 'NO', 'ONE')
    }
  }
}

async function startReplica (t: Test, master: RedisServer): Promise<RedisServer> {
  const replica = await RedisServer.start(t, '--repl-diskless-sync-delay', '0')
  await replica.cli('REPLICAOF', '127.0.0.1', String(master.port))
  await until(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica')
  return replica
}

for (const [name, create] of COMMON) {
  t.test(`Redis without memory, with ${name}`, { skip: noRedis }, async t => {
    const server = await RedisServer.start(t)
    const [one, two] = [await start(t, create, server.port), await start(t, create, server.port)]
    const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]
    const publish = (topic: string, n: number, options = {}): Promise<unknown> => one.app.websocketServer.publish(topic, n, options)
    await publish('rooms/1', 1)
    await room.until(1)

    const keys = await server.cli('DBSIZE')
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    const id = 'when-there-is-memory'
    await t.rejects(publish('rooms/1', 2, { id }), { code: 'FST_WS_ERR_PUBLISH', message: /OOM .*maxmemory/ })
    t.equal(await server.cli('DBSIZE'), keys, 'nothing was written')
    await publish('prices', 1)
    await price.until(1)
    const fresh = subscribe(t, two, 'rooms/fresh')
    const member = subscribe(t, { url: `${two.url}?name=Ada` }, 'people/1')
    await t.rejects(publish('rooms/fresh', 1), { code: 'FST_WS_ERR_PUBLISH' })
    t.ok(areUp(one, two)(), 'it is up')
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    await publish('rooms/1', 2, { id })
    await publish('rooms/1', 2, { id })
    await publish('rooms/1', 3)
    await room.until(3)
    t.same(room.got, [1, 2, 3])
    const live = await fresh
    await publish('rooms/fresh', 2)
    await live.until(1)
    await member
    await until(async () => await one.app.websocketServer.topic('people/1').presence.count() === 1, 'the member')
    t.equal(room.resets, 0)
  })

  t.test(`fail-over, with ${name}`, { skip: noRedis }, async t => {
    for (const further of [0, 3, 10]) {
      await t.test(`to a replica that lags, and gets ${further} messages before anybody looks`, async t => {
        const { master, replica, proxy, promote } = await startReplicated(t)
        const [one, two] = [await start(t, create, proxy.port), await start(t, create, proxy.port)]
        const room = await subscribe(t, two, 'rooms/1')
        for (const n of range(1, 5)) await one.app.websocketServer.publish('rooms/1', n)
        await promote()
        for (const n of range(6, 10)) await one.app.websocketServer.publish('rooms/1', n)
        await room.until(10)
        const { position } = room.topic
        const other = await start(t, create, replica.port)
        for (const n of range(1, further)) await other.app.websocketServer.publish('rooms/1', 100 + n)
        proxy.target = replica.port
        await master.kill()
        await until(() => room.resets === 1, 'the reset')
        const count = room.got.length
        await other.app.websocketServer.publish('rooms/1', 200)
        await room.until(count + 1)
        t.equal(room.got.at(-1), 200)
        const back = await subscribe(t, other, 'rooms/1', { since: position })
        await until(() => back.resets === 1, 'the reset of a client that comes back')
      })
    }

    await t.test('from a server that becomes a replica, and breaks no connection', async t => {
      const { master, replica, proxy, promote } = await startReplicated(t)
      const two = await start(t, create, proxy.port)
      const room = await subscribe(t, two, 'rooms/1')
      await two.app.websocketServer.publish('rooms/1', 1)
      await room.until(1)
      await promote()
      await two.app.websocketServer.publish('rooms/1', 2)
      await room.until(2)
      proxy.target = replica.port
      await master.cli('REPLICAOF', '127.0.0.1', String(replica.port))
      await until(() => room.resets === 1, 'the reset')
    })

    await t.test('that one of two connections takes part in', async t => {
      const { master, replica, proxy, promote } = await startReplicated(t)
      const two = await start(t, create, proxy.port)
      const room = await subscribe(t, two, 'rooms/1')
      await promote()
      const other = await start(t, create, replica.port)
      proxy.target = replica.port
      await master.cli('CLIENT', 'KILL', 'TYPE', 'normal')
      await until(async () => {
        await other.app.websocketServer.publish('rooms/1', 1)
        return room.got.length > 0
      }, 'messages of the new server')
    })

    await t.test('that the connection for messages takes part in alone, while the old server takes writes', async t => {
      const { master, replica, proxy, promote } = await startReplicated(t)
      const [one, two] = [await start(t, create, master.port), await start(t, create, proxy.port)]
      const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]
      await one.app.websocketServer.publish('rooms/1', 1)
      await room.until(1)
      await promote()
      await one.app.websocketServer.publish('rooms/1', 2)
      await room.until(2)
      proxy.target = replica.port
      const before = two.app.websocketServer.stats.topics.reconnects
      proxy.cut(sent => /\r\nsubscribe\r\n/i.test(sent))
      await until(() => room.resets === 1, 'the reset: the process is on the new server, which does not have the second message')
      await until(() => price.gaps > 0, 'the gap')
      await until(areUp(two), 'both connections')
      t.ok(two.app.websocketServer.stats.topics.reconnects > before)
      const count = room.got.length
      await two.app.websocketServer.publish('rooms/1', 3)
      await room.until(count + 1)
      t.equal(room.got.at(-1), 3)
    })
  })
}

interface Child {
  url: string
  process: ChildProcess
  /** What it sends: the numbers that it has published. */
  published: number[]
  kill (): Promise<void>
}

async function startChild (t: Teardown, server: RedisServer, env = {}): Promise<Child> {
  const program = fileURLToPath(new URL('programs/redis-app.ts', import.meta.url))
  // without tap's loader
  const { NODE_OPTIONS, ...rest } = process.env
  const child = spawn(process.execPath, ['--import=tsx', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...rest, REDIS_PORT: String(server.port), ...env } })
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  t.teardown(kill)
  const [url] = await Promise.race([once(child, 'message'), exited.then(() => { throw new Error('it has ended') })])
  const published: number[] = []
  child.on('message', number => published.push(number as number))
  return { url, process: child, published, kill }
}

const createIoRedis = (port: number): Client => new Redis(port, '127.0.0.1', { lazyConnect: true })

t.test('a process that is killed while it publishes', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t, '--appendfsync', 'no')
  const app = await start(t, createIoRedis, server.port)
  const room = await subscribe(t, app, 'rooms/1')
  for (const inFlight of [1, 64]) {
    const before = room.got.length
    const child = await startChild(t, server)
    child.process.send({ topic: 'rooms/1', inFlight })
    await until(() => child.published.length > 500, 'messages')
    await child.kill()
    const { messages } = await app.app.websocketServer.topic('rooms/1').history({ limit: 1 })
    await app.app.websocketServer.publish('rooms/1', -1)
    await until(() => room.got.at(-1) === -1, 'the last one')
    const got = room.got.slice(before, -1) as number[]
    t.same(got, range(1, got.length), 'each once, in order')
    t.ok(got.length >= Math.max(...child.published), 'what resolved was delivered')
    t.equal(messages.at(-1)?.message, got.at(-1), 'so was what was stored')
  }

  const price = await subscribe(t, app, 'prices')
  const child = await startChild(t, server)
  child.process.send({ topic: 'prices', inFlight: 16 })
  await until(() => child.published.length > 500, 'messages')
  await child.kill()
  await app.app.websocketServer.publish('prices', -1)
  await until(() => price.got.at(-1) === -1, 'the last one')
  const got = price.got.slice(0, -1) as number[]
  t.same(got, range(1, got.length), 'without history too: each once, in order')
  t.ok(got.length >= Math.max(...child.published), 'what resolved was delivered')
  t.equal(price.gaps, 0)
})

t.test('the clients of a process that is killed come back to another one, and miss nothing', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t, '--appendfsync', 'no')
  const app = await start(t, createIoRedis, server.port)
  const child = await startChild(t, server)
  let isKilled = false
  const url = (): string => isKilled ? app.url : child.url
  const clients = await Promise.all(range(1, 5).map(() => subscribe(t, { url }, 'rooms/1')))
  child.process.send({ topic: 'rooms/1', inFlight: 8 })
  await until(() => child.published.length > 300, 'messages')
  isKilled = true
  await child.kill()
  const { messages: [last] } = await app.app.websocketServer.topic('rooms/1').history({ limit: 1 })
  const stored = last!.message as number
  for (const n of range(1, 20)) await app.app.websocketServer.publish('rooms/1', stored + n)
  for (const client of clients) {
    await client.until(stored + 20)
    t.same(client.got, range(1, stored + 20), 'each once, in order')
    t.equal(client.resets, 0)
  }
  t.ok(stored >= Math.max(...child.published), 'what resolved is among them')
})

t.test('processes whose clocks differ by minutes', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const app = await start(t, createIoRedis, server.port)
  const [late, early] = await Promise.all([startChild(t, server, { CLOCK: -600_000 }), startChild(t, server, { CLOCK: 600_000 })])
  const observer = await subscribe(t, { url: `${app.url}?name=observer` }, 'people/1')
  await subscribe(t, { url: `${late.url}?name=late` }, 'people/1')
  await subscribe(t, { url: `${early.url}?name=early` }, 'people/1')
  await until(() => observer.members.length === 3, 'the members')
  let hasLeft = false
  const removeListener = observer.topic.on('presence', members => { hasLeft ||= !members.some(({ info }) => info === 'late') })
  await early.kill()
  await until(() => observer.members.length === 2, 'the members of the killed process to leave', 25)
  t.same(observer.members.toSorted(), ['late', 'observer'])
  t.notOk(hasLeft, 'a process that lives has its members')
  removeListener()
})

t.test('a client that resumes while its old connection still lives on another process', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const [one, two] = [await start(t, createIoRedis, server.port), await start(t, createIoRedis, server.port)]
  const line = await TcpProxy.start(t, Number(new URL(one.url).port))
  const observer = await subscribe(t, { url: `${two.url}?name=observer` }, 'people/1')
  const urls = [`ws://127.0.0.1:${line.port}/live?name=Ada`]
  const roaming = await subscribe(t, { url: () => urls.shift() ?? `${two.url}?name=Ada` }, 'people/1')
  await until(() => observer.members.length === 2, 'both')
  const { changes } = observer
  const publish = (n: number): Promise<unknown> => one.app.websocketServer.publish('people/1', n)
  await publish(1)
  await roaming.until(1)
  line.isFrozen = true
  for (const n of range(2, 5)) await publish(n)
  await roaming.until(5)
  t.equal(one.app.websocketServer.clients.size, 1, 'the old connection is still there')
  await publish(6)
  await roaming.until(6)
  t.same(roaming.got, range(1, 6))
  line.cut()
  await until(() => one.app.websocketServer.clients.size === 0, 'its end')
  await publish(7)
  await roaming.until(7)
  await observer.until(7)
  t.equal(observer.changes, changes, 'nobody has left or come')
  t.equal(await one.app.websocketServer.topic('people/1').presence.count(), 2)
  t.equal(roaming.resets, 0)
})

t.test('servers that are of no use are refused at start', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  const renamed = await RedisServer.start(t, '--rename-command', 'EVALSHA', '')
  const user = (name: string, ...rules: string[]): Promise<string> => server.cli('ACL', 'SETUSER', name, 'on', '>secret', '~*', ...rules)
  await user('channelless', 'resetchannels', '+@all')
  await user('able', '&*', '+@all')
  const replica = await startReplica(t, server)
  const of = (username: string, password = 'secret'): Client => new Redis(server.port, '127.0.0.1', { lazyConnect: true, username, password })
  for (const [client, message] of [
    [of('channelless'), /this Redis does not let the user publish to the channels of the broker/],
    [of('able', 'wrong'), /WRONGPASS/],
    [createIoRedis(renamed.port), /this Redis does not allow scripts/],
    [createIoRedis(replica.port), /READONLY/]
  ] as const) {
    const app = Fastify()
    await app.register(websocket, { broker: redis({ client }), topics: { waitForBroker: 2_000 } })
    await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_BROKER', message })
    await app.close()
  }
  const { app } = await start(t, () => of('able'), server.port)
  await app.websocketServer.publish('rooms/1', 1)
})
