import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { fragments } from '../../conformance/support.js'
import { binary, close, continuation, ping, pong, type RawClient, text } from '../../support/raw-client.js'
import { many } from '../../support/thorough.js'
import type { Transport } from './flood-server.js'
import { countReceived, drip, FloodServer, KiB, MiB, pour, received, runFlood } from './support.js'

function times (count: number, bytes: Buffer): Buffer {
  return Buffer.alloc(count * bytes.length, bytes)
}

/** A client that takes nothing any more. */
function stopReading (client: RawClient): void {
  client.socket.pause()
}

/** All of them over TCP, whose cost is known best; once more, with few connections, over what else there is. */
for (const transport of many(['tcp'] as const, ['tcp', 'tls', 'http2'] as const)) {
  t.test(`over ${transport}`, t => runFrames(t, transport))
}

async function runFrames (t: Test, transport: Transport): Promise<void> {
  const server = await FloodServer.start(t, { closeTimeout: 1500 }, transport)
  const count = <T>(few: T, thorough: T): T => transport === 'tcp' ? many(few, thorough) : few

  t.test('C3: pings from a client that does not read leave one pong to be sent', async t => {
    // More than the system's own buffers hold.
    const pings = times(60_000, ping(Buffer.alloc(125, 'p')))
    await runFlood(t, server, {
      connections: count(3, 50),
      flood: async client => {
        stopReading(client)
        await pour(client, pings)
      },
      bound: 64 * KiB
    })
  })

  t.test('C3: tiny messages from a client that does not read its echoes, each in a chunk of its own', async t => {
    const filling = binary(Buffer.alloc(64 * KiB))
    await runFlood(t, server, {
      connections: count(4, 50),
      prepare: async client => {
        stopReading(client)
        // Until the system's own buffers are full: all further echoes wait in ours.
        const before = await server.queued()
        while (await server.queued() === before) client.write(filling)
      },
      flood: client => drip(client, times(3000, text('x')), 7),
      bound: 3 * 64 * KiB
    })
  })

  t.test('C2: tiny fragments of a message that does not end', async t => {
    const bytes = fragments(0x2, Buffer.alloc(64 * KiB), 1)
    await runFlood(t, server, {
      connections: count(10, 200),
      // Without the last one.
      flood: client => pour(client, bytes.subarray(0, -7)),
      bound: 4 * 64 * KiB
    })
  })

  t.test('C2: empty fragments without end', async t => {
    const bytes = Buffer.concat([text('', { fin: false }), times(100_000, continuation('', { fin: false }))])
    await runFlood(t, server, {
      connections: count(4, 100),
      flood: client => pour(client, bytes),
      bound: 8 * KiB,
      after: async client => {
        client.write(continuation('done'))
        t.equal((await client.frame()).payload.toString(), 'done')
      }
    })
  })

  t.test('C2: a message in tiny chunks', async t => {
    const bytes = binary(Buffer.alloc(1000, 'b'))
    await runFlood(t, server, {
      connections: count(30, 300),
      flood: client => drip(client, bytes.subarray(0, -1), 1),
      bound: 4 * 1000,
      after: async client => {
        client.write(bytes.subarray(-1))
        t.equal((await client.frame()).payload.length, 1000)
      }
    })
  })

  t.test('C2: one byte at a time, and never a whole message: idleTimeout ends that, though bytes are a sign of life', async t => {
    const clients = await Promise.all(Array.from({ length: count(30, 500) }, () => server.open('/idle')))
    await server.during(() => Promise.all(clients.map(async client => {
      const bytes = binary(Buffer.alloc(50_000))
      const closed = client.closeFrame()
      const over = new AbortController()
      closed.finally(() => over.abort()).catch(() => {})
      // To this idleTimeout as one byte a second is to a minute.
      for (let at = 0; !over.signal.aborted; at++) {
        client.write(bytes.subarray(at, at + 1))
        await sleep(10)
      }
      t.equal((await closed).code, 1001)
      client.end()
      await client.closed
    })))
    await server.forgotten()
  })

  t.test('C2: a message that never ends costs no more than maxPayload, and is ended there with 1009', async t => {
    const piece = continuation(Buffer.alloc(4 * KiB), { fin: false })
    await runFlood(t, server, {
      connections: count(6, 100),
      flood: client => pour(client, Buffer.concat([binary('', { fin: false }), times(250, piece)])),
      bound: MiB + 16 * KiB,
      after: async client => {
        client.write(times(20, piece))
        t.equal((await client.closeFrame()).code, 1009)
        // It goes on, and nothing of it is kept.
        await pour(client, times(200, piece))
      }
    })
  })

  t.test('C11: what comes behind a Close frame is thrown away, and for closeTimeout at most', async t => {
    await runFlood(t, server, {
      connections: count(8, 100),
      flood: async client => {
        client.write(close(1000))
        t.equal((await client.closeFrame()).code, 1000)
        await pour(client, times(500, text(Buffer.alloc(KiB, 'x'))))
      },
      bound: 8 * KiB,
      after: async client => {
        // It does not end by itself.
        while (!client.socket.destroyed) {
          await pour(client, text(Buffer.alloc(KiB, 'x')))
          await sleep(1)
        }
      }
    })
  })

  t.test('C2: what waits for a handler that does not listen is bounded by what it costs', async t => {
    // Each chunk has a message of one byte, and much beside it that is not kept.
    const chunk = Buffer.concat([text('x'), times(30, pong(Buffer.alloc(120)))])
    for (const path of count(['/deaf'], ['/deaf', '/busy'])) {
      await runFlood(t, server, {
        connections: count(8, 100),
        path,
        flood: client => drip(client, times(600, chunk), chunk.length),
        // The messages, the rest of a chunk, and objects.
        bound: 3 * 64 * KiB
      })
    }
  })

  t.test('C2: empty messages to a handler that does not listen', async t => {
    // Over HTTP/2 not all of it goes out.
    const empty = times(50_000, text(''))
    for (const path of count(['/busy'], ['/deaf', '/busy'])) {
      await runFlood(t, server, { connections: count(8, 100), path, flood: client => { client.write(empty) }, bound: 3 * 64 * KiB })
    }
  })

  t.test('C12: thousands of short broadcasts to those who do not read', async t => {
    const filling = binary(Buffer.alloc(64 * KiB))
    await runFlood(t, server, {
      connections: count(3, 20),
      path: '/pushes',
      prepare: async client => {
        stopReading(client)
        const before = await server.queued()
        while (await server.queued() === before) client.write(filling)
      },
      flood: async () => {},
      during: async () => {
        // The last of what fills the buffers may still be on its way, and its echo would come between the broadcasts.
        await server.settled()
        await server.broadcast()
      },
      bound: 3 * 64 * KiB + 10_000 * 6,
      after: async client => {
        client.socket.resume()
        let ticks = 0
        while (ticks < 10_000) {
          const { opcode, payload } = await client.frame()
          if (opcode === 0x1 && payload.toString() === 'tick') ticks++
          else if (ticks > 0 && opcode !== 0x9) t.fail('something is between them')
        }
        t.pass('all of them come when it reads again')
      }
    })
  })

  t.test('C8: tiny messages while one is compressed on another thread', async t => {
    const large = binary(Buffer.from(Array.from({ length: 1000 * KiB }, (_, i) => (i * i) >>> 7)))
    const tiny = times(50_000, text(''))
    await runFlood(t, server, {
      connections: count(4, 50),
      path: '/deflate',
      headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
      prepare: async client => countReceived(client),
      flood: async client => {
        client.write(large)
        await pour(client, tiny)
      },
      // The large message as it was, as it is compressed, in pieces and then whole, and what waits behind it.
      bound: 4 * MiB,
      after: async client => {
        client.write(close(4000))
        await client.ended
        t.ok(received(client) > 50_000 * 3, 'all were answered')
      }
    })
  })
}
