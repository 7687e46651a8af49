import type { FastifyInstance } from 'fastify'
import { execFile, execFileSync } from 'node:child_process'
import { Server as HttpServer } from 'node:http'
import { promisify } from 'node:util'
import t from 'tap'
import { echo, startApp } from '../../support/app.js'
import { certificate } from '../../support/certificate.js'
import { close, RawClient, text, upgradeRequest, type RawResponse } from '../../support/raw-client.js'
import { startOnLocalhost } from '../../support/localhost.js'
import { connectSecure, gate, ServerSockets, turns } from '../../support/server-sockets.js'

const H2C = 'Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n'

/** Answers with what it got. */
function reflect (app: FastifyInstance): void {
  app.post('/reflect', async request => ({ body: request.body, ip: request.ip, ws: request.ws }))
  app.get('/reflect', async request => ({ ip: request.ip, ws: request.ws, query: request.query }))
}

function post (body: string, headers = H2C): string {
  return `POST /reflect HTTP/1.1\r\n${headers}Content-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

function chunked (chunks: string[], headers = H2C): string {
  const body = chunks.map(chunk => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join('')
  return `POST /reflect HTTP/1.1\r\n${headers}Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`
}

const reflected = ({ body }: RawResponse): { body: string, ip: string, ws: boolean } => JSON.parse(body)

const schemes = {
  http: { options: {}, connect: async (port: number) => RawClient.connect(port) },
  https: { options: { https: certificate }, connect: connectSecure }
}

for (const [scheme, { options, connect }] of Object.entries(schemes)) {
  const start = async (test: Parameters<typeof startApp>[0], configure: (app: FastifyInstance) => unknown = reflect): ReturnType<typeof startApp> =>
    startApp(test, async app => {
      await configure(app)
      echo(app)
    }, {}, { ...options, bodyLimit: 20e6 } as object)

  t.test(`A3: ${scheme}: a request with Upgrade: h2c is the plain request that it is, its body included`, async t => {
    const { port } = await start(t)
    const bodies: [string, (client: RawClient) => unknown][] = [
      ['body in the same packet', client => client.write(post('whole body'))],
      ['body in later packets', async client => {
        const bytes = Buffer.from(post('whole body'))
        await client.writeSliced(bytes, bytes.length - 7)
      }],
      ['byte by byte', client => client.writeSliced(Buffer.from(post('whole body')), 1)],
      ['chunked', client => client.write(chunked(['whole', ' ', 'body']))],
      ['chunked, in one chunk', client => client.write(chunked(['whole body']))],
      ['chunked, with trailers', client => client.write(chunked(['whole body']).replace(/0\r\n\r\n$/, '0\r\nX-Trailer: 1\r\n\r\n'))],
      ['chunked, in pieces', client => client.writeSliced(Buffer.from(chunked(['whole', ' ', 'body'])), 11)]
    ]
    for (const [name, send] of bodies) {
      const client = await connect(port)
      await send(client)
      const response = await client.response()
      t.equal(response.status, 200, name)
      t.same(reflected(response), { body: 'whole body', ip: '127.0.0.1', ws: false }, name)
      client.destroy()
    }
  })

  t.test(`A3: ${scheme}: a body that is empty`, async t => {
    const { port } = await start(t)
    const client = await connect(port)
    for (const request of [chunked([]), post(''), chunked([])]) {
      client.write(request)
      const response = await client.response()
      t.equal(response.status, 200)
      t.notOk(reflected(response).body)
    }
    client.destroy()
  })

  t.test(`A3: ${scheme}: Expect: 100-continue`, async t => {
    const { port } = await start(t)
    const client = await connect(port)
    client.write(`POST /reflect HTTP/1.1\r\n${H2C}Expect: 100-continue\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n`)
    t.equal((await client.head()).status, 100)
    client.write('body')
    t.equal(reflected(await client.response()).body, 'body')
    client.destroy()
  })

  t.test(`A3: ${scheme}: keep-alive goes on, pipelined requests are answered in order, and a WebSocket may follow`, async t => {
    const { app, port } = await start(t)
    const sockets = new ServerSockets(app.server)
    const client = await connect(port)
    client.write(Buffer.concat([
      Buffer.from(post('one') + 'GET /reflect?n=2 HTTP/1.1\r\nHost: localhost\r\n\r\n' + post('three', 'Host: localhost\r\n') + chunked(['fo', 'ur']) + post('five')),
      Buffer.from(upgradeRequest()), text('behind it all')
    ]))
    t.equal(reflected(await client.response()).body, 'one')
    t.same(JSON.parse((await client.response()).body).query, { n: '2' })
    for (const expected of ['three', 'four', 'five']) t.equal(reflected(await client.response()).body, expected)
    t.equal((await client.head()).status, 101)
    t.equal((await client.frame()).payload.toString(), 'behind it all')
    client.write(close(1000))
    await client.closeFrame()
    client.end()
    await sockets.allClosed()
  })

  t.test(`A3: ${scheme}: many such requests on one connection leave no listeners behind`, async t => {
    const warnings: string[] = []
    const onWarning = (warning: Error): void => { warnings.push(warning.name) }
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    const listeners: string[] = []
    const { port } = await start(t, app => {
      app.post('/reflect', async request => {
        const { socket } = request.raw
        listeners.push(socket.eventNames().map(name => `${String(name)} ${socket.listenerCount(name)}`).sort().join(', '))
        return { body: request.body }
      })
    })
    const client = await connect(port)
    for (let i = 0; i < 40; i++) {
      client.write(i % 2 === 0 ? post(`request ${i}`) : chunked([`request ${i}`]))
      const response = await client.response()
      if (reflected(response).body !== `request ${i}`) t.fail(response.body)
    }
    t.equal(listeners.length, 40)
    t.equal(listeners.at(-1), listeners[1])
    client.write(upgradeRequest())
    t.equal((await client.head()).status, 101)
    client.write(text('x'))
    t.equal((await client.frame()).payload.toString(), 'x')
    // Warnings are emitted in the next tick.
    await turns(2)
    t.same(warnings, [])
    client.destroy()
  })

  t.test(`A3: ${scheme}: a body of 8 MB, with the server's limits`, async t => {
    const { port } = await start(t, app => {
      app.post('/size', async request => ({ size: (request.body as string).length }))
      app.post('/limited', { bodyLimit: 1000 }, async () => 'too much')
    })
    const body = 'x'.repeat(8e6)
    const client = await connect(port)
    client.write(post(body).replace('/reflect', '/size'))
    t.equal((await client.response()).body, `{"size":${body.length}}`)
    client.destroy()
    const another = await connect(port)
    another.write(post(body).replace('/reflect', '/limited').slice(0, 3000))
    t.equal((await another.response()).status, 413)
    another.destroy()
  })
}

