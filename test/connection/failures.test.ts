import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, continuation, frame, ping, pong, RawClient, text } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'

// Once a connection has failed nothing that came is delivered any more, whatever was under way: what came before the failure
// is before `error`, nothing is behind it but `close`.

const LONG = 3_600_000
const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }

interface Rig {
  client: RawClient
  connection: WebSocketConnection
  log: string[]
  over: Promise<void>
}

interface Setup {
  options?: WebSocketPluginOptions
  headers?: Record<string, string>
  /** Before it the handler has not listened. */
  ready?: Promise<unknown>
  json?: boolean
  http2?: boolean
  onMessage?: (connection: WebSocketConnection, data: Buffer) => void
}

/** A handler that listens to everything and logs it. */
async function serve (t: Teardown, { options = {}, headers = {}, ready, json = false, http2 = false, onMessage }: Setup = {}): Promise<Rig> {
  const log: string[] = []
  const over = gate()
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, async connection => {
      opened(connection)
      if (ready !== undefined) await ready
      connection.on('message', (data, isBinary) => {
        log.push(`message ${data.length > 20 ? data.length : String(data)}`)
        if (!isBinary) onMessage?.(connection, data)
      })
      if (json) connection.on('json', message => log.push(`json ${JSON.stringify(message)}`))
      for (const event of ['ping', 'pong'] as const) connection.on(event, data => log.push(`${event} ${String(data)}`))
      connection.on('error', error => log.push(`error ${(error as Error & { code: string }).code}`))
      connection.on('close', () => {
        log.push('close')
        over.open()
      })
    })
  }, { closeTimeout: 300, ...options, errorHandler: error => { log.push(`errorHandler ${(error as Error & { code: string }).code}`) } }, { http2 })
  const client = http2 ? await openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`)) : await RawClient.open(port, '/', headers)
  t.teardown(() => client.destroy())
  client.socket.on('error', () => {})
  client.socket.on('end', () => client.end())
  return { client, connection: await whenOpened, log, over: over.passed }
}

/** What a peer may go on sending. */
const GOES_ON = Buffer.concat([text('behind'), ping('behind'), pong('behind'), binary('behind'), text('be', { fin: false }), ping('behind'), continuation('hind')])

const end = (code: string): string[] => [`error ${code}`, `errorHandler ${code}`, 'close']

const FAILURES: Record<string, { bytes: Buffer, options?: WebSocketPluginOptions, headers?: Record<string, string>, code: string }> = {
  'a reserved opcode': { bytes: frame(3), code: 'FST_WS_ERR_INVALID_OPCODE' },
  'no UTF-8': { bytes: text(Buffer.of(0xff)), code: 'FST_WS_ERR_INVALID_PAYLOAD' },
  'a bad Close frame': { bytes: close(1005), code: 'FST_WS_ERR_CLOSE_PAYLOAD' },
  'a message that is too long': { bytes: binary(Buffer.alloc(1001)), options: { maxPayload: 1000 }, code: 'FST_WS_ERR_MESSAGE_TOO_BIG' },
  'a message that inflates to too much': {
    bytes: frame(2, deflateRawSync(Buffer.alloc(100_000)), { rsv: 0x40 }), options: { maxPayload: 1000, perMessageDeflate: true }, headers: DEFLATE, code: 'FST_WS_ERR_MESSAGE_TOO_BIG'
  },
  'a message that does not inflate': {
    bytes: frame(2, 'what?', { rsv: 0x40 }), options: { perMessageDeflate: true }, headers: DEFLATE, code: 'FST_WS_ERR_INVALID_PAYLOAD'
  },
  'too many messages': { bytes: text('third'), options: { rateLimit: { messages: 2, window: LONG } }, code: 'FST_WS_ERR_RATE_LIMIT' }
}

for (const [name, { bytes, options = {}, headers, code }] of Object.entries(FAILURES)) {
  const conversation = [text('1'), text('2'), bytes, GOES_ON, close(1000)]
  for (const form of ['one chunk', 'chunks'] as const) {
    const send = async ({ client }: Rig): Promise<void> => {
      if (form === 'one chunk') client.write(Buffer.concat(conversation))
      else for (const part of conversation) { client.write(part); await turns(2) }
    }
    t.test(`${name}, in ${form}: messages before it, then error, errorHandler and close`, async t => {
      const rig = await serve(t, { options, headers })
      await send(rig)
      await rig.over
      t.same(rig.log, ['message 1', 'message 2', ...end(code)])
    })

    t.test(`${name}, in ${form}, while messages wait for the handler: the same order`, async t => {
      const ready = gate()
      const rig = await serve(t, { options, headers, ready: ready.passed })
      await send(rig)
      await rig.client.closeFrame()
      await turns()
      t.same(rig.log, [])
      ready.open()
      await rig.over
      t.same(rig.log, ['message 1', 'message 2', ...end(code)])
    })
  }
}

t.test('over HTTP/2 the same', async t => {
  const ready = gate()
  const rig = await serve(t, { http2: true, ready: ready.passed })
  rig.client.write(Buffer.concat([text('1'), frame(3), GOES_ON]))
  await rig.client.closeFrame()
  ready.open()
  await rig.over
  t.same(rig.log, ['message 1', ...end('FST_WS_ERR_INVALID_OPCODE')])
})

t.test('messages that nobody asks for keep neither errorHandler nor close from being called', async t => {
  const rig = await serve(t, { ready: new Promise(() => {}), options: { closeTimeout: 50 } })
  const closed = new Promise(resolve => rig.connection.on('close', resolve))
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  rig.client.write(Buffer.concat([text('1'), frame(3)]))
  await closed
  t.same(rig.log, ['errorHandler FST_WS_ERR_INVALID_OPCODE'])
})

t.test('terminate() while messages wait before an error: they are dropped, the error is reported', async t => {
  const ready = gate()
  const rig = await serve(t, { ready: ready.passed })
  rig.client.write(Buffer.concat([text('1'), frame(3)]))
  await rig.client.closeFrame()
  rig.connection.terminate()
  ready.open()
  await rig.over
  t.same(rig.log, end('FST_WS_ERR_INVALID_OPCODE'))
})

t.test('JSON that is not valid: nothing behind it, for message listeners neither', async t => {
  for (const isHeld of [false, true]) {
    const ready = gate()
    if (!isHeld) ready.open()
    const rig = await serve(t, { json: true, ready: ready.passed })
    rig.client.write(Buffer.concat([text('1'), text('{'), text('3'), ping('behind')]))
    await turns()
    ready.open()
    await rig.over
    t.same(rig.log, ['message 1', 'json 1', 'message {', ...end('FST_WS_ERR_INVALID_JSON')])
  }
})

/** Bytes that inflate to a megabyte, on another thread. */
const slowToInflate = (): Buffer =>
  frame(2, deflateRawSync(Buffer.concat(Array<Buffer>(58).fill(randomBytes(18_000))), { finishFlush: 2 }).subarray(0, -4), { rsv: 0x40 })

/** Makes the queue to a peer that does not read too long, while one of its messages is being inflated. */
function flood (connection: WebSocketConnection): void {
  setImmediate(() => {
    for (let i = 0; i < 400 && connection.readyState === connection.OPEN; i++) connection.send(Buffer.alloc(30_000), { compress: false })
  })
}

t.test('a peer that does not read fails while its message is inflated on another thread: that is not delivered', async t => {
  for (const json of [false, true]) {
    const rig = await serve(t, { json, options: { perMessageDeflate: true, maxBufferedAmount: 100_000 }, headers: DEFLATE, onMessage: flood })
    rig.client.socket.pause()
    rig.client.write(Buffer.concat([text('1'), slowToInflate(), GOES_ON]))
    await rig.over
    t.same(rig.log, ['message 1', ...json ? ['json 1'] : [], ...end('FST_WS_ERR_SLOW_READER')])
  }
})

t.test('the same for loops and streams', async t => {
  const VIEWS: Record<string, (connection: WebSocketConnection) => AsyncIterable<unknown>> = {
    loop: connection => connection,
    'json loop': connection => connection.json(),
    stream: connection => connection.stream({ readableObjectMode: true })
  }
  for (const [name, view] of Object.entries(VIEWS)) {
    const log: unknown[] = []
    const over = gate()
    const { port } = await startApp(t, app => {
      app.get('/', { websocket: true }, async connection => {
        try {
          for await (const message of view(connection)) {
            log.push(message)
            flood(connection)
          }
        } catch (error) {
          log.push((error as Error & { code: string }).code)
        }
        over.open()
      })
    }, { perMessageDeflate: true, maxBufferedAmount: 100_000, closeTimeout: 300, errorHandler: () => {} })
    const client = await RawClient.open(port, '/', DEFLATE)
    t.teardown(() => client.destroy())
    client.socket.on('error', () => {})
    client.socket.pause()
    client.write(Buffer.concat([text('1'), slowToInflate(), text('2')]))
    await over.passed
    t.same(log.map(String), ['1', 'FST_WS_ERR_SLOW_READER'], name)
  }
})

t.test('a peer that does not read fails within a listener: what is behind in the chunk is not delivered', async t => {
  const rig = await serve(t, {
    options: { maxBufferedAmount: 100_000 },
    onMessage: connection => { while (connection.readyState === connection.OPEN) connection.send(Buffer.alloc(64 * 1024)) }
  })
  rig.client.socket.pause()
  rig.client.write(Buffer.concat([text('1'), text('2'), GOES_ON]))
  await rig.over
  t.same(rig.log, ['message 1', ...end('FST_WS_ERR_SLOW_READER')])
})
