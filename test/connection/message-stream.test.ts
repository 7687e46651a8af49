import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import t from 'tap'
import { ProtocolError, type WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, frame, ping, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

interface Rig {
  client: RawClient
  connection: WebSocketConnection
  socket: Socket
  errors: Error[]
}

async function serve (t: Teardown, handler: (connection: WebSocketConnection) => unknown, closeTimeout = 10_000): Promise<Rig> {
  const errors: Error[] = []
  let socket!: Socket
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.server.on('connection', accepted => { socket = accepted })
    app.get('/', { websocket: true }, connection => {
      opened(connection)
      return handler(connection)
    })
  }, { closeTimeout, errorHandler: error => { errors.push(error) } })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { client, connection: await whenOpened, socket, errors }
}

t.test('stream: an echo by pipe of several MB, with backpressure both ways', async t => {
  const SIZE = 40_000
  const COUNT = 250
  const { client, connection } = await serve(t, connection => {
    const stream = connection.stream()
    stream.pipe(stream)
  })
  const sent = createHash('sha256')
  const received = createHash('sha256')
  for (let i = 0; i < COUNT; i++) {
    const payload = randomBytes(SIZE)
    sent.update(payload)
    client.write(binary(payload))
  }
  for (let i = 0; i < COUNT; i++) {
    if (i === 10) {
      client.socket.pause()
      await turns(20)
      client.socket.resume()
    }
    const { opcode, payload } = await client.frame()
    if (opcode !== 2 || payload.length !== SIZE) t.fail(`message ${i}`)
    received.update(payload)
  }
  t.equal(received.digest('hex'), sent.digest('hex'))
  const closed = once(connection, 'close')
  client.write(close(1000))
  t.equal((await client.closeFrame()).code, 1000)
  await closed
})

t.test('stream: a reader that does not read holds the peer back; a writer is told to wait', async t => {
  let stream!: Duplex
  const { client, connection, socket } = await serve(t, connection => { stream = connection.stream() })
  for (let i = 0; i < 400; i++) client.write(binary(Buffer.alloc(64 * 1024, i)))
  await turns(200)
  t.ok(socket.bytesRead < 1024 * 1024, `${socket.bytesRead} bytes were read`)
  t.ok(client.socket.writableLength > 0, 'the peer is held back')
  let received = 0
  const all = gate()
  stream.on('data', (chunk: Buffer) => { if ((received += chunk.length) === 400 * 64 * 1024) all.open() })
  await all.passed

  client.socket.pause()
  let written = 0
  while (stream.write(Buffer.alloc(1024 * 1024)) || written < 3) {
    written++
    await turns(2)
    if (written > 1000) break
  }
  t.ok(written < 1000, `write said so after ${written} MiB`)
  t.ok(stream.writableNeedDrain)
  t.ok(connection.bufferedAmount > 0)
  const drained = once(stream, 'drain')
  client.socket.resume()
  await drained
})

t.test('stream: what goes in and out of it, in each mode', async t => {
  const cases: Array<[string, object, (stream: Duplex) => void, Array<[number, string]>, unknown[]]> = [
    ['bytes', {}, stream => {
      stream.write('text becomes bytes')
      stream.write(Buffer.from('bytes'))
    }, [[2, 'text becomes bytes'], [2, 'bytes']], [Buffer.from('t'), Buffer.from('b')]],
    ['decodeStrings: false', { decodeStrings: false }, stream => {
      stream.write('text')
      stream.write(Buffer.from('bytes'))
    }, [[1, 'text'], [2, 'bytes']], [Buffer.from('t'), Buffer.from('b')]],
    ['readableObjectMode', { readableObjectMode: true }, stream => { stream.write('x') }, [[2, 'x']], ['t', Buffer.from('b')]],
    ['objectMode', { objectMode: true }, stream => { stream.write('x') }, [[1, 'x']], ['t', Buffer.from('b')]]
  ]
  for (const [name, options, write, frames, chunks] of cases) {
    const received: unknown[] = []
    const done = gate()
    const { client } = await serve(t, connection => {
      const stream = connection.stream(options)
      stream.on('data', chunk => {
        received.push(chunk)
        if (received.length === 2) done.open()
      })
      write(stream)
    })
    for (const [opcode, payload] of frames) {
      const got = await client.frame()
      t.same([got.opcode, got.payload.toString()], [opcode, payload], name)
    }
    client.write(text('t'))
    client.write(binary('b'))
    await done.passed
    t.same(received, chunks, name)
  }
})

t.test('stream: end closes the connection, the peer\'s close ends the stream, and then it is closed', async t => {
  const events: string[] = []
  const { client, connection } = await serve(t, connection => {
    const stream = connection.stream()
    stream.on('data', chunk => events.push(`data ${String(chunk)}`))
    for (const event of ['end', 'finish', 'close']) stream.on(event, () => events.push(event))
    stream.write('last')
    stream.end()
  })
  const closed = once(connection, 'close')
  t.equal((await client.frame()).payload.toString(), 'last')
  t.equal((await client.closeFrame()).code, 1005)
  client.write(Buffer.concat([binary('still'), close()]))
  t.equal((await closed)[0], 1005)
  await turns()
  t.equal(events[0], 'data still')
  t.same(events.slice(1, -1).sort(), ['end', 'finish'])
  t.equal(events.at(-1), 'close')
})

