import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { close, ping, RawClient, serverFrame, text } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'
import { startSlowReaders } from '../support/slow-readers.js'

/** What the server's side of a socket hands to the kernel, one entry per `write` or `writev`. */
class WriteSpy {
  readonly writes: Buffer[] = []
  /** Chunks that were read. */
  chunks = 0

  constructor (socket: Socket, connection: Connection) {
    type Write = (chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error | null) => void) => void
    type Writev = (chunks: Array<{ chunk: Buffer, encoding: BufferEncoding }>, callback: (error?: Error | null) => void) => void
    const { _write: write, _writev: writev } = socket as unknown as { _write: Write, _writev: Writev }
    socket._write = (chunk: Buffer, encoding, callback) => {
      this.writes.push(Buffer.from(chunk))
      write.call(socket, chunk, encoding, callback)
    }
    socket._writev = (chunks, callback) => {
      this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)))
      writev.call(socket, chunks as Parameters<Writev>[0], callback)
    }
    const session = sessionOf(connection)
    const { onRead } = session
    session.onRead = bytes => {
      this.chunks++
      onRead.call(session, bytes)
    }
  }

  take (): Buffer[] {
    return this.writes.splice(0)
  }
}

interface Spied {
  connection: WebSocketConnection
  client: RawClient
  spy: WriteSpy
}

/** Connections to one server whose writes are watched. */
async function connect (t: Teardown, count: number, handler: (connection: WebSocketConnection) => void): Promise<{ peers: [Spied, ...Spied[]], broadcast: (data: string | Buffer) => number }> {
  const peers: Spied[] = []
  const sockets = new Map<number, Socket>()
  let opened: (connection: WebSocketConnection) => void = () => {}
  const { app, port } = await startApp(t, app => {
    app.server.on('connection', socket => sockets.set(socket.remotePort!, socket))
    app.get('/', { websocket: true }, connection => {
      opened(connection)
      handler(connection)
    })
  })
  for (let i = 0; i < count; i++) {
    const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
    const client = await RawClient.open(port)
    t.teardown(() => client.destroy())
    const connection = await whenOpened
    // The handler has run, and the write of the 101 with it.
    await turns(2)
    const spy = new WriteSpy(sockets.get((client.socket as Socket).localPort!)!, connection as Connection)
    peers.push({ client, connection, spy })
  }
  return { peers: peers as [Spied, ...Spied[]], broadcast: data => app.websocketServer.broadcast(data) }
}

