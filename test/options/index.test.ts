import Fastify, { type FastifyInstance } from 'fastify'
import { createServer, type IncomingMessage } from 'node:http'
import t from 'tap'
import websocket, { OptionError, type WebSocketPluginOptions, type WebSocketRouteOptions } from '../../lib/index.js'
import { resolvePluginOptions, resolveRouteOptions } from '../../lib/options/index.js'
import { echo, startApp } from '../support/app.js'
import { binary, frame, RawClient } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'

const ORIGIN = /must be 'same-origin', '\*', an origin such as/
const TIMEOUT = /must be a number of milliseconds, an integer from 1 to 2147483647/
const MAX_PAYLOAD = /must be a number of bytes, an integer from 0 to 2\^53 - 1, or Infinity/
const TOKENS = /must have tokens/

/** Values that an option cannot have, and what the error says. */
const WRONG_FOR_ROUTES: Array<[keyof WebSocketRouteOptions, unknown[], RegExp]> = [
  ['maxPayload', [null, -1, 1.5, NaN, -Infinity, 2 ** 53, '1024', 10n, true, {}, [1]], MAX_PAYLOAD],
  ['maxBufferedAmount', [null, -1, 1.5, NaN, -Infinity, 2 ** 53, '1024', 10n, true, {}, [1]], MAX_PAYLOAD],
  ['maxConnections', [null, 0, -1, 1.5, NaN, 2 ** 53, '5', true, {}], /must be a number of connections, an integer from 1 to 2\^53 - 1, or Infinity/],
  ['rateLimit', [null, true, 5, '5/s', [], () => {}], /must be false or an object of options/],
  ['rateLimit', [{}, { window: 1000 }, { messages: undefined }], /must have 'messages', 'bytes' or both/],
  ['rateLimit', [{ messages: 0 }, { messages: 1.5 }, { messages: Infinity }, { bytes: '1kb' }, { bytes: -1, messages: 1 }], /: option '(messages|bytes)' must be an integer from 1/],
  ['rateLimit', [{ messages: 1, window: 0 }, { messages: 1, window: Infinity }], TIMEOUT],
  ['rateLimit', [{ messages: 1, per: 1000 }], /: unknown option 'per'; there are messages, bytes, window/],
  ['heartbeat', [null, 30_000, '30s', []], /must be false or an object of options, or true for the defaults/],
  ['heartbeat', [{ interval: 0 }, { timeout: -1 }, { interval: Infinity }, { timeout: '5s' }], TIMEOUT],
  ['heartbeat', [{ intervall: 1000 }], /: unknown option 'intervall'; there are interval, timeout/],
  ['idleTimeout', [null, true, 0, -1, 1.5, NaN, Infinity, 2 ** 31, '1000', {}], /must be false or a number of milliseconds, an integer from 1 to 2147483647/],
  ['protocols', [null, 'chat', 5, {}, true, new Set(['chat'])], /must be an array of subprotocols or a function/],
  ['protocols', [[''], ['a b'], ['a,b'], ['ü'], ['a\r\nb'], ['"a"'], [5], [null], [undefined], ['ok', 'not ok']], TOKENS],
  ['protocols', [['a', 'b', 'a']], /must not have an element twice/],
  ['errorHandler', [null, true, 'log', {}], /must be a function/],
  ['origin', [[], 'https://*.example.com', 'https://example.com:443', 'http://example.com:80', 'https://bücher.example', 'https://user@example.com', 'https://[0:0:0:0:0:0:0:1]'], ORIGIN],
  ['origin', [null, true, false, 5, '', 'example.com', 'same_origin', 'https://example.com/', 'https://example.com/path', 'https://exa mple.com', 'https://', '//example.com', {}, ['https://ok.example', 'nope'], [5], [null], [[]], ['*', () => true]], ORIGIN]
]

