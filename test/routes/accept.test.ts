import cookie from '@fastify/cookie'
import t from 'tap'
import type { WebSocketPluginOptions, WebSocketRouteOptions } from '../../types/options.js'
import { echo, startApp, type TestApp } from '../support/app.js'
import { ACCEPT, close, KEY, RawClient, text, upgradeRequest, type RawResponse } from '../support/raw-client.js'
import { connectSecure, ServerSockets, turns } from '../support/server-sockets.js'
import { certificate } from '../support/certificate.js'

/** The answer to a handshake; the connection is closed afterwards. */
async function answer (port: number, request: string): Promise<Omit<RawResponse, 'body'> & { body: string }> {
  const client = await RawClient.connect(port)
  client.write(request)
  const head = await client.head()
  const length = Number(head.headers['content-length'] ?? 0)
  const body = (await client.bytes(length)).toString()
  if (head.status !== 101) {
    if (await client.ended !== true) throw new Error('the connection was reset')
    if (client.received.length > 0) throw new Error(`behind the answer: ${client.received.toString('latin1')}`)
  }
  client.destroy()
  return { ...head, body }
}

t.test('the 101 has what RFC 6455 §4.2.2 asks for, and no body', async t => {
  const { port } = await startApp(t, echo)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/', { 'Sec-WebSocket-Key': KEY }))
  const { head, headers } = await client.head()
  t.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
  t.notMatch(head, /[^\r]\n|\r[^\n]/, 'lines end with CRLF')
  t.match(headers.upgrade, /^websocket$/i)
  t.match(headers.connection, /^upgrade$/i)
  t.equal(headers['sec-websocket-accept'], ACCEPT)
  for (const name of ['content-length', 'transfer-encoding', 'content-type', 'sec-websocket-protocol', 'sec-websocket-extensions', 'keep-alive']) {
    t.notOk(name in headers, name)
  }
  client.write(text('first'))
  t.equal((await client.frame()).payload.toString(), 'first', 'right behind the head come frames')
  client.destroy()
})

t.test('A8: a handshake with a body, or over HTTP/1.0, is a 400, and the body is not taken for frames', async t => {
  let handled = 0
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => { handled++ })
  })
  const sockets = new ServerSockets(app.server)
  const frame = text('hi', { mask: 0 }).toString('latin1')
  const cases: [name: string, request: string][] = [
    ['Content-Length', upgradeRequest('/', { 'Content-Length': '8' }) + frame],
    ['Content-Length, body to come', upgradeRequest('/', { 'Content-Length': '8' })],
    ['chunked', upgradeRequest('/', { 'Transfer-Encoding': 'chunked' }) + `8\r\n${frame}\r\n0\r\n\r\n`],
    ['chunked, body to come', upgradeRequest('/', { 'Transfer-Encoding': 'chunked' })],
    ['HTTP/1.0', upgradeRequest('/', {}, 'GET / HTTP/1.0')]
  ]
  for (const [name, request] of cases) {
    const { status } = await answer(port, request)
    t.equal(status, 400, name)
  }
  await sockets.allClosed()
  t.equal(handled, 0)
  t.equal((await answer(port, upgradeRequest('/', { 'Content-Length': '0' }))).status, 101, 'no body')
})

t.test('A9: token lists in any case and order', async t => {
  const { port } = await startApp(t, echo)
  const variants: Record<string, string>[] = [
    { Connection: 'keep-alive, Upgrade' },
    { Connection: 'UPGRADE', Upgrade: 'WebSocket' },
    { Upgrade: 'websocket, h2c' },
    { Upgrade: 'h2c,websocket' },
    { Upgrade: 'foo/1, WEBSOCKET/13, websocket' },
    { Connection: 'keep-alive', connection: 'upgrade' },
    { Upgrade: 'h2c', upgrade: 'websocket' }
  ]
  for (const headers of variants) {
    t.equal((await answer(port, upgradeRequest('/', headers))).status, 101, JSON.stringify(headers))
  }
})

