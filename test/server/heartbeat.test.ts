import { createHook } from 'node:async_hooks'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import type { Registry } from '../../lib/server/registry.js'
import { startApp } from '../support/app.js'
import { binary, close, ping, pong, RawClient, text, type ReceivedFrame } from '../support/raw-client.js'
import { ServerSockets, turns } from '../support/server-sockets.js'

// No test sleeps. What has to take long enough is measured in Pings to a client that answers them.

/** Longer than any test takes. */
const LONG = 3_600_000

/** A route for those whose Pings say how much time has gone by. */
function clock (app: FastifyInstance): void {
  app.get('/clock', { websocket: { idleTimeout: false, heartbeat: { interval: 10, timeout: LONG } } }, () => {})
}

interface Rig {
  app: FastifyInstance
  port: number
  sockets: ServerSockets
  open (path?: string): Promise<{ client: RawClient, connection: WebSocketConnection }>
}

async function serve (t: Test, options: WebSocketPluginOptions, configure?: (app: FastifyInstance) => void): Promise<Rig> {
  let sockets!: ServerSockets
  const { app, port } = await startApp(t, app => {
    sockets = new ServerSockets(app.server)
    clock(app)
    if (configure !== undefined) configure(app)
    else app.get('/', { websocket: true }, () => {})
  }, options)
  const openOne: Rig['open'] = async (path = '/') => {
    const opened = new Promise<WebSocketConnection>(resolve => app.websocketServer.once('connection', resolve))
    const client = await RawClient.open(port, path)
    t.teardown(() => client.destroy())
    client.socket.on('end', () => client.end())
    return { client, connection: await opened }
  }
  // One after the other: the next connection is that of the client who asks.
  let last: Promise<unknown> = Promise.resolve()
  return {
    app,
    port,
    sockets,
    open (path) {
      const next = last.then(() => openOne(path))
      last = next
      return next
    }
  }
}

async function nextPing (client: RawClient): Promise<ReceivedFrame> {
  const frame = await client.frame()
  if (frame.opcode !== 9) throw new Error(`opcode ${frame.opcode} instead of a Ping: ${frame.payload}`)
  return frame
}

/** Answers so many Pings: time goes by. */
async function answer (client: RawClient, count: number, meanwhile: () => unknown = () => {}): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { payload } = await nextPing(client)
    client.write(pong(payload))
    await meanwhile()
  }
}

function closeOf (connection: WebSocketConnection): Promise<number> {
  return new Promise(resolve => connection.once('close', resolve))
}

t.test('a client that does not answer in time: close with 1006, its socket destroyed', async t => {
  const { open, sockets } = await serve(t, { heartbeat: { interval: 20, timeout: 20 } })
  const { client, connection } = await open()
  const closed = closeOf(connection)
  const { payload, masked, fin } = await nextPing(client)
  t.same([payload.length, masked, fin], [8, false, true])
  t.equal(await closed, 1006)
  await sockets.allClosed()
  await client.closed
  t.equal(client.received.length, 0, 'neither a second Ping nor a Close frame')
  t.equal(connection.latency, undefined)
})

t.test('a client that answers stays, and latency says how long that took', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 10, timeout: 100 } })
  const { client, connection } = await open()
  t.equal(connection.latency, undefined)
  const payloads = new Set<string>()
  for (let i = 0; i < 15; i++) {
    const { payload } = await nextPing(client)
    payloads.add(payload.toString('hex'))
    const before = performance.now()
    client.write(pong(payload))
    const previous = connection.latency
    while (connection.latency === previous) await turns(1)
    const latency = connection.latency!
    t.ok(latency > 0 && latency < performance.now() - before + 1000, `${latency} ms`)
  }
  t.equal(payloads.size, 15, 'each Ping is another: nobody can answer what he has not got')
  t.equal(connection.readyState, connection.OPEN)
})