const WRONG_FOR_PLUGIN: Array<[string, unknown[], RegExp]> = [
  ...WRONG_FOR_ROUTES,
  ['handshakeTimeout', [null, 0, -1, 1.5, NaN, Infinity, 2 ** 31, '1000', false, {}], TIMEOUT],
  ['closeTimeout', [null, 0, -1, 1.5, NaN, Infinity, 2 ** 31, '1000', false, {}], TIMEOUT],
  ['preClose', [null, true, 'now', {}], /must be a function/],
  ['options', [null, true, 'x', 5, [], () => {}], /must be an object/],
  ['asyncapi', [null, true, '/asyncapi.json', []], /must be an object/]
]

const WRONG_ASYNCAPI: Array<[string, unknown[], RegExp]> = [
  ['info', [null, 'My API', []], /must be an object/],
  ['info', [{ title: '' }, { version: 1 }, { description: null }], /option '(title|version|description)' must be a string that is not empty/],
  ['info', [{ termsOfService: '/terms' }], /option 'termsOfService' must be an absolute URI/],
  ['info', [{ contact: 'me' }, { license: 'MIT' }, { externalDocs: [] }], /option '(contact|license|externalDocs)' must be an object/],
  ['info', [{ tags: 'chat' }], /option 'tags' must be an array/],
  ['info', [{ name: 'x' }], /unknown option 'name'; there are title, version, description, termsOfService, contact, license, tags, externalDocs/],
  ['servers', [null, [], 'ws://localhost'], /must be an object/],
  ['servers', [{ main: 'ws://localhost' }], /'main' must be an object/],
  ['servers', [{ main: { host: 'localhost' } }, { main: { url: 'ws://localhost', protocol: 'ws' } }], /'main' must have '(protocol|host)', as a server of AsyncAPI has/],
  ['servers', [{ 'the main one': { host: 'localhost', protocol: 'ws' } }, { 'a/b': { host: 'localhost', protocol: 'ws' } }], /must have names of letters/],
  ['id', [null, '', 'chat', 5], /must be an absolute URI/],
  ['defaultContentType', [null, '', 5], /must be a string that is not empty/],
  ['securitySchemes', [{ bearer: { scheme: 'bearer' } }], /'bearer' must have 'type', as a security scheme of AsyncAPI has/],
  ['route', [null, true, '', 'asyncapi.json', 5], /must be false or a URL that begins with '\/'/],
  ['transform', [null, true, {}], /must be a function/]
]

const WRONG_COMPATIBILITY: Array<[string, unknown[], RegExp]> = [
  ['maxPayload', [null, -1, '1024', 1.5], MAX_PAYLOAD],
  ['verifyClient', [true, {}], /must be a function/],
  ['handleProtocols', [['chat'], 'chat'], /must be a function/],
  ['clientTracking', [null, 0, 1, 'false'], /must be true or false/],
  ['closeTimeout', [null, 0, -1, '1000', Infinity], TIMEOUT],
  ['server', [{}, 8080, Fastify()], /must be a server of node:http or node:https/]
]

async function register (options: object): Promise<unknown> {
  const app = Fastify()
  try {
    await app.register(websocket, options as WebSocketPluginOptions)
    return null
  } catch (error) {
    return error
  } finally {
    await app.close()
  }
}

function show (value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  return value === null || typeof value !== 'object' ? String(value) : `${value.constructor.name} ${Array.isArray(value) ? value.map(show).join() : ''}`
}

t.test('every option of the plugin, wrong in every way: registration fails with an error that names it', async t => {
  for (const [name, values, message] of WRONG_FOR_PLUGIN) {
    for (const value of values) {
      const error = await register({ [name]: value })
      t.ok(error instanceof OptionError && error instanceof TypeError, `${name}: ${show(value)}`)
      t.match(error, { code: 'FST_WS_ERR_INVALID_OPTION', message })
      t.match((error as Error).message, `option '${name}'`)
    }
  }
})

t.test('every option of a route, wrong in every way: its declaration fails with an error that names route and option', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  let count = 0
  for (const [name, values, message] of WRONG_FOR_ROUTES) {
    for (const value of values) {
      const url = `/route/${count++}`
      try {
        app.get(url, { websocket: { [name]: value } }, () => {})
        t.fail(`${name}: ${show(value)} was accepted`)
      } catch (error) {
        t.ok(error instanceof OptionError, `${name}: ${show(value)}`)
        t.match((error as Error).message, message)
        t.match((error as Error).message, `GET ${url}: option '${name}'`)
      }
    }
  }
  // With the prefix, as the user knows the route.
  await app.register(async instance => {
    t.throws(() => instance.get('/x', { websocket: { maxPayload: -1 } }, () => {}), { message: /GET \/api\/x: option 'maxPayload'/ })
  }, { prefix: '/api' })
})

