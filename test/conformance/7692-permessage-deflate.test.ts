import t, { type Test } from 'tap'
import { once } from 'node:events'
import { constants, deflateRawSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import type { PerMessageDeflateOptions, WebSocketConnection } from '../../lib/index.js'
import { COPY_LENGTH, encodeTokens, KeptInflater, messageOf, noiseOf, randomFrom, storedBlock, TAIL, textOf } from '../compression/peer.js'
import { echo, startApp, type TestApp } from '../support/app.js'
import { DeflateClient } from '../support/deflate-client.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { binary, close, continuation, ping, pong, RawClient, text, upgradeRequest } from '../support/raw-client.js'

const KiB = 1024
const MiB = 1024 * KiB
const compressed = { rsv: 0x40 }

const HELLO = Buffer.from('f248cdc9c90700', 'hex')

function start (t: Test, perMessageDeflate: boolean | PerMessageDeflateOptions, configure: (app: FastifyInstance) => unknown = echo, maxPayload = 8 * MiB): Promise<TestApp> {
  return startApp(t, configure, { perMessageDeflate, maxPayload })
}

function compress (message: string | Buffer): Buffer {
  return deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -TAIL.length)
}

/** The server's side of the next connection. */
async function nextConnection (app: FastifyInstance): Promise<WebSocketConnection> {
  const [connection] = await once(app.websocketServer, 'connection') as [WebSocketConnection]
  return connection
}

/** Opens a client and hands out both its ends. */
async function openBoth (t: Test, { app, port }: TestApp, offer?: string): Promise<[DeflateClient, WebSocketConnection]> {
  const connection = nextConnection(app)
  return [await DeflateClient.open(t, port, '/', offer), await connection]
}

// --- RFC 7692 §5, §7.1: the handshake

t.test('RFC 7692 §7.1: what is on the 101 is in connection.extensions, per route', async t => {
  const { port } = await startApp(t, app => {
    const tell = (connection: WebSocketConnection): void => { connection.send(`extensions: ${connection.extensions}`) }
    app.get('/off', { websocket: { perMessageDeflate: false } }, tell)
    app.get('/plugin', { websocket: true }, tell)
    app.get('/some', { websocket: { perMessageDeflate: { clientNoContextTakeover: true } } }, tell)
    app.get('/all', { websocket: { perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 9, clientMaxWindowBits: 8 } } }, tell)
  }, { perMessageDeflate: { serverMaxWindowBits: 15, clientMaxWindowBits: 11 } })
  const offer = 'permessage-deflate; client_max_window_bits'
  for (const [path, offered, agreed] of [
    ['/off', offer, ''],
    ['/plugin', null, ''],
    ['/plugin', 'permessage-deflate', 'permessage-deflate'],
    ['/plugin', offer, 'permessage-deflate; client_max_window_bits=11'],
    ['/plugin', 'permessage-deflate; server_max_window_bits="10"', 'permessage-deflate; server_max_window_bits=10'],
    ['/some', offer, 'permessage-deflate; client_no_context_takeover; client_max_window_bits=11'],
    ['/all', offer, 'permessage-deflate; client_no_context_takeover; client_max_window_bits=9'],
    ['/all', 'permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits=8',
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8'],
    ['/all', 'permessage-deflate', 'permessage-deflate; client_no_context_takeover'],
    // A12
    ['/plugin', 'permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=12', 'permessage-deflate; server_max_window_bits=12'],
    ['/plugin', 'permessage-deflate; mux=1, constructor; __proto__, permessage-deflate', 'permessage-deflate'],
    ['/plugin', 'permessage-deflate; server_max_window_bits=16', ''],
    ['/plugin', 'permessage-deflate; client_max_window_bits=10; client_max_window_bits=10', '']
  ] as const) {
    const client = await DeflateClient.open(t, port, path, offered)
    t.equal(client.extensions, agreed, `A12: ${path}, ${offered}: on the 101`)
    t.equal((await client.message()).data.toString(), `extensions: ${agreed}`, 'in connection.extensions')
    client.raw.write(close(1000))
    await client.raw.closeFrame()
    await client.raw.ended
    client.close()
  }
})