t.test('any bytes are a sign of life: of a message that never ends, of no use, of a user\'s Pong', async t => {
  const drips: Array<[string, Buffer]> = [
    ['a message in drips', binary(Buffer.alloc(1000))],
    ['empty fragments', Buffer.concat([text('', { fin: false }), ...Array.from({ length: 100 }, () => Buffer.from('008000000000', 'hex'))])],
    ['Pongs that nobody asked for', Buffer.concat(Array.from({ length: 100 }, () => pong()))]
  ]
  const { open } = await serve(t, { heartbeat: { interval: 10, timeout: 100 } })
  await Promise.all(drips.map(async ([name, bytes]) => {
    const { client, connection } = await open()
    for (let i = 0; i < 30; i++) {
      await nextPing(client)
      client.write(bytes.subarray(i * 6, i * 6 + 6))
    }
    t.equal(connection.readyState, connection.OPEN, name)
    t.equal(connection.latency, undefined)
    const closed = closeOf(connection)
    t.equal(await closed, 1006, `${name}, and then nothing any more`)
  }))
})

t.test('latency and the user\'s own Pings are not mixed up', async t => {
  const pongs: string[] = []
  const { open } = await serve(t, { heartbeat: { interval: 100, timeout: LONG } })
  const { client, connection } = await open()
  connection.on('pong', data => pongs.push(data.toString()))
  const { payload } = await nextPing(client)
  connection.ping('mine')
  t.equal((await nextPing(client)).payload.toString(), 'mine')

  // RFC 6455 §5.5.3: who answers only the latest, does not answer ours.
  client.write(Buffer.concat([pong('mine'), pong(), pong('12345678'), pong(payload.subarray(1))]))
  while (pongs.length < 4) await turns(1)
  t.same(pongs.splice(0, 3), ['mine', '', '12345678'])
  t.equal(connection.latency, undefined)

  const { payload: second } = await nextPing(client)
  // The first answer comes late: it is no Pong of the user's, and measures nothing.
  client.write(Buffer.concat([pong(payload), pong('marker')]))
  while (!pongs.includes('marker')) await turns(1)
  t.equal(connection.latency, undefined)
  client.write(Buffer.concat([pong(second), pong('marker 2')]))
  while (!pongs.includes('marker 2')) await turns(1)
  const latency = connection.latency
  t.type(latency, 'number')
  client.write(Buffer.concat([pong(second), pong('marker 3')]))
  while (!pongs.includes('marker 3')) await turns(1)
  t.equal(connection.latency, latency, 'the same answer once more')
  t.same(pongs.slice(1), ['marker', 'marker 2', 'marker 3'])
})

t.test('a connection that the user has paused is not given up, nor pinged; TCP is asked instead', async t => {
  const { open, sockets } = await serve(t, { heartbeat: { interval: 10, timeout: 50 } })
  const { client, connection } = await open()
  const keepAlives: unknown[][] = []
  const socket = sockets.only
  socket.setKeepAlive = (...args) => {
    keepAlives.push(args)
    return socket
  }
  connection.pause()
  const control = await open('/clock')
  await answer(control.client, 25)
  t.equal(connection.readyState, connection.OPEN)
  const pings = client.received.length / 10
  t.ok(pings <= 1, `${pings} Pings`)
  t.same(keepAlives, [[true, 10]])

  // From then on it has all the time that others have.
  connection.resume()
  const done = answer(client, 15 + pings)
  await answer(control.client, 15)
  await done
  t.equal(connection.readyState, connection.OPEN)
  t.type(connection.latency, 'number')
})

t.test('for await that is busy: nobody is given up for what we do not read', async t => {
  let go!: () => void
  const gone = new Promise<void>(resolve => { go = resolve })
  const received: unknown[] = []
  const { open } = await serve(t, { heartbeat: { interval: 10, timeout: 20 } }, app => {
    app.get('/', { websocket: true }, async connection => {
      for await (const message of connection) {
        if (received.push(message.length) === 1) await gone
      }
    })
  })
  const { client, connection } = await open()
  for (let i = 0; i < 100; i++) client.write(binary(Buffer.alloc(16 * 1024)))
  const control = await open('/clock')
  await answer(control.client, 25)
  t.equal(connection.readyState, connection.OPEN)
  const closed = closeOf(connection)
  client.write(close(1000))
  go()
  await closed
  t.equal(received.length, 100)
})

