import t from 'tap'
import type { OriginPolicy } from '../../types/options.js'
import { startApp } from '../support/app.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'

type Headers = Record<string, string | null>

/** The status of a handshake on a route with this policy, and the refusal's body. */
async function startWith (t: Parameters<typeof startApp>[0], origin: OriginPolicy | undefined, fastifyOptions = {}): Promise<(headers: Headers) => Promise<number>> {
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: origin === undefined ? true : { origin } }, () => {})
  }, {}, fastifyOptions)
  return async headers => {
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/', headers))
    const { status } = await client.head()
    client.destroy()
    return status
  }
}

t.test('the default is same-origin: host and port of Origin are those of Host', async t => {
  const status = await startWith(t, undefined)
  const cases: [host: string, origin: string | null, allowed: boolean][] = [
    ['example.com', null, true],
    ['example.com', 'http://example.com', true],
    ['example.com', 'https://example.com', true],
    ['EXAMPLE.com', 'http://example.COM', true],
    ['example.com:80', 'http://example.com', true],
    ['example.com', 'http://example.com:80', true],
    ['example.com:443', 'https://example.com', true],
    ['example.com', 'https://example.com:443', true],
    ['example.com:8080', 'http://example.com:8080', true],
    ['127.0.0.1:3000', 'http://127.0.0.1:3000', true],
    ['[::1]:3000', 'http://[::1]:3000', true],
    ['[::1]', 'http://[0:0:0:0:0:0:0:1]', true],

    ['example.com', 'http://example.com:8080', false],
    ['example.com:8080', 'http://example.com', false],
    ['example.com:80', 'https://example.com', false],
    ['example.com:443', 'http://example.com', false],
    ['example.com', 'http://evil.example', false],
    ['example.com', 'http://example.com.evil.example', false],
    ['example.com', 'http://notexample.com', false],
    ['example.com', 'http://sub.example.com', false],
    ['example.com', 'http://example.com@evil.example', false],
    ['[::1]:3000', 'http://[::2]:3000', false],
    ['example.com', 'null', false],
    ['null', 'null', false],
    ['example.com', '', false],
    ['example.com', 'example.com', false],
    ['example.com', '//example.com', false],
    ['example.com', 'http://', false],
    ['example.com', 'file://', false],
    ['example.com', '*', false],
    ['example.com', 'same-origin', false],
    ['example.com', 'http://example.com, http://evil.example', false],
    ['example.com', 'http://[', false],
    ['not a host', 'http://evil.example', false]
  ]
  for (const [host, origin, allowed] of cases) {
    t.equal(await status({ Host: host, Origin: origin }), allowed ? 101 : 403, `${origin} at ${host}`)
  }
})

t.test('same-origin behind a proxy: the host that trustProxy tells', async t => {
  const trusting = await startWith(t, 'same-origin', { trustProxy: true })
  const forwarded = { Host: 'internal:3000', 'X-Forwarded-Host': 'example.com', 'X-Forwarded-Proto': 'https' }
  t.equal(await trusting({ ...forwarded, Origin: 'https://example.com' }), 101)
  t.equal(await trusting({ ...forwarded, Origin: 'http://internal:3000' }), 403)
  const wary = await startWith(t, 'same-origin')
  t.equal(await wary({ ...forwarded, Origin: 'https://example.com' }), 403, 'anybody can send the header')
})

t.test('each form of the option', async t => {
  const policies: [name: string, policy: OriginPolicy, allowed: (string | null)[], refused: string[]][] = [
    ['*', '*', ['http://any.example', 'null', 'garbage', null], []],
    ['a string', 'https://app.example', ['https://app.example', 'HTTPS://APP.example', null],
      ['http://app.example', 'https://app.example:444', 'https://app.example.evil', 'null', '', 'http://localhost']],
    ['null', 'null', ['null', null], ['http://localhost', 'https://null']],
    ['a RegExp', /^https:\/\/[a-z]+\.app\.example$/, ['https://one.app.example', null], ['https://one.app.example.evil', 'https://app.example', 'http://localhost']],
    ['an array', ['https://app.example', /\.internal$/, 'same-origin', 'null'],
      ['https://app.example', 'http://box.internal', 'http://localhost', 'null', null], ['https://other.example', 'http://localhost:81']],
    ['an array with *', ['https://app.example', '*'], ['http://any.example'], []],
    ['a function', origin => origin.endsWith('.example'), ['http://a.example', null], ['http://a.other', 'null']],
    ['an async function', async origin => {
      await new Promise(resolve => setImmediate(resolve))
      return origin.endsWith('.example')
    }, ['http://a.example', null], ['http://a.other', 'null']]
  ]
  for (const [name, policy, allowed, refused] of policies) {
    await t.test(name, async t => {
      const status = await startWith(t, policy)
      for (const origin of allowed) t.equal(await status({ Origin: origin }), 101, String(origin))
      for (const origin of refused) t.equal(await status({ Origin: origin }), 403, origin)
    })
  }
})

