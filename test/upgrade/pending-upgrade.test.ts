import type { FastifyInstance } from 'fastify'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { binary, close, ping, RawClient, text, upgradeRequest, type RawResponse } from '../support/raw-client.js'
import { echo, startApp } from '../support/app.js'
import { gate, ServerSockets, turns } from '../support/server-sockets.js'

/** A whole round trip on the same server: what was ready before has happened. */
async function roundTrip (port: number, path = '/'): Promise<string> {
  const client = await RawClient.open(port, path)
  client.write(text('round trip'))
  const { payload } = await client.frame()
  client.write(close(1000))
  await client.closeFrame()
  client.end()
  await client.closed
  return payload.toString()
}

function reset (client: RawClient): void {
  (client.socket as Socket).resetAndDestroy()
}

t.test('A2: a rejection of 3 MB arrives whole, though the client goes on sending frames', async t => {
  const body = '0123456789abcdef'.repeat(3e6 / 16)
  let handled = 0
  const { app, port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      onRequest: async (_request, reply) => reply.code(401).header('x-reason', 'none of yours').type('text/plain').send(body)
    }, () => { handled++ })
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  const frames = binary(Buffer.alloc(60_000, 7))
  client.socket.pause()
  client.write(Buffer.concat([Buffer.from(upgradeRequest()), frames]))
  // Unread bytes at the server, before and while it answers: closing now would be a reset.
  for (let i = 0; i < 20; i++) client.write(frames)
  await turns()
  client.socket.resume()

  const response = await client.head()
  t.equal(response.status, 401)
  t.equal(response.headers.connection, 'close', 'it does not promise keep-alive and hang up')
  t.equal(response.headers['x-reason'], 'none of yours')
  t.equal(response.headers['content-length'], String(body.length))
  client.write(frames)
  t.equal((await client.bytes(body.length)).toString(), body)
  t.equal(await client.ended, true, 'a FIN and not a reset')
  t.equal(client.received.length, 0, 'nothing behind the body')
  client.write(frames)
  client.end()
  await sockets.allClosed()
  t.equal(handled, 0)
})

t.test('A2: a rejection with a streamed body is complete', async t => {
  const { port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      preHandler: async (_request, reply) => {
        const { Readable } = await import('node:stream')
        return reply.code(403).type('text/plain').send(Readable.from(['one,', 'two,', 'three']))
      }
    }, () => {})
  })
  const client = await RawClient.connect(port)
  client.write(upgradeRequest())
  const response = await client.response()
  t.equal(response.status, 403)
  t.equal(response.headers.connection, 'close')
  t.equal(response.body.replace(/\r\n|^[0-9a-f]+\r\n/gm, '').replace(/\d/g, ''), 'one,two,three')
  t.match(response.body, /\r\n0\r\n\r\n$|^0\r\n\r\n$/m, 'the last chunk is there')
  client.end()
})

t.test('A2: after a refusal a client that stays, or that sends without end, is closed within closeTimeout', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true, onRequest: async (_request, reply) => reply.code(401).send('no') }, () => {})
  }, { closeTimeout: 100 })
  const sockets = new ServerSockets(app.server)
  const silent = await RawClient.connect(port)
  silent.write(upgradeRequest())
  t.equal((await silent.response()).status, 401)

  const noisy = await RawClient.connect(port)
  noisy.write(upgradeRequest())
  t.equal((await noisy.response()).status, 401)
  const noise = setInterval(() => noisy.write(text('still here')), 5)
  t.teardown(() => clearInterval(noise))
  await sockets.allClosed()
  t.equal(sockets.open.size, 0)
  silent.destroy()
  noisy.destroy()
})

t.test('A2: a client that does not read its refusal does not keep the socket', async t => {
  const body = Buffer.alloc(40e6)
  const refused = gate()
  const { app, port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      onRequest: (_request, reply) => {
        reply.code(401).type('x/y').send(body)
        refused.open()
      }
    }, () => {})
  }, { handshakeTimeout: 100, closeTimeout: 100 })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.socket.pause()
  client.write(upgradeRequest())
  await refused.passed
  await sockets.allClosed()
  t.equal(sockets.open.size, 0)
  client.destroy()
})