t.test('A10: another version, a bad key', async t => {
  const { port } = await startApp(t, echo)
  for (const version of ['8', '7', '0', '14', '13, 8', '013', '', null]) {
    const response = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Version': version }))
    t.equal(response.status, 426, `version ${version}`)
    t.equal(response.headers['sec-websocket-version'], '13')
    t.equal(response.headers.upgrade, 'websocket')
    t.match(response.headers.connection, /\bupgrade\b.*\bclose\b/i)
  }
  for (const key of ['', 'short', 'x'.repeat(24), 'dGhlIHNhbXBsZSBub25jZQ', 'dGhlIHNhbXBsZSBub25jZQ=', 'AAAAAAAAAAAAAAAAAAAAAB==', `${KEY}, ${KEY}`, null]) {
    t.equal((await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Key': key }))).status, 400, `key ${key}`)
  }
  t.equal((await answer(port, upgradeRequest('/', { 'sec-websocket-key': KEY }))).status, 400, 'a key twice')
})

t.test('A11: names of Object.prototype, and a long list, in linear time', async t => {
  const offers: (readonly string[])[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: { protocols: offered => { offers.push(offered); return offered[0] ?? false } } }, () => {})
  })
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    const { status, headers } = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': name, 'Sec-WebSocket-Extensions': `${name}; ${name}=1` }))
    t.equal(status, 101, name)
    t.equal(headers['sec-websocket-protocol'], name)
  }
  t.same(offers, [['constructor'], ['__proto__'], ['toString'], ['hasOwnProperty']])
  // As much as Node lets in; a pattern that backtracks takes seconds for it.
  const response = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'b' + ' '.repeat(15_000) + 'x' }))
  t.equal(response.status, 400, 'a space within a token')
})

t.test('A12: offers of extensions that are unknown or malformed do not fail the handshake', async t => {
  const { port } = await startApp(t, echo)
  for (const value of ['foo', 'permessage-deflate; client_max_window_bits=99', 'permessage-deflate; bogus=1, foo; bar="b"', 'permessage-deflate; server_no_context_takeover=1']) {
    const { status, headers } = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Extensions': value }))
    t.equal(status, 101, value)
    t.equal(headers['sec-websocket-extensions'], undefined)
  }
})

t.test('A13: headers and cookies that hooks set are on the 101', async t => {
  const { port } = await startApp(t, async app => {
    await app.register(cookie, { secret: 'of the test' })
    app.addHook('onRequest', async (request, reply) => {
      reply.header('X-Request', request.id)
      reply.setCookie('session', 'abc', { path: '/', httpOnly: true })
    })
    app.addHook('onSend', async (_request, reply) => { reply.header('x-on-send', 'too') })
    app.get('/', {
      websocket: true,
      preValidation: async (_request, reply) => {
        reply.setCookie('second', 'd e f', { signed: true })
        reply.raw.setHeader('x-raw', 'of the response')
      },
      preHandler: async (request, reply) => { reply.header('x-cookie', request.cookies['from-client'] ?? 'none') }
    }, (connection, request) => { connection.send(JSON.stringify(request.cookies)) })
  })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/', { Cookie: 'from-client=1' }))
  const { status, headers, head } = await client.head()
  t.equal(status, 101)
  t.match(headers['x-request'], /^req-/)
  t.equal(headers['x-on-send'], 'too')
  t.equal(headers['x-raw'], 'of the response')
  t.equal(headers['x-cookie'], '1')
  const cookies = head.split('\r\n').filter(line => /^set-cookie:/i.test(line))
  t.equal(cookies.length, 2, 'each cookie in a line of its own')
  t.match(cookies[0], /session=abc; Path=\/; HttpOnly(?:;|$)/)
  t.match(cookies[1], /second=d%20e%20f\./)
  t.equal((await client.frame()).payload.toString(), '{"from-client":"1"}')
  client.destroy()
})

t.test('A13: what hooks say about a body is not on the 101, and a payload that onSend makes up is not in the frames', async t => {
  const { port } = await startApp(t, app => {
    app.addHook('onSend', async () => 'a body')
    app.get('/', {
      websocket: true,
      onRequest: async (_request, reply) => { reply.headers({ 'content-length': '6', 'content-type': 'text/plain' }) }
    }, connection => { connection.send('the first') })
    app.get('/onSend-fails', { websocket: true, onSend: async () => { throw new Error('late') } }, () => t.fail('handler'))
  })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest())
  const { status, headers } = await client.head()
  t.equal(status, 101)
  t.notOk('content-length' in headers)
  t.notOk('content-type' in headers)
  t.equal((await client.frame()).payload.toString(), 'the first')
  client.destroy()
  t.equal((await answer(port, upgradeRequest('/onSend-fails'))).status, 500)
})

