import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, ping, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

interface Rig {
  app: FastifyInstance
  port: number
  /** The server's side of the last TCP connection. */
  socket: () => Socket
  /** Resolves when the server has no connection left, whether anybody was told or not. */
  allGone: () => Promise<void>
}

/** An app whose handler is of interest for when it attaches its listeners. */
async function serve (t: Teardown, handler: (connection: WebSocketConnection) => unknown, closeTimeout = 10_000): Promise<Rig> {
  let socket!: Socket
  const { app, port } = await startApp(t, app => {
    app.server.on('connection', accepted => { socket = accepted })
    app.get('/', { websocket: true }, handler)
  }, { closeTimeout })
  return {
    app,
    port,
    socket: () => socket,
    async allGone () {
      while (app.websocketServer.clients.size > 0) await turns(1)
    }
  }
}

/** A client that goes when the test ends, so that nothing has to wait for its part of the close handshake. */
async function open (t: Teardown, port: number, behind?: Buffer): Promise<RawClient> {
  const client = await RawClient.open(port, '/', {}, behind)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return client
}

const numbered = (from: number, to: number): Buffer[] => Array.from({ length: to - from }, (_, i) => text(String(from + i)))
const range = (to: number): string[] => Array.from({ length: to }, (_, i) => String(i))

t.test('B9: messages that came before an async handler listens are delivered to it, in order, before later ones', async t => {
  const ready = gate()
  const order: string[] = []
  const { port } = await serve(t, async connection => {
    await ready.passed
    connection.on('message', data => {
      order.push(String(data))
      connection.send(data, { binary: false })
    })
    // added beside it, and has to hear everything too
    connection.on('message', data => order.push(`second ${String(data)}`))
  })
  const client = await open(t, port, Buffer.concat(numbered(0, 3)))
  client.write(Buffer.concat(numbered(3, 6)))
  await turns()
  t.same(order, [])
  ready.open()
  client.write(Buffer.concat(numbered(6, 9)))
  for (let i = 0; i < 9; i++) t.equal((await client.frame()).payload.toString(), String(i))
  t.same(order, range(9).flatMap(n => [n, `second ${n}`]))
  client.destroy()
})

t.test('B9: pings are answered while messages wait for a listener', async t => {
  const ready = gate()
  const { port } = await serve(t, async connection => {
    await ready.passed
    connection.on('message', data => connection.send(data, { binary: false }))
  })
  const client = await open(t, port)
  client.write(Buffer.concat([text('waits'), ping('answered')]))
  const { opcode, payload } = await client.frame()
  t.same([opcode, payload.toString()], [10, 'answered'])
  ready.open()
  t.equal((await client.frame()).payload.toString(), 'waits')
  client.destroy()
})

for (const [name, size, count] of [['many small messages', 10, 400_000], ['messages of 1 KiB', 1024, 16_000], ['messages of 1 MiB', 1024 * 1024, 20]] as const) {
  t.test(`B9: ${name} before the listener: the peer is held back, memory is bounded, nothing is lost`, async t => {
    const ready = gate()
    let received = 0
    let wrong = 0
    const { port, socket } = await serve(t, async connection => {
      await ready.passed
      connection.on('message', data => {
        if (data.readUInt32BE(0) !== received || data.length !== size) wrong++
        if (++received === count) connection.send('all')
      })
    })
    const client = await open(t, port)
    const all: Buffer[] = []
    for (let i = 0; i < count; i++) {
      const payload = Buffer.alloc(size)
      payload.writeUInt32BE(i)
      all.push(binary(payload))
      if (all.length * size > 100_000 || i === count - 1) client.write(Buffer.concat(all.splice(0)))
    }
    await turns(200)
    t.ok(socket().bytesRead < 64 * 1024 + 2 * Math.max(size, 64 * 1024), `${socket().bytesRead} bytes were read`)
    t.equal(received, 0)
    ready.open()
    t.equal((await client.frame()).payload.toString(), 'all')
    t.equal(wrong, 0)
    client.destroy()
  })
}

t.test('B9, B10: a handler that has settled and never listens: messages are dropped, and the connection lives', async t => {
  for (const handler of [() => {}, async () => { await turns(2) }]) {
    const { port } = await serve(t, handler)
    const client = await open(t, port)
    for (let i = 0; i < 100; i++) client.write(binary(Buffer.alloc(50_000)))
    client.write(ping('still there'))
    t.equal((await client.frame()).payload.toString(), 'still there')
    client.write(close(1000))
    t.equal((await client.closeFrame()).code, 1000)
    client.end()
    await client.closed
  }
})