t.test('A4: a reset while an async hook runs neither ends the process nor calls the handler', async t => {
  const held = gate()
  const inHook = gate()
  const calls: string[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/held', {
      websocket: true,
      onRequest: async () => {
        inHook.open()
        await held.passed
      }
    }, () => { calls.push('handler') })
    echo(app)
  })
  // An error without a listener is an uncaught exception, which would fail this test.
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/held'))
  await inHook.passed
  reset(client)
  await sockets.allClosed()
  held.open()
  t.equal(await roundTrip(port), 'round trip')
  t.same(calls, [])
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('A4: handlerTimeout, connectionTimeout and requestTimeout end with the handshake: none writes into the frames', async t => {
  const timeouts: string[] = []
  const { app, port } = await startApp(t, app => {
    app.addHook('onTimeout', async ({ url }) => { if (url !== '/hangs') timeouts.push(url) })
    app.addHook('onRequest', async () => { await turns(2) })
    echo(app)
    app.get('/async', { websocket: true }, async connection => {
      await turns(2)
      for await (const message of connection) connection.send(message)
    })
    app.get('/hangs', () => new Promise(() => {}))
  }, {}, { handlerTimeout: 300, connectionTimeout: 400, requestTimeout: 300 })
  const hang = async (port: number): Promise<RawResponse> => {
    const client = await RawClient.connect(port)
    client.write('GET /hangs HTTP/1.1\r\nHost: localhost\r\n\r\n')
    return await client.response().finally(() => client.destroy())
  }
  const sockets = new ServerSockets(app.server)

  for (const path of ['/', '/async']) {
    const client = await RawClient.open(port, path)
    // First quiet, for the timeout of an idle socket, then busy: each until a request that came later is over its limit.
    t.equal((await hang(port)).status, 503)
    const later = { isOver: false }
    const over = hang(port).then(() => { later.isOver = true })
    while (!later.isOver) {
      client.write(text('frame'))
      const { opcode, payload } = await client.frame()
      if (opcode !== 1 || payload.toString() !== 'frame') return t.fail(`not a frame of ours: ${payload.toString('latin1')}`)
    }
    await over
    client.write(close(1000))
    t.same(await client.closeFrame(), { code: 1000, reason: '' }, path)
    t.equal(client.received.length, 0)
    client.end()
  }
  await sockets.allClosed()
  t.same(timeouts, [])
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('A4: handlerTimeout during a hook is a whole 503, and the handler is not called when the hook goes on', async t => {
  const held = gate()
  let handled = 0
  const { app, port } = await startApp(t, app => {
    app.get('/held', { websocket: true, preHandler: () => held.passed }, () => { handled++ })
    echo(app)
  }, {}, { handlerTimeout: 50 })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/held'))
  const response = await client.response()
  t.equal(response.status, 503)
  t.equal(JSON.parse(response.body).code, 'FST_ERR_HANDLER_TIMEOUT')
  t.equal(response.headers.connection, 'close')
  t.equal(await client.ended, true)
  client.end()
  await sockets.allClosed()
  held.open()
  t.equal(await roundTrip(port), 'round trip')
  t.equal(handled, 0)
})

t.test('handshakeTimeout: a hook that never answers is a 503 with Retry-After, and the socket is closed', async t => {
  const held = gate()
  let handled = 0
  const { app, port } = await startApp(t, app => {
    // What a hook has set so far belongs to another answer.
    app.get('/held', { websocket: true, onRequest: (_request, reply) => { reply.header('content-length', 4).raw.setHeader('x-of-hook', '1'); return held.passed } }, () => { handled++ })
    echo(app)
  }, { handshakeTimeout: 50, closeTimeout: 100 })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(Buffer.concat([Buffer.from(upgradeRequest('/held')), text('never read')]))
  const response = await client.response()
  t.equal(response.status, 503)
  t.equal(response.headers['retry-after'], '1')
  t.equal(response.headers.connection, 'close')
  t.equal(response.headers['x-of-hook'], undefined)
  t.same(JSON.parse(response.body), { statusCode: 503, error: 'Service Unavailable', message: 'Service Unavailable' })
  t.equal(await client.ended, true)
  // The client keeps its half open: closed all the same.
  await sockets.allClosed()

  // The hook goes on, late: nothing is written, nobody is called, nothing is thrown.
  held.open()
  t.equal(await roundTrip(port), 'round trip')
  t.equal(handled, 0)
  t.equal(client.received.length, 0)
  t.equal(app.websocketServer.clients.size, 0)
  client.destroy()
})

t.test('handshakeTimeout: each handshake has its whole time, though another began before', async t => {
  const TIMEOUT = 300
  const { port } = await startApp(t, app => {
    app.get('/hangs', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
    echo(app)
  }, { handshakeTimeout: TIMEOUT, closeTimeout: 40 })
  const refusedAfter = async (): Promise<number> => {
    const client = await RawClient.connect(port)
    const start = performance.now()
    client.write(upgradeRequest('/hangs'))
    t.equal((await client.response()).status, 503)
    client.end()
    return performance.now() - start
  }
  const all: Promise<number>[] = []
  for (let i = 0; i < 3; i++) {
    all.push(refusedAfter())
    await wait(TIMEOUT / 4)
    // One that is over leaves the time of the others alone.
    t.equal(await roundTrip(port), 'round trip')
  }
  for (const time of await Promise.all(all)) t.ok(time >= TIMEOUT - 2, `${time} ms`)
  // And when none has been left.
  t.ok(await refusedAfter() >= TIMEOUT - 2)
})

t.test('handshakeTimeout: ends with the 101', async t => {
  const { port } = await startApp(t, app => {
    echo(app)
    app.get('/hangs', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
  }, { handshakeTimeout: 300, closeTimeout: 40 })
  const client = await RawClient.open(port)
  // One that came later is over the limit.
  const later = await RawClient.connect(port)
  later.write(upgradeRequest('/hangs'))
  t.equal((await later.response()).status, 503)
  later.end()
  client.write(text('still here'))
  t.equal((await client.frame()).payload.toString(), 'still here')
  client.end()
})

const departures: Record<string, (client: RawClient) => void> = {
  'a FIN': client => client.end(),
  'frames and a FIN': client => { client.write(Buffer.concat([text('bye'), close(1000)])); client.end() },
  'a reset': reset,
  'frames and a reset': client => { client.write(text('bye')); setImmediate(reset, client) }
}

for (const [name, leave] of Object.entries(departures)) {
  t.test(`A5: the client leaves with ${name} while hooks run: no 101, no handler, onRequestAbort once, no leak`, async t => {
    const held = gate()
    const inHook = gate()
    const calls: string[] = []
    const { app, port } = await startApp(t, app => {
      app.addHook('onRequestAbort', async request => { calls.push(`abort ${request.url}`) })
      app.get('/held', {
        websocket: true,
        preValidation: async () => {
          inHook.open()
          await held.passed
          calls.push('hook')
        }
      }, () => { calls.push('handler') })
      echo(app)
    })
    app.websocketServer.on('connection', (_connection, request) => { calls.push(`connection ${request.url}`) })
    const sockets = new ServerSockets(app.server)
    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/held'))
    await inHook.passed
    leave(client)
    // Closed while the hook still waits: the socket does not wait for it.
    await sockets.allClosed()
    held.open()
    t.equal(await roundTrip(port), 'round trip')
    t.same(calls.sort(), ['abort /held', 'connection /', 'hook'])
    t.equal(client.received.length, 0, 'nothing was written')
    t.equal(app.websocketServer.clients.size, 0)
    t.equal(app.websocketServer.route('/held').clients.size, 0)
    client.destroy()
  })
}

t.test('A5: many clients that leave while hooks run leave nothing behind', async t => {
  const held = gate()
  let inHook = 0
  let aborted = 0
  const { app, port } = await startApp(t, app => {
    app.addHook('onRequestAbort', async _request => { aborted++ })
    app.get('/held', { websocket: true, onRequest: () => { inHook++; return held.passed } }, () => t.fail('handler'))
    echo(app)
  })
  const sockets = new ServerSockets(app.server)
  const clients = await Promise.all(Array.from({ length: 60 }, () => RawClient.connect(port)))
  for (const client of clients) client.write(upgradeRequest('/held'))
  while (inHook < clients.length) await turns(1)
  clients.forEach((client, index) => Object.values(departures)[index % 4]!(client))
  await sockets.allClosed()
  t.equal(aborted, clients.length)
  held.open()
  t.equal(await roundTrip(port), 'round trip')
  for (const client of clients) client.destroy()
})

t.test('A6: frames in the head and frames that come while hooks run are delivered, in order, after the handler was called', async t => {
  const held = gate()
  const inHook = gate()
  const log: string[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      onRequest: async () => {
        inHook.open()
        await held.passed
      }
    }, connection => {
      log.push('handler')
      connection.on('ping', data => { log.push(`ping ${data}`) })
      connection.on('message', data => {
        log.push(data.toString())
        if (data.toString() === 'last') connection.close(1000)
      })
    })
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  const second = text('second, in two pieces')
  client.write(Buffer.concat([Buffer.from(upgradeRequest()), text('first, in the head'), second.subarray(0, 9)]))
  await inHook.passed
  const socket = sockets.only
  const bytesSoFar = socket.bytesRead
  client.write(second.subarray(9))
  client.write(ping('third'))
  while (socket.bytesRead < bytesSoFar + second.length - 9 + ping('third').length) await turns(1)
  t.same(log, [], 'nothing happens before the handler is called')
  held.open()
  client.write(text('fourth'))
  t.equal((await client.head()).status, 101)
  client.write(text('last'))
  t.equal((await client.frame()).payload.toString(), 'third', 'the pong')
  await client.closeFrame()
  t.ok(log.includes('ping third'))
  t.same(log.filter(entry => !entry.startsWith('ping')), ['handler', 'first, in the head', 'second, in two pieces', 'fourth', 'last'])
  t.equal(log[0], 'handler')
  client.write(close(1000))
  client.end()
})

t.test('A6: what comes while hooks run is bounded: the socket is paused at 64 KiB, and nothing is lost', async t => {
  const messageBytes = 4000
  const count = 2000
  const held = gate()
  const inHook = gate()
  const done = gate()
  const received: number[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', {
      websocket: true,
      preHandler: async () => {
        inHook.open()
        await held.passed
      }
    }, connection => {
      connection.on('message', data => {
        received.push(data.readUInt32BE(0))
        if (received.length === count) done.open()
      })
    })
  })
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest())
  await inHook.passed
  const socket = sockets.only
  const paused = once(socket, 'pause')
  for (let i = 0; i < count; i++) {
    const payload = Buffer.alloc(messageBytes)
    payload.writeUInt32BE(i)
    client.write(binary(payload))
  }
  await paused
  await turns(50)
  // One chunk more than the limit may be there, and one that libuv had read already.
  t.ok(socket.bytesRead < 4 * 64 * 1024, `${socket.bytesRead} bytes were read`)
  held.open()
  await done.passed
  t.same(received, Array.from({ length: count }, (_, index) => index))
  client.destroy()
})

