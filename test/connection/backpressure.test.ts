import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, ping, RawClient, text } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'

interface Peers {
  connection: WebSocketConnection
  client: RawClient
  /** The server's side of the TCP connection. */
  socket: Socket
}

async function connect (t: Teardown, handler: (connection: WebSocketConnection) => void = () => {}): Promise<Peers> {
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  let socket!: Socket
  const { port } = await startApp(t, app => {
    app.server.on('connection', accepted => { socket = accepted })
    app.get('/', { websocket: true }, connection => {
      handler(connection)
      opened(connection)
    })
  }, { maxPayload: 4 * 1024 * 1024 })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { connection: await whenOpened, client, socket }
}

/** Sends until so many bytes wait in the process, the kernel's buffers being full. @returns frames sent */
async function fill ({ connection, client }: Peers, waiting: number, size = 32 * 1024): Promise<number> {
  client.socket.pause()
  let sent = 0
  for (let stable = 0; stable < 20;) {
    if (connection.bufferedAmount <= waiting) {
      connection.send(Buffer.alloc(size, sent++))
      stable = 0
    } else {
      stable++
    }
    await turns(1)
  }
  return sent
}

t.test('C12: send says when to wait, and drain says when it is over, once', async t => {
  const peers = await connect(t)
  const { connection, client } = peers
  let drains = 0
  connection.on('drain', () => { drains++ })
  t.equal(connection.send('small'), true)
  await client.frame()
  t.equal(drains, 0, 'no drain that nobody waits for')

  const sent = await fill(peers, 100_000)
  drains = 0
  t.equal(connection.send('more'), false)
  t.equal(connection.send('and more'), false)
  t.ok(connection.bufferedAmount > 100_000)
  t.equal(drains, 0)
  const drained = once(connection, 'drain')
  client.socket.resume()
  for (let i = 0; i < sent; i++) t.equal((await client.frame()).payload[0], i & 0xff)
  t.equal((await client.frame()).payload.toString(), 'more')
  t.equal((await client.frame()).payload.toString(), 'and more')
  await drained
  t.equal(connection.bufferedAmount, 0)
  t.equal(connection.send('again'), true)
  await client.frame()
  await turns()
  t.equal(drains, 1)
})

t.test('C12: a tick that sends more than the socket wants gets its drain too, though the peer reads', async t => {
  const { connection, client } = await connect(t)
  for (let round = 0; round < 5; round++) {
    let sent = 0
    // 10 MB the kernel may take at once, its buffers on both sides together.
    while (connection.send('x'.repeat(1000)) && sent < 100_000) sent++
    t.ok(sent < 100_000, 'send reported the queue')
    await once(connection, 'drain')
    for (let i = 0; i <= sent; i++) await client.frame()
  }
})

t.test('C12: a producer that waits for drain keeps its queue short, whoever reads however slowly', async t => {
  const { connection, client } = await connect(t)
  const COUNT = 3000
  let most = 0
  const produced = (async () => {
    for (let i = 0; i < COUNT; i++) {
      const payload = Buffer.alloc(8192)
      payload.writeUInt32BE(i)
      const goOn = connection.send(payload)
      most = Math.max(most, connection.bufferedAmount)
      if (!goOn) await once(connection, 'drain')
    }
  })()
  let wrong = 0
  for (let i = 0; i < COUNT; i++) {
    if (i % 100 === 0) {
      client.socket.pause()
      await turns(2)
      client.socket.resume()
    }
    if ((await client.frame()).payload.readUInt32BE(0) !== i) wrong++
  }
  await produced
  t.equal(wrong, 0)
  t.ok(most < 128 * 1024, `at most ${most} bytes waited`)
})

t.test('C12: drain is not told to a connection that is closing', async t => {
  const peers = await connect(t)
  const { connection, client } = peers
  await fill(peers, 100_000)
  connection.on('drain', () => t.fail('drain after close'))
  connection.close(1000)
  t.equal(connection.send('x'), false)
  client.socket.resume()
  client.write(close(1000))
  await once(connection, 'close')
})