t.test('B9: a handler that never settles and never listens: bounded, and app.close() ends it', async t => {
  const { app, port, socket } = await serve(t, () => new Promise(() => {}), 300)
  const client = await open(t, port)
  for (let i = 0; i < 200; i++) client.write(binary(Buffer.alloc(50_000)))
  await turns(200)
  t.ok(socket().bytesRead < 512 * 1024, `${socket().bytesRead} bytes were read`)
  client.socket.on('end', () => client.end())
  await app.close()
  await client.closed
})

t.test('B9: messages, then a Close frame, then the end of TCP, all before anybody listens', async t => {
  const attach: Record<string, (connection: WebSocketConnection, log: (entry: string) => void) => Promise<void>> = {
    'message and close listeners': async (connection, log) => {
      connection.on('message', data => log(String(data)))
      const [code, reason] = await once(connection, 'close') as [number, Buffer]
      log(`close ${code} ${String(reason)}`)
    },
    'a close listener, and later a message listener': async (connection, log) => {
      const closed = once(connection, 'close')
      await turns(2)
      connection.on('message', data => log(String(data)))
      const [code, reason] = await closed as [number, Buffer]
      log(`close ${code} ${String(reason)}`)
    },
    'browser\'s handlers': async (connection, log) => {
      connection.onmessage = event => log(String(event.data))
      await new Promise<void>(resolve => {
        connection.onclose = event => {
          log(`close ${event.code} ${event.reason}`)
          resolve()
        }
      })
    },
    'for await': async (connection, log) => {
      const closed = once(connection, 'close')
      for await (const message of connection) log(String(message))
      const [code, reason] = await closed as [number, Buffer]
      log(`close ${code} ${String(reason)}`)
    },
    'one at a time': async (connection, log) => {
      for (let i = 0; i < 3; i++) {
        log(String((await once(connection, 'message'))[0]))
        await turns(2)
      }
      const [code, reason] = await once(connection, 'close') as [number, Buffer]
      log(`close ${code} ${String(reason)}`)
    },
    'a loop that is left, and another': async (connection, log) => {
      for await (const message of connection) {
        log(String(message))
        if (String(message) === '0') break
      }
      await turns(2)
      for await (const message of connection) log(String(message))
      log('close 4321 over')
    },
    stream: async (connection, log) => {
      const stream = connection.stream({ readableObjectMode: true })
      const closed = once(connection, 'close')
      for await (const message of stream) log(String(message))
      const [code, reason] = await closed as [number, Buffer]
      log(`close ${code} ${String(reason)}`)
    }
  }
  for (const [name, listen] of Object.entries(attach)) {
    const ready = gate()
    const log: string[] = []
    let finished!: () => void
    const whenFinished = new Promise<void>(resolve => { finished = resolve })
    let state = -1
    const { port, allGone } = await serve(t, async connection => {
      await ready.passed
      state = connection.readyState
      await listen(connection, entry => log.push(entry))
      finished()
    }, 10_000)
    const client = await open(t, port)
    client.socket.on('end', () => client.end())
    client.write(Buffer.concat([...numbered(0, 3), close(4321, 'over')]))
    await client.closed
    await allGone()
    t.same(log, [])
    ready.open()
    await whenFinished
    t.equal(state, 3, 'it was closed')
    t.same(log, ['0', '1', '2', 'close 4321 over'], name)
  }
})

t.test('B9: close alone, before anybody listens, waits too', async t => {
  const ready = gate()
  const ended = gate()
  let args: unknown[] = []
  let aborted = false
  const { port, allGone } = await serve(t, async connection => {
    await ready.passed
    args = await once(connection, 'close')
    aborted = connection.signal.aborted
    ended.open()
  })
  const client = await open(t, port)
  client.write(close(1000, 'bye'))
  await client.ended
  client.end()
  await allGone()
  ready.open()
  await ended.passed
  t.same([args[0], String(args[1]), aborted], [1000, 'bye', true])
})

t.test('B9: a close listener that is there from the start hears of the end at once, if no message waits', async t => {
  const { port } = await serve(t, connection => {
    connection.once('close', () => heard.open())
    return new Promise(() => {})
  })
  const heard = gate()
  const client = await open(t, port)
  client.destroy()
  await heard.passed
})