t.test('the names of ws and @fastify/websocket: wrong values are named with the option they are under', async t => {
  for (const [name, values, message] of WRONG_COMPATIBILITY) {
    for (const value of values) {
      const error = await register({ options: { [name]: value } })
      t.ok(error instanceof OptionError, `${name}: ${show(value)}`)
      t.match((error as Error).message, message)
      t.match((error as Error).message, `option 'options': option '${name}'`)
    }
  }
})

t.test('what asyncapi says, wrong in every way', async t => {
  for (const [name, values, message] of WRONG_ASYNCAPI) {
    for (const value of values) {
      const error = await register({ asyncapi: { [name]: value } })
      t.ok(error instanceof OptionError, `${name}: ${show(value)}`)
      t.match((error as Error).message, message)
      t.match((error as Error).message, `option 'asyncapi': option '${name}'`)
    }
  }
  t.match(await register({ asyncapi: { url: '/asyncapi.json' } }), {
    message: "option 'asyncapi': unknown option 'url'; there are info, servers, id, defaultContentType, securitySchemes, route, transform"
  })
  t.equal(await register({ asyncapi: { info: { title: 'Chat', 'x-logo': { url: 'https://example.com/logo.png' } }, route: false } }), null)
})

t.test('unknown options are named, with those that there are', async t => {
  for (const name of ['maxpayload', 'maxBuffer', 'timeout', 'constructor', '__proto__x', 'verifyClient', 'handleProtocols', 'toString']) {
    const error = await register({ [name]: 1 })
    t.ok(error instanceof OptionError, name)
    t.match((error as Error).message, `unknown option '${name}'`)
    for (const known of ['maxPayload', 'protocols', 'origin', 'handshakeTimeout', 'closeTimeout', 'errorHandler', 'preClose', 'options']) {
      t.match((error as Error).message, known)
    }
  }
  // `ws` needs one of the first two to be a server of its own; nothing here is an instance of the third.
  for (const name of ['port', 'noServer', 'WebSocket', 'maxpayload']) {
    const error = await register({ options: { [name]: 1 } })
    t.match((error as Error).message, `option 'options': unknown option '${name}'`)
  }

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  t.throws(() => app.get('/typo', { websocket: { max_payload: 1 } as WebSocketRouteOptions }, () => {}), { message: "GET /typo: unknown option 'max_payload'" })
  for (const name of ['handshakeTimeout', 'closeTimeout', 'preClose', 'options', 'asyncapi']) {
    t.throws(() => app.get('/plugin', { websocket: { [name]: 1 } as WebSocketRouteOptions }, () => {}), {
      code: 'FST_WS_ERR_INVALID_OPTION', message: `GET /plugin: option '${name}' is for the plugin only: app.register(websocket, { ${name} })`
    })
  }
})

t.test('websocket itself is a boolean or an object, and wsHandler a function', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  for (const value of [null, 0, '', 1, 'yes', [], () => {}]) {
    t.throws(() => app.route({ method: 'GET', url: '/wrong', websocket: value as unknown as true, handler: () => {} }),
      { code: 'FST_WS_ERR_INVALID_OPTION', message: /GET \/wrong: option 'websocket' must be a boolean or an object/ }, show(value))
  }
  for (const value of [null, true, 'handler', {}]) {
    t.throws(() => app.route({ method: 'GET', url: '/wrong', handler: async () => 'http', wsHandler: value as unknown as () => void }),
      { code: 'FST_WS_ERR_INVALID_OPTION', message: /GET \/wrong: option 'wsHandler' must be a function/ }, show(value))
  }
  const another = Fastify()
  t.teardown(() => another.close())
  await another.register(websocket)
  another.get('/http', { websocket: false }, async () => 'plain')
  t.equal((await another.inject('/http')).body, 'plain')
})

