// graphql-ws, its adapters and its client. The adapters run as they were published, on routes without options.

import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { buildSchema } from 'graphql'
import { createClient, type Client, type ClientOptions, type ServerOptions, type SubscribePayload } from 'graphql-ws'
import { makeHandler, type Extra } from 'graphql-ws/use/@fastify/websocket'
import { useServer } from 'graphql-ws/use/ws'
import t, { type Test } from 'tap'
import { WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket, type WebSocketServer } from 'ws'
import { startApp, type TestApp } from '../support/app.js'
import { runExample } from '../support/run-example.js'
import { gate } from '../support/server-sockets.js'
import { listenAgain } from './listen-again.js'
import { runClient } from './run-client.js'

const SUBPROTOCOL = 'graphql-transport-ws'

type Options = ServerOptions<Record<string, unknown>, Extra> & { isProd?: boolean }

const schema = buildSchema(`
  type Query { hello (name: String!): String! failing: String whoami: String }
  type Subscription { countTo (n: Int!): Int! endless: Int! breaking: Int! }
`)

/** The resolvers, and how many endless subscriptions there are. */
class Resolvers {
  endless = 0
  private waiting: (() => void)[] = []

  readonly roots: NonNullable<Options['roots']> = {
    query: {
      hello: ({ name }: { name: string }) => `hello ${name}`,
      failing: () => { throw new Error('out of order') },
      whoami: (_: unknown, { user }: { user: string }) => user
    },
    subscription: {
      countTo: async function * ({ n }: { n: number }) {
        for (let i = 1; i <= n; i++) yield { countTo: i }
      },
      endless: this.runEndless.bind(this),
      breaking: async function * () {
        yield { breaking: 1 }
        throw new Error('broken in the middle')
      }
    }
  }

  /** Yields once, and then waits until the subscription is over. */
  private runEndless (): AsyncGenerator<{ endless: number }> {
    const over = gate()
    const told = () => {
      if (--this.endless === 0) for (const resolve of this.waiting.splice(0)) resolve()
    }
    this.endless++
    const results = (async function * () {
      yield { endless: 1 }
      await over.passed
    })()
    // A generator that waits would hear of its end only when it has waited.
    const end = results.return.bind(results)
    results.return = value => {
      told()
      over.open()
      return end(value)
    }
    return results
  }

  /** Resolves when no endless subscription is left. */
  async allEnded (): Promise<void> {
    if (this.endless > 0) await new Promise<void>(resolve => this.waiting.push(resolve))
  }
}

/** A route that speaks GraphQL, with the adapter. */
function addGraphql (app: FastifyInstance, { roots }: Resolvers, options: Partial<Options> = {}, keepAlive?: number): void {
  app.get('/graphql', { websocket: true }, makeHandler({ schema, roots, ...options }, keepAlive))
}

async function startGraphql (t: Test, options?: Partial<Options>, keepAlive?: number): Promise<TestApp & { resolvers: Resolvers }> {
  const resolvers = new Resolvers()
  const server = await startApp(t, app => addGraphql(app, resolvers, options, keepAlive))
  return { ...server, url: `${server.url}/graphql`, resolvers }
}

function connect (t: Test, url: string, options: Partial<ClientOptions>): Client {
  const client = createClient({ url, retryAttempts: 0, ...options })
  t.teardown(() => client.dispose())
  return client
}

/** All that an operation gives until it is complete. */
async function resultsOf (client: Client, payload: SubscribePayload): Promise<unknown[]> {
  const results = []
  for await (const { data, errors } of client.iterate(payload)) results.push(errors === undefined ? data : errors.map(({ message }) => message))
  return results
}

/** Returns the errors with which an operation fails. */
async function errorsOf (client: Client, payload: SubscribePayload): Promise<unknown> {
  return resultsOf(client, payload).then(results => { throw new Error(`no error, but ${JSON.stringify(results)}`) }, (errors: unknown) => errors)
}