t.test('B9: messages that nobody asks for within closeTimeout of the end are dropped; close is told, also to who listens later', async t => {
  const order: string[] = []
  const late = gate()
  const done = gate()
  let count = 0
  const { port, allGone } = await serve(t, async connection => {
    const isFirst = ++count === 1
    if (!isFirst) connection.on('close', code => { order.push(`early ${code}`); late.open() })
    await late.passed
    // the first connection ended before the second: its messages are dropped by now as well
    connection.on('message', data => order.push(String(data)))
    if (isFirst) {
      connection.on('close', code => {
        order.push(`late ${code}`)
        done.open()
      })
    }
  }, 50)
  for (let i = 0; i < 2; i++) {
    const client = await open(t, port)
    client.write(Buffer.concat([text('dropped'), close(1000)]))
    await client.ended
    client.end()
    await client.closed
    await allGone()
  }
  await done.passed
  t.same(order, ['early 1000', 'late 1000'])
})

t.test('B9: once, an await, and once again loses nothing', async t => {
  const messages: string[] = []
  const done = gate()
  const { port } = await serve(t, async connection => {
    const [first] = await once(connection, 'message')
    messages.push(String(first))
    await turns(5)
    const [second] = await once(connection, 'message')
    messages.push(String(second))
    await turns(5)
    connection.on('message', data => {
      messages.push(String(data))
      if (messages.length === 6) done.open()
    })
    await done.passed
  })
  const client = await open(t, port)
  client.write(Buffer.concat(numbered(0, 4)))
  client.write(Buffer.concat(numbered(4, 6)))
  await done.passed
  t.same(messages, range(6))
  client.destroy()
})

t.test('B9: a listener that closes while waiting messages are delivered gets each of them once', async t => {
  const messages: string[] = []
  const ready = gate()
  const { port } = await serve(t, async connection => {
    await ready.passed
    connection.on('message', data => {
      messages.push(String(data))
      connection.close(1000)
    })
    connection.on('message', data => messages.push(`second ${String(data)}`))
  })
  const client = await open(t, port)
  client.write(Buffer.concat(numbered(0, 4)))
  await turns()
  ready.open()
  t.equal((await client.closeFrame()).code, 1000)
  client.write(close(1000))
  await client.ended
  client.end()
  t.same(messages, range(4).flatMap(n => [n, `second ${n}`]))
})

t.test('B9: terminate while messages wait: close is told without them', async t => {
  let closed!: Promise<unknown[]>
  const { port } = await serve(t, async connection => {
    connection.on('message', () => connection.pause())
    closed = once(connection, 'close')
    await turns(20)
    connection.terminate()
  }, 60_000)
  const client = await open(t, port, Buffer.concat(numbered(0, 4)))
  t.equal((await closed)[0], 1006)
  await client.ended
})

t.test('B9: terminate while messages wait, and the client has left: close is told without them', async t => {
  const events: string[] = []
  const told = gate()
  const { port } = await serve(t, async connection => {
    await once(connection.signal, 'abort')
    connection.terminate()
    connection.on('message', data => events.push(data.toString()))
    connection.on('close', code => {
      events.push(`close ${code}`)
      told.open()
    })
  }, 60_000)
  const client = await open(t, port, Buffer.concat([...numbered(0, 4), close(4000)]))
  await client.ended
  client.end()
  await told.passed
  await turns()
  t.same(events, ['close 4000'])
})

t.test('B9: pause and resume while waiting messages are delivered', async t => {
  const messages: string[] = []
  const ready = gate()
  let connection!: WebSocketConnection
  const { port } = await serve(t, async opened => {
    connection = opened
    await ready.passed
    connection.on('message', data => {
      messages.push(String(data))
      if (messages.length % 2 === 0) connection.pause()
    })
  })
  const client = await open(t, port)
  client.write(Buffer.concat(numbered(0, 5)))
  await turns()
  ready.open()
  await turns()
  t.same(messages, range(2))
  client.write(Buffer.concat(numbered(5, 7)))
  await turns()
  t.same(messages, range(2))
  const closed = once(connection, 'close')
  client.write(close(1000))
  while (messages.length < 6) {
    connection.resume()
    await turns()
  }
  t.same(messages, range(6))
  connection.resume()
  await closed
  t.same(messages, range(7))
})
