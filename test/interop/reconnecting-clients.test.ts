import { on, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import PartySocket from 'partysocket/ws'
import PladariaSocket from 'reconnecting-websocket'
import t from 'tap'
import { WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket } from 'ws'
import websocket from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { startProgram, stopProgram, type ProcessTest } from '../support/child-process.js'
import { ROOT } from '../support/examples.js'
import { runExample } from '../support/run-example.js'
import { findPort } from './proxies.js'

/** The members that these tests use of both packages. */
interface ReconnectingClient {
  binaryType: 'blob' | 'arraybuffer'
  readonly readyState: number
  send (data: string | ArrayBuffer): void
  close (code?: number, reason?: string): void
  addEventListener (type: string, listener: (event: { code?: number, data?: unknown }) => void): void
}

interface ClientOptions {
  WebSocket: unknown
  minReconnectionDelay: number
  maxReconnectionDelay: number
  shouldReconnectOnClose?: (event: { code: number }) => boolean
}

const OPTIONS = { minReconnectionDelay: 10, maxReconnectionDelay: 50 }

const PACKAGES: Record<string, (url: string, options: ClientOptions) => ReconnectingClient> = {
  partysocket: (url, options) => new PartySocket(url, [], options) as unknown as ReconnectingClient,
  'reconnecting-websocket': (url, options) => new (PladariaSocket as unknown as new (...args: unknown[]) => ReconnectingClient)(url, [], options)
}

const TRANSPORTS: Record<string, unknown> = { ws: WebSocket, undici: UndiciWebSocket }

interface Served {
  app: FastifyInstance
  port: number
  url: string
  received: string[]
}

/** Answers what it gets, and needs a while before it listens. */
async function serve (t: Teardown, port = 0, configure: (app: FastifyInstance) => void = () => {}): Promise<Served> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  configure(app)
  const received: string[] = []
  app.get('/', { websocket: true }, async connection => {
    for (let i = 0; i < 10; i++) await setImmediate()
    connection.on('message', (data, isBinary) => {
      received.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`)
      connection.send(data, { binary: isBinary })
    })
  })
  app.get('/over', { websocket: true }, connection => connection.close(4401, 'log in first'))
  await app.listen({ port, host: '127.0.0.1' })
  const address = app.server.address() as AddressInfo
  return { app, port: address.port, url: `ws://127.0.0.1:${address.port}`, received }
}

/** The events of a client as an endless list. */
function eventsOf (client: ReconnectingClient): { next (): Promise<string> } {
  const waiting: string[] = []
  let wake = (): void => {}
  const tell = (entry: string): void => {
    waiting.push(entry)
    wake()
  }
  client.addEventListener('open', () => tell('open'))
  client.addEventListener('close', ({ code }) => tell(`close ${code}`))
  client.addEventListener('message', ({ data }) => tell(`message ${typeof data === 'string' ? data : `<${Buffer.from(data as ArrayBuffer).toString()}>`}`))
  return {
    async next () {
      while (waiting.length === 0) await new Promise<void>(resolve => { wake = resolve })
      return waiting.shift()!
    }
  }
}

for (const [name, create] of Object.entries(PACKAGES)) {
  for (const [transport, implementation] of Object.entries(TRANSPORTS)) {
    t.test(`${name} over ${transport}: a restart, and what was sent meanwhile`, async t => {
      const first = await serve(t)
      const client = create(first.url, { ...OPTIONS, WebSocket: implementation })
      client.binaryType = 'arraybuffer'
      t.teardown(() => client.close())
      const events = eventsOf(client)
      t.equal(await events.next(), 'open')
      client.send('before')
      t.equal(await events.next(), 'message before')

      await first.app.close()
      t.equal(await events.next(), 'close 1001')
      for (let i = 0; i < 50; i++) client.send(`meanwhile ${i}`)
      client.send(Uint8Array.from(Buffer.from('bytes')).buffer)
      t.not(client.readyState, WebSocket.OPEN)

      // At first it refuses, as one does that is warming up.
      let refused = 0
      const second = await serve(t, first.port, app => {
        app.addHook('onRequest', async (_request, reply) => {
          if (++refused <= 3) return reply.code(503).header('retry-after', '1').send({ warming: 'up' })
        })
      })
      let event = await events.next()
      // Some clients emit `close` for failed attempts as well.
      while (event !== 'open') event = await events.next()
      const answers: string[] = []
      while (answers.length < 51) answers.push(await events.next())
      t.strictSame(answers, [...Array.from({ length: 50 }, (_, i) => `message meanwhile ${i}`), 'message <bytes>'])
      t.strictSame(second.received, [...Array.from({ length: 50 }, (_, i) => `text meanwhile ${i}`), 'binary bytes'], 'once, in order')
      t.ok(refused > 3, 'it was refused before')

      // A line that breaks, without a Close frame.
      for (const connection of second.app.websocketServer.clients) connection.terminate()
      // undici emits an error before it closes with 1006; both packages turn that error into a `close` of their own.
      t.equal(await events.next(), transport === 'undici' ? 'close 1000' : 'close 1006')
      t.equal(await events.next(), 'open')
      client.send('after')
      t.equal(await events.next(), 'message after')
      t.equal(second.app.websocketServer.clients.size, 1)

      const [connection] = second.app.websocketServer.clients
      client.close(4000, 'enough')
      t.strictSame((await once(connection!, 'close')).map(String), ['4000', 'enough'])
    })
  }
}

t.test('partysocket: a code of the application keeps it away', async t => {
  const { app, url } = await serve(t)
  const client = PACKAGES.partysocket!(`${url}/over`, {
    ...OPTIONS,
    WebSocket,
    shouldReconnectOnClose: ({ code }) => code !== 4401
  })
  t.teardown(() => client.close())
  const events = eventsOf(client)
  t.equal(await events.next(), 'open')
  t.equal(await events.next(), 'close 4401')
  // Longer than it would wait before it comes back.
  await new Promise(resolve => setTimeout(resolve, 300))
  t.equal(app.websocketServer.stats.opened, 1)
})

t.test('a hundred clients that all come back at once while the app closes do not hold it up', async t => {
  const first = await serve(t)
  const clients = Array.from({ length: 100 }, () => PACKAGES.partysocket!(first.url, { ...OPTIONS, minReconnectionDelay: 1, WebSocket }))
  t.teardown(() => { for (const client of clients) client.close() })
  const all = clients.map(eventsOf)
  for (const events of all) t.equal(await events.next(), 'open')
  await first.app.close()
  const second = await serve(t, first.port)
  for (const [i, client] of clients.entries()) client.send(`client ${i}`)
  for (const [i, events] of all.entries()) {
    let event = await events.next()
    while (!event.startsWith('message')) event = await events.next()
    t.equal(event, `message client ${i}`)
  }
  t.equal(second.app.websocketServer.clients.size, 100)
})

t.test('examples/reconnecting', async t => {
  const test = t as ProcessTest
  const port = await findPort()
  const start = (): ReturnType<typeof runExample> => runExample(test, 'examples/reconnecting/server.ts', { env: { PORT: String(port) } })
  const { program: server } = await start()
  const client = startProgram(test, 'env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', 'examples/reconnecting/client.ts'], {
    cwd: ROOT,
    env: { ...process.env, URL: `ws://127.0.0.1:${port}/orders` }
  })
  const lines = on(createInterface({ input: client.stdout! }), 'line')
  const nextLine = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec((await lines.next()).value[0])
      if (match !== null) return match
    }
  }
  await nextLine(/^order 1: 1 coffee$/)
  await stopProgram(server, 'SIGTERM')
  t.equal(server.exitCode, 0)
  await nextLine(/^closed with 1001$/)
  await start()
  const [, first] = await nextLine(/^order 1: (\d+) coffee$/)
  t.equal((await nextLine(/^order 2: (\d+) coffee$/))[1], String(Number(first) + 1))
  await stopProgram(client, 'SIGTERM')
  t.equal(client.exitCode, 0, 'the client ends when it is asked to')
})