for (const [name, webSocketImpl] of [['ws', WebSocket], ['undici', UndiciWebSocket]] as const) {
  t.test(`client with ${name}: queries, subscriptions and errors`, async t => {
    const { url, app, resolvers } = await startGraphql(t, { context: ({ extra }) => ({ user: extra.request.ip }) })
    const client = connect(t, url, { webSocketImpl, lazy: false })

    t.same(await resultsOf(client, { query: 'query ($name: String!) { hello (name: $name) }', variables: { name: 'Grüße' } }), [{ hello: 'hello Grüße' }])
    t.same(await resultsOf(client, { query: '{ whoami }' }), [{ whoami: '127.0.0.1' }], 'the adapter gets the request of Fastify')
    t.same(await resultsOf(client, { query: '{ failing }' }), [['out of order']])
    t.match(await errorsOf(client, { query: '{ nothing }' }), [{ message: /Cannot query field "nothing"/ }])
    t.match(await errorsOf(client, { query: 'subscription { breaking }' }), [{ message: 'broken in the middle' }])

    const counts = [3, 500, 0, 200]
    t.same(
      await Promise.all(counts.map(n => resultsOf(client, { query: 'subscription ($n: Int!) { countTo (n: $n) }', variables: { n } }))),
      counts.map(n => Array.from({ length: n }, (_, i) => ({ countTo: i + 1 }))),
      'each whole and in order, though all run at once'
    )

    const endless = client.iterate({ query: 'subscription { endless }' })
    t.match(await endless.next(), { value: { data: { endless: 1 } }, done: false })
    await endless.return!()
    await resolvers.allEnded()
    t.equal(app.websocketServer.stats.opened, 1, 'all of it over one connection')
  })

  t.test(`client with ${name}: a subscription goes on after the connection was lost, and after a restart`, async t => {
    const { app, port, url, resolvers } = await startGraphql(t)
    const closes: number[] = []
    const client = connect(t, url, {
      webSocketImpl,
      retryAttempts: Infinity,
      // A server that is not there yet is an error, and no close event.
      shouldRetry: () => true,
      retryWait: () => new Promise(resolve => setTimeout(resolve, 20)),
      on: { closed: event => { closes.push((event as { code: number }).code) } }
    })
    const endless = client.iterate({ query: 'subscription { endless }' })
    t.match(await endless.next(), { value: { data: { endless: 1 } } })

    for (const connection of app.websocketServer.clients) connection.terminate()
    t.match(await endless.next(), { value: { data: { endless: 1 } } }, 'subscribed again')
    t.same(closes, [1006])

    await app.close()
    await resolvers.allEnded()
    const restarted = new Resolvers()
    await listenAgain(t, port, app => addGraphql(app, restarted))
    t.match(await endless.next(), { value: { data: { endless: 1 } } })
    t.equal(closes[1], 1001, 'which the client takes for a reason to come back')
    await endless.return!()
    await restarted.allEnded()
  })
}

t.test('the close codes of the protocol reach the client, with their reasons', async t => {
  const told: unknown[] = []
  const allTold = gate()
  const { url } = await startGraphql(t, {
    isProd: false,
    connectionInitWaitTimeout: 0,
    onConnect: ({ connectionParams }) => {
      if (connectionParams?.fail === true) throw new Error('the database is away')
      return connectionParams?.forbidden !== true
    },
    onClose: (_context, code) => {
      told.push(code)
      if (code === 4406) allTold.open()
    }
  })
  const logged = t.capture(console, 'error')
  const init = { type: 'connection_init' }
  const endless = { type: 'subscribe', id: 'one', payload: { query: 'subscription { endless }' } }

  const cases: [name: string, messages: object[], code: number, reason: string][] = [
    ['not a message', [['hello']], 4400, 'Invalid message received'],
    ['a message of the older protocol', [{ type: 'start', id: 'one' }], 4400, 'Invalid message received'],
    ['subscribed before it was acknowledged', [endless], 4401, 'Unauthorized'],
    ['refused by onConnect', [{ ...init, payload: { forbidden: true } }], 4403, 'Forbidden'],
    ['a subscriber that exists', [init, endless, endless], 4409, 'Subscriber for one already exists'],
    ['initialised twice', [init, init], 4429, 'Too many initialisation requests'],
    ['onConnect throws', [{ ...init, payload: { fail: true } }], 4500, 'the database is away']
  ]
  for (const [name, messages, code, reason] of cases) {
    const client = new WebSocket(url, SUBPROTOCOL)
    t.teardown(() => client.terminate())
    const [first = '', ...others] = messages.map(message => JSON.stringify(message))
    client.on('open', () => client.send(first))
    client.on('message', () => { for (const message of others) client.send(message) })
    const [seen, why] = await once(client, 'close')
    t.same([seen, String(why)], [code, reason], name)
  }
  t.equal((await once(new WebSocket(url), 'close'))[0], 4406, 'no subprotocol was offered')
  await allTold.passed
  t.same(told, [...cases.map(([, , code]) => code), 4406], 'the server was told the same')
  t.equal(logged().length, 1, 'of the one that throws')

  const impatient = await startGraphql(t, { connectionInitWaitTimeout: 1 })
  t.equal((await once(new WebSocket(impatient.url, SUBPROTOCOL), 'close'))[0], 4408, 'never initialised')
})

