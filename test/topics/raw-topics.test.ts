import { once } from 'node:events'
import t from 'tap'
import Fastify from 'fastify'
import websocket, { type InjectedWebSocket, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown, type TestApp } from '../support/app.js'
import { ScriptedBroker } from './scripted-broker.js'

// Topics that nobody has declared, as handlers use them.

interface Peer {
  connection: WebSocketConnection
  client: InjectedWebSocket
  got: string[]
}

interface Fixture extends TestApp {
  open (): Promise<Peer>
  /** Everything that was sent has arrived: the answer to a Ping comes behind it. */
  settle (...peers: Peer[]): Promise<void>
}

async function start (t: Teardown, options: WebSocketPluginOptions = {}, http2 = false): Promise<Fixture> {
  const opened: WebSocketConnection[] = []
  const fixture = await startApp(t, app => {
    app.get('/', { websocket: { ...(options.maxBufferedAmount !== undefined && { maxBufferedAmount: options.maxBufferedAmount }) } }, connection => { opened.push(connection) })
  }, options, { http2 })
  return {
    ...fixture,
    async open () {
      const got: string[] = []
      const client = await fixture.app.injectWS('/', {}, {
        onInit: client => { client.on('message', (data, isBinary) => got.push(isBinary ? `binary ${data.toString('hex')}` : String(data))) }
      })
      t.teardown(() => client.terminate())
      return { client, connection: opened.at(-1)!, got }
    },
    async settle (...peers) {
      await Promise.all(peers.map(async ({ client }) => {
        client.ping()
        await once(client, 'pong')
      }))
    }
  }
}

for (const http2 of [false, true]) {
  t.test(`a message gets to all subscribers but its sender${http2 ? ', over HTTP/2' : ''}`, async t => {
    const { app, open, settle } = await start(t, {}, http2)
    const [a, b, c] = [await open(), await open(), await open()]
    t.equal(await a.connection.subscribe('room:7'), undefined)
    await b.connection.subscribe('room:7')
    t.equal(app.websocketServer.topic('room:7').subscribers, 2)

    t.equal(await a.connection.publish('room:7', 'from a'), null, 'a topic without history has no positions')
    await app.websocketServer.publish('room:7', 'from the server')
    await c.connection.publish('room:7', Buffer.from([0, 255]))
    await app.websocketServer.topic('room:7').publish('4', { binary: true })
    await app.websocketServer.publish('room:7', 'all but b', { except: b.connection })
    await app.websocketServer.publish('room:8', 'nobody')
    await settle(a, b, c)
    t.same(a.got, ['from the server', 'binary 00ff', 'binary 34', 'all but b'])
    t.same(b.got, ['from a', 'from the server', 'binary 00ff', 'binary 34'])
    t.same(c.got, [])

    const { topics } = app.websocketServer.stats
    t.match(topics, { broker: 'memory', isUp: true, topics: 1, subscriptions: 2, published: 6, failed: 0, delivered: 8, gaps: 0 })
    t.ok(topics.publishLatency.p99! < 5_000)
  })
}

t.test('what a connection has subscribed to', async t => {
  const { app, open } = await start(t)
  const { connection } = await open()
  t.equal(connection.subscriptions.size, 0)
  t.equal(connection.isSubscribed('a'), false)
  await Promise.all([connection.subscribe('a'), connection.subscribe('a'), connection.subscribe('b')])
  await connection.subscribe('a')
  t.same([...connection.subscriptions], ['a', 'b'], 'each once')
  t.equal(connection.isSubscribed('a'), true)
  t.equal(app.websocketServer.topic('a').subscribers, 1)
  t.equal(connection.unsubscribe('a'), true)
  t.equal(connection.unsubscribe('a'), false)
  t.equal(connection.unsubscribe('unknown'), false)
  t.same([...connection.subscriptions], ['b'])
  t.equal(app.websocketServer.topic('a').subscribers, 0)
})

