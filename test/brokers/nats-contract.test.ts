import t from 'tap'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { brokerContract } from '../../lib/broker-tests/index.js'
import { nats } from '../../lib/nats/index.js'
import { NatsServer, noNats } from './nats-server.js'
import { TcpProxy } from './tcp-proxy.js'

// Every sentence of the interface of brokers, with a real server.

t.test('the contract of brokers', { skip: noNats }, async t => {
  const server = await NatsServer.start(t)
  const proxy = await TcpProxy.start(t, server.port)
  const connections: NatsConnection[] = []
  t.teardown(() => Promise.all(connections.map(connection => connection.close())))
  const tests = brokerContract({
    async create () {
      const connection = await server.connect({ teardown () {} }, proxy.port)
      connections.push(connection)
      return nats({ connection, timeout: 2_000 })
    },
    async createUnreachable () {
      const connection = await connect({ servers: `127.0.0.1:${server.port}` })
      await connection.close()
      return nats({ connection })
    },
    async interrupt () { proxy.cut() },
    stop: () => server.kill(),
    restart: () => server.run(),
    async wipe () {
      await server.kill()
      await server.forget()
      await server.run()
    }
  })
  for (const { name, run } of tests) await t.test(name, run)
})
