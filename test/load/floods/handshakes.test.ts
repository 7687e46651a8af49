import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { binary, ping, RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { many } from '../../support/thorough.js'
import { FloodServer, KiB, LEFT, pour, runHandshakes } from './support.js'

const HANDSHAKE_TIMEOUT = 1500

const server = await FloodServer.start(t, { handshakeTimeout: HANDSHAKE_TIMEOUT, closeTimeout: 1500 })

t.test('A4: thousands of handshakes that are begun and not ended, their headers dripped in', async t => {
  const request = Buffer.from(upgradeRequest('/'))
  await runHandshakes(t, server, {
    connections: many(500, 5000),
    flood: async client => client.writeSliced(request.subarray(0, 40), 20),
    bound: 24 * KiB,
    // Node's own limits hold with this plugin too. Who is still sending then may see a reset instead of the answer.
    after: async client => {
      const status = await client.response().then(({ status }) => status, () => 'reset' as const)
      t.ok(status === 408 || status === 'reset', String(status))
    }
  })
})

t.test('A4: upgrades whose hook never answers, with as much behind them as the client can send', async t => {
  const behind = Buffer.concat(Array<Buffer>(60).fill(binary(Buffer.alloc(4 * KiB))))
  await runHandshakes(t, server, {
    connections: many(50, 1000),
    flood: async client => {
      client.write(upgradeRequest('/hook'))
      // More than is kept; the rest stays with the client.
      client.write(behind)
    },
    bound: 24 * KiB + 2 * 64 * KiB,
    after: async client => {
      t.equal((await client.response()).status, 503)
    }
  })
})

t.test('C2: what comes in tiny chunks while a hook runs', async t => {
  await runHandshakes(t, server, {
    connections: many(40, 100),
    flood: async client => {
      client.write(upgradeRequest('/hook'))
      await client.writeSliced(Buffer.alloc(2000, text('x')), 1)
    },
    bound: 8 * KiB,
    after: async client => {
      t.equal((await client.response()).status, 503)
    }
  })
})

t.test('C8: all leave at once, in the middle of everything', async t => {
  const half = text(Buffer.alloc(1000, 'x')).subarray(0, 500)
  const open = (count: number): Promise<RawClient[]> => Promise.all(Array.from({ length: count }, () =>
    RawClient.open(server.port, '/deflate', { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' })))
  // An echo that is being compressed, a Pong, and a message that is not whole.
  const leave = (clients: RawClient[]): void => {
    for (const client of clients) client.write(Buffer.concat([binary(Buffer.alloc(40 * KiB, 'a')), ping('x'), half]))
    for (const client of clients) client.destroy()
  }
  leave(await open(20))
  await server.forgotten()
  const before = await server.usage()
  for (let i = 0; i < many(1, 10); i++) {
    const clients = await open(many(300, 2000))
    await server.during(async () => {
      leave(clients)
      await server.forgotten()
    })
  }
  const after = await server.usage()
  t.ok(after.memory - before.memory < LEFT, `${after.memory - before.memory} bytes are left`)
  t.ok(await server.hasNoMoreDescriptors(before), `there were ${before.descriptors} file descriptors before`)
})

t.test('C8: connect, upgrade, and reset, without an end', async t => {
  const request = upgradeRequest('/deflate', { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
  const before = await server.usage()
  const storm = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 100) {
      await Promise.all(Array.from({ length: 100 }, async (_, index) => {
        const socket: Socket = connect({ port: server.port, host: '127.0.0.1' })
        socket.on('error', () => {})
        await once(socket, 'connect')
        // At different stages of the handshake, or behind it.
        if (index % 4 > 0) socket.write(index % 4 === 1 ? request.slice(0, 30) : request + (index % 4 === 3 ? text('x').toString('latin1') : ''), 'latin1')
        if (index % 8 > 3) await Promise.race([once(socket, 'data'), new Promise(resolve => setImmediate(resolve))])
        socket.resetAndDestroy()
      }))
    }
  }
  await server.during(() => storm(many(300, 10_000)))
  await server.during(() => server.forgotten())
  const after = await server.usage()
  t.ok(after.memory - before.memory < LEFT, `${after.memory - before.memory} bytes are left`)
  t.ok(await server.hasNoMoreDescriptors(before), `there were ${before.descriptors} file descriptors before`)
  const next = await RawClient.open(server.port)
  await pour(next, text('and who comes then is served'))
  t.equal((await next.frame()).payload.toString(), 'and who comes then is served')
  next.destroy()
})
