import { mock } from 'node:test'
import t from 'tap'
import { connect, connectJson, type ClientState, type ConnectOptions } from '../../lib/client/index.js'
import { scriptedSockets, type ScriptedSocket } from './scripted-socket.js'

// How the client connects, and connects again, with the clock and the other end in the hands of the test.

const HELLO = { hello: { version: 1, id: 'c1', beat: 10_000, maxSubscriptions: 128, maxMessage: 1_000_000 } }

t.beforeEach(() => { mock.timers.enable({ apis: ['setTimeout', 'Date'] }) })
t.afterEach(() => {
  mock.timers.reset()
  mock.restoreAll()
})

/** Promises go on. */
async function turns (): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

async function start (options: ConnectOptions = {}, url: Parameters<typeof connect>[0] = 'wss://example.com/live') {
  const { WebSocket, sockets, last } = scriptedSockets()
  const client = connect(url, { WebSocket, ...options })
  const states: ClientState[] = [client.state]
  client.on('state', state => states.push(state))
  await turns()
  return { client, sockets, last, states }
}

/** Fails an attempt, and @returns the milliseconds until the next one */
async function pauseAfter (sockets: ScriptedSocket[], fail: (socket: ScriptedSocket) => void): Promise<number> {
  const count = sockets.length
  fail(sockets[count - 1]!)
  await turns()
  for (let ms = 0; ms <= 40_000; ms += 10) {
    if (sockets.length > count) return ms
    mock.timers.tick(10)
    await turns()
  }
  throw new Error('there was no other attempt')
}

t.test('each pause is any time up to a limit that doubles, up to the cap', async t => {
  const random = mock.method(Math, 'random', () => 0.999)
  const { client, sockets, states } = await start()
  for (const limit of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    const pause = await pauseAfter(sockets, socket => socket.end())
    t.ok(pause <= limit && pause >= limit * 0.99 - 20, `${pause} of ${limit}`)
  }
  random.mock.mockImplementation(() => 0)
  t.ok(await pauseAfter(sockets, socket => socket.end()) <= 10, 'down to none')
  t.same(states.slice(0, 4), ['connecting', 'waiting', 'connecting', 'waiting'])
  client.close()
})

t.test('the pauses of many clients are spread evenly', async t => {
  const pauses: number[] = []
  for (let i = 0; i < 200; i++) {
    const { client, sockets } = await start({ backoff: { base: 1_000 } })
    pauses.push(await pauseAfter(sockets, socket => socket.end()))
    client.close()
  }
  for (const [from, to] of [[0, 250], [250, 500], [500, 750], [750, 1_020]] as const) {
    const part = pauses.filter(pause => pause > from && pause <= to).length
    t.ok(part > 20, `${part} of 200 between ${from} and ${to} ms`)
  }
})

t.test('a connection that stayed open begins anew, one that is closed at once does not', async t => {
  mock.method(Math, 'random', () => 0.999)
  const { client, sockets } = await start()
  for (const limit of [250, 500, 1_000]) {
    const pause = await pauseAfter(sockets, socket => {
      socket.open(HELLO)
      socket.end(1013, 'overloaded')
    })
    t.ok(pause >= limit * 0.99 - 20, `${pause} of ${limit}: a server that accepts and closes gets no storm`)
  }
  const pause = await pauseAfter(sockets, socket => {
    socket.open(HELLO)
    mock.timers.tick(5_000)
    socket.end(1012, 'retry=2000')
  })
  t.ok(pause >= 2_240 && pause <= 2_260, `${pause}: what the server asks for, and the random time`)
  client.close()
})

t.test('codes that say for good', async t => {
  for (const code of [1002, 1003, 1007, 1008, 1009, 4400, 4401, 4499]) {
    const { client, sockets, last, states } = await start()
    last().open(HELLO)
    const closures: unknown[] = []
    client.on('state', (_state, closure) => closures.push(closure))
    last().end(code, 'no')
    mock.timers.tick(60_000)
    await turns()
    t.equal(sockets.length, 1)
    t.same(states, ['connecting', 'open', 'closed'])
    t.same(closures, [{ code, reason: 'no' }])
    client.reconnect()
    await turns()
    t.equal(sockets.length, 2, 'but when a person asks for it')
    client.close()
  }
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 3000, 4000, 4500]) {
    const { client, sockets } = await start()
    t.ok(await pauseAfter(sockets, socket => socket.end(code)) <= 260, `${code}: again`)
    client.close()
  }
})

