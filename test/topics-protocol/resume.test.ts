import t from 'tap'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ProtocolClient, startProcesses, type Message } from './support.js'

// Clients that come back, to other processes too. They hold positions, and the servers nothing.

function declare (app: FastifyInstance): void {
  app.topic('rooms/:room', { schema: { publish: {} }, history: { messages: 50, seconds: 60 } })
  app.topic('plain/:name', { schema: { publish: {} } })
  app.get('/live', { websocket: { topics: true } })
}

function numbersOf (messages: Message[]): unknown[] {
  return messages.filter(message => 'topic' in message && !('published' in message)).map(({ message }) => message)
}

t.test('a client resumes on another process, while its old connection still lives', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const a = await ProtocolClient.open(t, one!.app)
  await a.ask({ subscribe: { 'rooms/1': null } })
  for (let i = 1; i <= 3; i++) await two!.app.websocketServer.publish('rooms/1', i)
  const first = await a.take(3)
  t.strictSame(numbersOf(first), [1, 2, 3])

  const b = await ProtocolClient.open(t, two!.app)
  b.send({ subscribe: { 'rooms/1': first[0]!.at } })
  t.strictSame(await b.next(), { subscribed: 'rooms/1', at: first[0]!.at, recovered: true, missed: 2 })
  t.strictSame(await b.take(2), first.slice(1), 'the same messages, position by position')
  await one!.app.websocketServer.publish('rooms/1', 4)
  t.strictSame([(await a.next()).message, (await b.next()).message], [4, 4])

  const c = await ProtocolClient.open(t, one!.app)
  t.match(await c.ask({ subscribe: { 'rooms/1': first[2]!.at } }), { recovered: true, missed: 1 })
  t.match(await c.next(), { message: 4 })
})

t.test('a topic in which nothing was published yet can be resumed', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const a = await ProtocolClient.open(t, one!.app)
  const { at } = await a.ask({ subscribe: { 'rooms/empty': null } })
  await one!.app.websocketServer.publish('rooms/empty', 1)
  const b = await ProtocolClient.open(t, two!.app)
  t.match(await b.ask({ subscribe: { 'rooms/empty': at } }), { recovered: true, missed: 1 })
  t.match(await b.next(), { message: 1 })
})

t.test('a position that is no longer kept, of another epoch, or of another message', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const { app } = one!
  const a = await ProtocolClient.open(t, app)
  const { at } = await a.ask({ subscribe: { 'rooms/1': null } })
  for (let i = 0; i < 200; i++) await app.websocketServer.publish('rooms/1', i)
  const messages = await a.take(200)
  const last = messages.at(-1)!.at as string
  const [epoch, offset] = last.split('.')
  for (const since of [at, messages[0]!.at, `other.${offset}.x`, `${epoch}.${offset}.forged`, `${epoch}.zzzzzz.x`]) {
    const b = await ProtocolClient.open(t, app)
    t.match(await b.ask({ subscribe: { 'rooms/1': since } }), { recovered: false, missed: 0, at: last }, String(since))
    b.socket.terminate()
  }
  const c = await ProtocolClient.open(t, app)
  t.match(await c.ask({ subscribe: { 'rooms/1': last } }), { recovered: true, missed: 0, at: last })
  t.match(await c.ask({ subscribe: { 'plain/1': last } }), { recovered: false, missed: 0, at: null }, 'a topic without history has nothing to resume')
})

t.test('messages that are published while a client joins come once and in order', async t => {
  const { processes } = await startProcesses(t, 3, declare)
  const COUNT = 300
  const first = await ProtocolClient.open(t, processes[0]!.app)
  let { at } = await first.ask({ subscribe: { 'rooms/1': null } })
  const publishing = (async () => {
    for (let i = 0; i < COUNT; i++) {
      await processes[i % 3]!.app.websocketServer.publish('rooms/1', i)
      await setImmediate()
    }
  })()
  const seen: unknown[] = []
  for (let turn = 0; seen.length < COUNT; turn++) {
    const client = await ProtocolClient.open(t, processes[turn % 3]!.app)
    const begun = await client.ask({ subscribe: { 'rooms/1': at } })
    t.equal(begun.recovered, true)
    for (const message of await client.take(Math.min(7, COUNT - seen.length))) {
      seen.push(message.message)
      at = message.at
    }
    client.socket.terminate()
  }
  await publishing
  t.strictSame(seen, Array.from({ length: COUNT }, (_, i) => i))
})

t.test('a message that is published twice with one id is stored once, wherever', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const a = await ProtocolClient.open(t, one!.app)
  const b = await ProtocolClient.open(t, two!.app)
  await a.ask({ subscribe: { 'rooms/1': null } })
  const first = await b.ask({ publish: 'rooms/1', message: 'once', id: 'x' })
  t.strictSame(await b.ask({ publish: 'rooms/1', message: 'once', id: 'x' }), first)
  const c = await ProtocolClient.open(t, one!.app)
  t.strictSame(await c.ask({ publish: 'rooms/1', message: 'once', id: 'x' }), first)
  t.match(await c.ask({ publish: 'rooms/2', message: 'another', id: 'x' }), { published: 'x', topic: 'rooms/2' }, 'ids belong to their topic')
  t.strictSame(numbersOf(await a.settle()), ['once'])
})

t.test('unsubscribing while a resume is under way', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const { app } = one!
  const a = await ProtocolClient.open(t, app)
  const { at } = await a.ask({ subscribe: { 'rooms/1': null } })
  for (let i = 0; i < 20; i++) await app.websocketServer.publish('rooms/1', i)
  const b = await ProtocolClient.open(t, app)
  for (let i = 0; i < 20; i++) {
    b.send({ subscribe: { 'rooms/1': at } })
    b.send({ unsubscribe: ['rooms/1'] })
  }
  b.send({ subscribe: { 'rooms/1': at } })
  const answers = [...await b.take(20), ...await b.take(21)]
  let isSubscribed = false
  for (const message of answers) {
    if ('unsubscribed' in message) isSubscribed = false
    else if ('subscribed' in message) isSubscribed = true
    else t.ok(isSubscribed, 'no message of a topic that is not subscribed')
  }
  t.strictSame(numbersOf(answers.slice(-20)), Array.from({ length: 20 }, (_, i) => i))
  t.equal(answers.filter(message => 'unsubscribed' in message).length, 20)
})

t.test('2,000 clients that come back at once cost a few reads', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const COUNT = 2_000
  const a = await ProtocolClient.open(t, one!.app)
  const { at } = await a.ask({ subscribe: { 'rooms/1': null } })
  for (let i = 0; i < 30; i++) await one!.app.websocketServer.publish('rooms/1', i)
  const clients = await Promise.all(Array.from({ length: COUNT }, () => ProtocolClient.open(t, two!.app)))
  const before = two!.app.websocketServer.stats.topics.reads
  for (const client of clients) client.send({ subscribe: { 'rooms/1': at } })
  // Messages come meanwhile.
  for (let i = 30; i < 40; i++) await one!.app.websocketServer.publish('rooms/1', i)
  const expected = JSON.stringify(Array.from({ length: 40 }, (_, i) => i))
  let wrong = 0
  await Promise.all(clients.map(async client => {
    const begun = await client.next()
    const messages = await client.take(40)
    if (begun.recovered !== true || JSON.stringify(numbersOf(messages)) !== expected) wrong++
    client.socket.terminate()
  }))
  t.equal(wrong, 0)
  const reads = two!.app.websocketServer.stats.topics.reads - before
  t.ok(reads <= 5, `${reads} reads`)
})