t.test('a client that is refused at the handshake, and one that the server refuses later, is told so and stays away', async t => {
  const { app, url } = await startApp(t, app => {
    addGraphql(app, new Resolvers(), { onConnect: () => false })
    app.addHook('preValidation', async (request, reply) => {
      if (request.headers.authorization === undefined) await reply.code(401).send()
    })
  })
  const stranger = connect(t, `${url}/graphql`, { webSocketImpl: WebSocket, retryAttempts: 5, retryWait: async () => {} })
  await t.rejects(resultsOf(stranger, { query: '{ whoami }' }), { message: 'Unexpected server response: 401' })
  class Authorized extends WebSocket {
    constructor (url: string, subprotocol: string) {
      super(url, subprotocol, { headers: { authorization: 'Bearer of good news' } })
    }
  }
  const known = connect(t, `${url}/graphql`, { webSocketImpl: Authorized })
  await t.rejects(resultsOf(known, { query: '{ whoami }' }), { code: 4403, reason: 'Forbidden' })
  t.match(app.websocketServer.stats, { opened: 1, refused: { 401: 1 } })
})

t.test('both sides keep the connection alive', async t => {
  // As long as the client may take to answer, on the slowest machine too.
  const { url } = await startGraphql(t, {}, 1000)
  const silent = new WebSocket(url, SUBPROTOCOL, { autoPong: false })
  const silentIsOver = once(silent, 'close')
  await once(silent, 'open')
  const pongs = gate()
  const client = connect(t, url, { webSocketImpl: WebSocket, lazy: false, keepAlive: 1, on: { pong: received => { if (received) pongs.open() } } })
  t.same(await resultsOf(client, { query: '{ hello (name: "you") }' }), [{ hello: 'hello you' }])
  await pongs.passed

  let closed = false
  client.on('closed', () => { closed = true })
  t.equal((await silentIsOver)[0], 1006, 'who does not answer is given up')
  t.notOk(closed, 'who does is not')
})

t.test('B12: two routes with different subprotocols on one app', async t => {
  const { url } = await startApp(t, app => {
    addGraphql(app, new Resolvers())
    app.get('/chat', { websocket: { protocols: ['chat.v2', 'chat.v1'] } }, connection => connection.send(connection.protocol))
  })
  const checkChat = async (offered: string[], expected: string): Promise<void> => {
    const client = new WebSocket(`${url}/chat`, offered)
    t.teardown(() => client.terminate())
    t.equal(String((await once(client, 'message'))[0]), expected)
  }
  const checkGraphql = async (): Promise<void> => {
    const client = connect(t, `${url}/graphql`, { webSocketImpl: WebSocket })
    t.same(await resultsOf(client, { query: '{ hello (name: "you") }' }), [{ hello: 'hello you' }])
  }
  for (const round of ['before and', 'after the adapter has set handleProtocols']) {
    t.comment(round)
    await checkChat([SUBPROTOCOL, 'chat.v1', 'chat.v2'], 'chat.v2')
    await checkChat([SUBPROTOCOL, 'chat.v1'], 'chat.v1')
    await checkGraphql()
  }
})

t.test('useServer, which is for ws, on app.websocketServer', async t => {
  const resolvers = new Resolvers()
  const closes: number[] = []
  const { app, url } = await startApp(t, app => {
    app.get('/graphql', { websocket: true }, () => {})
  })
  const server = useServer({ schema, roots: resolvers.roots }, app.websocketServer as unknown as WebSocketServer)
  const client = connect(t, `${url}/graphql`, { webSocketImpl: UndiciWebSocket, on: { closed: event => { closes.push((event as { code: number }).code) } } })
  const endless = client.iterate({ query: 'subscription { endless }' })
  t.match(await endless.next(), { value: { data: { endless: 1 } } }, 'the subprotocol is that of the handleProtocols that it has set')
  t.same(await resultsOf(client, { query: 'subscription { countTo (n: 3) }' }), [{ countTo: 1 }, { countTo: 2 }, { countTo: 3 }])
  await server.dispose()
  await resolvers.allEnded()
  await t.rejects(endless.next(), { code: 1001, reason: 'Going away' })
  t.same(closes, [1001])
})

t.test('examples/graphql-ws', async t => {
  const { url } = await runExample(t, 'examples/graphql-ws/server.ts')
  const lines = runClient(t, 'examples/graphql-ws/client.ts', `${url.replace('http', 'ws')}/graphql`)
  for (const expected of ['Hello, you!', 3, 2, 1, 0]) {
    t.match((await lines.next()).value, new RegExp(`(hello|countdown): '?${expected}'?`))
  }
  t.equal((await lines.next()).done, true, 'and ends')
})
