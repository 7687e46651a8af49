import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis as IoRedis5 } from 'ioredis-5'
import { Redis } from 'ioredis'
import { Redis as IoValkey } from 'iovalkey'
import { createSentinel } from 'redis'
import t from 'tap'
import { redis } from '../../lib/redis/index.js'
import type { Teardown } from '../support/app.js'
import { isUp, range, startApp, subscribe } from './apps.js'
import type { Client } from './redis-clients.js'
import { command, freePort, noRedis, RedisServer, until } from './redis-server.js'
import { spawnServer } from './spawn-server.js'

// A real Sentinel that watches a real server and its replica, and the clients that ask it for the one that takes writes.

const NAME = 'main'

/** @returns its port */
async function startSentinel (t: Teardown, master: RedisServer): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'fastify-ws-routes-sentinel-'))
  const port = await freePort()
  const file = join(folder, 'sentinel.conf')
  writeFileSync(file, [
    `port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 1`,
    `sentinel down-after-milliseconds ${NAME} 700`, `sentinel failover-timeout ${NAME} 3000`, ''
  ].join('\n'))
  const child = spawnServer('redis-server', [file, '--sentinel'], 'ignore')
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true })
  })
  await until(async () => (await command(port, ['SENTINEL', 'REPLICAS', NAME]).catch(() => '')).includes('slave-repl-offset'), 'Sentinel to know the replica')
  return port
}

const CLIENTS: Record<string, (port: number) => Client> = {
  'ioredis 6': port => new Redis({ sentinels: [{ host: '127.0.0.1', port }], name: NAME, lazyConnect: true }),
  'ioredis 5': port => new IoRedis5({ sentinels: [{ host: '127.0.0.1', port }], name: NAME, lazyConnect: true }),
  iovalkey: port => new IoValkey({ sentinels: [{ host: '127.0.0.1', port }], name: NAME, lazyConnect: true })
}

for (const [name, create] of Object.entries(CLIENTS)) {
  for (const end of ['killed', 'frozen'] as const) {
    t.test(`Sentinel fails over, with ${name}, from a server that is ${end}`, { skip: noRedis }, async t => {
      const master = await RedisServer.start(t)
      const replica = await RedisServer.start(t, '--replicaof', `127.0.0.1 ${master.port}`)
      await until(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica')
      const sentinel = await startSentinel(t, master)
      const start = (): ReturnType<typeof startApp> => startApp(t, redis({ client: create(sentinel), timeout: 500 }))
      const [one, two] = [await start(), await start()]
      const [room, price] = [await subscribe(t, two, 'rooms/1'), await subscribe(t, two, 'prices')]
      const publish = (n: number): Promise<unknown> => one.app.websocketServer.publish('rooms/1', n, { id: `the-${n}` })
      for (const n of range(1, 5)) await publish(n)
      await room.until(5)
      await until(async () => (await replica.cli('DBSIZE')) === (await master.cli('DBSIZE')), 'replication')
      await master.cli('WAIT', '1', '5000')
      if (end === 'killed') await master.kill()
      else await master.freeze()
      await until(() => !isUp(one) && !isUp(two), 'the loss')
      for (const n of range(6, 10)) await until(async () => publish(n).then(() => true, () => false), 'the new server')
      await room.until(10)
      t.same(room.got, range(1, 10), 'each once, in order')
      t.equal(room.resets, 0)
      await until(() => isUp(one) && isUp(two) && price.gaps > 0, 'both, and the gap')
      t.match(await replica.cli('ROLE'), /^master/)
      if (end === 'frozen') {
        // It comes back, takes itself for the one that takes writes, and is told otherwise.
        master.thaw()
        await until(async () => (await master.cli('ROLE').catch(() => '')).startsWith('slave'), 'the old server to be a replica')
        await publish(11)
        await room.until(11)
        t.equal(room.got.at(-1), 11)
      }
    })
  }
}

t.test('a client of node-redis that asks Sentinel is refused, with what is accepted', async t => {
  const client = createSentinel({ name: NAME, sentinelRootNodes: [{ host: '127.0.0.1', port: 26379 }] })
  t.throws(() => redis({ client: client as never }), { code: 'FST_WS_ERR_INVALID_OPTION', message: /'client' of redis\(\) must be a client of ioredis 5 or 6, .*createClient or createCluster.*for Sentinel one of ioredis/ })
})