t.test('stream: the peer closes: finished() and pipeline() settle', async t => {
  const { client, connection } = await serve(t, () => {})
  const stream = connection.stream()
  const chunks: string[] = []
  const piped = pipeline(stream, async source => {
    for await (const chunk of source) chunks.push(String(chunk))
  })
  client.write(Buffer.concat([binary('1'), binary('2'), close(1000)]))
  await piped
  // Node joins the chunks of a stream of bytes as it likes.
  t.equal(chunks.join(''), '12')
  await finished(stream, { writable: false })
  t.equal(connection.readyState, connection.CLOSED)
})

t.test('stream: destroy terminates the connection, and close is told when that is over', async t => {
  for (const error of [undefined, new Error('enough')]) {
    const { client, connection } = await serve(t, () => {})
    const stream = connection.stream()
    const closed = once(connection, 'close')
    const results: unknown[] = []
    stream.on('error', thrown => results.push(thrown))
    const streamClosed = new Promise<void>(resolve => stream.on('close', () => {
      results.push(connection.readyState)
      resolve()
    }))
    stream.destroy(error)
    t.equal((await closed)[0], 1006)
    await streamClosed
    await client.ended
    t.same(results, error === undefined ? [3] : [error, 3])
  }
})

t.test('stream: destroy while messages wait in the connection is over at once', async t => {
  const { client, connection } = await serve(t, async connection => {
    await turns(10)
    const stream = connection.stream({ readableHighWaterMark: 1 })
    await turns(10)
    stream.destroy()
    // With what waits it would be told only after this.
  }, 1_000_000)
  const closed = once(connection, 'close')
  client.write(Buffer.concat([binary('1'), binary('2'), binary('3')]))
  await closed
})

t.test('stream: what the peer does wrong destroys it with that error', async t => {
  const { client, connection, errors } = await serve(t, () => {})
  const stream = connection.stream()
  stream.resume()
  const failed = once(stream, 'error')
  client.write(frame(3))
  t.equal((await client.closeFrame()).code, 1002)
  await failed.catch(() => {})
  const [error] = await failed
  t.ok(error instanceof ProtocolError)
  t.same(errors, [error])
})

t.test('stream: an error that nobody watches goes to errorHandler and not to the process', async t => {
  const { client, connection, errors } = await serve(t, () => {})
  const stream = connection.stream()
  stream.resume()
  const closed = once(connection, 'close')
  client.destroy()
  await closed
  stream.write('too late')
  await turns()
  t.ok(errors.length <= 1)

  const second = await serve(t, () => {})
  const mine = new Error('mine')
  second.connection.stream().destroy(mine)
  await second.client.ended
  await turns()
  t.same(second.errors, [mine])
})

t.test('stream: of a connection that is over', async t => {
  const { client, connection } = await serve(t, () => {})
  const closed = once(connection, 'close')
  client.write(close(1000))
  await closed
  const stream = connection.stream()
  const whenClosed = once(stream, 'close')
  await new Promise<void>(resolve => stream.end(resolve))
  for await (const chunk of stream) t.fail(String(chunk))
  await whenClosed
  t.ok(stream.destroyed, 'it ends, and is closed')
})

t.test('stream: a write that fails closes it', async t => {
  const { client, connection } = await serve(t, () => {})
  const stream = connection.stream().resume()
  const failed = once(stream, 'error')
  const closed = new Promise(resolve => stream.on('close', resolve))
  connection.close(1000)
  stream.write('too late')
  t.match(await failed, [{ message: /not open/ }])
  await closed
  await client.ended
})

t.test('stream: listeners that throw keep neither messages nor the end from it', async t => {
  let stream!: Duplex
  const { client } = await serve(t, connection => {
    for (const event of ['message', 'close'] as const) connection.on(event, () => { throw new Error(`thrown by a ${event} listener`) })
    stream = connection.stream()
  })
  client.write(Buffer.concat([text('one'), text('two'), close(1000)]))
  const chunks: string[] = []
  for await (const chunk of stream) chunks.push(String(chunk))
  t.equal(chunks.join(''), 'onetwo')
})

t.test('B10: without a stream that anybody asked for nothing stops after 16 KiB', async t => {
  const { client } = await serve(t, connection => {
    connection.on('ping', () => connection.send('pinged'))
  })
  for (let i = 0; i < 50; i++) client.write(binary(Buffer.alloc(64 * 1024)))
  client.write(ping())
  const { payload } = await client.frame()
  t.ok(['pinged', ''].includes(payload.toString()))
})

t.test('B10: no stream is made unless asked for', async t => {
  const { connection } = await serve(t, () => {})
  t.equal(connection.listenerCount('message'), 0)
  t.notOk('read' in connection || 'pipe' in connection || 'write' in connection)
})
