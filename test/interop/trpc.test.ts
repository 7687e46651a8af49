// tRPC: its plugin for Fastify with `useWSS`, its handler for servers of ws, and its client. All run as they were published.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createTRPCClient, createWSClient, wsLink, type TRPCClient, type WebSocketClientOptions } from '@trpc/client'
import { initTRPC, tracked, TRPCError } from '@trpc/server'
import { fastifyTRPCPlugin, type FastifyTRPCPluginOptions } from '@trpc/server/adapters/fastify'
import { applyWSSHandler, type CreateWSSContextFnOptions } from '@trpc/server/adapters/ws'
import { observable } from '@trpc/server/observable'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket, type WebSocketServer } from 'ws'
import { z } from 'zod'
import { startApp } from '../support/app.js'
import { runExample } from '../support/run-example.js'
import { gate, type Gate } from '../support/server-sockets.js'
import { listenAgain } from './listen-again.js'
import { runClient } from './run-client.js'

interface Context {
  user: string
  path: string | undefined
}

/** Shared by the procedures and the test: the procedures report cancelled and ended subscriptions by it. */
interface World {
  readonly cancelled: Gate
  readonly unsubscribed: Gate
  /** Resolves when the events behind the first may come. */
  readonly more: Gate
}

function createWorld (): World {
  return { cancelled: gate(), unsubscribed: gate(), more: gate() }
}

const trpc = initTRPC.context<Context>().create()

function createRouter (world: World) {
  return trpc.router({
    greet: trpc.procedure.input(z.object({ name: z.string().min(1) })).query(({ input }) => `hello ${input.name}`),
    whoami: trpc.procedure.query(({ ctx }) => ctx),
    sum: trpc.procedure.input(z.array(z.number())).mutation(({ input }) => input.reduce((sum, n) => sum + n, 0)),
    countTo: trpc.procedure.input(z.number()).subscription(async function * ({ input }) {
      for (let i = 1; i <= input; i++) yield i
    }),
    /** Event 1, and when there is more all that are missing up to 5. Runs until it is cancelled. */
    events: trpc.procedure.input(z.object({ lastEventId: z.string().optional() })).subscription(async function * ({ input, signal }) {
      const isOver = once(signal!, 'abort')
      let id = Number(input.lastEventId ?? 0)
      if (id === 0) yield tracked(String(++id), `event ${id}`)
      await Promise.race([world.more.passed, isOver])
      while (id < 5 && !signal!.aborted) yield tracked(String(++id), `event ${id}`)
      await isOver
      world.cancelled.open()
    }),
    ticks: trpc.procedure.subscription(() => observable<number>(observer => {
      observer.next(1)
      const timer = setInterval(() => observer.next(2), 1)
      return () => {
        clearInterval(timer)
        world.unsubscribed.open()
      }
    }))
  })
}

type Router = ReturnType<typeof createRouter>
type PluginOptions = FastifyTRPCPluginOptions<Router>

function createContext ({ req, info }: Pick<CreateWSSContextFnOptions, 'info'> & { req: Pick<IncomingMessage, 'url'> }): Context {
  const user = info.connectionParams?.user ?? 'nobody'
  if (user === 'mallory') throw new TRPCError({ code: 'UNAUTHORIZED', message: 'not you' })
  return { user, path: req.url?.split('?')[0] }
}

async function addTrpc (app: FastifyInstance, world: World, options: Partial<PluginOptions['trpcOptions']> = {}): Promise<void> {
  await app.register(fastifyTRPCPlugin, {
    prefix: '/trpc',
    useWSS: true,
    trpcOptions: { router: createRouter(world), createContext, ...options }
  } satisfies PluginOptions)
}

interface Connected {
  client: TRPCClient<Router>
  /** The close codes of the client's WebSockets so far. */
  closes: (number | undefined)[]
  closed: Gate
  socket: ReturnType<typeof createWSClient>
}

function connect (t: Test, url: string, options: Omit<WebSocketClientOptions, 'url'>): Connected {
  const closes: Connected['closes'] = []
  const closed = gate()
  const socket = createWSClient({
    url: `${url}/trpc`,
    retryDelayMs: () => 20,
    onClose: cause => {
      closes.push(cause?.code)
      closed.open()
    },
    ...options
  })
  t.teardown(() => socket.close())
  return { client: createTRPCClient<Router>({ links: [wsLink({ client: socket })] }), closes, closed, socket }
}

