import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { ProtocolError, type WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, frame, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

async function serve (t: Teardown, handler: (connection: WebSocketConnection) => unknown): Promise<{ client: RawClient, socket: Socket }> {
  let socket!: Socket
  const { port } = await startApp(t, app => {
    app.server.on('connection', accepted => { socket = accepted })
    app.get('/', { websocket: true }, handler)
  }, { errorHandler: () => {} })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { client, socket }
}

const numbered = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => text(String(i))))
const range = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

t.test('for await: strings for text, Buffers for binary, in order, until the end', async t => {
  const messages: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    for await (const message of connection) {
      messages.push(typeof message === 'string' ? message : [Buffer.isBuffer(message), message.toString('hex')])
      if (messages.length % 2 === 0) await turns(2)
    }
    messages.push(`readyState ${connection.readyState}`)
    done.open()
  })
  client.write(Buffer.concat([text('a'), binary(Buffer.from([1, 2])), text(''), binary(''), text('ü'), close(1000)]))
  await done.passed
  t.same(messages, ['a', [true, '0102'], '', [true, ''], 'ü', 'readyState 3'])
})

t.test('for await ends however the connection ends: nobody waits for ever', async t => {
  const ends: Record<string, (client: RawClient, connection: WebSocketConnection) => void> = {
    'a Close frame': client => { client.write(close(1000)) },
    'the peer gone': client => client.destroy(),
    'close by us': (_client, connection) => connection.close(1000),
    'terminate by us': (_client, connection) => connection.terminate()
  }
  for (const [name, end] of Object.entries(ends)) {
    const done = gate()
    let connection!: WebSocketConnection
    const arrived = gate()
    let count = 0
    const { client } = await serve(t, async opened => {
      connection = opened
      for await (const message of opened) {
        count += message.length
        arrived.open()
      }
      done.open()
    })
    client.write(text('1'))
    await arrived.passed
    end(client, connection)
    if (name === 'close by us') client.write(close(1000))
    await done.passed
    t.equal(count, 1, name)
  }
})

t.test('for await throws what the peer did wrong, after the messages before it', async t => {
  const messages: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    try {
      for await (const message of connection) {
        messages.push(message)
        await turns(2)
      }
    } catch (error) {
      messages.push(error instanceof ProtocolError)
    }
    for await (const message of connection) messages.push(message)
    messages.push('over')
    done.open()
  })
  client.write(Buffer.concat([text('1'), text('2'), frame(3), text('3')]))
  await done.passed
  t.same(messages, ['1', '2', true, 'over'])
})

t.test('for await holds the peer back while the body runs, and loses nothing', async t => {
  const COUNT = 4000
  const go = gate()
  const done = gate()
  let received = 0
  let wrong = 0
  const { client, socket } = await serve(t, async connection => {
    for await (const message of connection) {
      if (received === 0) await go.passed
      if ((message as Buffer).readUInt32BE(0) !== received++) wrong++
      if (received % 500 === 0) await turns(1)
    }
    done.open()
  })
  const payload = Buffer.alloc(4096)
  for (let i = 0; i < COUNT; i++) {
    payload.writeUInt32BE(i)
    client.write(binary(payload))
  }
  client.write(close(1000))
  await turns(200)
  t.ok(socket.bytesRead < 512 * 1024, `${socket.bytesRead} of ${COUNT * 4096} bytes were read`)
  t.ok(client.socket.writableLength > 0, 'the peer is held back')
  go.open()
  await done.passed
  t.same([received, wrong], [COUNT, 0])
})

t.test('break leaves the connection open, and what came meanwhile to who comes next', async t => {
  const messages: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    for await (const message of connection) {
      messages.push(message)
      if (message === '1') break
    }
    await turns(3)
    messages.push(connection.readyState, connection.listenerCount('message'), connection.listenerCount('close'))
    for await (const message of connection) {
      messages.push(message)
      if (message === '3') break
    }
    await turns(3)
    connection.send('still open')
    const ended = new Promise<void>(resolve => {
      connection.on('message', data => {
        messages.push(String(data))
        if (messages.length === 9) resolve()
      })
    })
    await ended
    done.open()
  })
  client.write(numbered(6))
  await done.passed
  t.same(messages, ['0', '1', 1, 0, 0, '2', '3', '4', '5'])
  t.equal((await client.frame()).payload.toString(), 'still open')
})

