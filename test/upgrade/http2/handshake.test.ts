import { once } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import Fastify, { type FastifyInstance } from 'fastify'
import { connect, type ClientHttp2Session, type Http2Server, type Http2ServerRequest, type Http2ServerResponse, type OutgoingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { text as readText } from 'node:stream/consumers'
import { deflateRawSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { WebSocketPluginOptions, WebSocketRefused } from '../../../lib/index.js'
import { echo, startApp, type TestApp } from '../../support/app.js'
import { certificate } from '../../support/certificate.js'
import { connectHttp2, extendedConnect, openHttp2, refusal, responseHeaders } from '../../support/http2-client.js'
import { startOnLocalhost } from '../../support/localhost.js'
import { ping, RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { connectSecure, gate, turns } from '../../support/server-sockets.js'

type Configure = (app: FastifyInstance) => unknown

async function start (t: Test, configure: Configure, options?: WebSocketPluginOptions, fastifyOptions = {}): Promise<TestApp & { session: ClientHttp2Session }> {
  const running = await startApp(t, configure, options, { http2: true, ...fastifyOptions })
  return { ...running, session: await connectHttp2(t, `http://127.0.0.1:${running.port}`) }
}

async function expectEcho (t: Test, client: RawClient, what: string): Promise<void> {
  client.write(text(what))
  t.equal((await client.frame()).payload.toString(), what, `echo of ${what}`)
}

t.test('RFC 8441 §5: an extended CONNECT is a GET to hooks and handler, and its 200 an ordinary reply', async t => {
  const lines: Record<string, unknown>[] = []
  const stream = new Writable({
    write (line: Buffer, _encoding, done) {
      lines.push(JSON.parse(line.toString()))
      done()
    }
  })
  const calls: string[] = []
  const { port, session, app } = await start(t, app => {
    app.addHook('onRequest', async request => { calls.push(`onRequest ${request.method} ${String(request.ws)}`) })
    app.addHook('preHandler', async (_request, reply) => { reply.header('Set-Cookie', ['a=1', 'b=2']).header('x-hook', 'yes') })
    app.addHook('onSend', async (_request, reply) => { calls.push(`onSend ${reply.statusCode}`) })
    app.addHook('onResponse', async (_request, reply) => { calls.push(`onResponse ${reply.statusCode}`) })
    app.addHook('onRequestAbort', async _request => { calls.push('onRequestAbort') })
    app.get('/rooms/:room', { websocket: true, schema: { querystring: { type: 'object', properties: { n: { type: 'integer' } } } } }, (connection, request) => {
      calls.push('handler')
      connection.send(JSON.stringify({
        url: connection.url,
        params: request.params,
        query: request.query,
        host: request.host,
        header: request.headers.host,
        protocol: request.protocol,
        ip: request.ip,
        remoteAddress: request.socket.remoteAddress,
        httpVersion: request.raw.httpVersion
      }))
    })
  }, {}, { logger: { stream } })
  const host = `127.0.0.1:${port}`
  const handshake = extendedConnect(session, '/rooms/a%20b?n=7')
  const { status, headers } = await responseHeaders(handshake)
  t.equal(status, 200)
  t.match(headers, { 'set-cookie': ['a=1', 'b=2'], 'x-hook': 'yes', date: String })
  for (const name of ['content-length', 'connection', 'upgrade', 'sec-websocket-accept', 'transfer-encoding']) t.notOk(name in headers, `no ${name}`)
  const client = new RawClient(handshake)
  t.same(JSON.parse((await client.frame()).payload.toString()), {
    url: `ws://${host}/rooms/a%20b?n=7`,
    params: { room: 'a b' },
    query: { n: 7 },
    host,
    header: host,
    protocol: 'http',
    ip: '127.0.0.1',
    remoteAddress: '127.0.0.1',
    httpVersion: '2.0'
  })
  t.same(calls, ['onRequest GET true', 'onSend 200', 'onResponse 200', 'handler'])
  t.match(lines.find(line => line.msg === 'request completed'), { res: { statusCode: 200 } })
  const closed = once([...app.websocketServer.clients][0]!, 'close')
  client.destroy()
  await closed
  await turns()
  t.equal(calls.length, 4, 'the end of the connection is none of the request')
})

t.test('subprotocol and permessage-deflate are agreed on as over HTTP/1.1', async t => {
  const { session } = await start(t, echo, { protocols: ['b', 'a'], perMessageDeflate: true })
  const client = extendedConnect(session, '/', { 'sec-websocket-protocol': 'a, b', 'sec-websocket-extensions': 'permessage-deflate' })
  const { headers } = await responseHeaders(client)
  t.equal(headers['sec-websocket-protocol'], 'b')
  t.match(headers['sec-websocket-extensions'], /^permessage-deflate/)
  const raw = new RawClient(client)
  raw.write(text(deflateRawSync('compressed', { finishFlush: 2 }).subarray(0, -4), { rsv: 0x40 }))
  t.equal((await raw.frame()).payload.toString(), 'compressed')
})

t.test('refusals are answers of HTTP/2, and the session goes on', async t => {
  const refusals: WebSocketRefused[] = []
  const onRefused = (message: unknown): void => { refusals.push(message as WebSocketRefused) }
  subscribe('fastify-ws-routes.refused', onRefused)
  t.teardown(() => unsubscribe('fastify-ws-routes.refused', onRefused))
  const { session, app, port } = await start(t, app => {
    echo(app)
    app.setErrorHandler((error: Error & { statusCode?: number, headers?: Record<string, string> }, _request, reply) =>
      reply.code(error.statusCode ?? 500).headers(error.headers ?? {}).send({ mine: error.message }))
    const handler = (): void => { t.fail('the handler of a refused handshake') }
    app.get('/http', async () => 'http')
    app.get('/401', { websocket: true, preHandler: async (_request, reply) => reply.code(401).header('WWW-Authenticate', 'Basic').send('who?') }, handler)
    app.get('/302', { websocket: true, preHandler: async (_request, reply) => reply.redirect('/elsewhere') }, handler)
    app.get('/200', { websocket: true, preHandler: async (_request, reply) => reply.send('from the cache') }, handler)
    app.get('/204', { websocket: true, preHandler: async (_request, reply) => reply.code(204).send() }, handler)
    app.get('/valid', { websocket: true, schema: { querystring: { type: 'object', required: ['n'], properties: { n: { type: 'string' } } } } }, handler)
    app.get('/throws', { websocket: true, onRequest: async () => { throw new Error('no') } }, handler)
    app.get('/big', { websocket: true, preHandler: async (_request, reply) => reply.code(403).send('x'.repeat(300_000)) }, handler)
    app.get('/late', { websocket: true, onSend: async () => { throw new Error('too late?') } }, handler)
    app.get('/one', { websocket: { maxConnections: 1 } }, () => {})
  })
  const cases: [name: string, path: string, headers: OutgoingHttpHeaders, status: number, found: object | string][] = [
    ['version 8', '/', { 'sec-websocket-version': '8' }, 426, { 'sec-websocket-version': '13' }],
    ['two versions', '/', { 'sec-websocket-version': ['13', '13'] as never }, 400, {}],
    ['a body', '/', { 'content-length': '4' }, 400, {}],
    ['a malformed subprotocol', '/', { 'sec-websocket-protocol': 'a b' }, 400, {}],
    ['an unknown URL', '/unknown', {}, 404, {}],
    ['a malformed URL', '/%zz', {}, 400, {}],
    ['an HTTP route', '/http', {}, 404, {}],
    ['a hook that answers 401', '/401', {}, 401, { 'www-authenticate': 'Basic' }],
    ['a hook that redirects', '/302', {}, 302, { location: '/elsewhere' }],
    ['a hook that answers 200, which would be a WebSocket', '/200', {}, 501, 'from the cache'],
    ['a hook that answers 204', '/204', {}, 501, ''],
    ['a schema', '/valid', {}, 400, '"mine":"querystring'],
    ['a hook that throws', '/throws', {}, 500, '{"mine":"no"}'],
    ['a long answer', '/big', {}, 403, 'x'.repeat(300_000)],
    ['an onSend hook that throws', '/late', {}, 500, 'too late?'],
    ['another origin', '/', { origin: 'https://evil.example' }, 403, {}]
  ]
  for (const [name, path, headers, status, found] of cases) {
    const response = await refusal(session, path, headers)
    t.equal(response.status, status, name)
    if (typeof found === 'string') t.ok(response.body.includes(found), `${name}: ${found.slice(0, 40)}`)
    else t.match(response.headers, found, name)
    t.notOk('connection' in response.headers || 'upgrade' in response.headers || 'keep-alive' in response.headers, `${name}: no field of HTTP/1.1`)
  }
  const first = await openHttp2(session, '/one')
  const full = await refusal(session, '/one')
  t.match([full.status, full.headers['retry-after']], [503, '1'], 'maxConnections')
  first.destroy()
  await expectEcho(t, await openHttp2(session, '/', { origin: `http://127.0.0.1:${port}` }), 'the same session, the same origin')
  t.equal(session.closed, false)
  t.equal(app.websocketServer.stats.pending, 0)
  t.equal(refusals.length, cases.length + 1, 'each is told once')
  t.same(refusals.map(({ statusCode }) => statusCode), [...cases.map(([, , , status]) => status), 503])
  t.match(app.websocketServer.stats.refused, { FST_WS_ERR_HANDSHAKE_VERSION: 2, FST_WS_ERR_ORIGIN: 1, FST_WS_ERR_MAX_CONNECTIONS: 1, 404: 2, 401: 1 })
})

t.test('A15: a plain request to a WebSocket route is told the version, in the terms of HTTP/2', async t => {
  const { session } = await start(t, echo)
  const stream = session.request({ ':path': '/' })
  const { status, headers } = await responseHeaders(stream)
  t.match([status, headers['sec-websocket-version']], [426, '13'])
  t.notOk('connection' in headers || 'upgrade' in headers)
})

t.test('content that a hook makes of nothing is not taken for frames', async t => {
  const { session } = await start(t, app => {
    app.addHook('onSend', async () => JSON.stringify({ wrapped: null }))
    echo(app)
  })
  await expectEcho(t, await openHttp2(session), 'a frame')
})

t.test('RFC 8441 §4: another :protocol gets 501, and CONNECT without one what it got before', async t => {
  const { session } = await start(t, echo)
  const other = await refusal(session, '/', { ':protocol': 'connect-udp' })
  t.match(other, { status: 501, body: '"error":"Not Implemented"' })

  const plain = Fastify({ http2: true })
  t.teardown(() => plain.close())
  await plain.listen({ port: 0, host: '127.0.0.1' })
  const without = await connectHttp2(t, `http://127.0.0.1:${(plain.server.address() as AddressInfo).port}`)
  const statuses: number[] = []
  for (const client of [session, without]) {
    statuses.push((await responseHeaders(client.request({ ':method': 'CONNECT', ':authority': 'example.com:443' }))).status)
  }
  t.equal(statuses[0], statuses[1])
  await expectEcho(t, await openHttp2(session), 'still there')
})

t.test('B1: a connect listener of the user has what is not for our routes', async t => {
  const seen: string[] = []
  const { session } = await start(t, app => {
    (app.server as unknown as Http2Server).on('connect', (request: Http2ServerRequest, response: Http2ServerResponse) => {
      seen.push(`${request.method} ${String(request.headers[':protocol'])} ${request.url}`)
      response.writeHead(418)
      response.end('mine')
    })
    echo(app)
  })
  for (const [path, protocol] of [['/mine', 'websocket'], ['/', 'connect-udp']] as const) {
    t.match(await refusal(session, path, { ':protocol': protocol }), { status: 418, body: 'mine' })
  }
  t.equal((await responseHeaders(session.request({ ':method': 'CONNECT', ':authority': 'a:1' }))).status, 418)
  await expectEcho(t, await openHttp2(session), 'ours')
  t.same(seen, ['CONNECT websocket /mine', 'CONNECT connect-udp /', 'CONNECT undefined undefined'])
})

t.test('two encapsulated contexts with the plugin, each with its routes', async t => {
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  const { default: websocket } = await import('../../../lib/index.js')
  for (const prefix of ['/a', '/b']) {
    await app.register(async scope => {
      await scope.register(websocket)
      scope.get('/', { websocket: true }, connection => { connection.send(prefix) })
    }, { prefix })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = await connectHttp2(t, `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  for (const prefix of ['/a', '/b']) t.equal((await (await openHttp2(session, prefix)).frame()).payload.toString(), prefix)
  t.equal((await refusal(session, '/c')).status, 404)
})

t.test('A6: what comes while hooks run waits in the stream, within its window, and nothing is lost', async t => {
  const { passed, open } = gate()
  const received: number[] = []
  const { session } = await start(t, app => {
    app.addHook('onRequest', async () => passed)
    app.get('/', { websocket: true }, async connection => {
      await turns(3)
      connection.on('message', data => {
        received.push(data.readUInt32BE())
        if (received.length === 400) connection.close()
      })
    })
  })
  const stream = extendedConnect(session)
  const payload = Buffer.alloc(1000)
  for (let i = 0; i < 400; i++) {
    payload.writeUInt32BE(i)
    stream.write(text(payload, { mask: 0 }).fill(0x82, 0, 1))
  }
  const other = session.request({ ':path': '/' })
  await turns(50)
  t.ok(stream.bufferSize > 300_000, `${stream.bufferSize} of 400000 bytes are still with the client`)
  open()
  t.equal((await responseHeaders(stream)).status, 200)
  t.equal((await responseHeaders(other)).status, 426, 'others on the session are not held up')
  t.equal((await new RawClient(stream).closeFrame()).code, 1005)
  t.same(received, Array.from({ length: 400 }, (_, i) => i))
})

t.test('A5: a client that resets the stream while hooks run: no handler, and the hooks are told', async t => {
  const { passed, open } = gate()
  let onAbort!: () => void
  const aborted = new Promise<void>(resolve => { onAbort = resolve })
  const { session, app } = await start(t, app => {
    app.addHook('onRequestAbort', async _request => onAbort())
    app.get('/', { websocket: true, onRequest: async () => passed }, () => { t.fail('the handler') })
    app.get('/echo', { websocket: true }, connection => { connection.on('message', data => connection.send(data)) })
  })
  const stream = extendedConnect(session)
  await turns()
  while (app.websocketServer.stats.pending === 0) await turns(1)
  stream.destroy()
  await aborted
  open()
  await turns()
  t.match(app.websocketServer.stats, { pending: 0, open: 0, refused: { aborted: 1 } })
  t.equal((await openHttp2(session, '/echo')).socket.closed, false, 'the session lives')
})

t.test('handshakeTimeout: 503, and the others on the session live', async t => {
  const { session, app } = await start(t, app => {
    app.get('/', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
  }, { handshakeTimeout: 50 })
  t.match(await refusal(session), { status: 503, headers: { 'retry-after': '1' } })
  t.same(app.websocketServer.stats.refused, { timeout: 1 })
})

t.test('A4: the time limits and the signal of the request end with the handshake', async t => {
  let signal: AbortSignal | undefined
  const { session } = await start(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      signal = request.signal
      connection.on('message', data => connection.send(data, { binary: false }))
    })
    app.get('/hangs', () => new Promise(() => {}))
  }, {}, { handlerTimeout: 500, connectionTimeout: 500 })
  const client = await openHttp2(session)
  // What came later is over its limit.
  const later = session.request({ ':path': '/hangs' })
  t.equal((await responseHeaders(later)).status, 503)
  later.resume()
  await expectEcho(t, client, 'still there')
  t.equal(signal?.aborted, false)
})

t.test('verifyClient of ws knows whether TLS is there', async t => {
  const seen: unknown[] = []
  const verifyClient = ({ secure, origin }: { secure: boolean, origin: string | undefined }): boolean => {
    seen.push(secure, origin)
    return origin === undefined
  }
  for (const https of [undefined, certificate]) {
    const { port } = await startApp(t, echo, { origin: '*', options: { verifyClient } }, { http2: true, ...(https === undefined ? {} : { https }) })
    const session = await connectHttp2(t, `http${https === undefined ? '' : 's'}://127.0.0.1:${port}`, { ca: certificate.cert, servername: 'localhost' })
    await expectEcho(t, await openHttp2(session), 'verified')
    t.equal((await refusal(session, '/', { origin: 'https://a.example' })).status, 401)
  }
  t.strictSame(seen, [false, undefined, false, 'https://a.example', true, undefined, true, 'https://a.example'])
})

t.test('allowHTTP1: both versions side by side on one server', async t => {
  const { port, app } = await startApp(t, echo, {}, { http2: true, https: { ...certificate, allowHTTP1: true } })
  const session = await connectHttp2(t, `https://127.0.0.1:${port}`, { ca: certificate.cert, servername: 'localhost' })
  const second = await openHttp2(session)
  const first = await connectSecure(port)
  first.write(upgradeRequest('/'))
  t.equal((await first.head()).status, 101)
  await expectEcho(t, first, 'over HTTP/1.1')
  await expectEcho(t, second, 'over HTTP/2')
  t.equal(app.websocketServer.broadcast('all'), 2)
  for (const client of [first, second]) t.equal((await client.frame()).payload.toString(), 'all')
  first.write(ping())
  t.equal((await first.frame()).opcode, 0xa)
  first.destroy()
})

t.test('the second server of localhost offers it too, and is closed with the first', async t => {
  const { app, port, second } = await startOnLocalhost(t, echo, {}, { http2: true })
  const authority = `http://${second.includes(':') ? `[${second}]` : second}:${port}`
  const session = await connectHttp2(t, authority)
  t.equal(session.remoteSettings.enableConnectProtocol, true)
  const client = await openHttp2(session)
  await expectEcho(t, client, second)
  const ended = once(session, 'close')
  const closing = app.close()
  t.equal((await client.closeFrame()).code, 1001)
  client.end()
  await Promise.all([closing, ended])
})

t.test('extended CONNECT is offered in the first SETTINGS frame', async t => {
  const { port } = await start(t, echo)
  const client = await RawClient.connect(port)
  client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  client.write(Buffer.from('000000040000000000', 'hex'))
  const header = await client.bytes(9)
  t.equal(header[3], 4, 'SETTINGS')
  const settings = await client.bytes(header.readUIntBE(0, 3))
  const ids: number[] = []
  for (let i = 0; i < settings.length; i += 6) if (settings.readUInt32BE(i + 2) === 1) ids.push(settings.readUInt16BE(i))
  t.ok(ids.includes(8), 'SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441 §3)')
  client.destroy()
})

t.test('injectWS speaks HTTP/2 to an app of HTTP/2', async t => {
  const app = Fastify({ http2: true, https: certificate }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  const { default: websocket } = await import('../../../lib/index.js')
  await app.register(websocket)
  const ended: number[] = []
  app.get('/', { websocket: { protocols: ['a'] } }, (connection, request) => {
    connection.on('message', () => {
      connection.send([request.raw.httpVersion, request.ip, request.protocol, request.host, request.headers.cookie, connection.url].join(' '))
    })
    connection.on('close', code => ended.push(code))
  })
  app.get('/no', { websocket: true, onRequest: async (_request, reply) => reply.code(403).header('x-why', 'because').send('no') }, () => {})

  let opened = 0
  const client = await app.injectWS('/', { protocols: ['b', 'a'], remoteAddress: '192.0.2.7', headers: { cookie: 'a=1', Connection: 'keep-alive' } }, { onOpen: () => opened++ })
  t.match(client, { protocol: 'a', url: 'wss://localhost:80/' })
  client.send('?')
  t.equal(String((await once(client, 'message'))[0]), '2.0 192.0.2.7 https localhost:80 a=1 wss://localhost:80/')
  client.close(4000)
  t.equal((await once(client, 'close'))[0], 4000)
  const broken = await app.injectWS('/')
  const closed = once([...app.websocketServer.clients][0]!, 'close')
  broken.terminate()
  await closed
  t.same(ended, [4000, 1006])
  t.equal(opened, 1)
  await t.rejects(app.injectWS('/no'), { code: 'FST_WS_ERR_UNEXPECTED_RESPONSE', statusCode: 403, body: 'no', headers: { 'x-why': 'because' } })
  await t.rejects(app.injectWS('/nowhere'), { code: 'FST_WS_ERR_UNEXPECTED_RESPONSE', statusCode: 404 })
})

t.test('what a client could not negotiate it cannot use: a server without the plugin does not offer it', async t => {
  const plain = Fastify({ http2: true })
  t.teardown(() => plain.close())
  await plain.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(plain.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  const [settings] = await once(session, 'remoteSettings')
  t.equal(settings.enableConnectProtocol, false)
  t.equal(await readText(session.request({ ':path': '/' }).on('error', () => {})), '{"message":"Route GET:/ not found","error":"Not Found","statusCode":404}')
})
