import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import t from 'tap'
import websocket, { type DeclaredTopic } from '../../lib/index.js'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import type { Teardown } from '../support/app.js'
import { connectTopics } from './topics-client.js'

interface Process {
  readonly app: FastifyInstance
  readonly rooms: DeclaredTopic
  readonly news: DeclaredTopic
}

/** Processes of one app, over the same broker. */
async function startProcesses (t: Teardown, count: number): Promise<Process[]> {
  const bus = new MemoryBus()
  return Promise.all(Array.from({ length: count }, async () => {
    const app = Fastify() as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket, { broker: new MemoryBroker(bus) })
    app.get('/live', { websocket: { topics: true } })
    app.get('/raw/:room', { websocket: true }, async (connection, request) => {
      await connection.subscribe(rooms.name(request.params as { room: string }))
      connection.send('live')
      connection.on('json', message => connection.publish(rooms.name(request.params as { room: string }), message))
    })
    const schema = { message: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } }
    const rooms = app.topic('rooms/:room', { schema, history: { messages: 100, seconds: 60 } })
    const news = app.topic('news', { schema: { publish: true } })
    await app.ready()
    return { app, rooms, news }
  }))
}

t.test('with history: one order on all processes, positions that increase, and a retry that is stored once', async t => {
  const processes = await startProcesses(t, 3)
  const clients = await Promise.all(processes.map(({ app }) => connectTopics(t, app)))
  for (const client of clients) t.match(await client.subscribe('rooms/7'), { recovered: null, missed: 0 })
  const stored = await Promise.all(Array.from({ length: 30 }, (_, n) => processes[n % 3]!.rooms.publish({ room: 7 }, { n }, { id: `id-${n}` })))
  t.strictSame(stored.map(position => position!.offset).sort((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i + 1))
  t.strictSame(await processes[1]!.rooms.publish({ room: 7 }, { n: 0 }, { id: 'id-0' }), stored[0], 'the same id again, on another process')
  const seen = await Promise.all(clients.map(async client => {
    const messages: unknown[] = []
    while (messages.length < 30) messages.push((await client.next()).message)
    return messages
  }))
  t.strictSame(seen[1], seen[0])
  t.strictSame(seen[2], seen[0])
  t.equal(new Set(seen[0]!.map(message => JSON.stringify(message))).size, 30)
  await processes[0]!.rooms.publish({ room: 7 }, { n: 100 })
  for (const client of clients) t.match(await client.next(), { message: { n: 100 } }, 'nothing came twice')
  const { messages } = await processes[2]!.rooms.at({ room: 7 }).history()
  t.strictSame(messages.map(({ message }) => message), [...seen[0]!, { n: 100 }], 'and the history is the same')
})

t.test('a client comes back to another process, and gets what it has missed exactly once', async t => {
  const [first, second] = await startProcesses(t, 2)
  const client = await connectTopics(t, first!.app)
  await client.subscribe('rooms/7')
  await second!.rooms.publish({ room: '7' }, { n: 1 })
  const { at } = await client.next()
  await client.close()
  await first!.app.close()
  for (const n of [2, 3]) await second!.rooms.publish({ room: '7' }, { n })
  const again = await connectTopics(t, second!.app)
  t.match(await again.subscribe('rooms/7', at as string), { recovered: true, missed: 2 })
  for (const n of [2, 3]) t.match(await again.next(), { message: { n } })
  await second!.rooms.publish({ room: '7' }, { n: 4 })
  t.match(await again.next(), { message: { n: 4 } })
})

t.test('without history: null instead of a position, and subscribers of every process', async t => {
  const processes = await startProcesses(t, 2)
  const clients = await Promise.all(processes.map(({ app }) => connectTopics(t, app)))
  for (const client of clients) t.match(await client.subscribe('news'), { subscribed: 'news', at: null })
  t.equal(await processes[1]!.news.publish({}, 'a text', { id: 'x' }), null)
  for (const client of clients) t.strictSame(await client.next(), { topic: 'news', at: null, id: 'x', message: 'a text' })
  clients[0]!.send({ publish: 'news', message: [1], id: 'y' })
  const answers = [await clients[0]!.next(), await clients[0]!.next()]
  t.match(answers.find(answer => 'published' in answer), { published: 'y', at: null })
  t.match(await clients[1]!.next(), { id: 'y', message: [1] })
  await t.rejects(processes[0]!.news.at({}).history(), { code: 'FST_WS_ERR_INVALID_ARGUMENT' })
})

t.test('connections that the app has subscribed get the JSON of the messages, and publish values', async t => {
  const [first, second] = await startProcesses(t, 2)
  const ada = await first!.app.injectWS('/raw/7')
  const bob = await second!.app.injectWS('/raw/7')
  for (const client of [ada, bob]) {
    t.teardown(() => client.terminate())
    t.equal(String((await once(client, 'message'))[0]), 'live')
  }
  const protocol = await connectTopics(t, first!.app)
  await protocol.subscribe('rooms/7')
  const heard = once(bob, 'message')
  ada.sendJson({ n: 1, more: true })
  const [data, isBinary] = await heard as [Buffer, boolean]
  t.strictSame([String(data), isBinary], ['{"n":1}', false])
  t.match(await protocol.next(), { topic: 'rooms/7', message: { n: 1 } })
  t.equal(first!.rooms.at({ room: '7' }).subscribers, 2)
})