t.test('what was published before unsubscribing in the same turn is delivered, and nothing later', async t => {
  const { app, open, settle } = await start(t)
  const peer = await open()
  await peer.connection.subscribe('a')
  app.websocketServer.publish('a', 'before')
  peer.connection.unsubscribe('a')
  app.websocketServer.publish('a', 'after')
  await peer.connection.subscribe('a')
  await app.websocketServer.publish('a', 'again')
  await settle(peer)
  t.same(peer.got, ['before', 'again'])
})

t.test('messages of topics and of send keep the order of the calls', async t => {
  const { open, settle } = await start(t)
  const [a, b] = [await open(), await open()]
  await b.connection.subscribe('a')
  for (let i = 0; i < 50; i += 2) {
    a.connection.publish('a', String(i))
    b.connection.send(String(i + 1))
  }
  await settle(b)
  t.same(b.got, Array.from({ length: 50 }, (_, i) => String(i)))
})

t.test('the memory of a message belongs to the app again when publish returns', async t => {
  const { app, open, settle } = await start(t)
  const peer = await open()
  await peer.connection.subscribe('a')
  const memory = Buffer.from('abc')
  const published = app.websocketServer.publish('a', memory, { binary: false })
  memory.fill('x')
  await published
  await settle(peer)
  t.same(peer.got, ['abc'])
})

t.test('a subscription ends with its connection', async t => {
  const { app, open } = await start(t)
  const peer = await open()
  await peer.connection.subscribe('a')
  peer.client.terminate()
  await peer.connection.closed
  t.equal(app.websocketServer.topic('a').subscribers, 0)
  t.equal(app.websocketServer.stats.topics.subscriptions, 0)
  await t.rejects(peer.connection.subscribe('a'), { code: 'FST_WS_ERR_NOT_OPEN' })
  await app.websocketServer.publish('a', 'to nobody')
})

t.test('a slow reader is closed, and the others get everything', async t => {
  const { app, open, settle } = await start(t, { maxBufferedAmount: 100_000 })
  const [slow, fast] = [await open(), await open()]
  await slow.connection.subscribe('a')
  await fast.connection.subscribe('a')
  slow.client.pause()
  const data = 'x'.repeat(20_000)
  while (slow.connection.readyState === slow.connection.OPEN) {
    await app.websocketServer.publish('a', data)
    await settle(fast)
  }
  slow.client.resume()
  t.equal((await slow.connection.closed).code, 1013)
  t.ok(fast.got.length > 5)
  t.ok(fast.got.every(message => message === data))
})

t.test('wrong arguments are errors at once, and name what is accepted', async t => {
  const { app, open } = await start(t)
  const { connection, client } = await open()
  const { websocketServer } = app
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128), '\uD800', 7, null, undefined]) {
    for (const use of [
      () => connection.subscribe(name as string), () => connection.unsubscribe(name as string), () => connection.isSubscribed(name as string),
      () => connection.publish(name as string, 'x'), () => websocketServer.publish(name as string, 'x'), () => websocketServer.topic(name as string)
    ]) t.throws(use, { code: 'FST_WS_ERR_INVALID_ARGUMENT', message: /name of a topic/ })
  }
  for (const name of ['*', '>', 'a.b', '#', ' ', '\0', '\n', '\uFFFF', '{}', 'é'.repeat(127), 'x'.repeat(255)]) {
    await connection.subscribe(name)
    t.equal(connection.isSubscribed(name), true)
    await websocketServer.publish(name, 'x')
  }
  t.throws(() => connection.publish('a', 7), { code: 'FST_WS_ERR_INVALID_ARGUMENT', message: /data must be a string/ })
  t.throws(() => connection.publish('a', 'x', { id: 'with a space' }), { message: /'id' must be 1 to 64 printable/ })
  t.throws(() => connection.publish('a', 'x', { except: {} as WebSocketConnection }), { message: /'except' must be a connection/ })
  t.throws(() => connection.publish('a', 'x', 7 as never), { message: /options of publish/ })
  await t.rejects(websocketServer.topic('a').history(), { message: /topic 'a' has no history/ })
  for (const use of ['subscribe', 'publish'] as const) {
    t.throws(() => (client as unknown as WebSocketConnection)[use]('a', 'x'), { message: /client of injectWS/ })
  }
})