const implementations = { ws: WebSocket, undici: UndiciWebSocket } as unknown as Record<string, NonNullable<WebSocketClientOptions['WebSocket']>>

for (const [name, implementation] of Object.entries(implementations)) {
  t.test(`client with ${name}: queries, mutations, subscriptions, errors`, async t => {
    const world = createWorld()
    const { app, url } = await startApp(t, app => addTrpc(app, world))
    const { client } = connect(t, url, { WebSocket: implementation, connectionParams: async () => ({ user: 'ada' }) })

    t.equal(await client.greet.query({ name: 'Grüße' }), 'hello Grüße')
    t.same(await client.whoami.query(), { user: 'ada', path: '/trpc' }, 'with the connection parameters and the request')
    t.same(await Promise.all([[1, 2], [3], []].map(numbers => client.sum.mutate(numbers))), [3, 3, 0])
    t.match(await errorOf(client.greet.query({ name: '' })), { data: { code: 'BAD_REQUEST' } })
    // @ts-expect-error: there is no such procedure
    t.match(await errorOf(client.nothing.query()), { data: { code: 'NOT_FOUND' } })

    t.same(await Promise.all([300, 0, 3].map(n => collect(client, n))), [300, 0, 3].map(n => Array.from({ length: n }, (_, i) => i + 1)))

    const ticks: number[] = []
    const ticking = gate()
    const subscription = client.ticks.subscribe(undefined, {
      onData: tick => {
        ticks.push(tick)
        if (ticks.length === 3) ticking.open()
      }
    })
    await ticking.passed
    t.same(ticks.slice(0, 3), [1, 2, 2], 'from an observable')
    subscription.unsubscribe()
    await world.unsubscribed.passed
    t.equal(app.websocketServer.stats.opened, 1, 'all of it over one connection')

    const response = await fetch(`${url.replace('ws:', 'http:')}/trpc/greet?input=${encodeURIComponent('{"name":"HTTP"}')}`)
    t.same(await response.json(), { result: { data: 'hello HTTP' } }, 'the same procedures over HTTP')
  })

  t.test(`client with ${name}: a tracked subscription goes on where it was, over a lost connection and a restart`, async t => {
    const world = createWorld()
    const { app, port, url } = await startApp(t, app => addTrpc(app, world))
    const { client, closes } = connect(t, url, { WebSocket: implementation })
    const events = subscribeToEvents(client)
    t.same(await events.next(), { id: '1', data: 'event 1' })
    const again = once(app.websocketServer, 'connection')
    for (const connection of app.websocketServer.clients) connection.terminate()
    await Promise.all([again, world.cancelled.passed])

    await app.close()
    const restarted = createWorld()
    await listenAgain(t, port, app => addTrpc(app, restarted))
    restarted.more.open()
    for (const id of ['2', '3', '4', '5']) t.same(await events.next(), { id, data: `event ${id}` })
    t.same(closes.slice(0, 2), [1006, 1001])
    t.equal(await client.greet.query({ name: 'you' }), 'hello you')
    events.unsubscribe()
    await restarted.cancelled.passed
  })
}

async function errorOf (call: Promise<unknown>): Promise<unknown> {
  return call.then(result => { throw new Error(`no error, but ${JSON.stringify(result)}`) }, (error: unknown) => error)
}

/** All that `countTo` gives until it is complete. */
function collect (client: Connected['client'], n: number): Promise<number[]> {
  const numbers: number[] = []
  return new Promise((resolve, reject) => {
    client.countTo.subscribe(n, {
      onData: number => { numbers.push(number) },
      onComplete: () => resolve(numbers),
      onError: reject
    })
  })
}

type TrackedEvent = { id: string, data: string }

/** The events, one by one. Those that nobody has asked for yet wait. */
function subscribeToEvents (client: Connected['client']): { next (): Promise<TrackedEvent>, unsubscribe (): void } {
  const waiting: TrackedEvent[] = []
  let wake = (): void => {}
  const { unsubscribe } = client.events.subscribe({}, {
    onData: event => {
      waiting.push(event)
      wake()
    }
  })
  return {
    unsubscribe,
    async next () {
      while (waiting.length === 0) await new Promise<void>(resolve => { wake = resolve })
      return waiting.shift()!
    }
  }
}

