import t, { type Test } from 'tap'
import { brokerContract, type BrokerTest } from '../../lib/broker-tests/index.js'
import { redis } from '../../lib/redis/index.js'
import { CLIENTS, CLUSTERS } from './redis-clients.js'
import { freePort, noRedis, RedisServer, startCluster } from './redis-server.js'

// Every sentence of the interface of brokers, with each client.

/** Runs the tests that leave the engine alone at a time, since most of them wait for something to expire. */
async function runContract (t: Test, contract: BrokerTest[]): Promise<void> {
  const isFault = ({ name }: BrokerTest): boolean => name.startsWith('faults')
  t.jobs = 8
  await Promise.all(contract.filter(test => !isFault(test)).map(({ name, run }) => t.test(name, { buffered: true }, run)))
  for (const { name, run } of contract.filter(isFault)) await t.test(name, run)
}

t.test('one server', { skip: noRedis }, async t => {
  const server = await RedisServer.start(t)
  for (const [name, create] of Object.entries(CLIENTS)) {
    t.test(name, async t => {
      const unreachable = await freePort()
      const client = create(server.port)
      const contract = brokerContract({
        create: () => redis({ client, prefix: `${name}:`, timeout: 2_000 }),
        createUnreachable: () => redis({ client: create(unreachable) }),
        interrupt: () => server.cutAll(),
        stop: () => server.kill(),
        restart: () => server.run(),
        wipe: async () => {
          await server.kill()
          await server.forget()
          await server.run()
        }
      })
      await runContract(t, contract)
    })
  }
})

t.test('a cluster', { skip: noRedis }, async t => {
  const nodes = await startCluster(t)
  const ports = nodes.map(({ port }) => port)
  for (const [name, create] of Object.entries(CLUSTERS)) {
    t.test(name, async t => {
      const unreachable = await freePort()
      const client = create(ports)
      const contract = brokerContract({
        create: () => redis({ client, prefix: `${name}:`, timeout: 2_000 }),
        createUnreachable: () => redis({ client: create([unreachable]), timeout: 2_000 }),
        interrupt: async () => { await Promise.all(nodes.map(node => node.cutAll())) },
        wipe: async () => { await Promise.all(nodes.map(node => node.cli('FLUSHALL'))) }
      })
      await runContract(t, contract)
    })
  }
})