t.test('options of another type, and options that there are not, are errors at once', async t => {
  const { app, open } = await start(t)
  const { connection, client, got } = await open()
  const { websocketServer } = app
  await connection.subscribe('a')
  const invalid = (use: () => unknown, message: RegExp): void => { t.throws(use, { name: 'TypeError', code: 'FST_WS_ERR_INVALID_ARGUMENT', message }) }
  for (const options of [7, 'text', null, true, []]) {
    for (const publish of [
      () => connection.publish('a', 'x', options as never), () => websocketServer.publish('a', 'x', options as never), () => websocketServer.topic('a').publish('x', options as never)
    ]) invalid(publish, /the options of publish must be an object/)
  }
  for (const name of ['binary', 'compress']) {
    for (const value of ['yes', 1, 0, null, {}]) {
      const options = { [name]: value } as never
      const message = new RegExp(`option '${name}' of \\w+ must be true or false, not`)
      invalid(() => connection.publish('a', 'x', options), message)
      invalid(() => connection.send('x', options), message)
      invalid(() => connection.sendJson('x', options), message)
      invalid(() => websocketServer.broadcast('x', options), message)
      invalid(() => client.send('x', options), message)
    }
  }
  invalid(() => connection.send('x', { fin: 'no' as never }), /option 'fin' of send must be true or false/)
  invalid(() => connection.send('x', 'utf8' as never), /the options of send must be an object, not/)
  invalid(() => websocketServer.broadcast('x', null as never), /the options of broadcast must be an object/)
  invalid(() => websocketServer.broadcast('x', { filter: 'all' as never }), /'filter' must be a function/)
  for (const except of [null, 7, 'all', {}, [connection, {}]]) {
    invalid(() => websocketServer.broadcast('x', { except: except as never }), /'except' must be a connection or an iterable of connections/)
    invalid(() => websocketServer.broadcastJson('x', { except: except as never }), /'except' must be a connection or an iterable of connections/)
  }
  invalid(() => connection.publish('a', 'x', { history: { messages: 1, seconds: 1 } } as never), /publish has no option 'history'; it has 'id', 'binary', 'compress', 'except'/)
  const handle = websocketServer.topic('a')
  await t.rejects(handle.presence.list({ limits: 1 } as never), { code: 'FST_WS_ERR_INVALID_ARGUMENT', message: /presence.list has no option 'limits'; it has 'limit'/ })
  await t.rejects(handle.history({ from: 1 } as never), { code: 'FST_WS_ERR_INVALID_ARGUMENT', message: /history has no option 'from'; it has 'since', 'limit'/ })
  const undefinedOptions = { id: undefined, binary: undefined, compress: undefined, except: undefined }
  await connection.publish('a', 'x', undefinedOptions)
  connection.send('last', { binary: undefined, compress: undefined, fin: undefined })
  while (!got.includes('last')) await once(client, 'message')
  t.same(got, ['last'], 'nothing that was refused was sent')
})

t.test('publish resolves when the broker has taken the message, and not before; too late counts as failed', async t => {
  const broker = new ScriptedBroker()
  const { app } = await start(t, { broker, topics: { publishTimeout: 50 } })
  const takes: Array<() => void> = []
  broker.publish = () => new Promise(resolve => takes.push(() => resolve(null)))
  let isResolved = false
  const first = app.websocketServer.publish('a', 'x').then(() => { isResolved = true })
  await new Promise(resolve => setImmediate(resolve))
  t.equal(isResolved, false)
  takes[0]!()
  await first
  t.match(app.websocketServer.stats.topics, { published: 1, failed: 0 })
  await t.rejects(app.websocketServer.publish('a', 'y'), { code: 'FST_WS_ERR_PUBLISH', message: /it may have it all the same/ })
  t.match(app.websocketServer.stats.topics, { published: 1, failed: 1 })
  takes[1]!()
  await new Promise(resolve => setImmediate(resolve))
  t.match(app.websocketServer.stats.topics, { published: 1, failed: 1 }, 'each counts once, as its publisher knows it')
})