t.test('methods other than GET cannot have a WebSocket, and the error says why', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket)
  for (const method of ['POST', 'PUT', 'DELETE', ['GET', 'POST'], ['OPTIONS', 'GET']]) {
    t.throws(() => app.route({ method, url: '/m', websocket: true, handler: () => {} }), { message: /\/m: a WebSocket route can only have the method GET/ }, String(method))
  }
})

t.test('defaults', async t => {
  const { route, ...plugin } = resolvePluginOptions({})
  t.same(route, { maxPayload: 1024 * 1024, maxBufferedAmount: 16 * 1024 * 1024, maxConnections: Infinity, rateLimit: null, heartbeat: { interval: 30_000, timeout: 30_000 }, idleTimeout: Infinity, perMessageDeflate: null, protocols: null, origin: 'same-origin', onInvalidMessage: null, errorHandler: null, topics: null })
  t.same(plugin, {
    maxConnections: Infinity,
    handshakeTimeout: 10_000,
    closeTimeout: 10_000,
    drainTime: 0,
    preClose: null,
    verifyClient: null,
    handleProtocols: null,
    clientTracking: true,
    server: null,
    asyncapi: { info: { title: 'WebSocket API', version: '1.0.0' }, servers: null, id: null, defaultContentType: null, securitySchemes: null, route: null, transform: null },
    broker: null,
    topics: { maxSubscriptions: 128, maxTopics: 100_000, publishTimeout: 5_000, waitForBroker: 5_000, cutOffTimeout: 30_000 },
    withoutEffect: []
  })
})

t.test('options: what `ws` has as null is not given; what has no effect is told, unless it is not given', async t => {
  t.same(resolvePluginOptions({ options: { verifyClient: null, handleProtocols: null, server: null, path: null, host: null, backlog: null } }), resolvePluginOptions({}))
  const options = { path: '/ws', autoPong: false, skipUTF8Validation: true, maxFragments: 1, maxBufferedChunks: 1, maxPendingAutoPongs: 1, allowSynchronousEvents: false, host: 'x', backlog: 1 }
  t.same(resolvePluginOptions({ options }), { ...resolvePluginOptions({}), withoutEffect: Object.keys(options) })

  const logged: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => { logged.push(JSON.parse(line).msg) } } } })
  t.teardown(() => app.close())
  await app.register(websocket, { options: { maxPayload: 5, path: '/ws', autoPong: false } })
  t.match(logged, [/use a route instead/, /'autoPong' of ws has no effect/])
})

t.test('C5: undefined is the default, everywhere', async t => {
  const nothing = {
    maxPayload: undefined,
    protocols: undefined,
    origin: undefined,
    handshakeTimeout: undefined,
    closeTimeout: undefined,
    errorHandler: undefined,
    preClose: undefined,
    options: { maxPayload: undefined, verifyClient: undefined, handleProtocols: undefined, clientTracking: undefined, server: undefined }
  } as unknown as WebSocketPluginOptions
  t.same(resolvePluginOptions(nothing), resolvePluginOptions({}))
  const defaults = resolvePluginOptions({ maxPayload: 5, protocols: ['p'], origin: '*' }).route
  t.same(resolveRouteOptions({ maxPayload: undefined, protocols: undefined, origin: undefined }, defaults, 'GET /'), defaults)
  t.same(resolveRouteOptions({}, defaults, 'GET /'), defaults)
  t.same(resolveRouteOptions(true, defaults, 'GET /'), defaults)
})

t.test('the option of the route counts, then that of the plugin or the compatibility option', async t => {
  t.equal(resolvePluginOptions({ options: { maxPayload: 7 } }).route.maxPayload, 7)
  const { route } = resolvePluginOptions({ maxPayload: 8, origin: ['https://a.example', /b/], options: { maxPayload: 8 } })
  t.equal(route.maxPayload, 8)
  t.equal(resolvePluginOptions({ options: { closeTimeout: 7 } }).closeTimeout, 7)
  const resolved = resolveRouteOptions({ maxPayload: 0, protocols: [] }, route, 'GET /')
  t.equal(resolved.maxPayload, 0, '0 is a value')
  t.same(resolved.origin, ['https://a.example', /b/])
})

