import { randomBytes, randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { EMPTY } from '../../lib/common.js'
import { SharedBatch } from '../../lib/connection/shared-batch.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { RawClient, serverFrame } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'
import { startSlowReaders } from '../support/slow-readers.js'

t.test('writers that got the same frames have the same batch, whose bytes are joined once', async t => {
  const [a, b] = [Buffer.from('a'), Buffer.from('b')]
  const empty = new SharedBatch(null, EMPTY)
  const one = empty.with(a)
  t.equal(empty.with(a), one)
  t.equal(one.joined(), a, 'a single frame is not copied')
  const two = one.with(b)
  t.equal(one.with(b), two)
  t.same(two.joined(), Buffer.from('ab'))
  t.equal(two.joined(), two.joined())
  t.same(two.frames(), [a, b])
  t.not(two.frames(), two.frames(), 'each caller has an array of its own')
  const other = one.with(a)
  t.same(other.joined(), Buffer.from('aa'))
  t.same(two.joined(), Buffer.from('ab'), 'another batch that begins with the same frame changes nothing')
  t.same(one.with(b).joined(), Buffer.from('ab'))
})

t.test('receivers of the same frames are handed the same bytes, and others theirs', async t => {
  const connections: WebSocketConnection[] = []
  const sockets: Socket[] = []
  const { app, port } = await startApp(t, app => {
    app.server.on('connection', socket => sockets.push(socket))
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  })
  const clients: RawClient[] = []
  for (let i = 0; i < 5; i++) {
    const client = await RawClient.open(port)
    t.teardown(() => client.destroy())
    clients.push(client)
  }
  await turns(2)
  const chunks: Buffer[][] = sockets.map(() => [])
  for (const [i, socket] of sockets.entries()) {
    const { _write: write } = socket
    socket._write = (chunk: Buffer, encoding, callback) => {
      chunks[i]!.push(chunk)
      write.call(socket, chunk, encoding, callback)
    }
  }

  const [one, two, three, four, five] = connections as [WebSocketConnection, WebSocketConnection, WebSocketConnection, WebSocketConnection, WebSocketConnection]
  app.websocketServer.broadcast('first')
  app.websocketServer.broadcast('not for all', { except: three })
  four.send('own')
  app.websocketServer.broadcast('last')
  five.close(1000)
  t.equal(app.websocketServer.broadcast('late', { to: [one, two, five] }), 2)
  const wanted = [
    ['first', 'not for all', 'last', 'late'],
    ['first', 'not for all', 'last', 'late'],
    ['first', 'last'],
    ['first', 'not for all', 'own', 'last'],
    ['first', 'not for all', 'last']
  ]
  for (const [i, client] of clients.entries()) {
    for (const text of wanted[i]!) t.equal((await client.frame()).payload.toString(), text)
  }
  t.same(chunks.map(({ length }) => length), [1, 1, 1, 1, 1], 'one write each')
  t.same(await clients[4]!.closeFrame(), { code: 1000, reason: '' }, 'the Close frame comes behind them')
  const [first, second] = [chunks[0]![0]!, chunks[1]![0]!]
  t.ok(first.buffer === second.buffer && first.byteOffset === second.byteOffset, 'the same memory')
})

/** Broadcasts to all, to some, and single messages in a random order, to readers of which half are slow. */
async function mixed (t: Test, secure: boolean): Promise<void> {
  const COUNT = 6
  const { app, connections, expected, finish } = await startSlowReaders(t, secure, COUNT)

  const noise = randomBytes(64 * 1024)
  for (let round = 0; round < 150; round++) {
    const count = randomInt(10) === 0 ? 200 : randomInt(12)
    for (let i = 0; i < count; i++) {
      const size = randomInt(20) > 0 ? randomInt(300) : 16_200 + randomInt(400)
      const offset = randomInt(noise.length - size)
      const payload = Buffer.from(noise.subarray(offset, offset + size))
      const bytes = serverFrame(2, payload)
      const kind = randomInt(8)
      const receivers = kind === 0 ? [randomInt(COUNT)] : connections.map((_, i) => i).filter(() => kind > 2 || randomInt(3) > 0)
      for (const receiver of receivers) expected[receiver]!.push(bytes)
      if (kind === 0) connections[receivers[0]!]!.send(payload)
      else if (kind > 2) app.websocketServer.broadcast(payload)
      else app.websocketServer.broadcast(payload, { to: receivers.map(i => connections[i]!) })
      if (size < 16 * 1024) payload.fill(0)
      if (randomInt(20) === 0) await Promise.resolve()
    }
    if (randomInt(3) > 0) await turns(1)
  }

  // In the middle of a turn: behind what was broadcast before, and with nothing of what comes after.
  app.websocketServer.broadcast(EMPTY)
  for (const [index, connection] of connections.entries()) {
    connection.close(1000)
    expected[index]!.push(serverFrame(2, EMPTY), serverFrame(8, Buffer.from([3, 232])))
  }
  t.equal(app.websocketServer.broadcast('never'), 0)
  await finish(t)
}

t.test('broadcasts and single messages keep their order and bytes, over TCP', async t => { await mixed(t, false) })

t.test('broadcasts and single messages keep their order and bytes, over TLS', async t => { await mixed(t, true) })