t.test('A13: a header value that cannot be sent is a 500 and not a broken 101', async t => {
  const errors: string[] = []
  let handled = 0
  const injected = 'a\r\nSet-Cookie: evil=1\r\n\r\n'
  const { app, port } = await startApp(t, app => {
    app.addHook('onError', async (_request, _reply, error) => { errors.push(error.code) })
    app.get('/crlf', { websocket: true, onRequest: async (_request, reply) => { reply.header('x-evil', injected) } }, () => { handled++ })
    app.get('/array', { websocket: true, onRequest: async (_request, reply) => { reply.header('x-evil', ['fine', injected]) } }, () => { handled++ })
    app.get('/name', { websocket: true, onRequest: async (_request, reply) => { reply.header('x evil', 'a') } }, () => { handled++ })
    app.get('/raw', { websocket: true, onRequest: async (_request, reply) => { reply.raw.setHeader('x-evil', injected) } }, () => { handled++ })
    app.get('/unicode', { websocket: true, preHandler: async (_request, reply) => { reply.header('x-evil', '\u{1f600}') } }, () => { handled++ })
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  for (const path of ['/crlf', '/array', '/name', '/raw', '/unicode']) {
    const { status, head } = await answer(port, upgradeRequest(path))
    t.equal(status, 500, path)
    t.notMatch(head, /evil/)
  }
  await sockets.allClosed()
  t.equal(handled, 0)
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('a hook that ends the response itself has refused', async t => {
  let handled = 0
  const { port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      onRequest: (_request, reply, done) => {
        reply.hijack()
        reply.raw.writeHead(402, { 'Content-Length': '3' }).end('pay')
        done()
      }
    }, () => { handled++ })
  })
  const response = await answer(port, upgradeRequest())
  t.equal(response.status, 402)
  t.equal(response.body, 'pay')
  await turns()
  t.equal(handled, 0)
})

async function startWith (t: Parameters<typeof startApp>[0], websocket: WebSocketRouteOptions, options: WebSocketPluginOptions = {}): Promise<TestApp> {
  return startApp(t, app => {
    app.get('/', { websocket }, connection => { connection.send(connection.protocol) })
  }, options)
}

t.test('subprotocols: the route\'s list, best first', async t => {
  const { port } = await startWith(t, { protocols: ['feed.v2', 'feed.v1'] })
  for (const [offered, chosen] of [
    ['feed.v1, feed.v2', 'feed.v2'], ['feed.v1', 'feed.v1'], ['other,feed.v1', 'feed.v1'], ['other', undefined], ['FEED.V1', undefined], [null, undefined]
  ] as const) {
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': offered }))
    const { status, headers } = await client.head()
    t.equal(status, 101)
    t.equal(headers['sec-websocket-protocol'], chosen, `${offered}`)
    t.equal((await client.frame()).payload.toString(), chosen ?? '')
    client.destroy()
  }
})

t.test('subprotocols: a route that does not say which it speaks agrees on the first; one that says none, on none', async t => {
  for (const [options, chosen] of [[{}, 'any'], [{ protocols: [] }, undefined]] as const) {
    const { port } = await startWith(t, options)
    const { status, headers } = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'any, other' }))
    t.equal(status, 101)
    t.equal(headers['sec-websocket-protocol'], chosen)
  }
})