t.test('A6: a Close frame that was there before the handler is answered, after its messages were heard', async t => {
  const held = gate()
  const inHook = gate()
  const heard: string[] = []
  const over = gate()
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true, onRequest: async () => { inHook.open(); await held.passed } }, async connection => {
      await turns(3)
      connection.on('message', data => { heard.push(data.toString()) })
      connection.on('close', code => {
        heard.push(`close ${code}`)
        over.open()
      })
    })
  })
  const client = await RawClient.connect(port)
  client.write(Buffer.concat([Buffer.from(upgradeRequest()), text('one'), text('two'), close(4001, 'enough')]))
  await inHook.passed
  held.open()
  t.equal((await client.head()).status, 101)
  t.same(await client.closeFrame(), { code: 4001, reason: 'enough' })
  client.end()
  await over.passed
  t.same(heard, ['one', 'two', 'close 4001'])
})

t.test('B6: request and response do not stay on the socket of a connection', async t => {
  const { app, port } = await startApp(t, echo)
  const sockets = new ServerSockets(app.server)
  const client = await RawClient.open(port)
  client.write(text('x'))
  await client.frame()
  const socket = sockets.only as Socket & { _httpMessage?: unknown, parser?: unknown }
  t.notOk(socket._httpMessage)
  t.notOk(socket.parser)
  for (const event of ['error', 'end', 'close', 'drain', 'data']) {
    const count = socket.listenerCount(event)
    // Node's own of `net` and of its server are among them.
    t.ok(count <= 4, `${count} listeners of '${event}'`)
  }
  client.destroy()
})

t.test('a hook that throws what Fastify cannot catch is a 500 and not a hanging socket', async t => {
  const { app, port } = await startApp(t, echo, {}, {
    rewriteUrl: request => {
      if (request.url === '/throws') throw new Error('of rewriteUrl')
      return request.url!
    }
  })
  const sockets = new ServerSockets((app as FastifyInstance).server)
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/throws'))
  const response = await client.response()
  t.equal(response.status, 500)
  t.equal(response.headers.connection, 'close')
  t.notMatch(response.body, /rewriteUrl/, 'the cause is not for the client')
  client.end()
  await sockets.allClosed()
  t.equal(await roundTrip(port), 'round trip')
})
