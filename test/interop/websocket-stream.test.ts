import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable, type Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { createWebSocketStream, WebSocket } from 'ws'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import type { ProcessTest } from '../support/child-process.js'
import { binary, close, frame, RawClient } from '../support/raw-client.js'
import { runExample } from '../support/run-example.js'
import { serveWithOurs, serveWithWs, type Serve } from '../support/both-servers.js'
import { many } from '../support/thorough.js'

// `createWebSocketStream` of ws reaches into its socket (`_socket._writableState`). It gets ours unchanged.

const toStream = (connection: WebSocketConnection, ...options: [object?]): Duplex =>
  createWebSocketStream(connection as unknown as WebSocket, ...options)

async function connect (t: Teardown, port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  t.teardown(() => client.terminate())
  await once(client, 'open')
  return client
}

/** Resolves with the first stream that the server makes, and with its connection. */
async function startWith (t: Teardown, serve: Serve, options?: object): Promise<{ port: number, made: Promise<{ stream: Duplex, connection: WebSocketConnection }> }> {
  let onMade!: (made: { stream: Duplex, connection: WebSocketConnection }) => void
  const made = new Promise<{ stream: Duplex, connection: WebSocketConnection }>(resolve => { onMade = resolve })
  const port = await serve(t, connection => onMade({ stream: toStream(connection, options), connection }))
  return { port, made }
}

t.test('many megabytes through two pipelines, there and back, byte for byte', async t => {
  const { port, made } = await startWith(t, serveWithOurs)
  const echoing = made.then(({ stream }) => pipeline(stream, stream))
  const client = createWebSocketStream(await connect(t, port))
  const chunks = Array.from({ length: 8 }, (_, i) => randomBytes(64 * 1024 - i * 4999))
  const [sent, received] = [createHash('sha256'), createHash('sha256')]
  const total = many(12, 50) * 1024 * 1024
  let bytesReceived = 0
  client.on('data', (chunk: Buffer) => {
    received.update(chunk)
    bytesReceived += chunk.length
    if (bytesReceived === total) client.end()
  })
  await pipeline(Readable.from((function * () {
    for (let left = total, i = 0; left > 0; i++) {
      const chunk = chunks[i % chunks.length]!.subarray(0, left)
      left -= chunk.length
      sent.update(chunk)
      yield chunk
    }
  })()), client, { end: false })
  await once(client, 'close')
  t.equal(bytesReceived, total)
  t.equal(received.digest('hex'), sent.digest('hex'))
  await echoing
})

