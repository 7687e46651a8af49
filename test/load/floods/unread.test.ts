import t from 'tap'
import { binary } from '../../support/raw-client.js'
import { many } from '../../support/thorough.js'
import type { Transport } from './flood-server.js'
import { drip, FloodServer, KiB, runFlood, runPendingHandshakes } from './support.js'

// Node's streams count the bytes that nobody has read yet, and not what chunks of one byte cost. Of each way to have such chunks:
// segments of TCP, TLS records, DATA frames.
const transports: Transport[] = ['tcp', 'tls', 'http2']

const bytes = binary(Buffer.alloc(many(10_000, 60_000)))

for (const transport of transports) {
  t.test(`C2: over ${transport}`, async t => {
    const server = await FloodServer.start(t, { handshakeTimeout: 120_000, closeTimeout: 1500 }, transport)
    // What Node reads before it says that it is full, and the window of HTTP/2.
    const bound = 2 * 64 * KiB

    t.test('one byte at a time to a connection that is paused', async t => {
      await runFlood(t, server, { connections: many(4, 8), path: '/pauses', flood: client => drip(client, bytes, 1), bound })
    })

    t.test('the same while a hook runs, behind as much as is kept', async t => {
      const before = binary(Buffer.alloc(40 * KiB))
      await runPendingHandshakes(t, server, {
        connections: many(4, 8),
        path: '/waits',
        flood: async client => {
          client.write(before)
          await drip(client, bytes.subarray(0, transport === 'http2' ? 24 * KiB : Infinity), 1)
        },
        bound: bound + 64 * KiB
      })
    })
  })
}
