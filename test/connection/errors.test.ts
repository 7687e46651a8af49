import { once } from 'node:events'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import { InvalidPayloadError, ProtocolError, WebSocketError, type WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { close, frame, ping, pong, RawClient, text } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'

// Uncaught exceptions and unhandled rejections fail the test by themselves.

interface Call {
  self: FastifyInstance
  error: Error
  connection: WebSocketConnection
  request: FastifyRequest
  reply: FastifyReply
}

interface Rig {
  calls: Call[]
  client: RawClient
  connection: WebSocketConnection
  encapsulated: FastifyInstance
}

async function serve (
  t: Teardown,
  handler: (connection: WebSocketConnection, app: FastifyInstance) => unknown,
  prepare: (app: FastifyInstance) => void = () => {}
): Promise<Rig> {
  const calls: Call[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  let encapsulated!: FastifyInstance
  const { port } = await startApp(t, async app => {
    app.decorateRequest('mark', '')
    prepare(app)
    await app.register(async instance => {
      encapsulated = instance
      instance.get('/in', { websocket: true }, connection => {
        opened(connection)
        return handler(connection, app)
      })
    })
  }, {
    errorHandler (error, connection, request, reply) {
      calls.push({ self: this, error, connection, request, reply })
    }
  })
  const client = await RawClient.open(port, '/in?x=1')
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { calls, client, connection: await whenOpened, encapsulated }
}

const failure = new Error('the user\'s own')
const fail = (): never => { throw failure }
const reject = async (): Promise<void> => {
  await turns(1)
  throw failure
}

const all = (client: RawClient): void => {
  client.write(Buffer.concat([text('m'), ping(), pong()]))
}

interface Source {
  handler: (connection: WebSocketConnection, app: FastifyInstance) => unknown
  prepare?: (app: FastifyInstance) => void
  /** Default: a message, a ping and a pong. */
  drive?: (client: RawClient, connection: WebSocketConnection) => void
}

/** Where errors come from, thrown (`fail`) or as a rejection (`reject`). */
const SOURCES: Record<string, (act: () => unknown) => Source> = {
  'the handler': act => ({ handler: () => act() }),
  'the handler, later': act => ({
    handler: async () => {
      await turns(3)
      await act()
    }
  }),
  'a message listener': act => ({ handler: connection => connection.on('message', act) }),
  'a once listener': act => ({ handler: connection => { connection.once('message', act) } }),
  'a message listener of messages that waited': act => ({
    handler: async connection => {
      await turns(10)
      connection.on('message', act)
    }
  }),
  addEventListener: act => ({ handler: connection => { connection.addEventListener('message', act) } }),
  'an object with handleEvent': act => ({ handler: connection => { connection.addEventListener('message', { handleEvent: act }) } }),
  onmessage: act => ({ handler: connection => { connection.onmessage = act } }),
  'a ping listener': act => ({ handler: connection => { connection.on('ping', act) } }),
  'a pong listener': act => ({ handler: connection => { connection.on('pong', act) } }),
  'a close listener': act => ({ handler: connection => { connection.on('close', act) }, drive: client => { client.write(close(1000)) } }),
  'a close listener, the peer gone': act => ({ handler: connection => { connection.on('close', act) }, drive: client => client.destroy() }),
  onclose: act => ({ handler: connection => { connection.onclose = act }, drive: client => { client.write(close(1000)) } }),
  'a drain listener': act => ({
    handler: connection => { connection.on('drain', act) },
    drive: (_client, connection) => { for (let i = 0; connection.send('x'.repeat(1000)) && i < 100_000;) i++ }
  }),
  'a connection listener of the server': act => ({
    handler: () => {},
    prepare: app => app.websocketServer.on('connection', act)
  }),
  'the body of a loop': act => ({
    handler: async connection => {
      for await (const message of connection) {
        t.equal(message, 'm')
        await act()
      }
    }
  })
}

for (const [name, source] of Object.entries(SOURCES)) {
  for (const act of [fail, reject]) {
    t.test(`B9: ${name} ${act === fail ? 'throws' : 'rejects'}: errorHandler is told once, with all that it needs`, async t => {
      const { handler, prepare, drive = all } = source(act)
      const rig = await serve(t, handler, prepare)
      drive(rig.client, rig.connection)
      while (rig.calls.length === 0) await turns(1)
      await turns()
      t.equal(rig.calls.length, 1)
      const { self, error, connection, request, reply } = rig.calls[0]!
      t.equal(error, failure)
      t.equal(connection, rig.connection)
      t.equal(self, rig.encapsulated, 'this is the encapsulated instance')
      t.same(request.query, { x: '1' })
      t.equal(reply.request, request)
      // What becomes of the connection is the errorHandler's business.
      if (rig.connection.readyState !== rig.connection.OPEN) return
      rig.connection.send('lives')
      for (;;) {
        const { opcode, payload } = await rig.client.frame()
        if (opcode === 1 && payload.toString() === 'lives') break
      }
    })
  }
}

t.test('B9: a send callback throws: errorHandler is told once, and the other callbacks run', async t => {
  const order: string[] = []
  const { calls, client } = await serve(t, connection => {
    connection.send('1', () => order.push('1'))
    connection.send('2', fail)
    connection.send('3', () => order.push('3'))
    connection.ping('4', false, () => order.push('4'))
  })
  for (let i = 0; i < 4; i++) await client.frame()
  await turns()
  t.same(order, ['1', '3', '4'])
  t.same(calls.map(({ error }) => error), [failure])
})

t.test('B9: a callback of a send that was refused throws', async t => {
  const { calls, client, connection } = await serve(t, () => {})
  const closed = once(connection, 'close')
  client.destroy()
  await closed
  connection.send('too late', fail)
  await turns()
  t.same(calls.map(({ error }) => error), [failure])
})

t.test('B9: what is thrown and is no Error comes as one, with the thrown as its cause', async t => {
  for (const thrown of ['text', 0, null, undefined, { code: 5 }]) {
    const { calls, client } = await serve(t, connection => {
      connection.on('message', () => { throw thrown })
      connection.on('ping', async () => { throw thrown })
    })
    client.write(text('m'))
    client.write(ping())
    while (calls.length < 2) await turns(1)
    for (const { error } of calls) {
      t.ok(error instanceof Error)
      t.equal(error.cause, thrown)
    }
    client.destroy()
  }
})

t.test('what the peer did wrong: error event and errorHandler get the same error, once each', async t => {
  const wrong: Array<[string, Buffer, typeof WebSocketError, number]> = [
    ['a reserved opcode', frame(3), ProtocolError, 1002],
    ['an unmasked frame', text('x', { mask: null }), ProtocolError, 1002],
    ['text that is not UTF-8', text(Buffer.from([0xff])), InvalidPayloadError, 1007],
    ['a Close frame with a code that is none', close(1005), ProtocolError, 1002]
  ]
  for (const [name, bytes, errorClass, code] of wrong) {
    const events: unknown[] = []
    const { calls, client, connection } = await serve(t, connection => {
      connection.on('error', error => { events.push(error) })
      connection.on('message', () => t.fail('C11: data after an error is ignored'))
    })
    // `once` of node:events would reject, having seen the error
    const closed = new Promise<number>(resolve => connection.once('close', resolve))
    client.write(Buffer.concat([bytes, text('ignored'), close(1000)]))
    t.equal((await client.closeFrame()).code, code, name)
    t.equal(await closed, 1006)
    t.equal(events.length, 1)
    t.ok(events[0] instanceof errorClass)
    t.same(calls.map(({ error }) => error), events)
    t.equal((events[0] as WebSocketError).closeCode, code)
    t.match((events[0] as WebSocketError).code, /^FST_WS_ERR_/)
  }
})

t.test('what the peer did wrong is told once, also if a loop, a listener or an async listener throws it on', async t => {
  const handlers: Record<string, (connection: WebSocketConnection) => unknown> = {
    'a loop': async connection => {
      for await (const message of connection) t.fail(String(message))
    },
    'a listener': connection => { connection.on('error', error => { throw error }) },
    'an async listener': connection => { connection.on('error', async error => { throw error }) },
    once: async connection => { await once(connection, 'message') },
    'a stream': async connection => {
      for await (const chunk of connection.stream()) t.fail(String(chunk))
    },
    'a stream nobody watches': connection => { connection.stream() }
  }
  for (const [name, handler] of Object.entries(handlers)) {
    const { calls, client } = await serve(t, handler)
    client.write(frame(3))
    t.equal((await client.closeFrame()).code, 1002)
    await client.closed
    await turns()
    t.equal(calls.length, 1, name)
    t.ok(calls[0]!.error instanceof ProtocolError)
  }
})

t.test('an error listener\'s own error is told beside what the peer did wrong', async t => {
  for (const act of [fail, reject]) {
    const { calls, client } = await serve(t, connection => { connection.on('error', act) })
    client.write(frame(3))
    await client.closeFrame()
    while (calls.length < 2) await turns(1)
    await turns()
    t.equal(calls.length, 2)
    t.ok(calls.some(({ error }) => error === failure))
    t.ok(calls.some(({ error }) => error instanceof ProtocolError))
  }
})

interface LogLine {
  level: number
  msg: string
  err?: { message: string, code?: string }
}

/** An app that logs into an array. */
async function serveWithLog (t: Teardown, options: Parameters<typeof startApp>[2], handler: (connection: WebSocketConnection) => unknown): Promise<{ log: LogLine[], client: RawClient }> {
  const log: LogLine[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, handler)
  }, options, { logger: { stream: { write: (line: string) => { log.push(JSON.parse(line) as LogLine) } } } })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.socket.on('end', () => client.end())
  return { log, client }
}