t.test('break while the peer is held back lets it go on', async t => {
  const COUNT = 300
  let received = 0
  const done = gate()
  const { client } = await serve(t, async connection => {
    for await (const message of connection) {
      received++
      await turns(20)
      if (message.length > 0) break
    }
    t.equal(connection.isPaused, false)
    connection.on('message', () => { if (++received === COUNT) done.open() })
    await done.passed
  })
  for (let i = 0; i < COUNT; i++) client.write(binary(Buffer.alloc(4096)))
  await done.passed
  t.equal(received, COUNT)
})

t.test('with a message listener beside it, break gives nothing twice', async t => {
  const heard: string[] = []
  const looped: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    connection.on('message', data => heard.push(String(data)))
    connection.on('close', () => done.open())
    for await (const message of connection) {
      looped.push(message)
      if (message === '1') break
    }
  })
  client.write(Buffer.concat([numbered(5), close(1000)]))
  await done.passed
  t.same(heard, range(5))
  t.same(looped, ['0', '1'])
})

t.test('several next() at once are answered in order; after the end they are done', async t => {
  const results: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    const iterator = connection[Symbol.asyncIterator]()
    t.equal(iterator[Symbol.asyncIterator](), iterator)
    const first = await Promise.all([iterator.next(), iterator.next(), iterator.next()])
    results.push(...first.map(({ value }) => String(value)))
    const last = await Promise.all([iterator.next(), iterator.next(), iterator.next()])
    results.push(...last)
    results.push(await iterator.next())
    done.open()
  })
  client.write(numbered(2))
  await turns()
  client.write(Buffer.concat([text('2'), text('3')]))
  await turns()
  client.write(close(1000))
  await done.passed
  const end = { value: undefined, done: true }
  t.same(results, ['0', '1', '2', { value: '3', done: false }, end, end, end])
})

t.test('an error is thrown by one next() of several, and the others are done', async t => {
  const results: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    const iterator = connection[Symbol.asyncIterator]()
    const settled = await Promise.allSettled([iterator.next(), iterator.next(), iterator.next()])
    results.push(...settled.map(result => result.status === 'fulfilled' ? result.value.done : result.reason instanceof ProtocolError))
    results.push((await iterator.next()).done)
    done.open()
  })
  client.write(Buffer.concat([text('0'), frame(3)]))
  await done.passed
  t.same(results, [false, true, true, true])
})

t.test('two loops on one connection each get everything', async t => {
  const seen: string[][] = [[], []]
  const done = gate()
  const { client } = await serve(t, async connection => {
    await Promise.all(seen.map(async mine => {
      for await (const message of connection) {
        mine.push(String(message))
        if (mine === seen[0]) await turns(1)
      }
    }))
    done.open()
  })
  client.write(Buffer.concat([numbered(20), close(1000)]))
  await done.passed
  t.same(seen, [range(20), range(20)])
})

t.test('a loop over a connection that is over ends at once', async t => {
  const done = gate()
  let count = 0
  const { client } = await serve(t, async connection => {
    await once(connection, 'close')
    for await (const message of connection) count += message.length
    done.open()
  })
  client.write(close(1000))
  await done.passed
  t.equal(count, 0)
})

t.test('listeners that throw keep neither messages nor the end from a loop', async t => {
  const messages: unknown[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    for (const event of ['message', 'close'] as const) connection.on(event, () => { throw new Error(`thrown by a ${event} listener`) })
    for await (const message of connection) messages.push(message)
    done.open()
  })
  client.write(Buffer.concat([numbered(3), close(1000)]))
  await done.passed
  t.same(messages, range(3))
})

t.test('a loop that is left when the connection is over leaves the rest to the next view, and to no listener behind close', async t => {
  const events: string[] = []
  const done = gate()
  const { client } = await serve(t, async connection => {
    const closed = once(connection, 'close')
    for await (const message of connection) {
      await closed
      events.push(`one loop ${message}`)
      if (message === '1') break
    }
    connection.on('message', data => events.push(`listener ${data.toString()}`))
    await turns()
    for await (const message of connection) {
      events.push(`another loop ${message}`)
      if (message === '2') break
    }
    setImmediate(() => done.open())
  })
  client.write(Buffer.concat([numbered(4), close(1000)]))
  await done.passed
  t.same(events, ['one loop 0', 'one loop 1', 'another loop 2'])
})

t.test('return() ends next() that waits', async t => {
  const done = gate()
  const { client } = await serve(t, async connection => {
    const iterator = connection[Symbol.asyncIterator]()
    const waiting = iterator.next()
    t.same(await iterator.return!(), { value: undefined, done: true })
    t.same(await waiting, { value: undefined, done: true })
    t.same(await iterator.next(), { value: undefined, done: true })
    t.equal((await once(connection, 'message'))[0].toString(), 'for another')
    done.open()
  })
  client.write(text('for another'))
  await done.passed
})