t.test('limits on topics', async t => {
  const { open } = await start(t, { topics: { maxSubscriptions: 2, maxTopics: 3 } })
  const [a, b] = [await open(), await open()]
  await Promise.all([a.connection.subscribe('1'), a.connection.subscribe('2')])
  await t.rejects(a.connection.subscribe('3'), { code: 'FST_WS_ERR_MAX_SUBSCRIPTIONS' })
  await a.connection.subscribe('1')
  await Promise.all([b.connection.subscribe('2'), b.connection.subscribe('3')])
  a.connection.unsubscribe('1')
  b.connection.unsubscribe('2')
  await a.connection.subscribe('4')
  t.pass('a topic that nobody wants makes place')
  await t.rejects(b.connection.subscribe('5'), { code: 'FST_WS_ERR_MAX_TOPICS' })
})

t.test('subscriptions of one turn go to the broker together, and an unwanted topic lingers', async t => {
  const broker = new ScriptedBroker()
  const { open } = await start(t, { broker })
  const [a, b] = [await open(), await open()]
  await Promise.all([a.connection.subscribe('1'), a.connection.subscribe('2'), b.connection.subscribe('1')])
  a.connection.unsubscribe('2')
  await a.connection.subscribe('2')
  t.same(broker.calls, ['start', 'subscribe 1 2'])
})

t.test('a subscription that the broker does not confirm', async t => {
  const broker = new ScriptedBroker()
  const { app, open, settle } = await start(t, { broker, topics: { publishTimeout: 50 } })
  const peer = await open()
  broker.failing.set('subscribe', 'hang')
  await t.rejects(peer.connection.subscribe('a'), { code: 'FST_WS_ERR_SUBSCRIBE', message: /'a' within 50 ms/ })
  t.equal(peer.connection.isSubscribed('a'), false)

  broker.failing.set('subscribe', new Error('away'))
  const subscribing = peer.connection.subscribe('b')
  broker.failing.delete('subscribe')
  await new Promise(resolve => setImmediate(resolve))
  broker.events.state(false, new Error('away'))
  broker.events.state(true)
  await subscribing
  await app.websocketServer.publish('b', 'x')
  await settle(peer)
  t.same(peer.got, ['x'], 'it was tried again')

  broker.failing.set('subscribe', 'hang')
  const unsubscribed = peer.connection.subscribe('c')
  t.equal(peer.connection.unsubscribe('c'), true)
  await t.rejects(unsubscribed, { code: 'FST_WS_ERR_UNSUBSCRIBED' })
  const closed = peer.connection.subscribe('d')
  peer.client.terminate()
  await t.rejects(closed, { code: 'FST_WS_ERR_UNSUBSCRIBED', message: /connection was closed/ })
})

t.test('a broker that does not take messages', async t => {
  const broker = new ScriptedBroker()
  const { app, open } = await start(t, { broker, topics: { publishTimeout: 50 } })
  const peer = await open()
  broker.failing.set('publish', 'hang')
  await Promise.all(Array.from({ length: 3 }, async () => {
    await t.rejects(peer.connection.publish('a', 'x'), { name: 'TopicError', code: 'FST_WS_ERR_PUBLISH', message: /within 50 ms/ })
  }))
  const cause = new Error('out of memory')
  broker.failing.set('publish', cause)
  await t.rejects(app.websocketServer.publish('a', 'x'), { code: 'FST_WS_ERR_PUBLISH', message: /out of memory/, cause })
  // Nobody handles this one: the process goes on.
  app.websocketServer.publish('a', 'x').finally(() => {}).catch(() => {})
  peer.connection.publish('a', 'x')
  await new Promise(resolve => setImmediate(resolve))
  t.match(app.websocketServer.stats.topics, { failed: 6, published: 0 })
})