t.test('B9: without an errorHandler the error is logged, and the connection is closed with 1011', async t => {
  for (const act of [fail, reject]) {
    const { log, client } = await serveWithLog(t, {}, connection => { connection.on('message', act) })
    client.write(text('m'))
    t.same(await client.closeFrame(), { code: 1011, reason: '' }, 'the peer is not told why')
    const lines = log.filter(({ err }) => err !== undefined)
    t.same(lines.map(({ level, msg, err }) => [level, msg, err?.message]), [[50, failure.message, failure.message]])
  }
})

t.test('without an errorHandler what the peer did wrong is information, no error of ours', async t => {
  const { log, client } = await serveWithLog(t, {}, () => {})
  client.write(frame(3))
  t.equal((await client.closeFrame()).code, 1002)
  await client.closed
  const lines = log.filter(({ err }) => err !== undefined)
  t.same(lines.map(({ level, err }) => [level, err?.code]), [[30, 'FST_WS_ERR_INVALID_OPCODE']])
})

t.test('a WebSocketError that the user throws closes with the code that it says', async t => {
  for (const [thrown, code] of [[new InvalidPayloadError('not our JSON'), 1007], [new WebSocketError('mine', 'FST_WS_ERR_MINE', 4321), 4321], [new WebSocketError('mine', 'FST_WS_ERR_MINE', 1006), 1011]] as const) {
    const { client } = await serveWithLog(t, {}, connection => {
      connection.on('message', () => { throw thrown })
    })
    client.write(text('{'))
    t.equal((await client.closeFrame()).code, code)
    client.destroy()
  }
})

t.test('B9: an errorHandler that throws or rejects itself, with whatever: logged, 1011, and the process lives', async t => {
  for (const thrown of [new Error('in the errorHandler'), 'text', null, undefined]) {
    for (const errorHandler of [() => { throw thrown }, async () => { throw thrown }]) {
      const { log, client } = await serveWithLog(t, { errorHandler }, connection => { connection.on('message', fail) })
      client.write(text('m'))
      t.equal((await client.closeFrame()).code, 1011)
      const lines = log.filter(({ err }) => err !== undefined)
      t.equal(lines.length, 1)
      t.equal(lines[0]!.level, 50)
      client.destroy()
    }
  }
})

t.test('what a listener on the client of injectWS throws is not swallowed', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => connection.send('hello'))
  })
  const client = await app.injectWS('/')
  t.teardown(() => client.terminate())
  const caught = new Promise(resolve => process.once('uncaughtException', resolve))
  const others = process.listeners('uncaughtException').filter((_, i, all) => i < all.length - 1)
  for (const other of others) process.off('uncaughtException', other)
  client.on('message', fail)
  t.equal(await caught, failure)
  for (const other of others) process.on('uncaughtException', other)
})
