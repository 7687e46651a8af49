import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { startProgram, type ProcessTest } from '../support/child-process.js'
import { close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { runExample } from '../support/run-example.js'
import type { SpanReport } from './tracing/instrumentation.js'

// The instrumentation of http replaces `emit` of all servers, and we replace that of one: both go on working. It makes
// spans of requests, and none of upgrades, which servers do not emit as requests. Those come from @fastify/otel, with hooks.

const INTERNAL = 0
const SERVER = 1
const CONSUMER = 4
const ERROR = 2

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT_ID = 'b7ad6b7169203331'
const TRACEPARENT = { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01` }

const fileOf = (name: string): string => fileURLToPath(new URL(`tracing/${name}`, import.meta.url))

/** An app of which spans are made, and those that it has made. */
class TracedApp {
  readonly port: number
  private spans: SpanReport[] = []

  private constructor (port: number) {
    this.port = port
  }

  /** @param order whether @fastify/otel is before our plugin or behind it */
  static async start (t: ProcessTest, order: string): Promise<TracedApp> {
    // tap adds its loader to the NODE_OPTIONS of every child process; it would load http before the instrumentation is there
    const program = startProgram(t, 'env', [
      '-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', `--import=${fileOf('instrumentation.ts')}`, fileOf('app.ts'), order
    ])
    for await (const line of createInterface({ input: program.stdout! })) {
      const port = /^port (\d+)$/.exec(line)?.[1]
      if (port !== undefined) return new TracedApp(Number(port))
    }
    throw new Error('the program ended without telling its port')
  }

  private async read (): Promise<SpanReport[]> {
    const { ended, open } = await (await fetch(`http://127.0.0.1:${this.port}/spans`)).json() as { ended: SpanReport[], open: SpanReport[] }
    this.spans.push(...ended)
    return open
  }

  /** Waits for a span to end, and takes it. */
  async take (by: string, name: string): Promise<SpanReport> {
    for (;;) {
      await this.read()
      const index = this.spans.findIndex(span => span.by === by && span.name === name)
      if (index !== -1) return this.spans.splice(index, 1)[0]!
      await setTimeout(20)
    }
  }

  /** The span of a handshake or another request, by @fastify/otel. */
  takeRequest (): Promise<SpanReport> {
    return this.take('@fastify/otel', 'request')
  }

  /** The names of those that have not ended. */
  async open (): Promise<string[]> {
    return (await this.read()).map(({ by, name }) => `${by}: ${name}`)
  }

  /** The spans that have ended and that no test has taken. */
  get rest (): readonly SpanReport[] {
    return this.spans
  }
}

async function leave (client: RawClient): Promise<void> {
  client.write(close(1000))
  await client.closeFrame()
  client.end()
  await client.closed
}

function checkHandshake (t: Test, span: SpanReport, path: string, route: string | undefined, status: number): void {
  t.match(span, { kind: SERVER, traceId: TRACE_ID, parentSpanId: PARENT_ID, attributes: { 'url.path': path } }, `${path} is of the client's trace`)
  t.equal(span.attributes['http.route'], route)
  t.equal(span.attributes['http.response.status_code'], status)
}

for (const order of ['before', 'behind']) {
  t.test(`@fastify/otel ${order} our plugin, and the instrumentation of http`, async t => {
    const app = await TracedApp.start(t as ProcessTest, order)
    await t.test('handshakes, messages and connections', t => checkConnections(t, app))
    await t.test('refusals and plain requests', t => checkRefusals(t, app))
  })
}