t.test('heartbeat and idleTimeout: a route has what it does not say from the plugin, and may turn off both', async t => {
  const { route } = resolvePluginOptions({ heartbeat: { interval: 1000 }, idleTimeout: 5000 })
  t.same([route.heartbeat, route.idleTimeout], [{ interval: 1000, timeout: 30_000 }, 5000])
  const some = resolveRouteOptions({ heartbeat: { timeout: 10 } }, route, 'GET /')
  t.same([some.heartbeat, some.idleTimeout], [{ interval: 1000, timeout: 10 }, 5000])
  const none = resolveRouteOptions({ heartbeat: false, idleTimeout: false }, route, 'GET /')
  t.same([none.heartbeat, none.idleTimeout], [null, Infinity])
  for (const heartbeat of [{}, true]) {
    t.same(resolveRouteOptions({ heartbeat }, none, 'GET /').heartbeat, { interval: 30_000, timeout: 30_000 })
    t.same(resolveRouteOptions({ heartbeat }, route, 'GET /').heartbeat, { interval: 1000, timeout: 30_000 })
    t.same(resolvePluginOptions({ heartbeat }).route.heartbeat, { interval: 30_000, timeout: 30_000 })
  }
})

t.test('rateLimit: a route has what it does not say from the plugin; maxConnections it has for itself alone', async t => {
  const { route, maxConnections } = resolvePluginOptions({ maxConnections: 5, rateLimit: { messages: 10, window: 500 } })
  t.equal(maxConnections, 5)
  t.equal(route.maxConnections, Infinity)
  t.same(route.rateLimit, { messages: 10, bytes: Infinity, window: 500 })
  t.same(resolveRouteOptions({ rateLimit: { bytes: 100 }, maxConnections: 2 }, route, 'GET /'), { ...route, maxConnections: 2, rateLimit: { messages: 10, bytes: 100, window: 500 } })
  t.equal(resolveRouteOptions({ rateLimit: false }, route, 'GET /').rateLimit, null)
  t.same(resolveRouteOptions({ rateLimit: { bytes: 1 } }, resolvePluginOptions({}).route, 'GET /').rateLimit, { messages: Infinity, bytes: 1, window: 1000 })
})

t.test('an option that is given flat and under options must have one value', async t => {
  const deflate = { threshold: 0 }
  t.equal(await register({ maxPayload: 7, closeTimeout: 8, perMessageDeflate: deflate, options: { maxPayload: 7, closeTimeout: 8, perMessageDeflate: { ...deflate } } }), null)
  t.equal(await register({ perMessageDeflate: { level: 1 }, options: { perMessageDeflate: { level: 1, threshold: 3 } } }), null)
  t.equal(await register({ perMessageDeflate: true, options: { perMessageDeflate: { threshold: 3 } } }), null)
  const cases: Array<[WebSocketPluginOptions, string]> = [
    [{ maxPayload: 8, options: { maxPayload: 7 } }, "option 'maxPayload' is given twice: 8, and 7 under 'options'"],
    [{ closeTimeout: 8, options: { closeTimeout: 7 } }, "option 'closeTimeout' is given twice: 8, and 7 under 'options'"],
    [{ perMessageDeflate: true, options: { perMessageDeflate: false } }, "option 'perMessageDeflate' is given twice: true, and false under 'options'"],
    [{ perMessageDeflate: { level: 1 }, options: { perMessageDeflate: { level: 2 } } }, 'option \'perMessageDeflate\' is given twice: {"level":1}, and {"level":2} under \'options\''],
    [{ perMessageDeflate: false, options: { perMessageDeflate: { level: 2 } } }, "option 'perMessageDeflate' is given twice"]
  ]
  for (const [options, message] of cases) t.match(await register(options), { code: 'FST_WS_ERR_INVALID_OPTION', message })
})

