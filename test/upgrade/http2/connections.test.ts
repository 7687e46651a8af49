import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { constants, type ClientHttp2Session } from 'node:http2'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../../lib/index.js'
import { echo, startApp, type TestApp } from '../../support/app.js'
import { connectHttp2, extendedConnect, openHttp2, refusal, responseHeaders } from '../../support/http2-client.js'
import { binary, close, ping, RawClient, text } from '../../support/raw-client.js'
import { gate, ServerSockets, turns } from '../../support/server-sockets.js'

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

/** HTTP/2's default for the bytes that may be under way on a stream (RFC 9113 §6.9.2). */
const WINDOW = 65_535

interface Running extends TestApp {
  session: ClientHttp2Session
  /** Of the server, in the order in which they opened. */
  connections: WebSocketConnection[]
  /** `close` codes, likewise. */
  closed: Promise<number>[]
}

/** Echoes at `/`; says nothing at `/silent`. */
async function start (t: Test, options?: WebSocketPluginOptions, fastifyOptions = {}): Promise<Running> {
  const connections: WebSocketConnection[] = []
  const closed: Promise<number>[] = []
  const running = await startApp(t, app => {
    echo(app)
    app.get('/silent', { websocket: true }, () => {})
    app.get('/http', async () => 'http')
    app.websocketServer.on('connection', connection => {
      connections.push(connection)
      closed.push(new Promise(resolve => connection.on('close', resolve)))
    })
  }, options, { http2: true, ...fastifyOptions })
  return { ...running, connections, closed, session: await connectHttp2(t, running.url.replace('ws:', 'http:')) }
}

async function expectEcho (t: Test, client: RawClient, what = 'hello'): Promise<void> {
  client.write(text(what))
  t.equal((await client.frame()).payload.toString(), what, `echo of ${what}`)
}

t.test('RFC 8441 §4: each end of a connection is one of its stream, and of no other', async t => {
  const { session, connections, closed } = await start(t, { closeTimeout: 100 })
  const other = await openHttp2(session)

  await t.test('the closing handshake ends both sides with END_STREAM', async t => {
    const client = await openHttp2(session)
    client.write(close(4001, 'done'))
    t.same(await client.closeFrame(), { code: 4001, reason: 'done' })
    t.equal(await client.ended, true)
    client.end()
    await client.closed
    t.equal(client.socket.rstCode, NGHTTP2_NO_ERROR)
    t.equal(await closed.at(-1), 4001)
  })

  await t.test('terminate resets it with CANCEL', async t => {
    const client = await openHttp2(session)
    connections.at(-1)!.terminate()
    await client.closed
    t.equal(client.socket.rstCode, NGHTTP2_CANCEL)
    t.equal(await closed.at(-1), 1006)
  })

  await t.test('RFC 9113 §8.1: a client that does not end its side is told that it need not', async t => {
    const client = await openHttp2(session)
    connections.at(-1)!.close(4002)
    t.equal((await client.closeFrame()).code, 4002)
    client.write(close(4002))
    t.equal(await client.ended, true)
    await client.closed
    t.equal(client.socket.rstCode, NGHTTP2_NO_ERROR)
    t.equal(await closed.at(-1), 4002)
  })

  await t.test('one that does not answer is reset after closeTimeout', async t => {
    const client = await openHttp2(session)
    connections.at(-1)!.close(4003)
    await client.closed
    t.equal(client.socket.rstCode, NGHTTP2_CANCEL)
    t.equal(await closed.at(-1), 1006)
  })

  for (const code of [NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR]) {
    await t.test(`RST_STREAM with ${code} from the client is 1006`, async t => {
      const client = await openHttp2(session)
      await expectEcho(t, client)
      setImmediate(() => client.socket.close(code))
      t.equal(await closed.at(-1), 1006)
    })
  }

  await t.test('so is END_STREAM without a Close frame, which is answered with END_STREAM', async t => {
    const client = await openHttp2(session)
    client.end()
    t.equal(await client.ended, true)
    await client.closed
    t.equal(await closed.at(-1), 1006)
  })

  await t.test('END_STREAM with the request: there is nobody to talk to', async t => {
    const stream = extendedConnect(session)
    stream.end()
    t.equal((await responseHeaders(stream)).status, 200)
    stream.resume()
    await once(stream, 'close')
    t.equal(await closed.at(-1), 1006)
  })

  await t.test('an error of the protocol ends its own stream only', async t => {
    const client = await openHttp2(session)
    client.write(text('not masked', { mask: null }))
    t.equal((await client.closeFrame()).code, 1002)
    t.equal(await client.ended, true)
    client.end()
    t.equal(await closed.at(-1), 1006)
  })

  await t.test('what a listener throws closes with 1011', async t => {
    const client = await openHttp2(session)
    connections.at(-1)!.on('message', () => { throw new Error('mine') })
    client.write(text('x'))
    t.equal((await client.frame()).payload.toString(), 'x')
    t.equal((await client.closeFrame()).code, 1011)
    client.end()
  })

  await expectEcho(t, other, 'all the while')
})