t.test('url and token are asked for at every attempt', async t => {
  let attempts = 0
  const { client, sockets, last } = await start(
    { token: async () => `token.${attempts}` },
    async () => `https://example.com/live?attempt=${++attempts}#top`
  )
  t.equal(last().url, 'wss://example.com/live?attempt=1')
  t.same(last().protocols, ['topics.v1', 'bearer.token.1'])
  await pauseAfter(sockets, socket => socket.end())
  t.equal(last().url, 'wss://example.com/live?attempt=2')
  t.same(last().protocols, ['topics.v1', 'bearer.token.2'])
  client.close()
})

t.test('tokens of any characters', async t => {
  for (const [token, protocol] of [['a+/=é', 'bearer.YSsvPcOp'], ['eyJh.eyJz-_.x', 'bearer.eyJh.eyJz-_.x'], ['', 'bearer.']] as const) {
    const { client, last } = await start({ token: () => token })
    t.same(last().protocols, ['topics.v1', protocol])
    client.close()
  }
  const { client, last } = await start({ token: () => null })
  t.same(last().protocols, ['topics.v1'], 'none')
  client.close()
})

t.test('a token that cannot be had is an error, and it is tried again', async t => {
  let isDown = true
  const errors: unknown[] = []
  const { WebSocket, sockets } = scriptedSockets()
  const client = connect('wss://example.com', { WebSocket, token: async () => { if (isDown) throw new Error('offline'); return 'x' } })
  client.on('error', error => errors.push(error))
  await turns()
  t.equal(client.state, 'waiting')
  t.match(errors, [{ message: 'offline' }])
  isDown = false
  mock.timers.tick(250)
  await turns()
  t.equal(sockets.length, 1)
  client.close()
})

t.test('a URL that is none is an error', async t => {
  const { WebSocket } = scriptedSockets()
  t.throws(() => connect('/live', { WebSocket }), { name: 'TypeError' }, 'outside of a page, nothing says what it is relative to')
  const client = connect(() => '/live', { WebSocket })
  const errors: unknown[] = []
  client.on('error', error => errors.push(error))
  await turns()
  t.match(errors, [{ name: 'TypeError' }])
  t.equal(client.state, 'waiting')
  client.close()
})

t.test('an attempt that is not answered is given up', async t => {
  const { client, sockets, last } = await start()
  mock.timers.tick(15_000)
  await turns()
  t.same(sockets[0]!.closedWith, [undefined, undefined])
  mock.timers.tick(250)
  await turns()
  t.equal(sockets.length, 2)
  sockets[0]!.open(HELLO)
  t.equal(client.state, 'connecting', 'it is too late for the first')
  last().open(HELLO)
  t.equal(client.state, 'open')
  client.close()
})

t.test('a line that has died without a word', async t => {
  const { client, sockets, last } = await start()
  last().open(HELLO)
  for (let i = 0; i < 5; i++) {
    mock.timers.tick(20_000)
    last().receive({})
  }
  t.equal(client.state, 'open', 'beats keep it')
  mock.timers.tick(24_999)
  t.equal(client.state, 'open')
  mock.timers.tick(1)
  t.equal(client.state, 'waiting')
  mock.timers.tick(250)
  await turns()
  t.equal(sockets.length, 2)
  client.close()
})

t.test('close() leaves nothing behind, in any state', async t => {
  for (const state of ['connecting', 'asking', 'open', 'waiting'] as const) {
    const { client, sockets, states } = await start({}, state === 'asking' ? () => new Promise<string>(() => {}) : undefined)
    if (state === 'open') sockets[0]!.open(HELLO)
    if (state === 'waiting') sockets[0]!.end()
    client.close(4000, 'bye')
    t.equal(client.state, 'closed')
    if (state === 'open') t.same(sockets[0]!.closedWith, [4000, 'bye'])
    mock.timers.tick(100_000)
    await turns()
    t.equal(sockets.length, state === 'asking' ? 0 : 1, `${state}: no other attempt`)
    sockets[0]?.receive({ message: 'late' })
    sockets[0]?.end()
    t.equal(client.state, 'closed')
    client.close()
    t.equal(states.filter(state => state === 'closed').length, 1)
  }
})

