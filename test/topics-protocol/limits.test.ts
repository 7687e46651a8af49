import fc from 'fast-check'
import t from 'tap'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import WebSocket from 'ws'
import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { ScriptedBroker } from '../topics/scripted-broker.js'
import { ProtocolClient, type Message } from './support.js'

// A client cannot make the server hold more than its limits, nor harm others.

function declare (app: FastifyInstance): void {
  app.topic('rooms/:room', { schema: { publish: {} }, history: { messages: 100, seconds: 60 } })
  app.topic('plain/:name', { schema: { publish: {} } })
}

t.test('the rate limit of the route counts the messages of the protocol', async t => {
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true, rateLimit: { messages: 5, window: 60_000 } } })
  })
  const a = await ProtocolClient.open(t, app)
  for (const message of [{}, { presence: 'rooms/1' }, 'nonsense', { unsubscribe: ['rooms/1'] }, { publish: 'plain/1', message: 1, id: 'last' }]) a.send(message)
  t.match((await a.take(4)).at(-1), { published: 'last' })
  a.send({ publish: 'plain/1', message: 1 })
  t.match(await a.closed, { code: 1008 })
})

t.test('a connection has up to 128 topics by default, and a message names no more', async t => {
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  const names = Array.from({ length: 129 }, (_, i) => `plain/${i}`)
  const wanted = (topics: string[]): object => ({ subscribe: Object.fromEntries(topics.map(topic => [topic, null])) })
  t.match(await a.ask(wanted(names)), { refused: 'subscribe', code: 'FST_WS_ERR_INVALID_REQUEST' })
  t.match(await a.ask({ unsubscribe: names }), { refused: 'unsubscribe', code: 'FST_WS_ERR_INVALID_REQUEST' })
  a.send(wanted(names.slice(0, 128)))
  t.ok((await a.take(128)).every(message => 'subscribed' in message))
  t.match(await a.ask(wanted(names.slice(128))), { refused: 'subscribe', topic: 'plain/128', code: 'FST_WS_ERR_MAX_SUBSCRIPTIONS' })
  await a.ask({ unsubscribe: ['plain/0'] })
  t.match(await a.ask(wanted(names.slice(128))), { subscribed: 'plain/128' })
})

t.test('whatever a client sends, it gets answers, and the connection stays', async t => {
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  const topic = fc.oneof(fc.constantFrom('rooms/1', 'rooms/2', 'plain/1', '', '*'), fc.string())
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), topic)
  const message = fc.oneof(
    fc.record({ subscribe: fc.oneof(fc.dictionary(topic, fc.oneof(fc.constant(null), value), { maxKeys: 4 }), value) }),
    fc.record({ unsubscribe: fc.oneof(fc.array(topic, { maxLength: 4 }), value) }),
    fc.record({ publish: value, message: value, id: value }, { requiredKeys: ['publish'] }),
    fc.record({ presence: value }),
    fc.object()
  )
  await fc.assert(fc.asyncProperty(fc.array(fc.oneof(message.map(value => JSON.stringify(value)), fc.string()), { maxLength: 20 }), async texts => {
    for (const text of texts) a.send(text)
    const answers = await a.settle()
    return a.socket.readyState === a.socket.OPEN && answers.every(answer => Object.keys(answer).length > 0)
  }), { numRuns: 100 })
  a.socket.terminate()
  await Promise.all([...app.websocketServer.clients].map(({ closed }) => closed))
  t.equal(app.websocketServer.stats.topics.subscriptions, 0)
})

t.test('a message longer than maxPayload closes the connection', async t => {
  const { app } = await startApp(t, app => { app.get('/live', { websocket: { topics: true, maxPayload: 1_000 } }) })
  const a = await ProtocolClient.open(t, app)
  a.send({ publish: 'a', message: 'x'.repeat(1_000) })
  t.match(await a.closed, { code: 1009 })
})