t.test('GOAWAY from the client lets its connections go on; the end of its session is 1006 for all', async t => {
  const { session, closed, port } = await start(t)
  const client = await openHttp2(session)
  session.close()
  await expectEcho(t, client, 'after GOAWAY')
  client.write(close(1000))
  await client.closeFrame()
  client.end()
  await once(session, 'close')
  t.equal(await closed[0], 1000)

  const second = await connectHttp2(t, `http://127.0.0.1:${port}`)
  for (let i = 0; i < 3; i++) await openHttp2(second)
  second.destroy()
  t.same(await Promise.all(closed.slice(1)), [1006, 1006, 1006])
})

t.test('all frames that are sent while a chunk is processed leave in one DATA frame', async t => {
  const { session } = await start(t)
  const client = await openHttp2(session)
  const chunks: number[] = []
  client.socket.on('data', (chunk: Buffer) => chunks.push(chunk.length))
  client.write(Buffer.concat(Array.from({ length: 100 }, () => text('0123456789'))))
  await client.bytes(1200)
  t.same(chunks, [1200])
})

t.test('1 MiB there and back, in chunks of what frames and windows allow', async t => {
  const { session } = await start(t)
  const client = await openHttp2(session)
  const payload = Buffer.alloc(1024 * 1024, 'abcdefg')
  client.write(binary(payload))
  t.ok((await client.frame()).payload.equals(payload))
})

t.test('a message does not keep alive what came beside it on the session', async t => {
  const { session, connections } = await start(t)
  const kept: Buffer[] = []
  const clients = [await openHttp2(session, '/silent'), await openHttp2(session, '/silent')]
  for (const connection of connections) connection.on('message', data => kept.push(data as Buffer))
  const done = new Promise<void>(resolve => connections[1]!.on('message', () => { if (kept.length === 20) resolve() }))
  // In one turn, so that the session reads them together.
  for (let i = 0; i < 10; i++) for (const client of clients) client.write(binary(Buffer.alloc(i === 0 ? 3000 : 200, i)))
  await done
  const pinned = new Set(kept.map(({ buffer }) => buffer))
  const bytes = [...pinned].reduce((sum, { byteLength }) => sum + byteLength, 0)
  t.ok(bytes <= 4 * kept.reduce((sum, { length }) => sum + length, 0) + 8192, `${bytes} bytes are kept`)
})

t.test('flow control: a connection that is paused holds its client back at the window, and no other', async t => {
  const { session, connections } = await start(t, { maxPayload: Infinity })
  const paused = await openHttp2(session, '/silent')
  const other = await openHttp2(session)
  const [connection] = connections
  connection!.pause()
  let received = 0
  connection!.on('message', data => { received += (data as Buffer).length })
  const all = new Promise<void>(resolve => connection!.on('message', () => { if (received === 100 * 10_000) resolve() }))
  for (let i = 0; i < 100; i++) paused.write(binary(Buffer.alloc(10_000)))
  for (let i = 0; i < 20; i++) await expectEcho(t, other, `${i}`)
  t.equal(received, 0)
  const gone = 100 * 10_008 - paused.socket.bufferSize
  t.ok(gone <= WINDOW + 16_384, `${gone} bytes have left the client`)
  connection!.resume()
  await all
})

