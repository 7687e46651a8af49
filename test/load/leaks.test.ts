import { deflateRawSync, constants } from 'node:zlib'
import t from 'tap'
import { FloodServer, KiB } from './floods/support.js'
import { binary, close, continuation, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { many } from '../support/thorough.js'

// Connections that open, speak and end in every way that there is; then the server has what it had before.

const TOTAL = many(1200, 50_000)

/** After so many V8 has compiled all of it, and keeps what it always will. */
const WARM_UP = many(600, 8000)

/** What leaks grows in each of them; what V8 does on its own, for tens of thousands of connections, does not. */
const ROUNDS = 5

/** Bytes, in a round. If 650 were kept of all that end in a single one of the ways, in the thorough run it would be more. */
const BOUND = 200 * KiB

const AT_ONCE = 50

const server = await FloodServer.start(t, { closeTimeout: 1000, handshakeTimeout: 1000 })

type Way = (client: RawClient) => Promise<unknown>

const OFFER = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }

/** The handshake, and something is said both ways. */
async function speak (client: RawClient, path = '/'): Promise<void> {
  await handshake(client, path)
  client.write(Buffer.concat([text('one'), ping('two'), binary('th', { fin: false }), continuation('ree')]))
  for (let i = 0; i < 3; i++) await client.frame()
}

async function handshake (client: RawClient, path: string, headers: Record<string, string | null> = {}): Promise<number> {
  client.write(upgradeRequest(path, headers))
  return (await client.head()).status
}

/** The server ends it. */
async function ended (client: RawClient): Promise<void> {
  await client.ended
  client.end()
  await client.closed
}

function compressed (content: Buffer): Buffer {
  return binary(deflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), { rsv: 0x40 })
}

function expect (code: number, bytes: Uint8Array, path = '/', headers: Record<string, string> = {}): Way {
  return async client => {
    await handshake(client, path, headers)
    client.write(bytes)
    const closed = await client.closeFrame()
    if (closed.code !== code) throw new Error(`${closed.code} instead of ${code}`)
    client.write(close(closed.code))
    await ended(client)
  }
}

function refused (status: number, path: string, headers: Record<string, string | null> = {}): Way {
  return async client => {
    const got = await handshake(client, path, headers)
    if (got !== status) throw new Error(`${got} instead of ${status}`)
    await ended(client)
  }
}

const reset: Way = async client => {
  if ('resetAndDestroy' in client.socket) (client.socket as { resetAndDestroy (): void }).resetAndDestroy()
}

const WAYS: Record<string, Way> = {
  'a close handshake': async client => {
    await speak(client)
    client.write(close(1000, 'bye'))
    await ended(client)
  },
  'a Close frame without a code, and FIN with it': async client => {
    await speak(client)
    client.write(close())
    client.end()
    await client.closed
  },
  'no more than FIN': async client => {
    await speak(client)
    client.end()
    await client.closed
  },
  'a reset': async client => {
    await speak(client)
    await reset(client)
  },
  'a reset in the middle of a message': async client => {
    await speak(client)
    client.write(binary('half', { fin: false }))
    await reset(client)
  },
  'a reset with much unread': async client => {
    await handshake(client, '/')
    client.socket.pause()
    client.write(binary(Buffer.alloc(200 * KiB)))
    await reset(client)
  },
  'FIN within a header': async client => {
    await speak(client)
    client.write(text('cut').subarray(0, 3))
    client.end()
    await client.closed
  },
  'FIN right behind the handshake': async client => {
    client.write(upgradeRequest('/'))
    client.end()
    await client.closed
  },
  'a broken rule': expect(1002, text('x', { mask: null })),
  'text that is not UTF-8': expect(1007, text(Buffer.of(0xff))),
  'a message that is too big': async client => {
    await handshake(client, '/')
    client.write(binary('', { announce: 2 ** 40 }))
    await client.closeFrame()
    // It would be understood only behind the message.
    client.end()
    await client.closed
  },
  'garbage for zlib': expect(1007, binary(Buffer.alloc(8, 0xff), { rsv: 0x40 }), '/deflate', OFFER),
  'a bomb': expect(1009, compressed(Buffer.alloc(2048 * KiB)), '/deflate', OFFER),
  'compressed messages': async client => {
    await handshake(client, '/deflate', OFFER)
    client.write(Buffer.concat([compressed(Buffer.alloc(2000, 'a')), compressed(Buffer.alloc(50 * KiB, 'b'))]))
    await client.frame()
    await client.frame()
    client.write(close(1000))
    await ended(client)
  },
  'a reset while a message is compressed': async client => {
    await handshake(client, '/deflate', OFFER)
    client.write(compressed(Buffer.alloc(100 * KiB, 'c')))
    await reset(client)
  },
  'a handler that closes': expect(4000, Buffer.alloc(0), '/closes'),
  'a handler that terminates': async client => {
    client.write(upgradeRequest('/terminates'))
    await ended(client)
  },
  'a handler that throws': expect(1011, Buffer.alloc(0), '/throws'),
  'a listener that throws': expect(1011, text('x'), '/throws-later'),
  'a handler that has paused': async client => {
    await handshake(client, '/pauses')
    client.write(Buffer.concat([text('never read'), close(1000)]))
    client.destroy()
  },
  'a stream': async client => {
    await handshake(client, '/stream')
    client.write(text('echo'))
    await client.frame()
    client.end()
    await client.closed
  },
  'a stream, and a reset': async client => {
    await handshake(client, '/stream')
    client.write(text('echo'))
    await reset(client)
  },
  'an abort signal': async client => {
    await handshake(client, '/pushes')
    client.write(text('x'))
    await client.frame()
    client.destroy()
  },
  'not found': refused(404, '/nothing'),
  'another origin': refused(403, '/', { Origin: 'https://evil.example' }),
  'a hook that refuses': refused(401, '/denied'),
  'no key': refused(400, '/', { 'Sec-WebSocket-Key': null }),
  'another version': refused(426, '/', { 'Sec-WebSocket-Version': '8' }),
  'leaving while a hook runs': async client => {
    client.write(upgradeRequest('/hook') + 'and some bytes')
    client.destroy()
  },
  'a request for HTTP': async client => {
    client.write('GET /http HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    await client.response()
    client.destroy()
  },
  'nothing at all': async client => client.destroy()
}

async function run (total: number): Promise<void> {
  const ways = Object.entries(WAYS)
  for (let i = 0; i < total;) {
    const some = Array.from({ length: Math.min(AT_ONCE, total - i) }, () => ways[i++ % ways.length]!)
    await Promise.all(some.map(async ([name, way]) => {
      const client = await RawClient.connect(server.port)
      try {
        await way(client)
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
      }
    }))
  }
}

t.test(`B6, C8: heap and file descriptors return to their start after ${TOTAL} connections that ended in every way`, async t => {
  await server.during(() => run(WARM_UP))
  await server.release()
  await server.forgotten()
  const before = await server.usage()
  const grown: number[] = []
  let after = before
  for (let i = 0; i < ROUNDS; i++) {
    const { memory } = after
    await server.during(() => run(TOTAL / ROUNDS))
    await server.release()
    await server.forgotten()
    after = await server.usage()
    grown.push(after.memory - memory)
  }
  t.ok(Math.min(...grown) < BOUND, `${ROUNDS} times ${TOTAL / ROUNDS} connections: ${grown.join(', ')} bytes more than the ${before.memory} before`)
  t.ok(await server.hasNoMoreDescriptors(before), `there were ${before.descriptors} file descriptors before`)
  t.equal(after.clients, 1)
})