t.test('a client for whom no context can be made is told why, and closed', async t => {
  const errors: string[] = []
  const { url } = await startApp(t, app => addTrpc(app, createWorld(), { onError: ({ error }) => { errors.push(error.code) } }))
  const client = new WebSocket(`${url}/trpc?connectionParams=1`)
  const messages: unknown[] = []
  client.on('message', data => messages.push(JSON.parse(String(data))))
  client.on('open', () => client.send('{"method":"connectionParams","data":{"user":"mallory"}}'))
  t.equal((await once(client, 'close'))[0], 1005)
  t.match(messages, [{ id: null, error: { message: 'not you', data: { code: 'UNAUTHORIZED' } } }])
  t.same(errors, ['UNAUTHORIZED'])
})

t.test('both sides keep the connection alive', async t => {
  // As long as the client may take to answer, on the slowest machine too.
  const { url } = await startApp(t, app => addTrpc(app, createWorld(), { keepAlive: { enabled: true, pingMs: 200, pongWaitMs: 1000 } }))
  const silent = new WebSocket(`${url}/trpc`)
  const received: string[] = []
  silent.on('message', data => received.push(String(data)))
  silent.on('open', () => silent.send('PING'))
  const { client, closes } = connect(t, url, { WebSocket: implementations.ws, keepAlive: { enabled: true, intervalMs: 10, pongTimeoutMs: 10_000 } })
  await client.greet.query({ name: 'you' })

  t.equal((await once(silent, 'close'))[0], 1006, 'who does not answer is given up')
  t.same(new Set(received), new Set(['PONG', 'PING']), 'is answered, and asked')
  t.same(closes, [], 'who does is not')
  t.equal(await client.greet.query({ name: 'you' }), 'hello you')
})

t.test('app.close() ends subscriptions', async t => {
  const world = createWorld()
  const { app, url } = await startApp(t, app => addTrpc(app, world))
  const { client, closes, closed, socket } = connect(t, url, { WebSocket: implementations.undici })
  await subscribeToEvents(client).next()
  await app.close()
  await world.cancelled.passed
  t.equal(app.websocketServer.clients.size, 0)
  await closed.passed
  t.equal(closes[0], 1001)
  // Else it would be back before the next test.
  await socket.close()
})

t.test('applyWSSHandler, which is for ws, on app.websocketServer: clients are told to reconnect, and miss nothing', async t => {
  const world = createWorld()
  const { app, url } = await startApp(t, app => {
    app.get('/trpc', { websocket: true }, () => {})
    app.get('/other', { websocket: true }, connection => connection.send('untouched'))
  })
  const { broadcastReconnectNotification } = applyWSSHandler({
    wss: app.websocketServer as unknown as WebSocketServer,
    prefix: '/trpc',
    router: createRouter(world),
    createContext
  })
  const other = new WebSocket(`${url}/other`)
  t.teardown(() => other.terminate())
  t.equal(String((await once(other, 'message'))[0]), 'untouched')

  const { client, closes, closed } = connect(t, url, { WebSocket: implementations.ws })
  const events = subscribeToEvents(client)
  t.same(await events.next(), { id: '1', data: 'event 1' })
  const left = once(app.websocketServer, 'connection')
  broadcastReconnectNotification()
  t.equal(String((await once(other, 'message'))[0]), '{"id":null,"method":"reconnect"}', 'all of the server\'s clients are')
  await left
  await world.cancelled.passed
  world.more.open()
  for (const id of ['2', '3', '4', '5']) t.same(await events.next(), { id, data: `event ${id}` })
  events.unsubscribe()
  t.equal(app.websocketServer.stats.opened, 3)
  await closed.passed
  t.same(closes, [1005], 'the client has closed the old connection')
})

t.test('examples/trpc', async t => {
  const { url } = await runExample(t, 'examples/trpc/server.ts')
  const clients = [0, 1].map(() => runClient(t, 'examples/trpc/client.ts', `${url.replace('http', 'ws')}/trpc`))
  // Each hears both, whoever was first.
  for (const client of clients) t.same([(await client.next()).value, (await client.next()).value], ['0: Hello!', '1: Hello!'])
})
