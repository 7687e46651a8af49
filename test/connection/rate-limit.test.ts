import { once } from 'node:events'
import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { RateLimit } from '../../lib/connection/rate-limit.js'
import { RateLimitError, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, continuation, frame, ping, pong, RawClient, text } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'
import { many } from '../support/thorough.js'

/** Longer than any test takes. */
const LONG = 3_600_000

interface Rig {
  connection: WebSocketConnection
  client: RawClient
  errors: Error[]
  /** What reached the handler. */
  heard: string[]
}

async function serve (t: Teardown, options: WebSocketPluginOptions, headers: Record<string, string> = {}): Promise<Rig> {
  const errors: Error[] = []
  const heard: string[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => heard.push(data.toString('latin1')))
      connection.on('ping', data => heard.push(`ping ${data}`))
      connection.on('pong', data => heard.push(`pong ${data}`))
      opened(connection)
    })
  }, { errorHandler: error => { errors.push(error) }, ...options })
  const client = await RawClient.open(port, '/', headers)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { client, connection: await whenOpened, errors, heard }
}

/** The connection ended with 1008, and everybody was told so, once. */
async function expectLimited (t: Test, { client, connection, errors }: Rig): Promise<void> {
  const closed = new Promise<number>(resolve => connection.once('close', resolve))
  let received = await client.frame()
  while (received.opcode !== 8) received = await client.frame()
  t.equal(received.payload.readUInt16BE(0), 1008)
  client.write(close(1008))
  await client.ended
  t.equal(await closed, 1008)
  t.equal(errors.length, 1)
  t.ok(errors[0] instanceof RateLimitError)
  t.match(errors[0], { name: 'RateLimitError', code: 'FST_WS_ERR_RATE_LIMIT', closeCode: 1008 })
}

t.test('messages: as many as the bucket holds are heard, and the next ends the connection with 1008', async t => {
  const rig = await serve(t, { rateLimit: { messages: 3, window: LONG } })
  rig.client.write(Buffer.concat(['1', '2', '3', '4', '5'].map(one => text(one))))
  await expectLimited(t, rig)
  t.same(rig.heard, ['1', '2', '3'], 'nothing behind it either')
})

t.test('messages: fragments are one, Pings count, Pongs and Close frames do not', async t => {
  const rig = await serve(t, { rateLimit: { messages: 3, window: LONG } })
  const { client, connection } = rig
  const fragmented = [text('a', { fin: false }), ...Array.from({ length: 50 }, () => continuation('b', { fin: false })), continuation('c')]
  client.write(Buffer.concat([...fragmented, ...Array.from({ length: 50 }, () => pong('p')), ping('1'), text('last')]))
  const whenClosed = once(connection, 'close')
  while (rig.heard.at(-1) !== 'last') await turns(1)
  client.write(close(1000))
  t.equal((await whenClosed)[0], 1000, 'who has spent it all may still say goodbye')
  t.same(rig.errors, [])

  const pinging = await serve(t, { rateLimit: { messages: 3, window: LONG } })
  pinging.client.write(Buffer.concat([ping('1'), ping('2'), ping('3'), ping('4')]))
  await expectLimited(t, pinging)
  t.same(pinging.heard, ['ping 1', 'ping 2', 'ping 3'])
})

t.test('bytes: of the wire, headers and control frames included, so that what is empty is not free', async t => {
  fakeClock(t)
  const cases: Array<[string, Buffer, number]> = [
    ['empty fragments', continuation('', { fin: false }), 6],
    ['pongs', pong('123'), 9],
    ['messages with a length of two bytes', binary(Buffer.alloc(200)), 208],
    ['messages with a length of eight bytes', binary(Buffer.alloc(65536)), 65536 + 14]
  ]
  for (const [name, bytes, length] of cases) {
    t.equal(bytes.length, length)
    const begin = text('', { fin: false })
    const first = name === 'empty fragments' ? begin : Buffer.alloc(0)
    for (const [limit, isOver] of [[first.length + 4 * length, false], [first.length + 4 * length - 1, true]] as const) {
      const rig = await serve(t, { rateLimit: { bytes: limit, window: LONG } })
      rig.client.write(Buffer.concat([first, bytes, bytes, bytes, bytes]))
      if (isOver) {
        await expectLimited(t, rig)
      } else {
        const whenClosed = once(rig.connection, 'close')
        rig.client.write(close(1000))
        t.equal((await whenClosed)[0], 1000, `${name}: exactly the limit`)
        t.same(rig.errors, [])
      }
    }
  }
})