t.test('subscribers are told about gaps, and the app about the broker', async t => {
  const broker = new ScriptedBroker()
  const { app, open } = await start(t, { broker })
  const peer = await open()
  const gaps: string[] = []
  peer.connection.on('gap', topic => gaps.push(topic))
  await Promise.all(['a', 'b', 'c'].map(topic => peer.connection.subscribe(topic)))
  t.equal(app.websocketServer.stats.topics.isUp, true)
  broker.events.state(false, new Error('lost'))
  t.equal(app.websocketServer.stats.topics.isUp, false)
  broker.events.state(true)
  broker.events.interrupted(['b', 'unknown'])
  t.same(gaps, ['b'])
  broker.events.interrupted()
  t.same(gaps, ['b', 'a', 'b', 'c'])
  t.match(app.websocketServer.stats.topics, { isUp: true, gaps: 4, reconnects: 1 })
})

t.test('clients of a process that is cut off from the broker are closed, if they have subscribed', async t => {
  const broker = new ScriptedBroker()
  const { open } = await start(t, { broker, topics: { cutOffTimeout: 20 } })
  const [subscriber, other] = [await open(), await open()]
  await subscriber.connection.subscribe('a')
  broker.events.state(false)
  t.match(await subscriber.client.closed, { code: 1013, reason: /cannot reach its broker/ })
  t.equal(other.connection.readyState, other.connection.OPEN)
})

t.test('messages of a version or kind that is not known are skipped', async t => {
  const broker = new ScriptedBroker()
  const { app, open, settle } = await start(t, { broker })
  const peer = await open()
  await peer.connection.subscribe('a')
  for (const bytes of [[], [1], [2, 0, 65], [1, 127, 65], [0, 0, 65]]) broker.deliver('a', { id: 'x', data: Buffer.from(bytes) })
  broker.deliver('a', { id: 'x', data: Buffer.from([1, 0x80, 65]) })
  await settle(peer)
  t.same(peer.got, ['A'])
  t.equal(app.websocketServer.stats.topics.skipped, 5)
})

t.test('a broker that cannot be reached keeps the app from getting ready', async t => {
  for (const failure of [new Error('connect ECONNREFUSED'), 'hang' as const]) {
    const broker = new ScriptedBroker()
    broker.failing.set('start', failure)
    const app = Fastify()
    await app.register(websocket, { broker, topics: { waitForBroker: 300 } })
    const early = app.websocketServer.publish('a', 'x')
    await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_BROKER', message: failure === 'hang' ? /'scripted' cannot be used: it did not answer within 300 ms/ : /ECONNREFUSED/ })
    await t.rejects(early, { code: 'FST_WS_ERR_BROKER' })
    await app.close()
  }
})

t.test('the app gets ready when the broker comes in time, and what was published before arrives', async t => {
  const broker = new ScriptedBroker()
  broker.failing.set('start', new Error('not yet'))
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket, { broker })
  const early = app.websocketServer.publish('a', 'x')
  app.addHook('onReady', async () => {})
  const ready = app.ready()
  setTimeout(() => broker.failing.delete('start'), 50)
  await ready
  t.equal(await early, null)
})

t.test('app.close() waits for what is under way, and not for a broker that hangs', async t => {
  const broker = new ScriptedBroker()
  const { app, open } = await start(t, { broker, topics: { publishTimeout: 100 } })
  const { connection } = await open()
  await connection.subscribe('a')
  broker.failing.set('publish', 'hang').set('close', 'hang').set('unsubscribe', 'hang')
  const publishing = t.rejects(app.websocketServer.publish('a', 'x'), { code: 'FST_WS_ERR_PUBLISH' })
  await app.close()
  await publishing
  t.same(broker.calls.slice(-1), ['close'])
  await t.rejects(app.websocketServer.publish('a', 'x'), { code: 'FST_WS_ERR_PUBLISH', message: /closing/ })
})

t.test('a broker that starts after the app has given up is closed', async t => {
  const broker = new ScriptedBroker()
  let go: () => void = () => {}
  broker.start = () => new Promise(resolve => { go = resolve })
  const app = Fastify()
  await app.register(websocket, { broker, topics: { waitForBroker: 50 } })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_BROKER' })
  await app.close()
  t.same(broker.calls, [])
  go()
  await new Promise(resolve => setImmediate(resolve))
  t.same(broker.calls, ['close'])
})