async function checkConnections (t: Test, app: TracedApp): Promise<void> {
  const client = await RawClient.open(app.port, '/echo/ada', TRACEPARENT)
  const handshake = await app.takeRequest()
  checkHandshake(t, handshake, '/echo/ada', '/echo/:name', 101)
  t.strictSame(await app.open(), [], 'no span lives as long as the connection')
  client.write(text('whose trace?'))
  t.equal(String((await client.frame()).payload), TRACE_ID, 'the handler runs in the context of its handshake')
  // By examples/tracing.
  t.ok(await app.take('websockets', 'message /echo/:name'))
  client.write(text('whose message?'))
  const spanId = String((await client.frame()).payload)
  const message = await app.take('websockets', 'message /echo/:name')
  t.match(message, { kind: CONSUMER, spanId, parentSpanId: null, linkedTo: [handshake.spanId], attributes: { 'http.route': '/echo/:name' } })
  t.not(message.traceId, TRACE_ID)
  await leave(client)
  t.match(await app.take('websockets', 'connection'), {
    kind: INTERNAL,
    linkedTo: [handshake.spanId],
    attributes: { 'websocket.close_code': 1000, 'websocket.messages.received': 2, 'websocket.messages.sent': 2, 'http.route': '/echo/:name' }
  })

  const loop = await RawClient.open(app.port, '/loop', TRACEPARENT)
  loop.write(text('round'))
  t.equal(String((await loop.frame()).payload), 'round')
  checkHandshake(t, await app.takeRequest(), '/loop', '/loop', 101)
  t.strictSame(await app.open(), [], 'nor as long as a handler that runs all the time')
  await leave(loop)

  const both = await RawClient.open(app.port, '/both', TRACEPARENT)
  t.equal(String((await both.frame()).payload), 'both')
  checkHandshake(t, await app.takeRequest(), '/both', '/both', 101)
  await leave(both)

  const broken = await RawClient.open(app.port, '/broken', TRACEPARENT)
  broken.write(text('x'))
  t.equal((await broken.closeFrame()).code, 1011)
  broken.destroy()
  await app.takeRequest()
  t.equal((await app.take('websockets', 'message /broken')).status, ERROR)
}

async function checkRefusals (t: Test, app: TracedApp): Promise<void> {
  const request = async (bytes: string): Promise<number> => {
    const client = await RawClient.connect(app.port)
    client.write(bytes)
    const { status } = await client.head()
    client.destroy()
    return status
  }

  for (const [path, route, status] of [
    ['/private', '/private', 401],
    ['/echo/much-too-long', '/echo/:name', 400],
    ['/nowhere', undefined, 404],
    ['/slow', '/slow', 503]
  ] as const) {
    t.equal(await request(upgradeRequest(path, TRACEPARENT)), status)
    checkHandshake(t, await app.takeRequest(), path, route, status)
  }
  t.equal(await request(upgradeRequest('/echo/ada', { ...TRACEPARENT, Origin: 'https://elsewhere.example' })), 403)
  checkHandshake(t, await app.takeRequest(), '/echo/ada', '/echo/:name', 403)

  // The client leaves while a hook runs: the request ends when the hook has, with what nobody is left to get.
  const gone = await RawClient.connect(app.port)
  gone.write(upgradeRequest('/slow', TRACEPARENT))
  while (!(await app.open()).includes('@fastify/otel: request'));
  gone.destroy()
  await gone.closed
  await request('GET /go-on HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  const requests = [await app.takeRequest(), await app.takeRequest()].map(({ attributes }) => attributes['url.path'])
  t.strictSame(requests.sort(), ['/go-on', '/slow'])

  // Plain requests have a span of the instrumentation of http too, and that of @fastify/otel within it.
  for (const [bytes, route, status] of [
    ['GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n', '/page', 200],
    ['GET /both HTTP/1.1\r\nHost: localhost\r\n\r\n', '/both', 200],
    ['GET /echo/ada HTTP/1.1\r\nHost: localhost\r\n\r\n', '/echo/:name', 426],
    ['GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n', '/page', 200]
  ] as const) {
    t.equal(await request(bytes), status)
    const [outer, inner] = [await app.take('@opentelemetry/instrumentation-http', `GET ${route}`), await app.takeRequest()]
    t.match(outer, { kind: SERVER, attributes: { 'http.route': route, 'http.response.status_code': status } })
    t.match(inner, { kind: INTERNAL, traceId: outer.traceId, parentSpanId: outer.spanId, attributes: { 'http.response.status_code': status } })
  }
  while ((await app.open()).length > 0);
  t.strictSame(app.rest.filter(({ by }) => by === '@opentelemetry/instrumentation-http').map(({ name }) => name), ['GET /go-on'], 'there was one for each, and none for upgrades')
}

t.test('examples/tracing prints its spans', async t => {
  const { url, program } = await runExample(t as ProcessTest, 'examples/tracing/server.ts', {
    nodeArgs: ['--import=tsx', '--import=./examples/tracing/instrumentation.ts']
  })
  const client = new WebSocket(`${url.replace('http', 'ws')}/slow`)
  await once(client, 'open')
  let printed = ''
  program.stdout!.setEncoding('utf8').on('data', (more: string) => { printed += more })
  client.send('hello')
  await once(client, 'message')
  client.close()
  while (!printed.includes("name: 'connection'")) await once(program.stdout!, 'data')
  t.match(printed, /name: 'message \/slow'/)
  t.notMatch(printed, /name: 'handler/)
})