t.test('RFC 7692 §7.1: several fields are one list of offers, and declined ones leave no field on the 101', async t => {
  const { port } = await start(t, { serverMaxWindowBits: 15, clientMaxWindowBits: 15 })
  const request = upgradeRequest('/').replace('\r\n\r\n', '\r\nSec-WebSocket-Extensions: permessage-deflate; unknown\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n')
  const client = await RawClient.connect(port)
  client.write(request)
  t.equal((await client.head()).headers['sec-websocket-extensions'], 'permessage-deflate; server_no_context_takeover')
  client.destroy()
  const declined = await RawClient.connect(port)
  declined.write(upgradeRequest('/', { 'Sec-WebSocket-Extensions': 'permessage-deflate; unknown' }))
  const { status, headers } = await declined.head()
  t.equal(status, 101)
  t.notOk('sec-websocket-extensions' in headers)
  declined.destroy()
})

// --- RFC 7692 §6: frames

t.test('RFC 7692 §7.2.3: the examples, as frames on the wire', async t => {
  const { port } = await start(t, { threshold: 0 })
  const examples: [name: string, frames: Buffer[]][] = [
    ['§7.2.3.1 one block', [text(HELLO, compressed)]],
    ['§7.2.3.1 in two frames', [text(HELLO.subarray(0, 3), { ...compressed, fin: false }), continuation(HELLO.subarray(3))]],
    ['§7.2.3.2 sharing the window', [text(HELLO, compressed), text(Buffer.from('f200110000', 'hex'), compressed)]],
    ['§7.2.3.3 without compression', [text(Buffer.from('000500faff48656c6c6f00', 'hex'), compressed)]],
    ['§7.2.3.4 BFINAL', [text(Buffer.from('f348cdc9c9070000', 'hex'), compressed)]],
    ['§7.2.3.5 two blocks', [text(Buffer.from('f24805000000ffffcac9c90700', 'hex'), compressed)]]
  ]
  for (const [name, frames] of examples) {
    const client = await DeflateClient.open(t, port)
    client.raw.write(Buffer.concat(frames))
    t.equal((await client.message()).data.toString(), 'Hello', name)
    if (name.includes('sharing')) t.equal((await client.message()).data.toString(), 'Hello', `${name}, the second`)
    client.close()
  }
  const client = await DeflateClient.open(t, port)
  client.raw.write(Buffer.concat([text(Buffer.of(0), compressed), text('', compressed), text('')]))
  for (const how of ['§7.2.3.6 0x00', 'no octet', 'not compressed']) t.equal((await client.message()).data.length, 0, `an empty message: ${how}`)
})