t.test('a topic that is dropped while its subscription is on its way is not kept at the broker', async t => {
  const broker = new ScriptedBroker()
  const { app, open } = await start(t, { broker, topics: { maxTopics: 1 } })
  const { connection } = await open()
  for (let i = 0; i < 5; i++) {
    connection.subscribe(`in one turn ${i}`)
    connection.unsubscribe(`in one turn ${i}`)
  }
  await connection.subscribe('last')
  t.same([...broker.subscribed], ['last'])
  connection.unsubscribe('last')

  // It fails when nobody wants it any more, and is not tried again.
  let fail: (error: Error) => void = () => {}
  const { subscribe } = broker
  broker.subscribe = () => new Promise((_resolve, reject) => { fail = reject })
  connection.subscribe('late')
  await new Promise(resolve => setImmediate(resolve))
  connection.unsubscribe('late')
  broker.subscribe = subscribe
  await connection.subscribe('other')
  fail(new Error('late'))
  await new Promise(resolve => setImmediate(resolve))
  broker.events.state(false, new Error('gone'))
  broker.events.state(true)
  t.same([...broker.subscribed], ['other'])
  t.equal(app.websocketServer.stats.topics.topics, 1)
})

t.test('a listener of gap that unsubscribes others keeps them from being told, and one that throws does not', async t => {
  const broker = new ScriptedBroker()
  const { open } = await start(t, { broker })
  const [a, b, c] = [await open(), await open(), await open()]
  const told: string[] = []
  for (const { connection } of [a, b, c]) await connection.subscribe('x')
  a.connection.on('gap', () => {
    told.push('a')
    b.connection.unsubscribe('x')
    throw new Error('a listener')
  })
  b.connection.on('gap', () => { told.push('b') })
  c.connection.on('gap', () => { told.push('c') })
  broker.events.interrupted()
  t.same(told, ['a', 'c'])
})

t.test('reading members is bounded by publishTimeout, whatever the broker does', async t => {
  const broker = new ScriptedBroker()
  const { app } = await start(t, { broker, topics: { publishTimeout: 50 } })
  const { presence } = app.websocketServer.topic('x')
  Object.assign(broker.presence, { list: () => new Promise(() => {}), count: () => new Promise(() => {}) })
  await t.rejects(presence.list(), { code: 'FST_WS_ERR_SUBSCRIBE', message: /did not read the members of topic 'x' within 50 ms/ })
  await t.rejects(presence.count(), { code: 'FST_WS_ERR_SUBSCRIBE' })
})

t.test('a broker that throws, or returns no promise, is one that has failed or succeeded', async t => {
  for (const [failures, act] of [[1, (): never => { throw new Error('a mistake') }], [0, () => undefined]] as const) {
    for (const method of ['publish', 'subscribe', 'unsubscribe', 'close'] as const) {
      const broker = new ScriptedBroker()
      const { app, open } = await start(t, { broker, topics: { publishTimeout: 50, maxTopics: 1 } })
      const { connection } = await open()
      Object.assign(broker, { [method]: act })
      await connection.subscribe('x').catch(() => {})
      await app.websocketServer.publish('x', 'y').catch(() => {})
      connection.unsubscribe('x')
      await connection.subscribe('z').catch(() => {})
      await app.websocketServer.topic('x').presence.list().catch(() => {})
      t.equal(app.websocketServer.stats.topics.failed, method === 'publish' ? failures : 0, method)
      await app.close()
    }
  }
})

t.test('wrong options are errors at registration', async t => {
  for (const [options, message] of [
    [{ broker: 7 }, /'broker' must be a broker, such as that of redis/],
    [{ broker: { start () {} } }, /'broker' must be a broker.*with a method 'subscribe'/],
    [{ topics: { maxTopics: 0 } }, /topics.*'maxTopics' must be an integer from 1/],
    [{ topics: { cutOffTimeout: true } }, /'cutOffTimeout' must be false or a number of milliseconds/],
    [{ topics: { maxtopics: 1 } }, /unknown option 'maxtopics'/]
  ] as const) {
    const app = Fastify()
    await t.rejects(async () => { await app.register(websocket, options as never) }, { code: 'FST_WS_ERR_INVALID_OPTION', message })
    await app.close()
  }
})
