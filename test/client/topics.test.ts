import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket as Ws } from 'ws'
import websocket from '../../lib/index.js'
import { connect, type ClientTopic, type ConnectOptions, type SocketConstructor, type TopicsClient } from '../../lib/client/index.js'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import type { Teardown } from '../support/app.js'
import { FaultProxy } from './fault-proxy.js'

// The client against real servers, through a proxy that does to its lines whatever can happen to them.

const WebSocket: SocketConstructor = Ws

async function startServer (t: Teardown, bus: MemoryBus): Promise<{ app: FastifyInstance, port: number }> {
  const app = Fastify({ forceCloseConnections: true }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, { broker: new MemoryBroker(bus), closeTimeout: 200 })
  app.topic('rooms/:room', { schema: { publish: { type: 'integer' }, message: { type: 'integer' } }, history: { messages: 10_000, seconds: 60 } })
  app.topic('prices', { schema: { publish: { type: 'integer' }, message: { type: 'integer' } } })
  app.topic('secret', { onSubscribe: () => { throw Object.assign(new Error('members only'), { code: 'MEMBERS_ONLY', statusCode: 403 }) } })
  app.topic('state/:name', { schema: { message: { type: 'integer' } }, history: { messages: 2, seconds: 60 }, snapshot: ({ name }) => ({ of: name }) })
  app.topic('people', { presence: { info: (_connection, request) => ({ name: (request.query as { name: string }).name }), grace: 5_000 } })
  app.get('/live', { websocket: { topics: true } }, connection => {
    connection.on('json', message => connection.sendJson({ echo: message }))
  })
  // A frozen line is found soon there; and on a busy machine, some that are not.
  app.get('/watched', { websocket: { topics: { beat: 120 } } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: (app.server.address() as AddressInfo).port }
}

interface Fixture {
  apps: FastifyInstance[]
  ports: number[]
  bus: MemoryBus
}

async function start (t: Teardown, servers = 1): Promise<Fixture> {
  const bus = new MemoryBus()
  const started = []
  for (let i = 0; i < servers; i++) started.push(await startServer(t, bus))
  return { apps: started.map(({ app }) => app), ports: started.map(({ port }) => port), bus }
}

function open (t: Teardown, url: string, options: ConnectOptions = {}, path = '/live'): TopicsClient {
  const client = connect(`${url}${path}`, { WebSocket, backoff: { base: 5, cap: 50 }, ...options })
  t.teardown(() => client.close())
  return client
}

/** Waits until a topic has got as many messages. */
function collect (topic: ClientTopic): { got: unknown[], resets: number, until (count: number): Promise<void> } {
  let wake = (): void => {}
  const collected = {
    got: [] as unknown[],
    resets: 0,
    async until (count: number) {
      while (collected.got.length < count) await new Promise<void>(resolve => { wake = resolve })
    }
  }
  topic.on('message', message => {
    collected.got.push(message)
    wake()
  })
  topic.on('reset', () => { collected.resets++ })
  return collected
}

async function event (emitter: object, name: string): Promise<unknown[]> {
  return new Promise(resolve => {
    const off = (emitter as { on (event: string, listener: (...args: unknown[]) => void): () => void }).on(name, (...args) => {
      off()
      resolve(args)
    })
  })
}

t.test('messages, publishing, and the route\'s own messages', async t => {
  const { ports } = await start(t)
  const client = open(t, `ws://127.0.0.1:${ports[0]}`)
  const room = client.topic('rooms/7')
  t.equal(client.topic('rooms/7'), room)
  const { got, until } = collect(room)
  await room.subscribe()
  t.ok(room.isLive)
  const at = await room.publish(1)
  t.type(at, 'string')
  await until(1)
  t.equal(room.position, at)
  await Promise.all([2, 3, 4].map(n => room.publish(n)))
  await until(4)
  t.same(got, [1, 2, 3, 4])
  t.equal(await room.publish(5, { id: 'mine' }), await room.publish(5, { id: 'mine' }), 'the same id is stored once')
  await until(5)

  client.send({ any: 'thing' })
  t.same(await event(client, 'message'), [{ echo: { any: 'thing' } }])

  const prices = client.topic('prices')
  await prices.subscribe()
  t.equal(await prices.publish(1), null)
  await t.rejects(room.publish('no integer'), { name: 'ClientError', code: 'FST_WS_ERR_INVALID_MESSAGE' })
  await t.rejects(client.topic('nowhere').publish(1), { code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
})

t.test('a loop gets every message, and ends with the subscription', async t => {
  const { apps, ports } = await start(t)
  const client = open(t, `ws://127.0.0.1:${ports[0]}`)
  const room = client.topic('rooms/7')
  const got: unknown[] = []
  const looping = (async () => { for await (const message of room) got.push(message) })()
  await room.subscribe()
  for (let n = 0; n < 5; n++) await apps[0]!.websocketServer.publish('rooms/7', n)
  await client.topic('prices').publish(0)
  room.unsubscribe()
  await apps[0]!.websocketServer.publish('rooms/7', 99)
  await looping
  t.same(got, [0, 1, 2, 3, 4])
  const loop = client.topic('rooms/7')[Symbol.asyncIterator]()
  t.same(await loop.next(), { value: 99, done: false }, 'subscribed again, it goes on where it was')
  t.same(await loop.return!(), { value: undefined, done: true })
})

t.test('a refused topic', async t => {
  const { ports } = await start(t)
  const client = open(t, `ws://127.0.0.1:${ports[0]}`)
  const secret = client.topic('secret')
  const refused = event(secret, 'refused')
  await t.rejects(secret.subscribe(), { code: 'MEMBERS_ONLY', message: 'members only' })
  t.match(await refused, [{ code: 'MEMBERS_ONLY' }])
  await t.rejects((async () => { for await (const message of client.topic('nowhere')) t.fail(String(message)) })(), { code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
  t.equal(client.state, 'open')
})

t.test('members', async t => {
  const { ports } = await start(t)
  const ada = connect(`ws://127.0.0.1:${ports[0]}/live?name=Ada`, { WebSocket, backoff: { base: 5 } })
  t.teardown(() => ada.close())
  const people = ada.topic('people')
  const first = event(people, 'presence')
  await people.subscribe()
  t.match(await first, [[{ info: { name: 'Ada' } }], 1], 'those who are there are told too')
  t.match(people.members, [{ info: { name: 'Ada' } }])
  const proxy = await FaultProxy.start(t, ports[0]!)
  const joined = event(people, 'presence')
  const bob = connect(`${proxy.url}/live?name=Bob`, { WebSocket, backoff: { base: 5 } })
  t.teardown(() => bob.close())
  await bob.topic('people').subscribe()
  const [members, count] = await joined as [Array<{ info: { name: string } }>, number]
  t.same([members.map(({ info }) => info.name).sort(), count], [['Ada', 'Bob'], 2])

  const changes: unknown[] = []
  people.on('presence', members => changes.push(members.length))
  const back = event(bob.topic('people'), 'live')
  proxy.cut()
  await back
  await ada.topic('rooms/x').publish(1)
  t.same(changes, [], 'a client that comes back neither leaves nor joins')
  const left = event(people, 'presence')
  bob.topic('people').unsubscribe()
  t.match(await left, [[{ info: { name: 'Ada' } }], 1])
})

t.test('a topic that has moved on too far, and its snapshot', async t => {
  const { apps, ports } = await start(t)
  const proxy = await FaultProxy.start(t, ports[0]!)
  const client = open(t, proxy.url)
  const topic = client.topic('state/x')
  t.same(await event(topic, 'reset'), [{ of: 'x' }], 'the state as it is')
  const { got, until } = collect(topic)
  await apps[0]!.websocketServer.publish('state/x', 1)
  await until(1)
  proxy.answer = 'refuse'
  proxy.cut()
  for (let n = 2; n < 20; n++) await apps[0]!.websocketServer.publish('state/x', n)
  const reset = event(topic, 'reset')
  proxy.answer = null
  t.same(await reset, [{ of: 'x' }])
  await apps[0]!.websocketServer.publish('state/x', 20)
  await until(2)
  t.same(got, [1, 20])
})

t.test('without history: a gap, and no message twice', async t => {
  const { ports } = await start(t)
  const proxy = await FaultProxy.start(t, ports[0]!)
  const client = open(t, proxy.url, {}, '/watched')
  const prices = client.topic('prices')
  await prices.subscribe()
  const gap = event(prices, 'gap')
  proxy.cut()
  await gap
  proxy.freeze()
  const publishing = prices.publish(7)
  await t.rejects(publishing, { code: 'unknown' }, 'the server may have it: it is not sent again')
})

t.test('a page that goes on where an earlier one was', async t => {
  const { apps, ports } = await start(t)
  const first = open(t, `ws://127.0.0.1:${ports[0]}`)
  await first.topic('rooms/7').subscribe()
  await first.topic('rooms/7').publish(1)
  const since = await first.topic('rooms/7').publish(2)
  first.close()
  await apps[0]!.websocketServer.publish('rooms/7', 3)
  const second = open(t, `ws://127.0.0.1:${ports[0]}`)
  const { got, until } = collect(second.topic('rooms/7', { since: since! }))
  await until(1)
  t.same(got, [3])
  const third = open(t, `ws://127.0.0.1:${ports[0]}`)
  const broken = third.topic('rooms/7', { since: 'not a position' })
  await event(broken, 'reset')
  await broken.subscribe()
  t.ok(broken.isLive)
})

t.test('answers that are no handshakes', async t => {
  const { ports } = await start(t)
  const proxy = await FaultProxy.start(t, ports[0]!)
  for (const answer of [
    { status: '401 Unauthorized' }, { status: '403 Forbidden' }, { status: '429 Too Many Requests', headers: 'retry-after: 1\r\n' },
    { status: '503 Service Unavailable', headers: 'retry-after: 1\r\n' }, 'refuse', 'never'
  ] as const) {
    proxy.answer = answer
    const client = open(t, proxy.url, { connectTimeout: 50 })
    const publishing = client.topic('rooms/7').publish(1)
    const attempts = proxy.connections
    while (proxy.connections < attempts + 3) await event(client, 'state')
    proxy.answer = null
    t.type(await publishing, 'string', `${JSON.stringify(answer)}: it comes through in the end`)
    client.close()
  }
})

t.test('nothing is lost, doubled or out of order, whatever happens to the lines', async t => {
  const { ports, apps } = await start(t, 2)
  const proxies = [await FaultProxy.start(t, ...ports), await FaultProxy.start(t, ...ports)]
  const [publisher, subscriber] = proxies.map(({ url }) => open(t, url, { connectTimeout: 200 }, '/watched')) as [TopicsClient, TopicsClient]
  const room = subscriber.topic('rooms/42')
  const collected = collect(room)
  await room.subscribe()
  const numbers = Array.from({ length: 400 }, (_, n) => n)
  let random = 7
  const next = (max: number): number => Math.floor((random = (random * 1103515245 + 12345) % 2 ** 31) / 65_536) % max
  const faults = [
    (proxy: FaultProxy) => proxy.cut(),
    (proxy: FaultProxy) => proxy.freeze(),
    (proxy: FaultProxy) => proxy.halfClose(),
    (proxy: FaultProxy) => {
      proxy.answer = 'refuse'
      proxy.cut()
      setTimeout(() => { proxy.answer = null }, 30)
    },
    (proxy: FaultProxy) => { proxy.delay = next(10) }
  ]
  const published: Array<Promise<string | null>> = []
  for (const n of numbers) {
    published.push(publisher.topic('rooms/42').publish(n))
    if (n % 8 === 0) {
      const proxy = proxies[next(2)]!
      proxy.targets.reverse()
      faults[next(faults.length)]!(proxy)
    }
    await new Promise(resolve => setTimeout(resolve, next(6)))
  }
  const places = await Promise.all(published)
  await collected.until(numbers.length)
  t.same(collected.got, numbers, 'each once, in the order in which they were published')
  t.equal(collected.resets, 0)
  t.equal(new Set(places).size, numbers.length)
  t.ok(proxies.every(({ connections }) => connections > 5), 'the lines were lost many times')
  const kept = await apps[0]!.websocketServer.topic('rooms/42').history({ limit: 1_000 })
  t.same(kept.messages.map(({ message }) => message), numbers, 'and each is stored once')
})