/** Waits until a number has not grown for a while. It is a limit above which must not be: a wait that is too short hides nothing. */
async function settled (read: () => number): Promise<number> {
  for (let before = -1, same = 0; same < 10;) {
    const now = read()
    same = now === before ? same + 1 : 0
    before = now
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  return read()
}

const CHUNK = Buffer.alloc(32 * 1024, 'backpressure ')
/** More than loopback sockets and the streams take in. */
const CHUNKS = 1500

t.test('a client that does not read stops the source, and what it reads later is whole', async t => {
  const { port, made } = await startWith(t, serveWithOurs)
  const client = await connect(t, port)
  client.pause()
  const { stream, connection } = await made
  let produced = 0
  const writing = pipeline(Readable.from((function * () {
    for (; produced < CHUNKS; produced++) yield CHUNK
  })()), stream, { end: false })
  t.ok(await settled(() => produced) < CHUNKS / 2, `stopped after ${produced} chunks of ${CHUNKS}`)
  t.ok(connection.bufferedAmount < 1024 * 1024, 'little waits in the process')
  let bytes = 0
  client.on('message', (data: Buffer) => { bytes += data.length })
  client.resume()
  await writing
  stream.end()
  await once(client, 'close')
  t.equal(bytes, CHUNKS * CHUNK.length)
})

t.test('a stream that is not read holds the client back, and what is read later is whole', async t => {
  const { port, made } = await startWith(t, serveWithOurs)
  const client = await connect(t, port)
  const { stream, connection } = await made
  for (let i = 0; i < CHUNKS; i++) client.send(CHUNK)
  await settled(() => client.bufferedAmount)
  t.ok(client.bufferedAmount > CHUNKS * CHUNK.length / 2, 'most of it has not left the client')
  t.ok(connection.isPaused)
  t.ok(stream.readableLength < 1024 * 1024)
  client.close(1000)
  const bytes = await buffer(stream)
  t.equal(bytes.length, CHUNKS * CHUNK.length)
  t.ok(bytes.subarray(-CHUNK.length).equals(CHUNK))
})

interface Scenario {
  options?: object
  /** Plays the client. @returns what it saw */
  drive: (stream: Duplex, client: RawClient) => Promise<unknown[]>
}

/** Tests that the stream emits the same expected events over a socket of ws and over ours. */
function sideBySide (name: string, { options, drive }: Scenario, seen: unknown[], expected: unknown[]): void {
  t.test(name, async t => {
    for (const [who, serve] of [['ws', serveWithWs], ['ours', serveWithOurs]] as const) {
      const { port, made } = await startWith(t, serve, options)
      const client = await RawClient.open(port)
      t.teardown(() => client.destroy())
      const { stream, connection } = await made
      const entries: unknown[] = []
      const log = (...entry: unknown[]): void => { entries.push(entry) }
      stream.on('data', (data: Buffer | string) => log('data', typeof data === 'string' ? data : `<${String(data)}>`))
      for (const event of ['end', 'finish', 'close']) stream.on(event, () => log(event))
      stream.on('error', error => log('error', error instanceof Error))
      const closed = new Promise<void>(resolve => connection.on('close', (code, reason) => {
        log('connection', code, String(reason))
        resolve()
      }))
      const over = new Promise<void>(resolve => stream.on('close', () => resolve()))
      t.strictSame(await drive(stream, client), seen, `${who}: the client`)
      await Promise.all([closed, over])
      t.ok(stream.destroyed)
      t.strictSame(entries, expected, `${who}: the stream`)
    }
  })
}

sideBySide('end() closes the connection behind what was written', {
  async drive (stream, client) {
    stream.write('first')
    stream.end('last')
    const messages = [await client.frame(), await client.frame()].map(({ payload }) => String(payload))
    const { code } = await client.closeFrame()
    client.write(close())
    await client.ended
    client.end()
    return [...messages, code]
  }
}, ['first', 'last', 1005], [['finish'], ['connection', 1005, ''], ['end'], ['close']])

sideBySide('the client closes: the stream ends behind what came, and is over when its other side is', {
  async drive (stream, client) {
    stream.on('end', () => stream.end())
    client.write(Buffer.concat([binary('one'), binary('two'), close(4000, 'bye')]))
    const { code } = await client.closeFrame()
    await client.ended
    client.end()
    return [code]
  }
}, [4000], [['data', '<one>'], ['data', '<two>'], ['connection', 4000, 'bye'], ['end'], ['finish'], ['close']])

sideBySide('destroy() terminates', {
  async drive (stream, client) {
    stream.destroy()
    await client.ended
    client.destroy()
    return []
  }
}, [], [['connection', 1006, ''], ['close']])

sideBySide('destroy(error) terminates, and tells it', {
  async drive (stream, client) {
    stream.destroy(new Error('no more'))
    await client.ended
    client.destroy()
    return []
  }
}, [], [['connection', 1006, ''], ['error', true], ['close']])

sideBySide('what the client does wrong is an error of the stream, and the client is told so', {
  async drive (_stream, client) {
    // RFC 6455 §5.2: an opcode that is reserved.
    client.write(frame(0x3, 'wrong'))
    const { code } = await client.closeFrame()
    client.destroy()
    return [code]
  }
}, [1002], [['connection', 1006, ''], ['error', true], ['close']])

sideBySide('as text, with the options that the documentation of ws names', {
  options: { encoding: 'utf8', decodeStrings: false },
  async drive (stream, client) {
    stream.on('end', () => stream.end())
    client.write(frame(0x1, 'grüße'))
    stream.write('zurück')
    const { opcode, payload } = await client.frame()
    client.write(close(1000))
    await client.closeFrame()
    await client.ended
    client.end()
    return [opcode, String(payload)]
  }
}, [1, 'zurück'], [['data', 'grüße'], ['connection', 1000, ''], ['end'], ['finish'], ['close']])

t.test('over the client of injectWS as well', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      const stream = toStream(connection)
      stream.pipe(stream)
    })
  })
  const client = toStream(await app.injectWS('/'))
  client.write('in memory')
  t.equal(String((await once(client, 'data'))[0]), 'in memory')
  client.end()
  await once(client, 'close')
})

t.test('examples/stream', async t => {
  const { url } = await runExample(t as ProcessTest, 'examples/stream/server.ts', { env: { LOG_LEVEL: 'error' } })
  const client = new WebSocket(`${url.replace('http', 'ws')}/gzip`)
  t.teardown(() => client.terminate())
  await once(client, 'open')
  const zipped: Buffer[] = []
  for (const line of ['fee', 'fi', 'fo', 'fum']) {
    client.send(line)
    zipped.push((await once(client, 'message'))[0])
  }
  client.close()
  await once(client, 'close')
  // Its trailer went nowhere: the connection was closed.
  t.equal(gunzipSync(Buffer.concat(zipped), { finishFlush: 2 }).toString(), 'feefifofum')
})