t.test('C9: what the server does with frames and streams that are wrong', async t => {
  const { port } = await start(t, true, echo, 64 * KiB)
  const failures: [name: string, code: number, bytes: Buffer, offer?: null][] = [
    ['RSV1 on a Ping', 1002, ping('', compressed)],
    ['RSV1 on a Pong', 1002, pong('', compressed)],
    ['RSV1 on a Close', 1002, close(1000, '', compressed)],
    ['RSV1 on a continuation of a compressed message', 1002, Buffer.concat([text(HELLO.subarray(0, 3), { ...compressed, fin: false }), continuation(HELLO.subarray(3), compressed)])],
    ['RSV1 on a continuation alone', 1002, Buffer.concat([text('a', { fin: false }), continuation('b', compressed)])],
    ['RSV1 with RSV2', 1002, text(HELLO, { rsv: 0x60 })],
    ['RSV2', 1002, text('Hello', { rsv: 0x20 })],
    ['RSV1 without an agreement', 1002, text(HELLO, compressed), null],
    ['no deflate', 1007, text(Buffer.of(0x06, 0, 0), compressed)],
    ['an early end', 1007, text(HELLO.subarray(0, 4), compressed)],
    ['an early end, in a fragment', 1007, Buffer.concat([text(HELLO.subarray(0, 2), { ...compressed, fin: false }), continuation('')])],
    ['an early end of a long message', 1007, binary(deflateRawSync(noiseOf(50_000, randomFrom(1))).subarray(0, 30_000), compressed)],
    ['the tail was not left out', 1007, text(Buffer.concat([HELLO, TAIL]), compressed)],
    ['very many final blocks', 1007, text(Buffer.concat(Array<Buffer>(3000).fill(storedBlock(Buffer.of(0x61), true))), compressed)],
    ['a copy from before the start', 1007, text(encodeTokens([{ distance: 3 }]), compressed)],
    ['text that is not UTF-8', 1007, text(compress(Buffer.of(0x61, 0xff)), compressed)],
    ['text that ends within a character', 1007, text(compress(Buffer.of(0xe2, 0x82)), compressed)],
    ['long text that is not UTF-8', 1007, text(compress(Buffer.concat([noiseOf(30_000, randomFrom(2)).map(byte => byte & 0x7f), Buffer.of(0xc0)])), compressed)],
    ['a byte over maxPayload', 1009, binary(compress(Buffer.alloc(64 * KiB + 1)), compressed)],
    ['a byte of noise over maxPayload', 1009, binary(compress(noiseOf(64 * KiB + 1, randomFrom(3))), compressed)],
    ['far over maxPayload', 1009, binary(compress(Buffer.alloc(8 * MiB)), compressed)],
    ['in fragments, over maxPayload', 1009, Buffer.concat([
      binary(compress(Buffer.alloc(8 * MiB)).subarray(0, 50), { ...compressed, fin: false }), continuation(compress(Buffer.alloc(8 * MiB)).subarray(50))
    ])],
    ['announced to be over it however it is compressed', 1009, binary('', { ...compressed, announce: 128 * KiB })]
  ]
  for (const [name, code, bytes, offer] of failures) {
    const client = await DeflateClient.open(t, port, '/', offer)
    // What comes behind is never heard.
    client.raw.write(Buffer.concat([bytes, text('behind')]))
    const answer = await client.raw.closeFrame()
    // A peer that is sending too much is given the time to notice; these have nothing more to say.
    if (answer.code === 1009) client.raw.end()
    t.equal(answer.code, code, name)
    t.ok(await client.raw.ended, 'and then its FIN')
    t.equal(client.raw.received.length, 0, 'with nothing behind the Close frame')
    client.close()
  }
})

t.test('maxPayload is of inflated bytes: exactly so many may come, compressible or not', async t => {
  const { port } = await start(t, true, app => {
    app.get('/', { websocket: { maxPayload: 20_000 } }, connection => connection.on('message', data => connection.send(String(data.length))))
  })
  const client = await DeflateClient.open(t, port)
  for (const message of [Buffer.alloc(20_000), noiseOf(20_000, randomFrom(1))]) {
    for (const fragments of [1, 3]) {
      await client.send(message, fragments)
      t.equal((await client.message()).data.toString(), '20000')
    }
  }
  // As a peer writes that only stores: longer than the limit, on the wire.
  client.raw.write(binary(Buffer.concat([storedBlock(Buffer.alloc(20_000)), Buffer.of(0)]), compressed))
  t.equal((await client.message()).data.toString(), '20000')
})

t.test('RFC 7692 §6.1: fragments of a compressed message, cut anywhere, with control frames and messages around them', async t => {
  const { port } = await start(t, { threshold: 0 })
  const client = await DeflateClient.open(t, port)
  const message = textOf(300, randomFrom(1)).toString()
  for (let cut = 0; cut < 40; cut++) {
    const payload = await client.encode(message)
    // The header of a frame of this length is 8 bytes with its mask, which has to be taken off.
    const bytes = Buffer.from(payload.subarray(payload.length > 131 ? 8 : 6))
    const key = Buffer.of(0x12, 0x34, 0x56, 0x78)
    for (let i = 0; i < bytes.length; i++) bytes[i]! ^= key[i & 3]!
    const at = Math.min(cut, bytes.length)
    client.raw.write(Buffer.concat([
      text(bytes.subarray(0, at), { ...compressed, fin: false }), ping(`ping ${cut}`), continuation('', { fin: false }), pong(), continuation(bytes.subarray(at)), text('plain')
    ]))
    const answers = [await client.next(), await client.next(), await client.next()]
    t.same(answers.map(({ data }) => data.toString()), [`ping ${cut}`, message, 'plain'], `cut at ${cut}`)
  }
})

