import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { deflateRawSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { RateLimit } from '../../lib/connection/rate-limit.js'
import { RateLimitError, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { binary, close, continuation, frame, ping, pong, RawClient, text } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'

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

t.test('messages: so many in a window are heard, and the next ends the connection with 1008', async t => {
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
    // Waiting longer would do no harm.
    await delay(40)
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

t.test('the time in which we read nothing is no fault of the client', async t => {
  const clock = fakeClock(t)
  const limit = new RateLimit({ messages: 2, bytes: 100, window: 1000 })
  const spend = (count: number): boolean[] => Array.from({ length: count }, () => limit.spend(true, 10))

  t.same(spend(3), [true, true, false])
  clock.now += 999
  t.same(spend(1), [false], 'the window has not ended')
  clock.now += 1
  t.same(spend(3), [true, true, false], 'a new one')

  clock.now += 3600_000
  t.same(spend(3), [true, true, false], 'silence is not saved up')

  limit.stop()
  clock.now += 1500
  limit.stop()
  clock.now += 1500
  limit.resume()
  limit.resume()
  // Three windows, in which it may have sent two each, and the one that begins.
  t.same(spend(9), [...Array<boolean>(8).fill(true), false])
  clock.now += 1000
  t.same(spend(3), [true, true, false], 'but once')

  clock.now += 1000
  t.same([limit.spend(false, 60), limit.spend(false, 40), limit.spend(false, 1)], [true, true, false])
})

t.test('a client that was held back by pause, and sent in good time, is not ended', async t => {
  const clock = fakeClock(t)
  const rig = await serve(t, { rateLimit: { messages: 2, window: 1000 } })
  const { client, connection, heard, errors } = rig
  connection.pause()
  for (let i = 0; i < 5; i++) {
    client.write(Buffer.concat([text(`${i}`), text(`${i}`)]))
    await turns(5)
    clock.now += 1000
  }
  connection.resume()
  while (heard.length < 10 && errors.length === 0) await turns(1)
  t.equal(heard.length, 10)
  t.same(errors, [])
})

/** Time stands still, but for what the test adds. */
function fakeClock (t: Test): { now: number } {
  const clock = { now: performance.now() }
  const { now } = performance
  performance.now = () => clock.now
  t.teardown(() => { performance.now = now })
  return clock
}