t.test('closeTimeout above the pluginTimeout of Fastify is warned of, wherever it is given', async t => {
  const registerIn = async (pluginTimeout: number, options: WebSocketPluginOptions): Promise<string[]> => {
    const logged: string[] = []
    const app = Fastify({ pluginTimeout, logger: { level: 'warn', stream: { write: line => { logged.push(JSON.parse(line).msg) } } } })
    t.teardown(() => app.close())
    await app.register(websocket, options)
    return logged
  }
  const message = "option 'closeTimeout' (5001 ms) is longer than Fastify's pluginTimeout (5000 ms), to which app.close() is limited"
  t.strictSame(await registerIn(5000, { closeTimeout: 5001 }), [message])
  t.strictSame(await registerIn(5000, { options: { closeTimeout: 5001 } }), [message])
  t.strictSame(await registerIn(5000, { closeTimeout: 5000 }), [])
  t.strictSame(await registerIn(5000, {}), [], 'the default follows')
  t.strictSame(await registerIn(0, { closeTimeout: 60_000 }), [], 'no pluginTimeout')
})

t.test('options of register for an encapsulated plugin are refused; those that say how Fastify loads it are not', async t => {
  for (const [name, value] of [['prefix', '/x'], ['logLevel', 'warn'], ['logSerializers', {}]] as const) {
    t.match(await register({ [name]: value }), { code: 'FST_WS_ERR_INVALID_OPTION', message: `option '${name}' has no effect on this plugin` })
  }
  t.equal(await register({ name: 'x', encapsulate: false, prefix: '', logLevel: undefined }), null)
})

t.test('an origin that no browser sends is refused with the one that it does', async t => {
  const hints: Record<string, string> = {
    'https://example.com:443': "browsers send 'https://example.com'",
    'https://example.com/': "browsers send 'https://example.com'",
    'http://localhost:5173/app': "browsers send 'http://localhost:5173'",
    'https://bücher.example': "browsers send 'https://xn--bcher-kva.example'",
    'https://*.example.com': 'a pattern is a RegExp'
  }
  for (const [origin, hint] of Object.entries(hints)) t.match(await register({ origin }), { message: hint }, origin)
  for (const origin of ['https://EXAMPLE.com', 'http://localhost:5173', 'http://[::1]:3000', 'app://bundle', 'capacitor://localhost', 'moz-extension://0a1b-2c']) {
    t.equal(await register({ origin }), null, origin)
  }
})

t.test('a RegExp that matches part of an origin is warned of, for the plugin and for a route', async t => {
  const logged: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => { logged.push(JSON.parse(line).msg) } } } }) as FastifyInstance
  t.teardown(() => app.close())
  const anchored = [/^https:\/\/example\.com$/, /^https:\/\/(?:a|b)\.example$/, /^https:\/\/[|$]\.example$/]
  const loose = [/example\.com/, /^https:\/\/example\.com/, /example\.com$/, /^https:\/\/a$|b/, /^https:\/\/a\$/]
  await app.register(websocket, { origin: [...anchored, ...loose.slice(0, 1)] })
  app.get('/as-plugin', { websocket: true }, () => {})
  app.get('/own', { websocket: { origin: [...anchored, ...loose] } }, () => {})
  t.equal(logged.length, 1 + loose.length)
  t.match(logged[0], "option 'origin': /example\\.com/ matches part of an origin")
  for (const line of logged.slice(1)) t.match(line, "GET /own: option 'origin'")
})

t.test('the options cannot be changed from outside once they were read', async t => {
  const protocols = ['a']
  const origin = ['https://a.example']
  const { route } = resolvePluginOptions({ protocols, origin })
  protocols.push('not a token')
  origin.push('nonsense')
  t.same(route.protocols, ['a'])
  t.same(route.origin, ['https://a.example'])
})

/** A binary frame's header alone, announcing so many bytes. */
const announcing = (length: number): Buffer => frame(2, '', { announce: BigInt(length), lengthBytes: length < 126 ? 0 : length < 65536 ? 2 : 8 })