t.test('C12: one that does not read gets no Pings on top, and is found all the same, though it sends', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 20, timeout: 100 } })
  const { client, connection } = await open()
  client.socket.pause()
  // Until nothing moves any more, and less waits than would hold up reading.
  for (let stable = 0; stable < 20; await turns(1)) {
    if (connection.bufferedAmount < 200_000) {
      connection.send(Buffer.alloc(64 * 1024))
      stable = 0
    } else {
      stable++
    }
  }
  const waiting = connection.bufferedAmount
  const amounts = new Set<number>()
  const closed = closeOf(connection)
  let heard = 0
  connection.on('message', () => { heard++ })
  while (connection.readyState === connection.OPEN) {
    client.write(text('still here'))
    amounts.add(connection.bufferedAmount)
    await turns(1)
  }
  t.equal(await closed, 1006)
  t.ok(heard > 1)
  t.same([...amounts].filter(amount => amount !== 0), [waiting], 'no Ping was queued')
})

t.test('C12: one that we have stopped to read from, since it does not read, is found too', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 20, timeout: 100 } })
  const { client, connection } = await open()
  client.socket.pause()
  connection.on('message', data => connection.send(data))
  const closed = closeOf(connection)
  const flood = binary(Buffer.alloc(64 * 1024))
  while (connection.readyState === connection.OPEN) {
    if (client.socket.writableLength < 1024 * 1024) client.write(flood)
    await turns(1)
  }
  t.equal(await closed, 1006)
})

t.test('C12: a slow reader of much is no dead one', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 5, timeout: 500 }, maxBufferedAmount: Infinity })
  const { client, connection } = await open()
  const control = await open('/clock')
  client.socket.removeAllListeners('data')
  client.socket.pause()
  let read = 0
  connection.send(Buffer.alloc(64 * 1024 * 1024))
  // For more than a second, while the one large write is never done.
  await answer(control.client, 125, () => { read += (client.socket.read() as Buffer | null)?.length ?? 0 })
  t.ok(connection.bufferedAmount > 1024 * 1024, `${connection.bufferedAmount} bytes wait, ${read} were read`)
  t.equal(connection.readyState, connection.OPEN)
})

t.test('an answer that came in time, while the event loop was blocked, counts', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 20, timeout: 20 } })
  const { client, connection } = await open()
  for (let i = 0; i < 5; i++) {
    const { payload } = await nextPing(client)
    client.write(pong(payload))
    // It lies in the kernel from now on, while the time is over many times.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  await answer(client, 1)
  t.equal(connection.readyState, connection.OPEN)
})

t.test('an answer that lies in the kernel when the time is over counts; none does not', async t => {
  const { open, app } = await serve(t, { heartbeat: { interval: LONG, timeout: LONG } }, app => {
    app.get('/', { websocket: true }, () => {})
  })
  const { wheel } = app.websocketServer as unknown as Registry
  /** An hour, without anything being read meanwhile. As the wheel's own timer does it: behind timers sockets are read. */
  const turnAnHour = (before = (): unknown => null): Promise<void> => new Promise(resolve => {
    setTimeout(() => {
      before()
      for (const end = wheel.now + LONG; wheel.now < end;) wheel._turn()
      resolve()
    }, 0)
  })
  const { client, connection } = await open()
  await turnAnHour()
  for (let i = 0; i < 3; i++) {
    const { payload } = await nextPing(client)
    await turnAnHour(() => client.write(pong(payload)))
  }
  await nextPing(client)
  t.equal(connection.readyState, connection.OPEN)
  const closed = closeOf(connection)
  await turnAnHour()
  t.equal(await closed, 1006)
})

t.test('the route says what counts; false is none', async t => {
  const { open } = await serve(t, { heartbeat: false }, app => {
    app.get('/none', { websocket: true }, () => {})
    app.get('/some', { websocket: { heartbeat: { interval: 10 } } }, () => {})
  })
  const none = await open('/none')
  const some = await open('/some')
  await answer(some.client, 30)
  t.equal(none.client.received.length, 0)
  t.equal(none.connection.readyState, none.connection.OPEN)
})

t.test('injectWS: both sides are there for each other', async t => {
  const { app } = await serve(t, { heartbeat: { interval: 5, timeout: 1000 } })
  const client = await app.injectWS('/')
  for (let i = 0; i < 5; i++) await once(client, 'ping')
  const [connection] = app.websocketServer.clients
  t.type(connection!.latency, 'number')
  t.equal(client.latency, undefined)
})