// --- RFC 7692 §7.2.2: receiving

t.test('compressed, plain, long and short messages and pings are heard in the order in which they were sent', async t => {
  for (const options of [true, { clientNoContextTakeover: true, clientMaxWindowBits: 15 }]) {
    const heard: string[] = []
    const { app, port } = await start(t, options, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('message', data => heard.push(`${data.length} ${data[0] ?? ''}`))
        connection.on('ping', data => heard.push(`ping ${data.toString()}`))
        connection.on('close', () => heard.push('close'))
      })
    })
    const connection = nextConnection(app)
    const client = await DeflateClient.open(t, port)
    const closed = once(await connection, 'close')
    const random = randomFrom(9)
    const expected: string[] = []
    const frames: Buffer[] = []
    for (let i = 0; i < 200; i++) {
      // Those of 300 KiB and those that are long on the wire are inflated on another thread.
      const message = i % 20 === 0 ? Buffer.alloc(300 * KiB, i) : i % 9 === 0 ? noiseOf(40_000, random) : messageOf(random)
      expected.push(`${message.length} ${message[0] ?? ''}`)
      frames.push(i % 3 === 0 ? binary(message) : await client.encode(message, 1 + i % 4))
      if (i % 10 < 3) {
        expected.push(`ping ${i}`)
        frames.push(ping(String(i)))
      }
    }
    client.raw.write(Buffer.concat([...frames, close(1000)]))
    for (let frame = await client.raw.frame(); frame.opcode !== 0x8;) frame = await client.raw.frame()
    client.raw.end()
    await closed
    t.same(heard, [...expected, 'close'])
    client.close()
  }
})

t.test('a message on its way through another thread is heard before the close behind it', async t => {
  const heard: string[] = []
  const { app, port } = await start(t, true, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => heard.push(String(data.length)))
      connection.on('close', code => heard.push(`close ${code}`))
    })
  })
  const connection = nextConnection(app)
  const client = await DeflateClient.open(t, port)
  const closed = once(await connection, 'close')
  client.raw.write(Buffer.concat([await client.encode(Buffer.alloc(2 * MiB)), close(1000)]))
  client.raw.end()
  await closed
  t.same(heard, [String(2 * MiB), 'close 1000'])
})

t.test('a message that is inflated on another thread when the socket is destroyed is nobody\'s error, and not heard any more', async t => {
  const errors: Error[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      // The message is on its way when the ping of the next chunk would be: the end comes from our side.
      let isOver = false
      connection.on('ping', () => setImmediate(() => {
        isOver = true
        connection.terminate()
      }))
      connection.on('message', () => { if (isOver) t.fail('a message behind the end') })
    })
  }, { perMessageDeflate: true, maxPayload: 8 * MiB, errorHandler: error => { errors.push(error) } })
  for (let i = 0; i < 20; i++) {
    const connection = nextConnection(app)
    const client = await DeflateClient.open(t, port)
    const closed = once(await connection, 'close')
    client.raw.write(Buffer.concat([ping(), await client.encode(Buffer.alloc(4 * MiB))]))
    const [code] = await closed
    t.equal(code, 1006)
    client.close()
  }
  await app.close()
  t.same(errors, [])
})

t.test('a paused connection hears nothing, compressed or not, until it is resumed', async t => {
  const heard: number[] = []
  const { app, port } = await start(t, true, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => {
        heard.push(data.length)
        if (connection.isPaused) t.fail('heard while paused')
        connection.pause()
        setImmediate(() => connection.resume())
        if (data.length === 0) connection.close(1000)
      })
    })
  })
  const connection = nextConnection(app)
  const client = await DeflateClient.open(t, port)
  const closed = once(await connection, 'close')
  const sizes = [10, 500_000, 20, 3000, 600_000, 30, 0]
  for (const size of sizes) await client.send(Buffer.alloc(size))
  await client.raw.closeFrame()
  client.raw.write(close(1000))
  client.raw.end()
  await closed
  t.same(heard, sizes)
})