t.test('C9: counted before any work: what is over it is neither waited for, nor unmasked, nor inflated', async t => {
  const over: Array<[string, Buffer]> = [
    // Of the whole message only the header comes.
    ['a header alone', binary('', { announce: 1000 })],
    ['text that is not UTF-8', text(Buffer.from([0xff, 0xff]))],
    ['what is not deflated', frame(1, Buffer.from([0xff, 0xff, 0xff]), { rsv: 0x40 })],
    ['a bomb', frame(2, deflateRawSync(Buffer.alloc(8 * 1024 * 1024)), { rsv: 0x40 })]
  ]
  for (const [name, bytes] of over) {
    const rig = await serve(t, { rateLimit: { messages: 1, window: LONG }, perMessageDeflate: true }, { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
    rig.client.write(Buffer.concat([text('1'), bytes]))
    t.equal((await rig.client.closeFrame()).code, 1008, name)
    t.same(rig.heard, ['1'])
    t.equal(rig.errors.length, 1)
    rig.client.destroy()
  }
})

t.test('a message over maxPayload is that, and not one too many', async t => {
  const rig = await serve(t, { rateLimit: { bytes: 100, window: LONG }, maxPayload: 50 })
  rig.client.write(binary('', { announce: 1000 }))
  t.equal((await rig.client.closeFrame()).code, 1009)
  t.match(rig.errors, [{ closeCode: 1009 }])
})

t.test('a flood goes on after 1008: nothing of it is heard, and the socket ends within closeTimeout', async t => {
  const rig = await serve(t, { rateLimit: { messages: 10, window: LONG }, closeTimeout: 100 })
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => text('flood')))
  // It does not stop by itself.
  while (!rig.client.socket.destroyed) {
    rig.client.write(flood)
    await turns(1)
  }
  // The client may know of the end before we do.
  if (rig.connection.readyState !== rig.connection.CLOSED) await new Promise(resolve => rig.connection.once('close', resolve))
  t.equal(rig.heard.length, 10)
  t.equal(rig.errors.length, 1)
})

t.test('each client has its own, in each window anew; the route says what counts', async t => {
  const clock = fakeClock(t)
  const errors: Error[] = []
  const { port } = await startApp(t, app => {
    const listen = (connection: WebSocketConnection): void => { connection.on('message', data => connection.send(data)) }
    app.get('/plugin', { websocket: true }, listen)
    app.get('/route', { websocket: { rateLimit: { messages: 1 } } }, listen)
    app.get('/none', { websocket: { rateLimit: false } }, listen)
  }, { rateLimit: { messages: 2, window: 30 }, errorHandler: error => { errors.push(error) } })
  const open = async (path: string): Promise<RawClient> => {
    const client = await RawClient.open(port, path)
    t.teardown(() => client.destroy())
    return client
  }
  const clients = await Promise.all(Array.from({ length: 3 }, () => open('/plugin')))
  for (let window = 0; window < 3; window++) {
    for (const client of clients) client.write(Buffer.concat([text('a'), text('b')]))
    for (const client of clients) for (let i = 0; i < 2; i++) t.equal((await client.frame()).opcode, 2)
    clock.now += 30
  }
  const none = await open('/none')
  none.write(Buffer.concat(Array.from({ length: 100 }, () => text('x'))))
  for (let i = 0; i < 100; i++) await none.frame()
  t.same(errors, [])
  const strict = await open('/route')
  strict.write(Buffer.concat([text('1'), text('2')]))
  await strict.frame()
  t.equal((await strict.closeFrame()).code, 1008)
})

t.test('a bucket: so many at once, refilled continuously, and silence is not saved up', async t => {
  const clock = fakeClock(t)
  const limit = new RateLimit({ messages: 2, bytes: 100, window: 1000 })
  const spend = (count: number): boolean[] => Array.from({ length: count }, () => limit.spend(true, 10))

  t.same(spend(3), [true, true, false])
  clock.now += 499
  t.same(spend(1), [false])
  clock.now += 1
  t.same(spend(2), [true, false], 'one in half a window')
  clock.now += 1000
  t.same(spend(3), [true, true, false])
  clock.now += 3600_000
  t.same(spend(3), [true, true, false])

  clock.now += 1000
  t.same([limit.spend(false, 60), limit.spend(false, 40), limit.spend(false, 1)], [true, true, false], 'bytes')
  clock.now += 10
  t.same([limit.spend(false, 2), limit.spend(false, 1), limit.spend(false, 1)], [false, true, false])
})