t.test('idleTimeout: without any message the connection ends with 1001, whatever it answers to Pings', async t => {
  const { open } = await serve(t, { idleTimeout: 50, heartbeat: { interval: 5, timeout: LONG } })
  const { client, connection } = await open()
  const closed = closeOf(connection)
  let frame = await client.frame()
  for (; frame.opcode !== 8; frame = await client.frame()) {
    if (frame.opcode === 9) client.write(Buffer.concat([pong(frame.payload), ping('me too'), pong()]))
  }
  t.same([frame.opcode, frame.payload.readUInt16BE(0), frame.payload.subarray(2).toString()], [8, 1001, 'idle timeout'])
  client.write(close(1001))
  t.equal(await closed, 1001)
})

t.test('idleTimeout: messages keep a connection, in either direction, and only whole ones', async t => {
  const { open } = await serve(t, { idleTimeout: 60, heartbeat: false, closeTimeout: 50 }, app => {
    app.get('/', { websocket: true }, connection => { connection.on('message', () => {}) })
    app.get('/paused', { websocket: true }, connection => {
      connection.on('message', () => {})
      connection.pause()
    })
  })
  const [sending, receiving, dripping, paused, control] = await Promise.all([open(), open(), open(), open('/paused'), open('/clock')] as const)
  let dripped: number | null = null
  closeOf(dripping.connection).then(code => { dripped = code }, () => {})
  dripping.client.write(binary('', { announce: 1000 }))
  paused.client.write(text('unread'))
  const isOver = (): boolean => dripped !== null
  for (let i = 0; i < 40 || !isOver(); i++) {
    await answer(control.client, 1)
    sending.client.write(text('x'))
    receiving.connection.send('x')
    dripping.client.write('.')
  }
  t.equal(dripped, 1006, 'it did not answer the Close frame, being in the middle of a message')
  for (const [name, { connection }] of Object.entries({ sending, receiving, paused, control })) t.equal(connection.readyState, connection.OPEN, name)
  const closed = closeOf(paused.connection)
  paused.connection.resume()
  t.equal((await paused.client.closeFrame()).code, 1001, 'and then it has its time')
  paused.client.write(close(1001))
  t.equal(await closed, 1001)
})

t.test('no timer for each connection, none that keeps the process alive, and none when nobody is left', async t => {
  const intervals = new Set<{ hasRef: () => boolean }>()
  const hook = createHook({
    init (_id, type, _trigger, resource) {
      if (type === 'Timeout' && (resource as { _repeat: number | null })._repeat !== null) intervals.add(resource as { hasRef: () => boolean })
    }
  })
  const { open, sockets, app } = await serve(t, { idleTimeout: LONG })
  hook.enable()
  const opened = await Promise.all(Array.from({ length: 50 }, () => RawClient.open((app.server.address() as { port: number }).port)))
  while (app.websocketServer.clients.size < 50) await turns(1)
  hook.disable()
  const wheel = [...intervals].filter(interval => !interval.hasRef())
  t.equal(wheel.length, 1)
  t.equal(intervals.size, 1)
  const connections = [...app.websocketServer.clients]
  for (const client of opened) client.destroy()
  await Promise.all(connections.map(closeOf))
  await sockets.allClosed()
  t.equal((wheel[0] as unknown as { _destroyed: boolean })._destroyed, true)
  const again = await open()
  t.equal(again.connection.readyState, again.connection.OPEN)
})

t.test('a connection that is being closed is left to closeTimeout', async t => {
  const { open } = await serve(t, { heartbeat: { interval: 10, timeout: 10 }, idleTimeout: 20, closeTimeout: LONG })
  const { client, connection } = await open()
  const control = await open('/clock')
  connection.close(1000)
  await answer(control.client, 1)
  for (;;) {
    const { opcode } = await client.frame()
    if (opcode === 8) break
  }
  await answer(control.client, 15)
  t.equal(connection.readyState, connection.CLOSING)
  sessionOf(connection as Connection).socket.destroy()
})