t.test('C3: while the peer does not read, one pong at most is pending: the latest', async t => {
  const peers = await connect(t)
  const { connection, client } = peers
  const sent = await fill(peers, 100_000)
  let pings = 0
  const all = new Promise<void>(resolve => connection.on('ping', () => { if (++pings === 1000) resolve() }))
  const before = connection.bufferedAmount
  client.write(Buffer.concat(Array.from({ length: 1000 }, (_, i) => ping(`ping ${i}`))))
  await all
  t.ok(connection.bufferedAmount <= before, 'no pong was queued')
  client.socket.resume()
  for (let i = 0; i < sent; i++) await client.frame()
  const { opcode, payload } = await client.frame()
  t.same([opcode, payload.toString()], [10, 'ping 999'])
  client.write(ping('afterwards'))
  t.equal((await client.frame()).payload.toString(), 'afterwards', 'and then each ping has its pong again')
})

t.test('§5.5.3: a Pong that had to wait is never sent behind the answer to a later Ping', async t => {
  const read = async (client: RawClient, last: string): Promise<string[]> => {
    const pongs: string[] = []
    while (pongs.at(-1) !== last) {
      const { opcode, payload } = await client.frame()
      if (opcode === 10) pongs.push(payload.toString())
    }
    return pongs
  }
  // Each size fills the queue of some version of Node, so that a Pong waits, and the next write empties it within the same chunk.
  for (const size of [16_000, 40_000, 63_000, 70_000]) {
    const { client } = await connect(t, connection => connection.on('message', () => connection.send(Buffer.alloc(size))))
    const bytes: Buffer[] = []
    for (let i = 0; i < 10; i++) bytes.push(binary('x'), ping(String(i)))
    client.write(Buffer.concat([...bytes, binary('x'), ping('last')]))
    const pongs = await read(client, 'last')
    client.write(ping('afterwards'))
    pongs.push(...await read(client, 'afterwards'))
    t.same(pongs, [...pongs.slice(0, -2).toSorted(), 'last', 'afterwards'], `answers of ${size} bytes`)
  }
})

t.test('C3: a ping flood from a peer that never reads does not grow our memory', async t => {
  const { connection, client } = await connect(t)
  client.socket.pause()
  const COUNT = 160_000
  let pings = 0
  let most = 0
  const all = new Promise<void>(resolve => connection.on('ping', () => {
    most = Math.max(most, connection.bufferedAmount)
    if (++pings === COUNT) resolve()
  }))
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => ping('f'.repeat(125))))
  for (let i = 0; i < COUNT / 1000; i++) {
    if (!client.write(flood)) await once(client.socket, 'drain')
  }
  await all
  t.ok(most < 256 * 1024, `at most ${most} of ${COUNT * 127} bytes of pongs waited`)
})

t.test('C3: nothing is read from a peer while our queue to it is over the limit, and nothing is lost', async t => {
  const COUNT = 300
  const SIZE = 100 * 1024
  let most = 0
  const { connection, client, socket } = await connect(t, connection => {
    connection.on('message', data => {
      connection.send(data)
      most = Math.max(most, connection.bufferedAmount)
    })
  })
  client.socket.pause()
  for (let i = 0; i < COUNT; i++) client.write(binary(Buffer.alloc(SIZE, i)))
  // Until nothing moves any more.
  for (let read = -1, stable = 0; stable < 50; await turns(1)) {
    stable = socket.bytesRead === read ? stable + 1 : 0
    read = socket.bytesRead
  }
  t.ok(socket.bytesRead < COUNT * SIZE * 0.9, `${socket.bytesRead} bytes of ${COUNT * SIZE} were read`)
  t.ok(client.socket.writableLength > 0, 'TCP holds the peer back')
  t.ok(connection.bufferedAmount > 1024 * 1024)
  client.socket.resume()
  for (let i = 0; i < COUNT; i++) {
    const { payload } = await client.frame()
    if (payload.length !== SIZE || !payload.every(byte => byte === (i & 0xff))) t.fail(`message ${i}`)
  }
  t.ok(most < 2 * 1024 * 1024, `at most ${most} bytes waited`)
})

t.test('C3: a few bytes that ask for much are not all answered at once', async t => {
  const COUNT = 100
  const SIZE = 512 * 1024
  const answer = Buffer.alloc(SIZE)
  let most = 0
  const { connection, client } = await connect(t, connection => {
    connection.on('message', () => {
      connection.send(answer)
      most = Math.max(most, connection.bufferedAmount)
    })
  })
  client.socket.pause()
  client.write(Buffer.concat(Array.from({ length: COUNT }, () => text('?'))))
  await turns(50)
  t.ok(connection.bufferedAmount > 1024 * 1024)
  client.socket.resume()
  for (let i = 0; i < COUNT; i++) t.equal((await client.frame()).payload.length, SIZE)
  t.ok(most <= 1024 * 1024 + 2 * SIZE, `at most ${most} of ${COUNT * SIZE} bytes waited`)
})