t.test('C5: maxPayload is what it says, for the wire: the default, 4 * 2 ** 30, 2 ** 53 - 1, Infinity, 0', async t => {
  const { port } = await startApp(t, app => {
    app.get('/default', { websocket: true }, () => {})
    app.get('/undefined', { websocket: { maxPayload: undefined } as unknown as WebSocketRouteOptions }, () => {})
    app.get('/zero', { websocket: { maxPayload: 0 } }, connection => {
      connection.on('message', data => connection.send(data))
    })
    app.get('/one', { websocket: { maxPayload: 1 } }, () => {})
    app.get('/3g', { websocket: { maxPayload: 3 * 2 ** 30 } }, () => {})
    app.get('/small-default', { websocket: { maxPayload: 1024 * 1024 - 1 } }, () => {})
    app.get('/infinity', { websocket: { maxPayload: Infinity } }, () => {})
  })
  const announce = async (path: string, length: number): Promise<RawClient> => {
    const client = await RawClient.open(port, path)
    t.teardown(() => client.destroy())
    client.write(announcing(length))
    return client
  }
  const MiB = 1024 * 1024
  const tooLong: Array<[string, number]> = [
    ['/default', MiB + 1],
    // undefined is not unlimited
    ['/undefined', MiB + 1],
    ['/zero', 1],
    ['/one', 2],
    // what is over 2 ** 31 is not cut to 32 bits
    ['/3g', 3 * 2 ** 30 + 1],
    ['/small-default', MiB]
  ]
  for (const [path, length] of tooLong) t.equal((await (await announce(path, length)).closeFrame()).code, 1009, `${path} ${length}`)
  for (const [path, length] of [['/default', MiB], ['/undefined', MiB], ['/one', 1], ['/3g', 3 * 2 ** 30], ['/infinity', 3 * 2 ** 30]] as const) {
    const client = await announce(path, length)
    await turns(50)
    t.equal(client.received.length, 0, `${path} ${length} is waited for`)
  }
  const client = await RawClient.open(port, '/zero')
  t.teardown(() => client.destroy())
  client.write(binary(''))
  t.equal((await client.frame()).payload.length, 0)
})

t.test('C5: 4 * 2 ** 30 is itself, not 0', async t => {
  t.equal(resolvePluginOptions({ maxPayload: 4 * 2 ** 30 }).route.maxPayload, 4 * 2 ** 30)
  t.equal(resolvePluginOptions({ maxPayload: 2 ** 53 - 1 }).route.maxPayload, 2 ** 53 - 1)
  t.equal(resolvePluginOptions({ maxPayload: Infinity }).route.maxPayload, Infinity)
  const { port } = await startApp(t, echo, { maxPayload: 4 * 2 ** 30 })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.write(announcing(4 * 2 ** 30 + 1))
  t.equal((await client.closeFrame()).code, 1009)
  const second = await RawClient.open(port)
  t.teardown(() => second.destroy())
  second.write(binary('x'))
  t.equal((await second.frame()).payload.toString(), 'x')
})

t.test('options.server: upgrades of another server go through Fastify\'s router', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  await startApp(t, echo, { options: { server } })
  const { port } = server.address() as { port: number }
  const client = await RawClient.open(port)
  client.write(binary('through'))
  t.equal((await client.frame()).payload.toString(), 'through')
  client.destroy()
})

t.test('options.handleProtocols chooses for routes that declare none', async t => {
  const calls: unknown[] = []
  const handleProtocols = (protocols: Set<string>, request: IncomingMessage): string | false => {
    calls.push([...protocols, request.url])
    return 'b'
  }
  const { app } = await startApp(t, app => {
    app.get('/own', { websocket: { protocols: ['a'] } }, () => {})
    app.get('/none', { websocket: true }, () => {})
    app.get('/empty', { websocket: { protocols: [] } }, () => {})
  }, { options: { handleProtocols } })
  for (const [path, offered, expected] of [['/none', ['a', 'b'], 'b'], ['/empty', ['a', 'b'], ''], ['/own', ['b', 'a'], 'a'], ['/none', [], '']] as const) {
    const client = await app.injectWS(path, { protocols: offered })
    t.equal(client.protocol, expected)
    client.terminate()
  }
  t.same(calls, [['a', 'b', '/none']])
})