t.test('a refusal names the origin, the option, and for same-origin the host that it was compared with; the log has no stack', async t => {
  const logged: Array<{ msg: string, err?: { stack: string } }> = []
  const logger = { level: 'info', stream: { write: (line: string) => { logged.push(JSON.parse(line)) } } }
  const cases: Array<[OriginPolicy, string]> = [
    ['same-origin', "Origin 'http://localhost:5173' is not allowed by option 'origin': 'same-origin' means the host of the request, '127.0.0.1:3000'"],
    [['https://a.example', 'same-origin'], "Origin 'http://localhost:5173' is not allowed by option 'origin': 'same-origin' means the host of the request, '127.0.0.1:3000'"],
    ['https://a.example', "Origin 'http://localhost:5173' is not allowed by option 'origin'"],
    [() => false, "Origin 'http://localhost:5173' is not allowed by the function in option 'origin'"]
  ]
  for (const [origin, message] of cases) {
    const { port } = await startApp(t, app => { app.get('/', { websocket: { origin } }, () => {}) }, {}, { logger })
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/', { Origin: 'http://localhost:5173', Host: '127.0.0.1:3000' }))
    const { body } = await client.response()
    client.destroy()
    t.match(String(body), JSON.stringify(message).slice(1, -1))
    const line = logged.find(({ msg }) => msg === message)
    t.equal(line?.err?.stack, `HandshakeError: ${message}`)
    logged.length = 0
  }
})

t.test('a RegExp with the global or sticky flag gives the same answer each time', async t => {
  for (const rule of [/^http:\/\/app\.example$/g, /http:\/\/app\.example/y, [/example/g]]) {
    const status = await startWith(t, rule)
    for (let i = 0; i < 4; i++) t.equal(await status({ Origin: 'http://app.example' }), 101, `${rule}, time ${i}`)
  }
})

t.test('a function gets the origin and the request; what it throws is a 500 and not a connection', async t => {
  const asked: unknown[] = []
  const status = await startWith(t, (origin, request) => {
    asked.push([origin, request.url, request.headers.cookie])
    return true
  })
  t.equal(await status({ Origin: 'http://a.example', Cookie: 'a=1' }), 101)
  t.same(asked, [['http://a.example', '/', 'a=1']])
  for (const thrower of [() => { throw new Error('of the policy') }, async () => { throw new Error('of the policy') }]) {
    t.equal(await (await startWith(t, thrower))({ Origin: 'http://a.example' }), 500)
  }
  t.equal(await (await startWith(t, async () => { throw Object.assign(new Error('busy'), { statusCode: 503 }) }))({ Origin: 'http://a.example' }), 503)
})

t.test('a function that returns nothing lets nobody in', async t => {
  for (const [value, expected] of [[undefined, 403], [null, 403], [0, 403], ['', 403]] as const) {
    const mistaken = (() => value) as unknown as OriginPolicy
    t.equal(await (await startWith(t, mistaken))({ Origin: 'http://a.example' }), expected, String(value))
    const async = (async () => value) as unknown as OriginPolicy
    t.equal(await (await startWith(t, async))({ Origin: 'http://a.example' }), expected, `async ${value}`)
  }
})

t.test('the refusal is a whole 403 with a code, and a route has its own policy over that of the plugin', async t => {
  const { port } = await startApp(t, app => {
    app.get('/default', { websocket: true }, () => {})
    app.get('/open', { websocket: { origin: '*' } }, () => {})
    app.get('/both', { handler: async () => 'http', wsHandler: () => {} })
  }, { origin: 'https://app.example' })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/default', { Origin: 'https://other.example' }))
  const response = await client.response()
  t.equal(response.status, 403)
  t.equal(JSON.parse(response.body).code, 'FST_WS_ERR_ORIGIN')
  t.equal(response.headers.connection, 'close')
  t.equal(await client.ended, true)
  client.end()
  for (const [path, origin] of [['/default', 'https://app.example'], ['/open', 'https://other.example']] as const) {
    (await RawClient.open(port, path, { Origin: origin })).destroy()
  }
  const http = await RawClient.connect(port)
  http.write('GET /both HTTP/1.1\r\nHost: localhost\r\nOrigin: https://other.example\r\n\r\n')
  t.equal((await http.response()).status, 200, 'the policy is not one for HTTP')
  http.destroy()
})