t.test('a bucket: the time in which the app reads nothing is no fault of the client; what the client causes is', async t => {
  const clock = fakeClock(t)
  const limit = new RateLimit({ messages: 2, bytes: Infinity, window: 1000 })
  const accepted = (): number => {
    let count = 0
    while (limit.spend(true, 10)) count++
    return count
  }
  t.equal(accepted(), 2)

  limit.stop(true)
  clock.now += 1500
  limit.stop(true)
  clock.now += 1500
  limit.resume()
  limit.resume()
  t.equal(accepted(), 6, 'what it may have sent in three windows')
  clock.now += 5000
  t.equal(accepted(), 2 + 6, 'as long as that is not read, it may be as late')
  limit.stop(true)
  clock.now += 1000
  limit.stop(false)
  clock.now += 1000
  limit.stop(true)
  clock.now += 1000
  limit.resume()
  t.equal(accepted(), 6, 'also if the client was held back for another reason in between')
  limit.stop(true)
  clock.now += 3600_000
  limit.resume()
  limit.caughtUp()
  t.equal(accepted(), 2, 'what did not queue up is not saved up')

  limit.stop(false)
  clock.now += 3600_000
  limit.resume()
  t.equal(accepted(), 2, 'reading that stops for inflating, or since answers are not read')
  for (let i = 0; i < 100; i++) {
    limit.stop(true)
    limit.resume()
    limit.stop(false)
    limit.resume()
  }
  t.equal(accepted(), 0, 'however often')
})

/** A limit, a schedule of what a client and an app do, and what that means for the clock. */
const settings = fc.record({
  messages: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(Infinity)),
  bytes: fc.oneof(fc.integer({ min: 20, max: 2000 }), fc.constant(Infinity)),
  window: fc.integer({ min: 1, max: 5000 })
})

t.test('any schedule of frames, pauses and resumes: the law holds in every interval', async t => {
  const clock = fakeClock(t)
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('frame' as const), asksForWork: fc.boolean(), bytes: fc.integer({ min: 0, max: 300 }) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.double({ min: 0, max: 10, noNaN: true })) }) },
    fc.record({ do: fc.constantFrom('hold' as const, 'stop' as const, 'resume' as const, 'caught up' as const) })
  )
  const counts = { accepted: 0, refused: 0 }
  fc.assert(fc.property(settings, fc.array(step, { maxLength: 120 }), ({ messages, bytes, window }, steps) => {
    const limit = new RateLimit({ messages, bytes, window })
    const accepted: Array<{ at: number, allowance: number, messages: number, bytes: number }> = []
    // The time for which the app has held the client back, until what queued up meanwhile was read.
    let heldSince = NaN
    let allowance = 0
    const endHold = (): void => {
      if (!Number.isNaN(heldSince)) allowance += clock.now - heldSince
      heldSince = NaN
    }
    for (const step of steps) {
      switch (step.do) {
        case 'wait':
          clock.now += step.ms
          break
        case 'hold':
          if (Number.isNaN(heldSince)) heldSince = clock.now
          limit.stop(true)
          break
        case 'stop':
          endHold()
          limit.stop(false)
          break
        case 'resume':
          endHold()
          limit.resume()
          break
        case 'caught up':
          // Only while something is read.
          if (Number.isNaN(heldSince)) {
            allowance = 0
            limit.caughtUp()
          }
          break
        case 'frame':
          // Nothing is read while the app holds the client back.
          if (!Number.isNaN(heldSince)) break
          if (!limit.spend(step.asksForWork, step.bytes)) {
            counts.refused++
            // The connection ends.
            return isWithin()
          }
          counts.accepted++
          accepted.push({ at: clock.now, allowance, messages: Number(step.asksForWork), bytes: step.bytes })
      }
    }
    return isWithin()

    function isWithin (): boolean {
      return accepted.every((first, from) => {
        const sum = { messages: 0, bytes: 0 }
        return accepted.slice(from).every(({ at, ...one }) => {
          sum.messages += one.messages
          sum.bytes += one.bytes
          const windows = 1 + (at - first.at + first.allowance) / window
          return sum.messages <= messages * windows + 1e-3 && sum.bytes <= bytes * windows + 1e-3
        })
      })
    }
  }), { numRuns: many(2000, 50_000) })
  t.ok(counts.accepted > 500 && counts.refused > 20, `${counts.accepted} accepted, ${counts.refused} refused`)
})