t.test('A3: it may wait behind slow requests: answers come in order', async t => {
  const held = gate()
  const { app, port } = await startApp(t, app => {
    app.get('/slow', async () => {
      await held.passed
      return 'slow'
    })
    reflect(app)
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n' + post('behind it') + 'GET /reflect?last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  await turns()
  t.equal(client.received.length, 0)
  held.open()
  t.equal((await client.response()).body, 'slow')
  t.equal(reflected(await client.response()).body, 'behind it')
  const last = await client.response()
  t.equal(last.status, 200)
  t.equal(last.headers.connection, 'close')
  t.equal(await client.ended, true)
  client.end()
  await sockets.allClosed()
})

t.test('A3: other upgrades: to a WebSocket-only route 426, TLS, none at all', async t => {
  const { port } = await startApp(t, app => {
    reflect(app)
    echo(app)
  })
  for (const upgrade of ['h2c', 'TLS/1.0, HTTP/1.1', 'foo/2', 'xwebsocket', 'websocket-x', 'h2c,h2']) {
    const client = await RawClient.connect(port)
    client.write(`GET /reflect HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`)
    t.equal((await client.response()).status, 200, upgrade)
    client.write(`GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`)
    const response = await client.response()
    t.equal(response.status, 426, upgrade)
    t.equal(response.headers.upgrade, 'websocket')
    client.destroy()
  }
})

t.test('A3: header fields reach the handler as they were sent', async t => {
  const { port } = await startApp(t, app => {
    app.get('/', async request => request.raw.rawHeaders)
  })
  const client = await RawClient.connect(port)
  client.write(Buffer.from(`GET / HTTP/1.1\r\n${H2C}X-Latin1: caf\xe9\r\nCookie: a=1\r\nx-twice: 1\r\nX-Twice: 2\r\nX-Empty:\r\n\r\n`, 'latin1'))
  const rawHeaders = JSON.parse((await client.response()).body) as string[]
  const fields = rawHeaders.filter((_, index) => index % 2 === 0).map((name, index) => `${name}: ${rawHeaders[index * 2 + 1]}`)
  t.same(fields.filter(field => !/^(?:connection|upgrade|http2-settings):/i.test(field)),
    ['Host: localhost', 'X-Latin1: caf\xe9', 'Cookie: a=1', 'x-twice: 1', 'X-Twice: 2', 'X-Empty: '])
  client.destroy()
})

t.test('A4: the timeouts of the server apply to it: a body that never comes is a 408', async t => {
  const { app, port } = await startApp(t, reflect, {}, { requestTimeout: 100, http: { connectionsCheckingInterval: 30 } } as object)
  // Node takes the smaller of the two for that of the head.
  ;(app.server as HttpServer).headersTimeout = 50
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(`POST /reflect HTTP/1.1\r\n${H2C}Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nbegun`)
  const response = await client.response()
  t.equal(response.status, 408)
  client.end()
  await sockets.allClosed()
})

t.test('A5: a client that leaves in the middle of the body leaves nothing behind', async t => {
  const { app, port } = await startApp(t, reflect)
  const sockets = new ServerSockets(app.server)
  for (const leave of ['end', 'destroy'] as const) {
    const client = await RawClient.connect(port)
    client.write(`POST /reflect HTTP/1.1\r\n${H2C}Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nbegun`)
    while (sockets.open.size === 0 || sockets.only.bytesRead === 0) await turns(1)
    client[leave]()
    await sockets.allClosed()
    t.equal(sockets.open.size, 0, leave)
    client.destroy()
  }
})

t.test('B8: such a connection, idle, does not hold app.close()', async t => {
  const { app, port } = await startApp(t, reflect)
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(post('x'))
  t.equal((await client.response()).status, 200)
  await app.close()
  await client.ended
  client.end()
  await sockets.allClosed()
  t.equal(sockets.open.size, 0)
})

t.test('A9: Upgrade is dropped by maxHeadersCount, though the event fired: a plain request', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/both', { handler: async request => ({ upgrade: request.headers.upgrade ?? 'absent' }), wsHandler: () => t.fail('a handshake without Upgrade') })
    echo(app)
  })
  ;(app.server as HttpServer).maxHeadersCount = 4
  const client = await RawClient.connect(port)
  const fields = Array.from({ length: 10 }, (_, index) => `X-${index}: ${index}\r\n`).join('')
  for (const [path, status] of [['/both', 200], ['/', 426]] as const) {
    client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
    const response = await client.response()
    // Newer versions of Node do not drop fields any more, but the request.
    if (response.status === 431 && Number.parseInt(process.versions.node) >= 22) return client.destroy()
    t.equal(response.status, status, path)
  }
  client.destroy()
})