t.test('a page: online, offline, hidden, shown', async t => {
  const target = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const navigator = { onLine: true }
  const listeners = { count: 0 }
  const globals = globalThis as Record<string, unknown>
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
  for (const [name, value] of Object.entries({
    document: {
      get visibilityState () { return document.visibilityState },
      addEventListener: (event: string, listener: () => void) => { listeners.count++; document.addEventListener(event, listener) },
      removeEventListener: (event: string, listener: () => void) => { listeners.count--; document.removeEventListener(event, listener) }
    },
    addEventListener: (event: string, listener: () => void) => { listeners.count++; target.addEventListener(event, listener) },
    removeEventListener: (event: string, listener: () => void) => { listeners.count--; target.removeEventListener(event, listener) },
    location: { href: 'https://example.com/chat/page.html?x#y' }
  })) globals[name] = value
  t.teardown(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener', 'location']) Reflect.deleteProperty(globals, name)
    if (before === undefined) Reflect.deleteProperty(globals, 'navigator')
    else Object.defineProperty(globalThis, 'navigator', before)
  })

  const { client, sockets, last } = await start({}, '/live')
  t.equal(last().url, 'wss://example.com/live', 'relative to the page')
  last().open(HELLO)

  navigator.onLine = false
  target.dispatchEvent(new Event('offline'))
  t.equal(client.state, 'waiting', 'the line is gone')
  mock.timers.tick(29_000)
  await turns()
  t.equal(sockets.length, 1, 'no attempts meanwhile')
  navigator.onLine = true
  target.dispatchEvent(new Event('online'))
  await turns()
  t.equal(sockets.length, 2, 'at once')

  last().end()
  document.visibilityState = 'hidden'
  document.dispatchEvent(new Event('visibilitychange'))
  await turns()
  t.equal(sockets.length, 2)
  document.visibilityState = 'visible'
  document.dispatchEvent(new Event('visibilitychange'))
  await turns()
  t.equal(sockets.length, 3, 'shown: at once')

  last().open(HELLO)
  // A machine that sleeps fires no timers.
  mock.timers.setTime(Date.now() + 60_000)
  document.dispatchEvent(new Event('visibilitychange'))
  t.equal(client.state, 'waiting', 'nothing was heard for a minute: the line is taken for dead')

  client.close()
  t.equal(listeners.count, 0)
})

t.test('JSON routes: messages wait for a connection, within limits', async t => {
  const { WebSocket, last } = scriptedSockets()
  const client = connectJson<number, { n: number }>('wss://example.com', { WebSocket, outbox: { messages: 3, bytes: 20 } })
  const got: number[] = []
  client.on('message', message => got.push(message))
  for (let n = 1; n <= 2; n++) client.send({ n })
  t.throws(() => client.send({ n: 1_000 }), { code: 'outbox', message: /2 messages of 14 bytes wait/ })
  await turns()
  t.same(last().protocols, [])
  last().open()
  client.send({ n: 3 })
  t.same(last().sent, [{ n: 1 }, { n: 2 }, { n: 3 }])
  last().receive(7)
  t.same(got, [7])
  const errors: unknown[] = []
  client.on('error', error => errors.push(error))
  last().onmessage!({ data: 'no JSON' } as never)
  t.match(errors, [{ name: 'SyntaxError' }])

  const loop: number[] = []
  const looping = (async () => { for await (const message of client) loop.push(message) })()
  last().receive(8)
  last().receive(9)
  await turns()
  client.close()
  await looping
  t.same(loop, [8, 9])
  t.throws(() => client.send({ n: 4 }), { code: 'closed' })
  for await (const message of client) t.fail(String(message))
})

t.test('without a WebSocket in the runtime', async t => {
  const globals = globalThis as { WebSocket?: unknown }
  const before = globals.WebSocket
  globals.WebSocket = undefined
  t.throws(() => connect('wss://example.com'), { name: 'TypeError', message: /option WebSocket/ })
  t.throws(() => connectJson('wss://example.com'), { name: 'TypeError' })
  if (before === undefined) Reflect.deleteProperty(globals, 'WebSocket')
  else globals.WebSocket = before
})

t.test('a listener that throws does not keep the others from being called', async t => {
  const { client, last } = await start()
  const states: ClientState[] = []
  const thrown = new Promise(resolve => process.setUncaughtExceptionCaptureCallback(resolve))
  t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))
  client.on('state', () => { throw new Error('of a listener') })
  client.on('state', state => states.push(state))
  last().open(HELLO)
  t.match(await thrown, { message: 'of a listener' })
  t.same(states, ['open'])
  client.close()
})