t.test('subprotocols: repeated header lines are one list; repeated or malformed elements are a 400', async t => {
  const { port } = await startWith(t, { protocols: ['b'] })
  t.equal((await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a', 'sec-websocket-protocol': 'b' }))).headers['sec-websocket-protocol'], 'b')
  for (const value of ['a, a', 'a b', 'a;b', '"a"', 'a,,b', '', 'ä']) {
    const response = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': value }))
    // RFC 9110 §5.6.1: empty elements are to be ignored.
    t.equal(response.status, value === 'a,,b' ? 101 : 400, JSON.stringify(value))
  }
})

t.test('subprotocols: a function chooses, with the request', async t => {
  const { port } = await startWith(t, { protocols: (offered, request) => request.headers['x-choose'] === 'none' ? false : offered.at(-1) ?? false })
  t.equal((await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a, b, c' }))).headers['sec-websocket-protocol'], 'c')
  const none = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a, b', 'X-Choose': 'none' }))
  t.equal(none.status, 101)
  t.equal(none.headers['sec-websocket-protocol'], undefined)
  t.equal((await answer(port, upgradeRequest())).status, 101, 'nothing offered')
})

t.test('subprotocols: a function that chooses what was not offered, or throws, is a 500 and the connection is refused', async t => {
  for (const protocols of [() => 'other', () => 'a, b', () => 'x\r\ny: z', () => { throw new Error('of the function') }]) {
    let handled = 0
    const { app, port } = await startApp(t, app => {
      app.get('/', { websocket: { protocols } }, () => { handled++ })
    })
    const response = await answer(port, upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a, b' }))
    t.equal(response.status, 500)
    t.notOk('sec-websocket-accept' in response.headers)
    t.equal(handled, 0)
    t.equal(app.websocketServer.clients.size, 0)
  }
})

t.test('B12: handleProtocols of the compatibility options is for routes that declare none', async t => {
  const seen: unknown[] = []
  const { port } = await startApp(t, app => {
    app.get('/own', { websocket: { protocols: ['own'] } }, () => {})
    app.get('/none', { websocket: true }, () => {})
  }, {
    options: {
      handleProtocols: (offered, request) => {
        seen.push([[...offered], request.url])
        return offered.has('second') ? 'second' : false
      }
    }
  })
  const offer = { 'Sec-WebSocket-Protocol': 'own, second' }
  t.equal((await answer(port, upgradeRequest('/own', offer))).headers['sec-websocket-protocol'], 'own')
  t.equal((await answer(port, upgradeRequest('/none', offer))).headers['sec-websocket-protocol'], 'second')
  t.equal((await answer(port, upgradeRequest('/none', { 'Sec-WebSocket-Protocol': 'own' }))).headers['sec-websocket-protocol'], undefined)
  t.equal((await answer(port, upgradeRequest('/none'))).status, 101)
  t.same(seen, [[['own', 'second'], '/none'], [['own'], '/none']], 'as in ws: not without an offer')
})

t.test('verifyClient of the compatibility options: one argument, two, and what it says', async t => {
  const infos: unknown[] = []
  const byAnswer = await startWith(t, { origin: '*' }, {
    options: {
      verifyClient: (info: { origin: string | undefined, secure: boolean, req: { url?: string | undefined } }) => {
        infos.push([info.origin, info.secure, info.req.url])
        return info.origin === 'http://good.example'
      }
    }
  })
  t.equal((await answer(byAnswer.port, upgradeRequest('/', { Origin: 'http://good.example' }))).status, 101)
  t.equal((await answer(byAnswer.port, upgradeRequest('/?q', { Origin: 'http://bad.example' }))).status, 401)
  t.equal((await answer(byAnswer.port, upgradeRequest())).status, 401)
  t.same(infos, [['http://good.example', false, '/'], ['http://bad.example', false, '/?q'], [undefined, false, '/']])

  const byCallback = await startWith(t, {}, {
    options: {
      verifyClient: (info, tell) => {
        setImmediate(() => {
          switch (info.req.url) {
            case '/?yes': return tell(true)
            case '/?no': return tell(false)
            default: return tell(false, 429, 'Slow down', { 'Retry-After': '7' })
          }
        })
      }
    }
  })
  t.equal((await answer(byCallback.port, upgradeRequest('/?yes'))).status, 101)
  t.equal((await answer(byCallback.port, upgradeRequest('/?no'))).status, 401)
  const slow = await answer(byCallback.port, upgradeRequest('/?slow'))
  t.equal(slow.status, 429)
  t.equal(slow.headers['retry-after'], '7')
  t.equal(JSON.parse(slow.body).message, 'Slow down')

  const throwing = await startWith(t, {}, { options: { verifyClient: () => { throw new Error('of verifyClient') } } })
  t.equal((await answer(throwing.port, upgradeRequest())).status, 500)
})

t.test('verifyClient: secure over TLS; not asked where the origin is refused', async t => {
  const infos: boolean[] = []
  const { port } = await startApp(t, echo, { options: { verifyClient: (info: { secure: boolean }) => { infos.push(info.secure); return true } } }, { https: certificate } as object)
  for (const [origin, status] of [[null, 101], ['https://localhost', 101], ['https://evil.example', 403]] as const) {
    const client = await connectSecure(port)
    client.write(upgradeRequest('/', { Origin: origin }))
    t.equal((await client.head()).status, status)
    client.destroy()
  }
  t.same(infos, [true, true])
})

t.test('connection.url, with the host and target as the client sent them', async t => {
  const { port } = await startApp(t, app => {
    app.get('/rooms/:name', { websocket: true }, connection => { connection.send(connection.url) })
  }, {}, { trustProxy: true, rewriteUrl: request => request.url!.replace(/^\/v1/, '') })
  for (const [headers, expected] of [
    [{ Host: 'example.com:81' }, 'ws://example.com:81/v1/rooms/a%20b?c=d'],
    [{ 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'outside.example' }, 'wss://outside.example/v1/rooms/a%20b?c=d']
  ] as const) {
    const client = await RawClient.open(port, '/v1/rooms/a%20b?c=d', headers)
    t.equal((await client.frame()).payload.toString(), expected)
    client.write(close(1000))
    client.destroy()
  }
})