t.test('flow control: who does not read is told of by send and drain, and ended over maxBufferedAmount', async t => {
  const { session, connections, closed } = await start(t, { maxBufferedAmount: 1024 * 1024, closeTimeout: 100 })
  const slow = await openHttp2(session, '/silent')
  const other = await openHttp2(session)
  slow.socket.pause()
  const [connection] = connections
  const piece = Buffer.alloc(50_000)
  let sent = 0
  do {
    connection!.send(piece)
    sent++
    await turns(5)
  } while (connection!.bufferedAmount === 0)
  t.equal(connection!.send(piece), false)
  sent++
  t.ok(sent * piece.length <= WINDOW + 200_000, `${sent} messages until send says no`)
  await expectEcho(t, other)
  const drained = once(connection!, 'drain')
  slow.socket.resume()
  await drained
  await slow.bytes(sent * (piece.length + 4))

  slow.socket.pause()
  const errors: string[] = []
  connection!.on('error', error => errors.push((error as Error & { code: string }).code))
  for (let i = 0; i < 40; i++) connection!.send(piece)
  await Promise.all([closed[0], slow.closed])
  t.same(errors, ['FST_WS_ERR_SLOW_READER'])
  t.equal(slow.socket.rstCode, NGHTTP2_CANCEL, 'the Close frame is behind what it does not read')
  await expectEcho(t, other)
})

t.test('a flood of Pings to a client that does not read makes no queue', async t => {
  const { session, connections } = await start(t)
  const client = await openHttp2(session, '/silent')
  client.socket.pause()
  const flood = Buffer.concat(Array.from({ length: 2000 }, () => ping('x'.repeat(125))))
  client.write(flood)
  let pings = 0
  await new Promise<void>(resolve => connections[0]!.on('ping', () => { if (++pings === 2000) resolve() }))
  t.ok(connections[0]!.bufferedAmount < 2 * WINDOW, `${connections[0]!.bufferedAmount} bytes queued`)
})

t.test('the heartbeat finds who is gone on a session that lives', async t => {
  const { session, connections, closed } = await start(t, { heartbeat: { interval: 50, timeout: 50 } })
  const dead = await openHttp2(session, '/silent')
  await dead.closed
  t.equal(dead.socket.rstCode, NGHTTP2_CANCEL)
  t.equal(await closed[0], 1006)
  t.equal((await refusal(session, '/unknown')).status, 404, 'the session lives')
  t.equal(connections.length, 1)
})

t.test('http2SessionTimeout and connectionTimeout do not touch a session with a living connection', async t => {
  for (const timeouts of [{ http2SessionTimeout: 50 }, { http2SessionTimeout: 50, connectionTimeout: 1 }]) {
    const { session, port } = await start(t, { heartbeat: false }, timeouts)
    let isGoingAway = false
    session.on('goaway', () => { isGoingAway = true })
    const clients = [await openHttp2(session), await openHttp2(session)]
    // One without a connection, which begins to wait later and is ended.
    await once((await connectHttp2(t, `http://127.0.0.1:${port}`)), 'close')
    t.equal(isGoingAway || session.closed, false, JSON.stringify(timeouts))
    for (const client of clients) await expectEcho(t, client)
    const ended = once(session, 'close')
    for (const client of clients) client.destroy()
    await ended
    t.pass('and end it once there is none')
  }
})

t.test('app.close: 1001 first, then GOAWAY, then the end', async t => {
  const { app, session } = await start(t)
  const clients = [await openHttp2(session), await openHttp2(session)]
  const events: string[] = []
  session.once('goaway', () => events.push('goaway'))
  session.on('close', () => events.push('close'))
  const closing = app.close()
  const codes = await Promise.all(clients.map(async client => {
    const { code } = await client.closeFrame()
    events.push(String(code))
    return code
  }))
  t.same(codes, [1001, 1001])
  for (const client of clients) {
    client.write(close(1001))
    client.end()
  }
  await closing
  if (events.at(-1) !== 'close') await once(session, 'close')
  t.same(events, ['1001', '1001', 'goaway', 'close'])
})

