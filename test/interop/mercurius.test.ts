// Mercurius with subscriptions. It registers @fastify/websocket by itself, unless there is an `app.websocketServer`: so
// ours has to be registered first.

import { once } from 'node:events'
import Fastify, { type FastifyInstance } from 'fastify'
import { createClient, type Client, type ClientOptions, type SubscribePayload } from 'graphql-ws'
import mercurius, { type IResolvers, type MercuriusOptions } from 'mercurius'
import t, { type Test } from 'tap'
import { WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket } from 'ws'
import websocket, { type VerifyClient, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { runExample } from '../support/run-example.js'
import { gate } from '../support/server-sockets.js'

const PROTOCOLS = ['graphql-transport-ws', 'graphql-ws']

type SubscriptionOptions = Exclude<MercuriusOptions['subscription'], boolean | undefined>

/** The fields that the Mercurius options below put into the context. */
declare module 'mercurius' {
  interface MercuriusContext {
    user?: string
    address?: string
  }
}

const schema = `
  type Query { hello: String }
  type Mutation { vote (for: String!): Int! }
  type Subscription { votes (for: String!): Int! whoami: [String]! }
`

/** Counts votes. A subscription tells how many there are, and then each new one. */
function createResolvers (): IResolvers {
  const votes = new Map<string, number>()
  return {
    Query: { hello: async () => 'hello' },
    Mutation: {
      vote: async (_root, args: { for: string }, { pubsub }) => {
        const count = (votes.get(args.for) ?? 0) + 1
        votes.set(args.for, count)
        await pubsub.publish({ topic: `votes for ${args.for}`, payload: { votes: count } })
        return count
      }
    },
    Subscription: {
      votes: {
        subscribe: async function * (_root, args: { for: string }, { pubsub }) {
          const next = await pubsub.subscribe(`votes for ${args.for}`)
          yield { votes: votes.get(args.for) ?? 0 }
          yield * next
        }
      },
      whoami: { subscribe: async function * (_root, _args, { user, address }) { yield { whoami: [user, address] } } }
    }
  }
}

const VOTES = 'subscription ($for: String!) { votes (for: $for) }'
const VOTE = 'mutation ($for: String!) { vote (for: $for) }'

async function startMercurius (t: Test, subscription: true | SubscriptionOptions, options: WebSocketPluginOptions = {}): Promise<TestApp> {
  const server = await startApp(t, app => app.register(mercurius, { schema, resolvers: createResolvers(), subscription }), options)
  return { ...server, url: `${server.url}/graphql` }
}

async function voteOverHttp (app: FastifyInstance, name: string): Promise<void> {
  await app.inject({ method: 'POST', url: '/graphql', payload: { query: VOTE, variables: { for: name } } })
}

function connect (t: Test, url: string, options: Partial<ClientOptions> = {}): Client {
  const client = createClient({ url, retryAttempts: 0, webSocketImpl: WebSocket, lazy: false, onNonLazyError: () => {}, ...options })
  t.teardown(() => client.dispose())
  return client
}

/** The results of an operation, one by one. */
function subscribe (client: Client, payload: SubscribePayload): () => Promise<unknown> {
  const results = client.iterate(payload)
  return async () => (await results.next()).value?.data
}

for (const [name, webSocketImpl] of [['ws', WebSocket], ['undici', UndiciWebSocket]] as const) {
  t.test(`graphql-transport-ws, client with ${name}`, async t => {
    const { app, url } = await startMercurius(t, { fullWsTransport: true })
    const client = connect(t, url, { webSocketImpl })
    const ada = subscribe(client, { query: VOTES, variables: { for: 'Ada' } })
    const bob = subscribe(client, { query: VOTES, variables: { for: 'Bob' } })
    t.same(await Promise.all([ada(), bob()]), [{ votes: 0 }, { votes: 0 }])

    await voteOverHttp(app, 'Ada')
    t.same(await ada(), { votes: 1 }, 'from HTTP to the WebSocket')
    t.same(await subscribe(client, { query: VOTE, variables: { for: 'Bob' } })(), { vote: 1 }, 'a mutation over the WebSocket')
    t.same(await bob(), { votes: 1 })

    const counts = Array.from({ length: 100 }, (_, i) => ({ votes: i }))
    for (const payload of counts) await app.graphql.pubsub.publish({ topic: 'votes for Ada', payload })
    const received: unknown[] = []
    for (let i = 0; i < counts.length; i++) received.push(await ada())
    t.strictSame(received, counts, 'published by the app')
    t.equal(app.websocketServer.stats.opened, 1, 'all of it over one connection')
  })
}

/** One message after the other, as JSON. */
function talk (t: Test, url: string, protocols: string[]): { client: WebSocket, opened: Promise<unknown>, send (message: object): void, next (): Promise<unknown> } {
  const client = new WebSocket(url, protocols)
  t.teardown(() => client.terminate())
  const waiting: unknown[] = []
  let wake = (): void => {}
  client.on('message', data => {
    waiting.push(JSON.parse(String(data)))
    wake()
  })
  return {
    client,
    opened: once(client, 'open'),
    send: message => client.send(JSON.stringify(message)),
    async next () {
      while (waiting.length === 0) await new Promise<void>(resolve => { wake = resolve })
      return waiting.shift()
    }
  }
}

t.test('graphql-ws, the older protocol', async t => {
  const { app, url } = await startMercurius(t, true)
  const { client, opened, send, next } = talk(t, url, ['graphql-ws'])
  await opened
  t.equal(client.protocol, 'graphql-ws')
  send({ type: 'connection_init' })
  t.match(await next(), { type: 'connection_ack' })
  send({ type: 'start', id: '1', payload: { query: VOTES, variables: { for: 'Ada' } } })
  t.same(await next(), { type: 'data', id: '1', payload: { data: { votes: 0 } } })
  await voteOverHttp(app, 'Ada')
  t.same(await next(), { type: 'data', id: '1', payload: { data: { votes: 1 } } })
  send({ type: 'stop', id: '1' })
  t.match(await next(), { type: 'complete', id: '1' })
  send({ type: 'connection_terminate' })
  t.equal((await once(client, 'close'))[0], 1005)
})

t.test('a client without a subprotocol', async t => {
  const { url } = await startMercurius(t, { wsDefaultSubprotocol: 'graphql-transport-ws' })
  const { client, opened, send, next } = talk(t, url, [])
  await opened
  t.equal(client.protocol, '')
  send({ type: 'connection_init' })
  t.match(await next(), { type: 'connection_ack' })

  const strict = await startMercurius(t, true)
  const logged = t.capture(console, 'log')
  t.equal((await once(new WebSocket(strict.url), 'close'))[0], 1002)
  t.same(logged().map(({ args }) => args), [['wrong websocket protocol: ']])
})

t.test('onConnect, context, onDisconnect and keepAlive', async t => {
  const left = gate()
  const pinged = gate()
  const { app, url } = await startMercurius(t, {
    keepAlive: 1,
    onConnect: ({ payload }) => payload?.token === 'secret' && { user: payload.user },
    context: (_socket, request) => ({ address: request.ip }),
    onDisconnect: ({ user }) => { if (user === 'ada') left.open() }
  })
  const ada = connect(t, url, { connectionParams: { token: 'secret', user: 'ada' }, on: { ping: () => pinged.open() } })
  t.same(await subscribe(ada, { query: 'subscription { whoami }' })(), { whoami: ['ada', '127.0.0.1'] })
  await pinged.passed
  await ada.dispose()
  await left.passed

  const { client, opened, send, next } = talk(t, url, PROTOCOLS)
  await opened
  send({ type: 'connection_init', payload: { token: 'guessed' } })
  t.same(await next(), { type: 'connection_error', payload: { message: 'Forbidden' } })
  t.equal((await once(client, 'close'))[0], 1005)
  t.equal(app.websocketServer.stats.opened, 2)
})

t.test('verifyClient is an option of the plugin, as Mercurius has it only for what it registers itself', async t => {
  const verifyClient: VerifyClient = ({ req }, next) => {
    if (req.headers.authorization === 'secret') next(true)
    else next(false, 403, 'Not you')
  }
  const { app, url } = await startMercurius(t, true, { options: { verifyClient } })
  const [, response] = await once(new WebSocket(url, PROTOCOLS), 'unexpected-response')
  t.equal(response.statusCode, 403)
  response.destroy()
  const known = new WebSocket(url, PROTOCOLS, { headers: { authorization: 'secret' } })
  t.teardown(() => known.terminate())
  await once(known, 'open')
  t.equal(app.websocketServer.stats.opened, 1)
})

t.test('app.close() ends subscriptions', async t => {
  const disconnected = gate()
  const { app, url } = await startMercurius(t, { onDisconnect: () => disconnected.open() })
  const closed = gate()
  let closeCode = 0
  const client = connect(t, url, {
    on: {
      closed: event => {
        closeCode = (event as { code: number }).code
        closed.open()
      }
    }
  })
  const ada = subscribe(client, { query: VOTES, variables: { for: 'Ada' } })
  t.same(await ada(), { votes: 0 })
  await app.close()
  await Promise.all([closed.passed, disconnected.passed])
  t.equal(closeCode, 1001)
  await t.rejects(ada(), { code: 1001 })
})

t.test('registered behind Mercurius, which brings @fastify/websocket then, ours says that it has to come first', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(mercurius, { schema, subscription: true })
  await app.register(websocket)
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_UNSEEN_ROUTE', message: /\/graphql.*Register the plugin first/s })
})

t.test('examples/mercurius', async t => {
  const { url } = await runExample(t, 'examples/mercurius/server.ts')
  const client = connect(t, `${url.replace('http', 'ws')}/graphql`)
  const votes = subscribe(client, { query: VOTES, variables: { for: 'Ada' } })
  t.same(await votes(), { votes: 0 })
  t.same(await subscribe(client, { query: VOTE, variables: { for: 'Ada' } })(), { vote: 1 })
  t.same(await votes(), { votes: 1 })
  t.equal((await fetch(`${url}/graphiql`)).status, 200)
})