/** The payloads in a run of unmasked frames. */
function payloads (bytes: Buffer): string[] {
  const found: string[] = []
  for (let at = 0; at < bytes.length;) {
    const length7 = bytes[at + 1]!
    const header = length7 < 126 ? 2 : length7 === 126 ? 4 : 10
    const length = header === 2 ? length7 : header === 4 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    const payload = bytes.subarray(at + header, at + header + length)
    found.push(length > 100 ? `${String.fromCharCode(payload[0]!)}×${length}` : payload.toString())
    at += header + length
  }
  return found
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

t.test('all frames sent while one incoming chunk is processed leave in one write', async t => {
  const { peers: [{ client, spy }] } = await connect(t, 1, connection => {
    connection.on('message', data => {
      connection.send(data, { binary: false })
      connection.pong('from the listener')
      connection.send(`and ${String(data)}`)
    })
  })
  client.write(Buffer.concat(numbers(100).flatMap(number => [text(number), ping(`p${number}`)])))
  for (let i = 0; i < 400; i++) await client.frame()
  t.equal(spy.chunks, 1, 'it was one chunk')
  t.equal(spy.writes.length, 1)
  t.same(payloads(spy.writes[0]!), numbers(100).flatMap(number => [number, 'from the listener', `and ${number}`, `p${number}`]))
})

t.test('as many writes as chunks, whoever sends: a listener, a promise, a loop', async t => {
  for (const [name, handler] of Object.entries({
    listener: (connection: WebSocketConnection) => { connection.on('message', data => connection.send(data, { binary: false })) },
    promise: (connection: WebSocketConnection) => {
      connection.on('message', async data => {
        await Promise.resolve()
        connection.send(data, { binary: false })
      })
    },
    'for await': async (connection: WebSocketConnection) => {
      for await (const message of connection) connection.send(message)
    }
  })) {
    const { peers: [{ client, spy }] } = await connect(t, 1, handler)
    for (let round = 0; round < 3; round++) {
      client.write(Buffer.concat(numbers(50).map(number => text(number))))
      for (let i = 0; i < 50; i++) t.equal((await client.frame()).payload.toString(), String(i))
    }
    t.equal(spy.writes.length, spy.chunks, name)
    t.ok(spy.chunks < 10, 'and those are few')
  }
})

t.test('frames sent in one tick leave in one write, those of the next tick in another', async t => {
  const { peers: [{ connection, client, spy }] } = await connect(t, 1, () => {})
  connection.send('a')
  connection.ping('b')
  connection.send(Buffer.from('c'))
  t.equal(spy.writes.length, 0, 'not before the end of the tick')
  const buffered = connection.bufferedAmount
  t.equal(buffered, 9, 'what waits counts in bufferedAmount')
  setImmediate(() => {
    connection.send('d')
    connection.send('e')
  })
  for (let i = 0; i < 5; i++) await client.frame()
  t.same(spy.take().map(payloads), [['a', 'b', 'c'], ['d', 'e']])
  t.equal(connection.bufferedAmount, 0)
})

t.test('a callback fires when the write of its batch was handed over, not before', async t => {
  const { peers: [{ connection, client, spy }] } = await connect(t, 1, () => {})
  const writesAtCallback = await new Promise<number>(resolve => {
    connection.send('a', () => resolve(spy.writes.length))
    connection.send('b')
  })
  t.equal(writesAtCallback, 1)
  await client.frame()
})

t.test('the order is that of the calls: send, broadcast, ping, large payloads by reference, close', async t => {
  const { peers, broadcast } = await connect(t, 3, () => {})
  const large = (letter: string, size: number): Buffer => Buffer.alloc(size, letter)
  const expected: string[] = []
  for (let round = 0; round < 4; round++) {
    broadcast(`first ${round}`)
    for (const { connection } of peers) {
      connection.send(`own ${round}`)
      connection.send(large('L', 20_000))
      connection.ping('ping')
    }
    broadcast(large('B', 30_000))
    for (const { connection } of peers) connection.send('after the broadcast')
    broadcast(`last ${round}`)
    expected.push(`first ${round}`, `own ${round}`, 'L×20000', 'ping', 'B×30000', 'after the broadcast', `last ${round}`)
    if (round === 1) await turns(3)
  }
  for (const { connection } of peers) {
    connection.close(1000)
    connection.send('never')
  }
  broadcast('never')
  for (const { client } of peers) {
    const received: string[] = []
    for (;;) {
      const { opcode, payload } = await client.frame()
      if (opcode === 8) break
      received.push(payload.length > 100 ? `${String.fromCharCode(payload[0]!)}×${payload.length}` : payload.toString())
    }
    t.same(received, expected)
    client.write(close(1000))
    await client.ended
    t.equal(client.received.length, 0, 'nothing behind the Close frame')
    client.end()
  }
})

t.test('broadcasts of one turn leave each receiver in one write, and so does what else is sent meanwhile', async t => {
  const { peers, broadcast } = await connect(t, 4, () => {})
  const quiet = peers.slice(0, 3)
  const talking = peers[3]!
  for (const number of numbers(100)) {
    broadcast(number)
    // another tick of the same turn
    if (number === '50') await Promise.resolve()
  }
  talking.connection.send('own')
  for (const { client } of quiet) for (let i = 0; i < 100; i++) await client.frame()
  for (const { spy } of quiet) t.same(spy.writes.map(payloads), [numbers(100)])
  for (let i = 0; i < 101; i++) await talking.client.frame()
  t.same(talking.spy.writes.map(payloads), [[...numbers(100), 'own']])
})

t.test('broadcasts from message listeners of one turn are grouped too', async t => {
  const { peers } = await connect(t, 3, connection => {
    connection.on('message', data => connection.route.broadcast(data, { binary: false }))
  })
  const [sender, ...others] = peers as [Spied, Spied, Spied]
  sender.client.write(Buffer.concat(numbers(50).map(number => text(number))))
  for (const { client } of others) for (let i = 0; i < 50; i++) await client.frame()
  t.equal(sender.spy.chunks, 1)
  for (const { spy } of others) t.same(spy.writes.map(payloads), [numbers(50)])
})

t.test('frames of broadcasts that a connection gets while its own chunk is processed wait for the turn\'s end, with those of other chunks', async t => {
  const ROUNDS = 20
  const { peers } = await connect(t, 3, connection => {
    connection.on('message', data => {
      connection.route.broadcast(data, { binary: false })
      // What is its own cannot wait, and takes along what was sent before it.
      if (String(data).endsWith('!')) connection.send('own')
    })
  })
  // Whether the kernel shows the chunks of several sockets in one turn is its own affair. It is noted.
  let turn = 0
  const turnsOfChunks: number[] = []
  for (const { connection } of peers) {
    connection.prependListener('message', () => {
      if (!turnsOfChunks.includes(turn)) setImmediate(() => { turn++ })
      turnsOfChunks.push(turn)
    })
  }
  const round = async (...messages: string[]): Promise<void> => {
    turnsOfChunks.length = 0
    for (const { spy } of peers) spy.take()
    for (const [i, message] of messages.entries()) peers[i]!.client.write(text(message))
    const own = messages.findIndex(message => message.endsWith('!'))
    for (const [i, { client }] of peers.entries()) for (let j = 0; j < (i === own ? 4 : 3); j++) await client.frame()
  }

  for (let inOneTurn = 0, i = 0; inOneTurn < ROUNDS; i++) {
    await round(`a${i}`, `b${i}`, `c${i}`)
    const count = new Set(turnsOfChunks).size
    if (count === 1) inOneTurn++
    t.same(peers.map(({ spy }) => spy.writes.length), [count, count, count], `one write for each of ${count} turns with chunks`)
  }

  for (let inOneTurn = 0; inOneTurn < ROUNDS;) {
    await round('a', 'b!', 'c')
    if (new Set(turnsOfChunks).size > 1) continue
    inOneTurn++
    const [first, later] = peers[1]!.spy.writes.map(payloads)
    t.same(first!.slice(-2), ['b!', 'own'], 'written when its chunk was done')
    t.same([...first!, ...later ?? []].sort(), ['a', 'b!', 'c', 'own'])
    for (const { spy } of [peers[0]!, peers[2]!]) t.same(spy.writes.map(write => payloads(write).sort()), [['a', 'b!', 'c']])
  }
})

t.test('a batch is at most 64 KiB and one frame', async t => {
  const { peers: [{ connection, client, spy }], broadcast } = await connect(t, 1, () => {})
  for (const [name, send] of [['send', (data: Buffer) => connection.send(data)], ['broadcast', broadcast]] as const) {
    const data = Buffer.alloc(1000)
    let afterTheTick = -1
    for (let i = 0; i < 500; i++) {
      send(data)
      if (i === 499) afterTheTick = spy.writes.length
    }
    t.ok(afterTheTick >= 7, `${name}: a long tick writes before its end`)
    for (let i = 0; i < 500; i++) await client.frame()
    for (const write of spy.take()) t.ok(write.length <= 64 * 1024 + 1004, `${name}: ${write.length}`)
  }
})

t.test('terminate hands over what was sent before', async t => {
  const { peers } = await connect(t, 2, () => {})
  const [{ connection, client }] = peers
  connection.send('a')
  connection.send(Buffer.alloc(20_000))
  connection.route.broadcast('b')
  connection.terminate()
  const received = [await client.frame(), await client.frame(), await client.frame()]
  t.same(received.map(({ payload }) => payload.length), [1, 20_000, 1])
  await client.ended
  t.equal(client.received.length, 0)
})

t.test('a Close frame leaves with what was sent before it, in the same write', async t => {
  const { peers: [{ client, spy }] } = await connect(t, 1, connection => {
    connection.on('message', () => {
      connection.send('answer')
      connection.close(1000, 'done')
    })
  })
  client.write(Buffer.concat([text('question'), text('another')]))
  t.equal((await client.frame()).payload.toString(), 'answer')
  t.same(await client.closeFrame(), { code: 1000, reason: 'done' })
  t.equal(spy.writes.length, 1)
})

// What is sent small is copied into one scratch buffer that all connections share and that is reused as soon as it
// may be. A socket that is slow keeps references into it: those bytes must stay.
async function slowReaders (t: Test, secure: boolean): Promise<void> {
  const COUNT = 6
  const ROUNDS = 400
  const { connections, expected, finish } = await startSlowReaders(t, secure, COUNT)

  const noise = randomBytes(128 * 1024)
  let queued = 0
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < 40; i++) {
      const index = randomInt(COUNT)
      // mostly small, some around the border of copying and referring
      const size = randomInt(10) < 9 ? randomInt(300) : randomInt(10) < 9 ? 16_200 + randomInt(400) : randomInt(70_000)
      const offset = randomInt(noise.length - size)
      if (size % 3 === 0) {
        const text = noise.toString('base64', offset, offset + size)
        connections[index]!.send(text)
        expected[index]!.push(serverFrame(1, Buffer.from(text)))
      } else {
        const payload = Buffer.from(noise.subarray(offset, offset + size))
        connections[index]!.send(payload)
        expected[index]!.push(serverFrame(2, payload))
        if (size < 16 * 1024) payload.fill(0)
      }
      if (randomInt(20) === 0) await Promise.resolve()
    }
    if (round % 3 === 0) await new Promise(resolve => setImmediate(resolve))
    queued = Math.max(queued, connections[0]!.bufferedAmount)
  }
  t.ok(queued > 64 * 1024, `the sockets were slow: ${queued} bytes waited in one`)

  for (const [index, connection] of connections.entries()) {
    connection.close(1000)
    expected[index]!.push(serverFrame(8, Buffer.from([3, 232])))
  }
  await finish(t)
}

t.test('what was handed to a slow socket is never overwritten, over TCP', async t => { await slowReaders(t, false) })

t.test('what was handed to a slow socket is never overwritten, over TLS', async t => { await slowReaders(t, true) })

t.test('what a listener was given is never overwritten by what comes after', async t => {
  const kept: Buffer[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => {
        kept.push(data)
        connection.send('x'.repeat(100))
      })
    })
  })
  const client = await RawClient.open(port)
  const sent: Buffer[] = []
  for (let i = 0; i < 400; i++) {
    const payload = randomBytes(randomInt(i % 10 === 0 ? 30_000 : 400)).toString('base64')
    sent.push(Buffer.from(payload))
    client.write(text(payload))
    if (i % 7 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  client.write(close(1000))
  await client.ended
  t.equal(kept.length, 400)
  t.ok(kept.every((data, i) => data.equals(sent[i]!)))
  client.end()
  await once(client.socket, 'close')
})
