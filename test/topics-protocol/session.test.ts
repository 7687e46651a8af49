import t from 'tap'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { ProtocolClient } from './support.js'

// One client of a route that speaks the topics protocol, and what it may expect.

const HISTORY = { messages: 100, seconds: 60 }

function declare (app: FastifyInstance): void {
  app.topic('rooms/:room', { schema: { publish: {} }, history: HISTORY })
  app.topic('plain/:name', { schema: { publish: {} } })
  app.topic('silent', {})
  app.get('/live', { websocket: { topics: true } })
}

t.test('hello comes first, and names the limits', async t => {
  const { app } = await startApp(t, app => {
    app.get('/live', { websocket: { topics: { beat: 12_345 }, maxPayload: 4_000 } })
    app.get('/unlimited', { websocket: { topics: true, maxPayload: Infinity } })
  }, { topics: { maxSubscriptions: 7 } })
  const open = async (path: string) => {
    const got: unknown[] = []
    const client = await app.injectWS(path, {}, { onInit: client => { client.on('message', data => got.push(JSON.parse(String(data)))) } })
    await setImmediate()
    const [server] = app.websocketServer.clients
    client.terminate()
    await server!.closed
    return { got, id: server!.id }
  }
  const limited = await open('/live')
  t.strictSame(limited.got, [{ hello: { version: 1, id: limited.id, beat: 12_345, maxSubscriptions: 7, maxMessage: 4_000 } }])
  t.match((await open('/unlimited')).got, [{ hello: { beat: 25_000, maxMessage: null } }])
})

t.test('the subprotocol', async t => {
  const { app } = await startApp(t, app => {
    app.get('/live', { websocket: { topics: true } })
    app.get('/declared', { websocket: { topics: true, protocols: ['chat.v2'] } })
  })
  const agreed = async (path: string, protocols: string[]) => (await ProtocolClient.open(t, app, path, { protocols })).socket.protocol
  t.equal(await agreed('/live', ['topics.v1']), 'topics.v1')
  t.equal(await agreed('/live', ['bearer.secret', 'topics.v1']), 'topics.v1', 'a token may come before it')
  t.equal(await agreed('/live', []), '')
  t.equal(await agreed('/live', ['other']), '', 'others are not what the route speaks')
  t.equal(await agreed('/declared', ['chat.v2', 'topics.v1']), 'topics.v1')
  t.equal(await agreed('/declared', ['chat.v2']), 'chat.v2')
})

for (const http2 of [false, true]) {
  t.test(`subscribe, publish, unsubscribe, over HTTP/${http2 ? 2 : 1.1}`, async t => {
    const { app } = await startApp(t, declare, {}, { http2 })
    const a = await ProtocolClient.open(t, app)
    const b = await ProtocolClient.open(t, app)
    t.match(await a.ask({ subscribe: { 'rooms/1': null } }), { subscribed: 'rooms/1', at: String, recovered: null, missed: 0 })
    t.strictSame(await b.ask({ subscribe: { 'plain/1': null } }), { subscribed: 'plain/1', at: null, recovered: null, missed: 0 })

    b.send({ publish: 'rooms/1', message: { text: 'hi' }, id: 'x' })
    const published = await b.next()
    t.match(published, { published: 'x', topic: 'rooms/1', at: /\.x$/ })
    t.strictSame(await a.next(), { topic: 'rooms/1', at: published.at, id: 'x', message: { text: 'hi' } })

    t.match(await a.ask({ publish: 'plain/1', message: [1, null, 'ü'] }), { published: String, topic: 'plain/1', at: null })
    t.match(await b.next(), { topic: 'plain/1', at: null, id: String, message: [1, null, 'ü'] })

    await app.websocketServer.publish('rooms/1', { text: 'from the server' })
    t.match(await a.next(), { message: { text: 'from the server' } })
    t.strictSame(await a.ask({ unsubscribe: ['rooms/1', 'rooms/1', 'never'] }), { unsubscribed: 'rooms/1' })
    t.strictSame(await a.take(2), [{ unsubscribed: 'rooms/1' }, { unsubscribed: 'never' }])
    await app.websocketServer.publish('rooms/1', { text: 'unheard' })
    t.strictSame(await a.settle(), [])
    t.equal(app.websocketServer.topic('rooms/1').subscribers, 0)
  })
}