t.test('B8: app.close is bounded', async t => {
  await t.test('with clients that do not answer', async t => {
    const { app, session, closed } = await start(t, { closeTimeout: 100 })
    await openHttp2(session)
    const pending = extendedConnect(session, '/unknown')
    pending.on('response', () => {})
    await app.close()
    t.equal(await closed[0], 1006)
    t.match(app.websocketServer.stats, { open: 0, pending: 0 })
  })

  await t.test('with a session that has carried a connection and is idle, and one that never has', async t => {
    const { app, session, port } = await start(t)
    const client = await openHttp2(session)
    client.destroy()
    const idle = await connectHttp2(t, `http://127.0.0.1:${port}`)
    await app.close()
    await Promise.all([session, idle].map(async session => session.closed ? null : once(session, 'close')))
    t.pass()
  })

  await t.test('with a client that neither reads nor ends its TCP connection', async t => {
    const { app, port, closed } = await start(t, { closeTimeout: 100 })
    const sockets = new ServerSockets(app.server)
    const relay = createServer({ pauseOnConnect: true, allowHalfOpen: true })
    await once(relay.listen(0, '127.0.0.1'), 'listening')
    const between: Socket[] = []
    relay.on('connection', client => {
      const server = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
      for (const socket of [client, server]) socket.on('error', () => {})
      client.pipe(server)
      server.pipe(client)
      between.push(client, server)
    })
    for (const hasConnection of [true, false]) {
      const session = await connectHttp2(t, `http://127.0.0.1:${(relay.address() as AddressInfo).port}`)
      if (hasConnection) await openHttp2(session, '/silent')
    }
    for (const socket of between) socket.unpipe().pause()
    // More than the buffers of the kernel take, so that not even the end gets through.
    for (const connection of app.websocketServer.clients) connection.send(Buffer.alloc(15 * 1024 * 1024))
    await app.close()
    await sockets.allClosed()
    t.equal(await closed[0], 1006)
    for (const socket of between) socket.destroy()
    relay.close()
  })

  await t.test('with a handshake in a hook', async t => {
    const { passed, open } = gate()
    const { app, port } = await startApp(t, app => {
      app.get('/', { websocket: true, onRequest: async () => passed }, () => { t.fail('the handler') })
    }, { closeTimeout: 100 }, { http2: true })
    const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
    const stream = extendedConnect(session)
    while (app.websocketServer.stats.pending === 0) await turns(1)
    const closing = app.close()
    t.equal((await responseHeaders(stream)).status, 503)
    await closing
    open()
  })
})

t.test('a request that runs on the session of a connection ends before its session does', async t => {
  const { passed, open } = gate()
  const { app, port } = await startApp(t, app => {
    echo(app)
    app.get('/slow', async () => {
      await passed
      return 'slow'
    })
  }, { closeTimeout: 50 }, { http2: true })
  const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
  const client = await openHttp2(session)
  const request = session.request({ ':path': '/slow' })
  await turns()
  const closing = app.close()
  // After closeTimeout: what is left then are the streams of requests.
  await client.closed
  open()
  t.equal((await responseHeaders(request)).status, 200)
  request.resume()
  await closing
})

t.test('request and response of the handshake are let go, and nothing is left of connections that ended in every way', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const requests: WeakRef<object>[] = []
  const { app, port } = await startApp(t, (app: FastifyInstance) => {
    app.addHook('onRequest', async (request, reply) => { requests.push(new WeakRef(request.raw), new WeakRef(reply.raw)) })
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => {
        if (data.toString() === 'terminate') connection.terminate()
        else if (data.toString() === 'close') connection.close(4000)
        else connection.send(data)
      })
    })
  }, { closeTimeout: 100 }, { http2: true })
  const url = `http://127.0.0.1:${port}`

  const session = await connectHttp2(t, url)
  const living = await openHttp2(session)
  for (let i = 0; i < 100 && requests.some(reference => reference.deref() !== undefined); i++) {
    await turns(5)
    collect()
  }
  t.same(requests.map(reference => reference.deref()), [undefined, undefined], 'while the connection is open')
  requests.length = 0

  const ends: ((client: RawClient, session: ClientHttp2Session) => unknown)[] = [
    client => client.write(text('terminate')),
    client => { client.socket.on('end', () => client.end()); client.write(text('close')) },
    client => { client.socket.on('end', () => client.end()); client.write(close(1000)) },
    client => client.write(text('close')),
    client => client.end(),
    client => client.destroy(),
    client => client.write(text('', { rsv: 0x70 })),
    (_client, session) => setImmediate(() => session.destroy())
  ]
  for (let round = 0; round < 5; round++) {
    const own = await connectHttp2(t, url)
    const clients = await Promise.all(Array.from({ length: 40 }, async () => openHttp2(own)))
    for (const [i, client] of clients.entries()) if (i % ends.length !== 7 || i === 39) ends[i % ends.length]!(client, own)
    await Promise.all(clients.map(async client => client.closed))
  }
  while (app.websocketServer.clients.size > 1) await turns(1)
  t.match(app.websocketServer.stats, { open: 1, pending: 0, opened: 201 })
  await expectEcho(t, living)
})