t.test('deeply nested messages are refused or published, and harm nobody', async t => {
  const { app } = await startApp(t, app => {
    declare(app)
    app.topic('strict', { schema: { publish: { type: 'object', properties: { next: {} } }, message: { type: 'object', properties: { text: { type: 'string' } } } } })
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  const deep = '['.repeat(200_000) + ']'.repeat(200_000)
  for (const topic of ['rooms/1', 'plain/1', 'strict']) {
    a.send(`{"publish":"${topic}","message":${deep},"id":"deep"}`)
    const answer = await a.next()
    // Node 26 writes JSON of any depth, and earlier versions overflow the stack.
    if (answer.published === undefined) t.match(answer, { refused: 'publish', id: 'deep', code: 'FST_WS_ERR_INVALID_MESSAGE', retry: false }, topic)
    else t.match(answer, { published: 'deep', topic }, topic)
  }
  a.send(deep)
  t.match(await a.next(), { refused: 'message', code: 'FST_WS_ERR_UNKNOWN_MESSAGE' })
  a.send(`{"subscribe":${deep}}`)
  t.match(await a.next(), { refused: 'subscribe', code: 'FST_WS_ERR_INVALID_REQUEST' })
  a.send(`{"subscribe":{"rooms/1":${deep}}}`)
  t.match(await a.next(), { refused: 'subscribe', topic: 'rooms/1', code: 'FST_WS_ERR_INVALID_POSITION' })
})

t.test('a client that asks faster than the app answers is held back', async t => {
  let calls = 0
  let release = (): void => {}
  const released = new Promise<void>(resolve => { release = resolve })
  const { app, url } = await startApp(t, app => {
    app.topic('slow/:name', {
      onSubscribe: async () => {
        calls++
        await released
      },
      schema: { publish: {} },
      onPublish: async (_connection, message) => {
        calls++
        await released
        return message
      }
    })
    app.get('/live', { websocket: { topics: true } })
  })
  for (const message of [(i: number) => ({ publish: `slow/${i}`, message: i, id: String(i) }), (i: number) => ({ subscribe: { [`slow/${i % 2}`]: null } })]) {
    calls = 0
    const socket = new WebSocket(`${url}/live`, 'topics.v1')
    t.teardown(() => socket.terminate())
    await once(socket, 'open')
    for (let i = 0; i < 3_000; i++) {
      socket.send(JSON.stringify(message(i)))
      if (i % 2 === 1) socket.send('{"unsubscribe":["slow/0","slow/1"]}')
    }
    // The server reads until it stops.
    let before = -1
    while (before !== calls) {
      before = calls
      for (let i = 0; i < 200; i++) await setImmediate()
    }
    t.ok(calls > 0 && calls <= 200, `${calls} calls`)
    socket.terminate()
  }
  t.ok(app)
  release()
})

t.test('it goes on when the app has answered', async t => {
  const { app, url } = await startApp(t, app => {
    app.topic('slow', {
      schema: { publish: {} },
      onPublish: async (_connection, message) => {
        await setImmediate()
        return message
      }
    })
    app.get('/live', { websocket: { topics: true } })
  })
  const socket = new WebSocket(`${url}/live`, 'topics.v1')
  t.teardown(() => socket.terminate())
  const got: Message[] = []
  socket.on('message', data => got.push(JSON.parse(String(data)) as Message))
  await once(socket, 'open')
  for (let i = 0; i < 500; i++) socket.send(JSON.stringify({ publish: 'slow', message: 'x'.repeat(1_000), id: String(i) }))
  while (got.length < 501) await once(socket, 'message')
  t.strictSame(got.slice(1).map(({ published }) => published), Array.from({ length: 500 }, (_, i) => String(i)))
  t.ok(app)
})

t.test('a client that does not read is closed with 1013, and the others lose nothing', async t => {
  const { app, url } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true, maxBufferedAmount: 256 * 1024 } })
  })
  const slow = new WebSocket(`${url}/live`, 'topics.v1')
  t.teardown(() => slow.terminate())
  await once(slow, 'open')
  slow.send('{"subscribe":{"rooms/1":null}}')
  await once(slow, 'message')
  const a = await ProtocolClient.open(t, app)
  await a.ask({ subscribe: { 'rooms/1': null } })
  slow.pause()
  const [server] = [...app.websocketServer.clients].filter(({ protocol }) => protocol === 'topics.v1')
  const text = 'x'.repeat(64 * 1024)
  let sent = 0
  while (server!.readyState === server!.OPEN && sent < 1_000) {
    await app.websocketServer.publish('rooms/1', text)
    sent++
    await setImmediate()
  }
  t.ok(sent < 1_000)
  t.equal((await a.take(sent)).length, sent)
  slow.resume()
  t.strictSame((await once(slow, 'close'))[0], 1013)
})

t.test('a topic without history tells of a gap, and one with history when the broker has lost it', async t => {
  const broker = new ScriptedBroker()
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true } })
  }, { broker })
  const a = await ProtocolClient.open(t, app)
  await a.ask({ subscribe: { 'plain/1': null } })
  broker.events!.interrupted()
  t.strictSame(await a.next(), { gap: 'plain/1' })
})

t.test('clients of a process that is cut off from its broker are closed with 1013', async t => {
  const broker = new ScriptedBroker()
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true } })
  }, { broker, topics: { cutOffTimeout: 5 } })
  const a = await ProtocolClient.open(t, app)
  await a.ask({ subscribe: { 'plain/1': null } })
  broker.events!.state(false, new Error('gone'))
  t.match(await a.closed, { code: 1013 })
})

t.test('app.close() does not wait for what the app decides', async t => {
  const { app } = await startApp(t, app => {
    app.topic('hanging', { schema: { publish: {} }, onSubscribe: () => new Promise(() => {}), onPublish: () => new Promise<null>(() => {}) })
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  a.send({ subscribe: { hanging: null } })
  a.send({ publish: 'hanging', message: 1 })
  await a.settle()
  await app.close()
  t.match(await a.closed, { code: 1001 })
})

t.test('a fragmented message of the app, which no other may interrupt, costs a connection and no message', async t => {
  let connection: WebSocketConnection
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/live', { websocket: { topics: true } }, opened => { connection = opened })
  })
  const a = await ProtocolClient.open(t, app)
  const { at } = await a.ask({ subscribe: { 'rooms/1': null } })
  connection!.send('{"message":', { fin: false })
  await app.websocketServer.publish('rooms/1', 1)
  t.match(await a.closed, { code: 1013 })
  const b = await ProtocolClient.open(t, app)
  t.match(await b.ask({ subscribe: { 'rooms/1': at } }), { recovered: true, missed: 1 })
})