t.test('a publisher that has subscribed gets its own message too', async t => {
  const { app } = await startApp(t, declare)
  const a = await ProtocolClient.open(t, app)
  a.send({ subscribe: { 'rooms/1': null, 'plain/1': null } })
  // Not waiting for the answer: requests of one topic take effect in their order.
  a.send({ publish: 'rooms/1', message: 1, id: 'r' })
  a.send({ publish: 'plain/1', message: 2, id: 'p' })
  const messages = await a.take(6)
  for (const [topic, id] of [['rooms/1', 'r'], ['plain/1', 'p']]) {
    const kinds = messages.filter(message => [message.subscribed, message.topic].includes(topic)).map(message => Object.keys(message)[0])
    t.equal(kinds[0], 'subscribed')
    t.strictSame(new Set(kinds), new Set(['subscribed', 'topic', 'published']))
    t.ok(messages.some(message => message.id === id && message.topic === topic))
  }
})

t.test('refusals', async t => {
  const { app } = await startApp(t, declare, { topics: { maxSubscriptions: 3 } })
  const a = await ProtocolClient.open(t, app)
  const refused = async (message: unknown, expected: object) => t.match(await a.ask(message), { retry: false, message: /./, ...expected }, JSON.stringify(message).slice(0, 80))
  await refused('nonsense', { refused: 'message', code: 'FST_WS_ERR_INVALID_JSON' })
  await refused('{"subscribe":{"__proto__":null}}', { refused: 'message', code: 'FST_WS_ERR_INVALID_JSON' })
  await refused('[]', { refused: 'message', code: 'FST_WS_ERR_UNKNOWN_MESSAGE' })
  await refused({ subscribed: 'a' }, { refused: 'message', code: 'FST_WS_ERR_UNKNOWN_MESSAGE' })
  await refused({ message: 'of no handler' }, { refused: 'message', code: 'FST_WS_ERR_UNKNOWN_MESSAGE' })
  a.socket.send(Buffer.from([1]))
  t.match(await a.next(), { refused: 'message', code: 'FST_WS_ERR_BINARY_MESSAGE', retry: false })
  await refused({ subscribe: { unknown: null } }, { refused: 'subscribe', topic: 'unknown', code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
  await refused({ publish: 'unknown', message: 1, id: 'x' }, { refused: 'publish', topic: 'unknown', id: 'x', code: 'FST_WS_ERR_UNKNOWN_TOPIC' })
  await refused({ publish: 'silent', message: 1, id: 'x' }, { refused: 'publish', topic: 'silent', id: 'x', code: 'FST_WS_ERR_NO_PUBLISH' })
  for (const since of ['', 'x', 'a.b', 'a.0.x', 1, true, [], {}, 'é.1.x', `e.1.${'x'.repeat(300)}`]) {
    await refused({ subscribe: { 'rooms/1': since } }, { refused: 'subscribe', topic: 'rooms/1', code: 'FST_WS_ERR_INVALID_POSITION' })
  }
  await refused({ presence: 'rooms/1' }, { refused: 'presence', topic: 'rooms/1' })
  t.match(await a.ask({ subscribe: { 'rooms/1': null } }), { subscribed: 'rooms/1' })
  await refused({ subscribe: { 'rooms/1': null } }, { refused: 'subscribe', topic: 'rooms/1', code: 'FST_WS_ERR_SUBSCRIBED' })
  await refused({ presence: 'rooms/1' }, { refused: 'presence', topic: 'rooms/1', code: 'FST_WS_ERR_NO_PRESENCE' })
  a.send({ subscribe: { 'rooms/2': null, 'rooms/3': null, 'rooms/4': null } })
  t.match(new Set((await a.take(3)).map(({ subscribed, code }) => subscribed ?? code)), new Set(['rooms/2', 'rooms/3', 'FST_WS_ERR_MAX_SUBSCRIPTIONS']))
  t.equal(a.socket.readyState, a.socket.OPEN, 'none of it closes the connection')
})

t.test('no name is a wildcard, and none gets at what is not declared', async t => {
  const { app } = await startApp(t, declare)
  const a = await ProtocolClient.open(t, app)
  for (const topic of ['rooms', 'rooms/', 'rooms/1/2', '/rooms/1', 'Rooms/1', 'rooms//1', 'room', '*', '#', 'silent/', 'constructor', '__proto__x', 'toString']) {
    t.match(await a.ask({ subscribe: { [topic]: null } }), { refused: 'subscribe', topic, code: 'FST_WS_ERR_UNKNOWN_TOPIC' }, topic)
  }
  // These are names as any other.
  for (const topic of ['rooms/*', 'rooms/#', 'rooms/:room', 'rooms/>', 'rooms/%31', 'rooms/ü', `rooms/${'x'.repeat(249)}`]) {
    t.match(await a.ask({ subscribe: { [topic]: null } }), { subscribed: topic }, topic)
  }
  await app.websocketServer.publish('rooms/1', 'for nobody')
  await app.websocketServer.publish('rooms/*', 'for a star')
  t.match(await a.settle(), [{ topic: 'rooms/*', message: 'for a star' }])
})

t.test('the app decides', async t => {
  const gate: Array<() => void> = []
  const { app } = await startApp(t, app => {
    app.topic('secret/:name', {
      schema: { publish: {} },
      history: HISTORY,
      onSubscribe: async (_connection, { name }, request) => {
        if (name === 'slow') await new Promise<void>(resolve => gate.push(resolve))
        if (name === 'forbidden') throw Object.assign(new Error(`not for ${(request.query as { user: string }).user}`), { code: 'NOT_A_MEMBER' })
        if (name === 'status') throw Object.assign(new Error('pay first'), { statusCode: 402 })
        if (name === 'broken') (null as unknown as { x: { y: number } }).x.y++
      },
      onPublish: async (_connection, message, { name }) => {
        if (name === 'forbidden') throw Object.assign(new Error('read only'), { code: 'READ_ONLY' })
        if (name === 'broken') throw new TypeError('a mistake')
        return message === 'drop' ? null : { stamped: message }
      }
    })
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app, '/live?user=ada')
  t.match(await a.ask({ subscribe: { 'secret/forbidden': null } }), { refused: 'subscribe', topic: 'secret/forbidden', code: 'NOT_A_MEMBER', message: 'not for ada', retry: false })
  t.match(await a.ask({ subscribe: { 'secret/status': null } }), { refused: 'subscribe', message: 'pay first', retry: false })
  const broken = await a.ask({ subscribe: { 'secret/broken': null } })
  t.match(broken, { refused: 'subscribe', code: 'FST_WS_ERR_POLICY', retry: true })
  t.notMatch(broken.message, /undefined|null/, 'the mistake is for the log')
  t.match(await a.ask({ publish: 'secret/forbidden', message: 1, id: 'x' }), { refused: 'publish', id: 'x', code: 'READ_ONLY', message: 'read only', retry: false })
  t.match(await a.ask({ publish: 'secret/broken', message: 1, id: 'x' }), { refused: 'publish', id: 'x', code: 'FST_WS_ERR_POLICY', retry: true })
  t.match(await a.ask({ subscribe: { 'secret/ok': null } }), { subscribed: 'secret/ok' })
  t.strictSame(await a.ask({ publish: 'secret/ok', message: 'drop', id: 'd' }), { published: 'd', topic: 'secret/ok', at: null })
  a.send({ publish: 'secret/ok', message: 'keep', id: 'k' })
  t.match((await a.take(2)).find(message => 'message' in message), { topic: 'secret/ok', id: 'k', message: { stamped: 'keep' } })

  // Given up while the app decides.
  a.send({ subscribe: { 'secret/slow': null } })
  a.send({ subscribe: { 'secret/slow': null } })
  t.match(await a.next(), { refused: 'subscribe', code: 'FST_WS_ERR_SUBSCRIBED' }, 'it is about to be')
  t.strictSame(await a.ask({ unsubscribe: ['secret/slow'] }), { unsubscribed: 'secret/slow' })
  gate.shift()!()
  await setImmediate()
  await app.websocketServer.publish('secret/slow', 'unheard')
  t.strictSame(await a.settle(), [])
  t.equal(app.websocketServer.topic('secret/slow').subscribers, 0)

  // Closed while the app decides.
  a.send({ subscribe: { 'secret/slow': null } })
  await a.settle()
  a.socket.terminate()
  await Promise.all([...app.websocketServer.clients].map(({ closed }) => closed))
  gate.shift()!()
  await setImmediate()
  t.equal(app.websocketServer.stats.topics.subscriptions, 0)
})

t.test('a route\'s own messages', async t => {
  const own: unknown[] = []
  let connection: WebSocketConnection
  const { app } = await startApp(t, app => {
    declare(app)
    app.get('/own', { websocket: { topics: true } }, opened => {
      connection = opened
      opened.on('json', message => {
        own.push(message)
        opened.sendJson({ echo: message })
      })
      opened.on('message', (data, isBinary) => { if (isBinary) opened.send(data) })
    })
  })
  const binary: Buffer[] = []
  const client = await app.injectWS('/own')
  t.teardown(() => client.terminate())
  const texts: unknown[] = []
  client.on('message', (data, isBinary) => isBinary ? binary.push(data) : texts.push(JSON.parse(String(data))))
  client.send('{"message":{"type":"typing"}}')
  client.send('{"subscribe":{"rooms/1":null}}')
  client.send('{}')
  client.send('{"message":null}')
  client.send('{"other":1}')
  client.send(Buffer.from([1, 2]))
  await new Promise<void>(resolve => client.once('pong', () => resolve()).ping())
  t.strictSame(own, [{ type: 'typing' }, null])
  t.strictSame(binary, [Buffer.from([1, 2])])
  t.match(texts.filter(text => !('hello' in (text as object)) && !('subscribed' in (text as object))), [
    { message: { echo: { type: 'typing' } } }, { message: { echo: null } }, { refused: 'message', code: 'FST_WS_ERR_UNKNOWN_MESSAGE' }
  ])
  t.ok(texts.some(text => 'subscribed' in (text as object)))
  texts.length = 0
  connection!.route.broadcastJson({ all: true })
  await new Promise<void>(resolve => client.once('pong', () => resolve()).ping())
  t.strictSame(texts, [{ message: { all: true } }])
})

t.test('the app subscribes and unsubscribes a connection', async t => {
  let connection: WebSocketConnection
  const { app } = await startApp(t, app => {
    app.topic('rooms/:room', { history: HISTORY, onSubscribe: () => { throw new Error('not by yourself') } })
    app.get('/live', { websocket: { topics: true } }, opened => { connection = opened })
  })
  const a = await ProtocolClient.open(t, app)
  await connection!.subscribe('rooms/1')
  await connection!.subscribe('raw')
  t.match(await a.take(2), [{ subscribed: 'rooms/1', at: String, recovered: null, missed: 0 }, { subscribed: 'raw', at: null }])
  await app.websocketServer.publish('rooms/1', { n: 1 })
  await app.websocketServer.publish('raw', 'text "quoted"')
  await app.websocketServer.publish('raw', Buffer.from([0, 255]))
  t.match(await a.take(3), [{ topic: 'rooms/1', message: { n: 1 } }, { topic: 'raw', message: 'text "quoted"' }, { topic: 'raw', message: 'AP8=' }])
  connection!.unsubscribe('raw')
  t.match(await a.next(), { unsubscribed: 'raw', code: 'FST_WS_ERR_UNSUBSCRIBED', retry: false })
})

t.test('beats', async t => {
  const { app } = await startApp(t, app => { app.get('/live', { websocket: { topics: { beat: 16 }, idleTimeout: 1_000 } }) })
  const a = await ProtocolClient.open(t, app)
  await a.beat()
  await a.beat()
  const [server] = app.websocketServer.clients
  t.ok(server)
  t.equal(app.websocketServer.stats.sent.messages, 1, 'they do not count as messages: idleTimeout goes on')
  t.match(await a.closed, { code: 1001, reason: 'idle timeout' })
})