t.test('messages that are inflated before anybody listens wait', async t => {
  const { port } = await start(t, true, app => {
    app.get('/', { websocket: true }, async connection => {
      await new Promise(resolve => setTimeout(resolve, 30))
      connection.on('message', data => connection.send(String(data.length)))
    })
  })
  const client = await DeflateClient.open(t, port)
  for (const size of [10, 400_000, 20]) await client.send(Buffer.alloc(size))
  for (const size of ['10', '400000', '20']) t.equal((await client.message()).data.toString(), size)
})

t.test('C9: no connection can read what another has sent', async t => {
  for (const clientNoContextTakeover of [true, false]) {
    const { port } = await start(t, { clientNoContextTakeover })
    const victim = await DeflateClient.open(t, port)
    await victim.send('the password is swordfish')
    t.equal((await victim.message()).data.toString(), 'the password is swordfish')
    for (const distance of [COPY_LENGTH, 9, 25]) {
      const thief = await DeflateClient.open(t, port)
      thief.raw.write(text(encodeTokens([{ distance }]), compressed))
      t.equal((await thief.raw.closeFrame()).code, 1007, `distance ${distance}, no takeover: ${clientNoContextTakeover}`)
      thief.close()
    }
    await victim.send('again')
    t.equal((await victim.message()).data.toString(), 'again')
  }
})

// --- RFC 7692 §7.2.1: sending

t.test('the threshold: from so many bytes on a message is compressed, with and without takeover, text and binary', async t => {
  for (const serverNoContextTakeover of [false, true]) {
    for (const threshold of [0, 100, 1024]) {
      const [client, connection] = await openBoth(t, await start(t, { threshold, serverNoContextTakeover }))
      for (const size of [0, 1, 99, 100, 101, 1023, 1024, 1025, 5000, 70_000]) {
        for (const isBinary of [true, false]) {
          connection.send(isBinary ? Buffer.alloc(size, 'a') : 'a'.repeat(size))
          const message = await client.message()
          // One byte cannot shrink.
          t.equal(message.isCompressed, size >= threshold && size !== 1, `threshold ${threshold}, no takeover ${serverNoContextTakeover}: ${size} bytes`)
          t.equal(message.isBinary, isBinary)
          if (!message.data.equals(Buffer.alloc(size, 'a'))) t.fail('other content')
        }
      }
      // Bytes, not characters.
      connection.send('é'.repeat(threshold / 2 + 10))
      t.equal((await client.message()).isCompressed, true, 'text is measured in bytes')
      client.close()
    }
  }
  const [client, connection] = await openBoth(t, await start(t, true))
  connection.send('a'.repeat(1023))
  connection.send('a'.repeat(1024))
  t.same([(await client.message()).isCompressed, (await client.message()).isCompressed], [false, true], 'the default is 1 KiB')
})

t.test('send(data, { compress: false }) and fragments are sent as they are, and the next message is compressed as before', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0 }))
  const message = textOf(2000, randomFrom(1)).toString()
  connection.send(message)
  const first = await client.message()
  connection.send(message, { compress: false })
  const plain = await client.message()
  t.same([plain.isCompressed, plain.data.toString()], [false, message])
  connection.send('frag', { fin: false })
  connection.send('ment')
  const fragment = await client.raw.frame()
  const rest = await client.raw.frame()
  t.same([fragment.rsv, fragment.fin, rest.rsv, rest.opcode], [0, false, 0, 0], 'fragments')
  connection.send(message, { compress: true })
  const again = await client.message()
  t.equal(again.data.toString(), message)
  t.ok(again.isCompressed && again.wireLength * 4 < first.wireLength, `${first.wireLength}, then ${again.wireLength} bytes`)
})