t.test('any schedule of pauses and resumes: a client that keeps to the limit is never refused', async t => {
  const clock = fakeClock(t)
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), bytes: fc.integer({ min: 0, max: 300 }), asksForWork: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.constant(100_000)) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'resume' as const), read: fc.nat(10) }) }
  )
  let late = 0
  fc.assert(fc.property(settings, fc.array(step, { maxLength: 150 }), ({ messages, bytes, window }, steps) => {
    const limit = new RateLimit({ messages, bytes, window })
    const sent: Array<{ at: number, messages: number, bytes: number }> = []
    const queue: Array<{ asksForWork: boolean, bytes: number }> = []
    let isHeld = false
    /** What the client may send: at most the limit in any window. */
    const mayBeSent = (asksForWork: boolean, size: number): boolean => {
      const before = sent.filter(({ at }) => at > clock.now - window)
      return before.reduce((sum, one) => sum + one.messages, Number(asksForWork)) <= messages && before.reduce((sum, one) => sum + one.bytes, size) <= bytes
    }
    const read = (count: number): boolean => queue.splice(0, count).every(({ asksForWork, bytes }) => limit.spend(asksForWork, bytes))
    for (const step of steps) {
      switch (step.do) {
        case 'wait':
          clock.now += step.ms
          break
        case 'send':
          if (!mayBeSent(step.asksForWork, step.bytes)) break
          sent.push({ at: clock.now, messages: Number(step.asksForWork), bytes: step.bytes })
          queue.push(step)
          if (isHeld) late++
          break
        case 'hold':
          isHeld = true
          limit.stop(true)
          break
        case 'resume':
          isHeld = false
          limit.resume()
          // Some of what has queued up, before the app holds the client back again.
          if (step.read < 3) {
            if (!read(step.read)) return false
            isHeld = true
            limit.stop(true)
          }
      }
      if (isHeld) continue
      if (!read(Infinity)) return false
      limit.caughtUp()
    }
    return true
  }), { numRuns: many(2000, 50_000) })
  t.ok(late > 100, `${late} queued up`)
})

/** Ways to the server: a client of bytes on each. */
const TRANSPORTS = ['TCP', 'TLS', 'HTTP/2'] as const