t.test('A3: with another upgrade listener on the server', async t => {
  const seen: (string | undefined)[] = []
  const { app, port } = await startApp(t, app => {
    app.server.on('upgrade', request => { seen.push(request.headers.upgrade) })
    reflect(app)
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(post('one') + chunked(['two']))
  t.equal(reflected(await client.response()).body, 'one')
  t.equal(reflected(await client.response()).body, 'two')
  client.end()
  await sockets.allClosed()
  t.same(seen, [])
})

t.test('A3, B7: on the second server that Fastify starts for localhost', async t => {
  const { port, second } = await startOnLocalhost(t, app => {
    reflect(app)
    echo(app)
  })
  for (const [name, request] of [['length', post('whole body')], ['chunked', chunked(['whole ', 'body'])]] as const) {
    for (const pieces of [1, 2, 3]) {
      const client = await RawClient.connect(port, second)
      const bytes = Buffer.from(request)
      await client.writeSliced(bytes, Math.ceil(bytes.length / pieces))
      const response = await client.response()
      t.equal(response.status, 200, `${name} in ${pieces}`)
      t.equal(reflected(response).body, 'whole body', `${name} in ${pieces}`)
      t.equal(reflected(response).ip, second === '::1' ? '::1' : '127.0.0.1')
      client.destroy()
    }
  }
  const expecting = await RawClient.connect(port, second)
  expecting.write(`POST /reflect HTTP/1.1\r\n${H2C}Expect: 100-continue\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n`)
  t.equal((await expecting.head()).status, 100)
  expecting.write('body')
  t.equal(reflected(await expecting.response()).body, 'body')
  expecting.destroy()

  const client = await RawClient.connect(port, second)
  client.write(upgradeRequest())
  t.equal((await client.head()).status, 101)
  client.destroy()
})

function hasCurl (): boolean {
  try {
    return / HTTP2/.test(execFileSync('curl', ['--version'], { encoding: 'utf8' }))
  } catch {
    return false
  }
}

t.test('A3: curl --http2', { skip: hasCurl() ? false : 'curl with HTTP/2 is not installed' }, async t => {
  const { port } = await startApp(t, app => {
    reflect(app)
    echo(app)
  })
  const curl = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--max-time', '20', '--http2', '--write-out', ' %{http_code}', ...args])
    return stdout
  }
  const url = `http://127.0.0.1:${port}`
  t.match(await curl(`${url}/reflect?a=1`), /"query":\{"a":"1"\}\} 200$/)
  t.match(await curl('--header', 'Content-Type: text/plain', '--data', 'a body', `${url}/reflect`), /^\{"body":"a body".* 200$/)
  t.match(await curl('--header', 'Content-Type: text/plain', '--header', 'Transfer-Encoding: chunked', '--data', 'a body', `${url}/reflect`), /^\{"body":"a body".* 200$/)
  t.match(await curl(`${url}/`), /FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED.* 426$/)
  t.match(await curl(`${url}/reflect`, `${url}/nowhere`), / 200\{.* 404$/, 'two on one connection')
})