t.test('RFC 7692 §7.1.1.1: with server_no_context_takeover no message refers to another', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0 }), 'permessage-deflate; server_no_context_takeover')
  const message = textOf(2000, randomFrom(1))
  const lengths: number[] = []
  for (let i = 0; i < 5; i++) {
    connection.send(message)
    const received = await client.message()
    t.ok(received.isCompressed && received.data.equals(message))
    lengths.push(received.wireLength)
  }
  t.equal(new Set(lengths).size, 1)
})

t.test('RFC 7692 §7.1.1.1, §7.1.2.1: what a client has not offered is kept without a word', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0, serverNoContextTakeover: true, serverMaxWindowBits: 9 }), 'permessage-deflate')
  t.equal(client.extensions, 'permessage-deflate')
  const strict = new KeptInflater({ windowBits: 9, contextTakeover: false })
  t.teardown(() => strict.close())
  const message = textOf(5000, randomFrom(1))
  for (let i = 0; i < 5; i++) {
    connection.send(message)
    const { rsv, payload } = await client.raw.frame()
    t.equal(rsv, 0x40)
    t.ok((await strict.inflate(payload)).equals(message), 'refers to no earlier message, nor to more than 512 bytes before')
  }
})

/** Offers of clients that refuse an answer with a parameter that they have not offered; docs/compression.md names them. */
const STRICT_OFFERS: Array<[client: string, offer: string, answer: string]> = [
  ['coder/websocket, context takeover', 'permessage-deflate', 'permessage-deflate'],
  ['coder/websocket, gorilla/websocket', 'permessage-deflate; client_no_context_takeover; server_no_context_takeover', 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'],
  ['Firefox, Safari, OkHttp', 'permessage-deflate', 'permessage-deflate'],
  ['Netty, Chromium, undici, ws, Python websockets', 'permessage-deflate; client_max_window_bits', 'permessage-deflate; client_max_window_bits=12'],
  ['aiohttp, compress=12', 'permessage-deflate; client_max_window_bits; server_max_window_bits=12', 'permessage-deflate; server_max_window_bits=12; client_max_window_bits=12'],
  ['.NET', 'permessage-deflate; client_max_window_bits=10; client_no_context_takeover; server_max_window_bits=11; server_no_context_takeover',
    'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=10']
]

t.test('the answer names what the client has offered and nothing else, over HTTP/1.1 and HTTP/2', async t => {
  const one = await start(t, true)
  const two = await startApp(t, app => { app.get('/', { websocket: true }, () => {}) }, { perMessageDeflate: true }, { http2: true })
  const session = await connectHttp2(t, `http://127.0.0.1:${two.port}`)
  for (const [name, offer, answer] of STRICT_OFFERS) {
    const client = await DeflateClient.open(t, one.port, '/', offer)
    t.equal(client.extensions, answer, name)
    client.close()
    const stream = extendedConnect(session, '/', { 'sec-websocket-extensions': offer })
    t.equal((await responseHeaders(stream)).headers['sec-websocket-extensions'], answer, `${name}, HTTP/2`)
    stream.close()
  }
})

t.test('what would not shrink is sent as it is', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0 }))
  for (const size of [1, 5, 1000, 20_000, 100_000]) {
    const noise = noiseOf(size, randomFrom(size))
    connection.send(noise)
    connection.send(Buffer.alloc(size + 50))
    const plain = await client.message()
    t.ok(!plain.isCompressed && plain.data.equals(noise), `${size} bytes`)
    t.ok((await client.message()).data.equals(Buffer.alloc(size + 50)), 'and the next refers to nothing of it')
  }
})