async function serveOver (t: Teardown, transport: typeof TRANSPORTS[number], options: WebSocketPluginOptions, handler: (connection: WebSocketConnection) => unknown, offer?: string): Promise<Rig> {
  const errors: Error[] = []
  const heard: string[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      opened(connection)
      connection.on('message', data => heard.push(`${data.length}`))
      return handler(connection)
    })
  }, { errorHandler: error => { errors.push(error) }, heartbeat: false, ...options }, {
    ...(transport === 'HTTP/2' && { http2: true }),
    ...(transport === 'TLS' && { https: certificate })
  })
  const headers: Record<string, string> = offer === undefined ? {} : { 'sec-websocket-extensions': offer }
  let client: RawClient
  if (transport === 'HTTP/2') {
    client = await openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`), '/', headers)
  } else {
    client = transport === 'TLS' ? await connectSecure(port) : await RawClient.connect(port)
    await client.upgrade('/', headers)
  }
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { client, connection: await whenOpened, errors, heard }
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: a client that was held back by pause, and sent in good time, is not ended, whatever has queued up`, async t => {
    const clock = fakeClock(t)
    const { client, connection, heard, errors } = await serveOver(t, transport, { rateLimit: { messages: 5, window: 1000 } }, () => {})
    connection.pause()
    // More than the buffers of the kernel and the window of HTTP/2 hold.
    const message = binary(Buffer.alloc(10_000))
    const rounds = 400
    for (let i = 0; i < rounds; i++) {
      for (let j = 0; j < 5; j++) client.write(message)
      if (i % 50 === 0) await turns(2)
      clock.now += 1000
    }
    connection.resume()
    while (heard.length < 5 * rounds && errors.length === 0) await turns(1)
    t.equal(heard.length, 5 * rounds)
    t.same(errors, [])
  })

  t.test(`${transport}: time that the app has held a silent client back is not saved up`, async t => {
    const clock = fakeClock(t)
    const { client, connection, heard, errors } = await serveOver(t, transport, { rateLimit: { messages: 5, window: 1000 } }, () => {})
    for (let i = 0; i < 3; i++) {
      connection.pause()
      await turns(5)
      clock.now += 3600_000
      connection.resume()
      await turns(10)
    }
    client.write(Buffer.concat(Array.from({ length: 50 }, () => text('x'))))
    while (errors.length === 0) await turns(1)
    t.equal(heard.length, 5)
    t.ok(errors[0] instanceof RateLimitError)
  })

  // 308 bytes on the wire.
  const bomb = frame(2, deflateRawSync(Buffer.alloc(300_000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), { rsv: 0x40 })
  const CAUSES: Record<string, { bytes: Buffer, offer?: string, handler: (connection: WebSocketConnection) => unknown, reads?: boolean }> = {
    'inflating on another thread': { bytes: bomb, offer: 'permessage-deflate', handler: () => {} },
    'answers that it does not read': {
      bytes: text('x'),
      handler: connection => { connection.on('message', () => { connection.send(Buffer.alloc(2 * 1024 * 1024)) }) },
      reads: false
    },
    'a listener that pauses for a moment': {
      bytes: text('x'),
      handler: connection => {
        connection.on('message', () => {
          connection.pause()
          setImmediate(() => connection.resume())
        })
      }
    },
    'a loop that lags': {
      bytes: binary(Buffer.alloc(20_000)),
      handler: async connection => { for await (const message of connection) await turns(message.length > 0 ? 3 : 0) }
    },
    'messages that it sends before anybody listens': {
      bytes: binary(Buffer.alloc(20_000)),
      handler: async () => await turns(50)
    }
  }
  for (const [cause, { bytes, offer, handler, reads = true }] of Object.entries(CAUSES)) {
    t.test(`${transport}: ${cause}: gives a client nothing`, async t => {
      fakeClock(t)
      const rig = await serveOver(t, transport, { rateLimit: { messages: 5, window: LONG }, perMessageDeflate: true }, handler, offer)
      const { client, errors, heard } = rig
      if (!reads) client.socket.pause()
      for (let i = 0; i < 60 && errors.length === 0; i++) {
        client.write(bytes)
        await turns(2)
        if (i % 10 === 9) client.socket.resume()
      }
      client.socket.resume()
      while (errors.length === 0) await turns(1)
      t.ok(errors[0] instanceof RateLimitError)
      await turns(20)
      t.equal(heard.length, 5)
    })
  }
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: nothing is read while a message is inflated, or answers are not read: what queues up then is a burst like any other`, async t => {
    const clock = fakeClock(t)
    const burst = Array.from({ length: 50 }, () => text('x'))
    const many = { rateLimit: { messages: 5, window: 1000 }, perMessageDeflate: true }

    const inflating = await serveOver(t, transport, many, () => {}, 'permessage-deflate')
    const large = deflateRawSync(Buffer.alloc(1_000_000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    inflating.client.write(Buffer.concat([frame(2, large, { rsv: 0x40 }), ...burst]))
    while (inflating.errors.length === 0) {
      clock.now += 100_000
      await turns(1)
    }
    t.ok(inflating.heard.length <= 1 + 5, `${inflating.heard.length} heard`)

    const choked = await serveOver(t, transport, many, connection => {
      connection.on('message', () => { connection.send(Buffer.alloc(2 * 1024 * 1024)) })
    })
    choked.client.socket.pause()
    choked.client.write(text('x'))
    while (choked.heard.length === 0) await turns(1)
    choked.client.write(Buffer.concat(burst))
    await turns()
    const before = choked.heard.length
    clock.now += 3600_000
    choked.client.socket.resume()
    while (choked.errors.length === 0) await turns(1)
    t.equal(choked.heard.length, before + 5)
  })
}

/** Time stands still, but for what the test adds. */
function fakeClock (t: Test): { now: number } {
  const clock = { now: performance.now() }
  const { now } = performance
  performance.now = () => clock.now
  t.teardown(() => { performance.now = now })
  return clock
}
