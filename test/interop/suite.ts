import { randomFillSync } from 'node:crypto'
import type { Test } from 'tap'
import { Refused, type Client, type OpenOptions } from './clients/client.js'
import { LARGE, LARGE_REFUSAL, REFUSAL, type InteropServer } from './server.js'

export interface Place {
  /** `ws://host:port` or `wss://…` */
  url: string
  options?: OpenOptions
}

const KiB = 1024
const MiB = 1024 * KiB

/** Around every limit of the length field, and of buffers and chunks on the way. */
const SIZES = [0, 1, 125, 126, 127, 4096, 65535, 65536, 65537, MiB, LARGE]

const WORDS = 'ASCII, ümläüt, \u05e9\u05dc\u05d5\u05dd, 你好, \u{1f469}\u200d\u{1f680}, \u{10ffff}\u0000|'

/** Tests every client with every server, whatever lies between them. The last test closes the server. */
export async function interopSuite (t: Test, client: Client, place: Place, server: InteropServer): Promise<void> {
  const { url, options = {} } = place

  t.test('echo: binary messages of all sizes', async t => {
    const connection = await client.open(`${url}/echo`, options)
    for (const size of SIZES) {
      const data = randomFillSync(Buffer.alloc(size))
      connection.send(data)
      const answer = await connection.next()
      t.ok(Buffer.isBuffer(answer) && answer.equals(data), `${size} bytes`)
    }
    connection.close(1000)
    await connection.closed
    t.strictSame(await server.nextClose(), { code: 1000, reason: '' })
  })

  t.test('echo: text messages, empty, multi-byte, large', async t => {
    const connection = await client.open(`${url}/echo`, options)
    for (const text of ['', 'hello', WORDS, WORDS.repeat(2000), WORDS.repeat(30_000)]) {
      connection.send(text)
      t.ok(await connection.next() === text, `${Buffer.byteLength(text)} bytes`)
    }
    connection.close(1000)
    await connection.closed
    await server.nextClose()
  })

  t.test('a thousand messages, text and binary, come back in order', async t => {
    const connection = await client.open(`${url}/echo`, options)
    const sent: (string | Buffer)[] = []
    for (let i = 0; i < 1000; i++) {
      // Some are large enough to end a batch, and to go another way through the writer.
      const padding = 'x'.repeat(i % 100 === 0 ? 70_000 : i % 50)
      sent.push(i % 3 === 0 ? Buffer.from(`binary ${i}${padding}`) : `text ${i}${padding}`)
    }
    for (const message of sent) connection.send(message)
    let wrong = 0
    for (const message of sent) {
      const answer = await connection.next()
      if (typeof message === 'string' ? answer !== message : !(Buffer.isBuffer(answer) && answer.equals(message))) wrong++
    }
    t.equal(wrong, 0)
    connection.close(1000)
    await connection.closed
    await server.nextClose()
  })

  t.test('a ping of the server is answered with its payload', async t => {
    const connection = await client.open(`${url}/ping`, options)
    t.equal(await connection.next(), 'ponged are you there? \u{1f440}')
    connection.close(1000)
    await server.nextClose()
  })

  t.test('close codes and reasons of the client reach the server, and come back', async t => {
    const reason123 = '\u20ac'.repeat(41)
    const closings: [number, string][] = [[1000, ''], [1000, 'done'], [3000, 'ünïcödé \u{1f44b}'], [4999, reason123]]
    if (!client.isLikeBrowsers) closings.push([1001, 'leaving'], [1011, ''], [1013, 'later'])
    for (const [code, reason] of closings) {
      const connection = await client.open(`${url}/echo`, options)
      connection.close(code, reason)
      t.strictSame(await connection.closed, { code, reason }, `${code} at the client`)
      t.strictSame(await server.nextClose(), { code, reason }, `${code} at the server`)
    }
    if (client.canCloseWithoutCode) {
      const connection = await client.open(`${url}/echo`, options)
      connection.close()
      t.equal((await connection.closed).code, 1005, 'no code at the client')
      t.strictSame(await server.nextClose(), { code: 1005, reason: '' }, 'no code at the server')
    }
  })

  t.test('close codes and reasons of the server reach the client, and come back', async t => {
    const reason123 = '\u20ac'.repeat(41)
    const closings: [number, string][] = [
      [1000, ''], [1001, 'going'], [1003, ''], [1008, 'policy'], [1011, 'ünïcödé \u{1f4a5}'], [1013, 'later'], [3000, ''], [4999, reason123]
    ]
    for (const [code, reason] of closings) {
      const connection = await client.open(`${url}/close?code=${code}&reason=${encodeURIComponent(reason)}`, options)
      t.strictSame(await connection.closed, { code, reason }, `${code} at the client`)
      t.equal((await server.nextClose()).code, code, `${code} at the server`)
    }
    const connection = await client.open(`${url}/close`, options)
    t.equal((await connection.closed).code, 1005, 'no code at the client')
    t.equal((await server.nextClose()).code, 1005, 'no code at the server')
  })

  t.test('a large message arrives whole before the close behind it', async t => {
    const connection = await client.open(`${url}/last-words`, options)
    const message = await connection.next()
    t.ok(Buffer.isBuffer(message) && message.equals(Buffer.alloc(LARGE, 'last words ')))
    t.strictSame(await connection.closed, { code: 4001, reason: 'that was all, \u{1f44b}' })
    t.equal((await server.nextClose()).code, 4001)
  })

  // A proxy that got the server's FIN while the client is sending would reset it, and the Close frame would be lost.
  t.test('C1: a message over the limit ends with 1009, also if the client is still sending it', async t => {
    const connection = await client.open(`${url}/small`, options)
    const atLimit = Buffer.alloc(1024, 7)
    connection.send(atLimit)
    t.ok(atLimit.equals(await connection.next() as Buffer), 'the limit itself may be reached')
    connection.send(Buffer.alloc(LARGE))
    t.equal((await connection.closed).code, 1009)
    await server.nextClose()
  })

  t.test('the best subprotocol of the server is agreed on', async t => {
    const both = await client.open(`${url}/protocols`, { ...options, protocols: ['feed.v1', 'unknown', 'feed.v2'] })
    t.equal(both.protocol, 'feed.v2')
    t.equal(await both.next(), 'speaking feed.v2')
    const old = await client.open(`${url}/protocols`, { ...options, protocols: ['feed.v1'] })
    t.equal(old.protocol, 'feed.v1')
    const none = await client.open(`${url}/protocols`, options)
    t.equal(none.protocol, '')
    t.equal(await none.next(), 'speaking ')
    for (const connection of [both, old, none]) {
      connection.close(1000)
      await connection.closed
      await server.nextClose()
    }
  })

  t.test('A2, A14: what is refused is refused over HTTP, with status and whole body', { skip: client.missesRefusals ?? false }, async t => {
    const refusals: [string, number][] = [['/private', 401], ['/page', 404], ['/nowhere', 404]]
    if (client.readsRefusals) refusals.push(['/private/large', 401])
    for (const [path, expectedStatus] of refusals) {
      const status = server.statusOf(path)
      try {
        await client.open(`${url}${path}`, options)
        t.fail(`${path} was opened`)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        t.equal(await status, expectedStatus, `${path} at the server`)
        if (error.status !== null) t.equal(error.status, expectedStatus, `${path} at the client`)
        if (error.body !== null && expectedStatus === 401) {
          t.ok(error.body === (path === '/private' ? REFUSAL : LARGE_REFUSAL), `${path}: the whole body`)
        }
      }
    }
    t.equal(server.app.websocketServer.clients.size, 0)
  })

  t.test('pings of the client are answered, also between its messages', { skip: !client.canPing && `${client.name} has no way to ping` }, async t => {
    const connection = await client.open(`${url}/echo`, options)
    connection.send('before')
    t.equal(await connection.ping!('\u{1f3d3}'.repeat(31)), '\u{1f3d3}'.repeat(31))
    connection.send('after')
    t.equal(await connection.next(), 'before')
    t.equal(await connection.next(), 'after')
    connection.close(1000)
    await connection.closed
    await server.nextClose()
  })

  t.test('B8: app.close() is a 1001 for the client, and resolves', async t => {
    const connections = await Promise.all([1, 2, 3].map(() => client.open(`${url}/echo`, options)))
    const isClosed = server.app.close()
    for (const connection of connections) t.strictSame(await connection.closed, { code: 1001, reason: '' })
    await isClosed
    t.equal((await server.nextClose()).code, 1001)
  })
}