t.test('compressed, plain, long and short messages, pings and the close are received in the order of the calls', async t => {
  for (const options of [{ threshold: 0 }, { threshold: 500, serverNoContextTakeover: true, serverMaxWindowBits: 15 }, { threshold: 0, level: 9, memLevel: 9, serverMaxWindowBits: 9 }]) {
    const [client, connection] = await openBoth(t, await start(t, options))
    const random = randomFrom(7)
    const expected: string[] = []
    const note = (data: Buffer): string => `${data.length} ${data.toString('latin1', 0, 20)}`
    let sent = 0
    for (let turn = 0; turn < 40; turn++) {
      // All of one turn leaves together: messages whose compressed bytes are passed on by reference among them.
      for (let i = random(8); i >= 0; i--) {
        const kind = random(12)
        // These shrink to three quarters.
        const size = kind === 0 ? 150_000 : 24_000
        const message = kind < 3 ? Buffer.from(noiseOf(size, random).toString('base64')) : messageOf(random)
        expected.push(note(message))
        connection.send(kind < 2 ? message.toString() : message, { compress: kind !== 5 }, error => {
          if (error != null) t.fail(error.message)
          sent++
        })
        if (kind === 7) {
          expected.push(note(Buffer.from(`ping ${turn}`)))
          connection.ping(`ping ${turn}`)
        }
      }
      if (turn % 3 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    connection.close(4000, 'the end')
    const received: string[] = []
    for (;;) {
      const next = await client.next()
      if ('opcode' in next && next.opcode === 0x8) {
        t.equal(next.data.subarray(2).toString(), 'the end')
        break
      }
      received.push(note(next.data))
    }
    t.same(received, expected)
    t.equal(sent, expected.filter(line => !line.includes('ping')).length, 'and each callback was called')
    client.close()
  }
})

t.test('a small message may be changed right after the call, also when it waits for a long one', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0 }))
  const small = Buffer.alloc(1000, 'a')
  connection.send(Buffer.alloc(300_000))
  connection.send(small)
  connection.send(small, { compress: false })
  connection.ping(small.subarray(0, 10))
  small.fill('b')
  await client.message()
  for (const length of [1000, 1000, 10]) t.equal((await client.next()).data.toString(), 'a'.repeat(length))
})

t.test('an echo of messages that are inflated and deflated on other threads goes on, however long they are', async t => {
  const { port } = await start(t, { threshold: 0 })
  const client = await DeflateClient.open(t, port)
  // More than what stops us reading from a peer that does not read, and yet but a few bytes on the wire.
  for (const size of [100_000, 3 * MiB, 100, 5 * MiB, 1]) {
    await client.send(Buffer.alloc(size, 'x'))
    const { data } = await client.message()
    t.ok(data.equals(Buffer.alloc(size, 'x')), `${size} bytes`)
  }
  for (let i = 0; i < 4; i++) client.raw.write(await client.encode(Buffer.alloc(2 * MiB, i)))
  for (let i = 0; i < 4; i++) t.ok((await client.message()).data.equals(Buffer.alloc(2 * MiB, i)), `number ${i} of several at once`)
})

t.test('a ping that comes while a message is compressed on another thread is answered', async t => {
  const { port } = await start(t, true, app => {
    app.get('/', { websocket: true }, connection => connection.on('message', () => connection.send(Buffer.alloc(MiB))))
  })
  const client = await DeflateClient.open(t, port)
  // Both in one chunk: when the ping is read, the answer to the message has just been started.
  client.raw.write(Buffer.concat([text('go'), ping('are you there?')]))
  const answers = [await client.next(), await client.next()]
  t.same(answers.map(({ data }) => data.length).sort((a, b) => a - b), ['are you there?'.length, MiB])
})

t.test('drain comes after a message that was compressed on another thread', async t => {
  const [client, connection] = await openBoth(t, await start(t, { threshold: 0 }))
  const drained = once(connection, 'drain')
  t.equal(connection.send(Buffer.alloc(1 * MiB)), false, 'a message under compression is queued')
  t.ok(connection.bufferedAmount >= MiB, 'and counts')
  await drained
  t.equal(connection.bufferedAmount, 0)
  t.equal((await client.message()).data.length, MiB)
})

t.test('without an agreement everything is sent as it is', async t => {
  const { port } = await start(t, { threshold: 0 })
  const client = await DeflateClient.open(t, port, '/', null)
  client.raw.write(text('a'.repeat(5000)))
  const message = await client.message()
  t.same([message.isCompressed, message.data.length], [false, 5000])
})