t.test('two sides that both send much before they read do not wait for each other', async t => {
  const SIZE = 1_000_000
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      let received = 0
      connection.on('message', () => { if (++received === 8) connection.close(1000) })
      for (let i = 0; i < 8; i++) connection.send(Buffer.alloc(SIZE))
    })
  })
  const client = await app.injectWS('/')
  let received = 0
  client.on('message', data => { received += data.length })
  for (let i = 0; i < 8; i++) client.send(Buffer.alloc(SIZE))
  await once(client, 'close')
  t.equal(received, 8 * SIZE)
})

t.test('pause reaches TCP: the peer cannot send on; resume loses nothing', async t => {
  const COUNT = 400
  const SIZE = 64 * 1024
  const order: number[] = []
  const { connection, client, socket } = await connect(t, connection => {
    connection.on('message', data => order.push(data.readUInt32BE(0)))
    connection.pause()
  })
  const payload = Buffer.alloc(SIZE)
  for (let i = 0; i < COUNT; i++) {
    payload.writeUInt32BE(i)
    client.write(binary(payload))
  }
  await turns(200)
  t.same(order, [])
  t.ok(client.socket.writableLength > 0, 'the peer is held back')
  t.ok(socket.bytesRead < 1024 * 1024, `${socket.bytesRead} bytes were read`)
  connection.resume()
  t.same(order, [], 'not within the call')
  client.write(close(1000))
  await once(connection, 'close')
  t.same(order, Array.from({ length: COUNT }, (_, i) => i))
})

t.test('pause in the middle of a chunk: nothing more is delivered until resume, and then in order', async t => {
  const events: string[] = []
  const { connection, client } = await connect(t, connection => {
    connection.on('message', data => {
      events.push(String(data))
      if (String(data) === 'pause') connection.pause()
    })
    connection.on('ping', data => events.push(`ping ${String(data)}`))
    connection.on('close', code => events.push(`close ${code}`))
  })
  const closed = once(connection, 'close')
  client.write(Buffer.concat([text('1'), text('pause'), ping('2'), text('3'), text('pause'), text('4')]))
  client.write(text('5'))
  await turns()
  t.same(events.splice(0), ['1', 'pause'])
  t.equal(connection.isPaused, true)
  client.write(Buffer.concat([text('6'), close(1000)]))
  await turns()
  t.same(events, [])
  connection.resume()
  await turns()
  t.same(events.splice(0), ['ping 2', '3', 'pause'])
  connection.resume()
  await closed
  t.same(events, ['4', '5', '6', 'close 1000'])
})

t.test('pause after every message, resume whenever: order and completeness', async t => {
  const COUNT = 500
  const order: string[] = []
  const { connection, client } = await connect(t, connection => {
    connection.on('message', data => {
      order.push(String(data))
      connection.pause()
      const resume = (): void => connection.resume()
      if (order.length % 3 === 0) resume()
      else if (order.length % 3 === 1) queueMicrotask(resume)
      else setImmediate(resume)
    })
  })
  const closed = once(connection, 'close')
  const frames = Buffer.concat([...Array.from({ length: COUNT }, (_, i) => text(String(i))), close(1000)])
  await client.writeSliced(frames, 97)
  await closed
  t.same(order, Array.from({ length: COUNT }, (_, i) => String(i)))
})

t.test('close while paused: messages and the peer\'s Close frame are read all the same', async t => {
  const events: string[] = []
  const { connection, client } = await connect(t, connection => {
    connection.on('message', data => {
      events.push(String(data))
      if (events.length === 1) connection.pause()
    })
  })
  const closed = once(connection, 'close')
  client.write(Buffer.concat([text('1'), text('2'), close(4000)]))
  await turns()
  t.same(events, ['1'])
  connection.close(1000)
  t.equal((await client.closeFrame()).code, 1000)
  client.socket.on('end', () => client.end())
  t.equal((await closed)[0], 4000)
  t.same(events, ['1', '2'])
})
