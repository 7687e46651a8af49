import { deflateRawSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, frame, RawClient, text } from '../support/raw-client.js'
import { connectSecure, gate, turns } from '../support/server-sockets.js'

// Messages wait for a handler that is not ready, and the connection begins to close meanwhile. Then the handler gets all of
// them in order, and `close` behind them; or, where time or memory is over, those up to some message. Never is there a gap.

interface Rig {
  app: FastifyInstance
  client: RawClient
  connection: WebSocketConnection
  /** What the handler has heard. */
  log: string[]
  /** Lets the handler go on. */
  listen: () => void
  /** Resolves when the handler has heard `close`. */
  over: Promise<void>
  /** Resolves when the server has no connection any more. */
  allGone: () => Promise<void>
}

type Log = (entry: string) => void
/** Runs once the handler may listen; ends when it has heard all. */
type Listen = (connection: WebSocketConnection, log: Log) => Promise<void>

interface Setup {
  listen?: Listen
  options?: WebSocketPluginOptions
  fastify?: object
  open?: (t: Teardown, port: number) => Promise<RawClient>
}

const whenClosed = (connection: WebSocketConnection, log: Log): Promise<void> =>
  new Promise(resolve => connection.on('close', code => { log(`close ${code}`); resolve() }))

/** For loops, which may have read less than was emitted. */
const codeOf = (connection: WebSocketConnection): Promise<number> => new Promise(resolve => connection.on('close', resolve))

/** Enters a loop, and leaves it with its first message. */
async function firstOf (messages: AsyncIterable<unknown>): Promise<string> {
  for await (const message of messages) if (message !== '') return String(message)
  return 'nothing'
}

const listeners: Listen = async (connection, log) => {
  connection.on('message', data => log(String(data)))
  await whenClosed(connection, log)
}

async function serve (t: Teardown, { listen = listeners, options = {}, fastify = {}, open }: Setup = {}): Promise<Rig> {
  const ready = gate()
  const over = gate()
  const log: string[] = []
  let opened!: (connection: WebSocketConnection) => void
  const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, async connection => {
      opened(connection)
      await ready.passed
      await listen(connection, entry => log.push(entry))
      over.open()
    })
  }, { closeTimeout: 20_000, ...options }, fastify)
  const client = open === undefined ? await RawClient.open(port) : await open(t, port)
  t.teardown(() => client.destroy())
  client.socket.on('error', () => {})
  client.socket.on('end', () => client.end())
  return {
    app,
    client,
    connection: await whenOpened,
    log,
    listen: ready.open,
    over: over.passed,
    async allGone () {
      while (app.websocketServer.clients.size > 0) await turns(1)
    }
  }
}

/** Whoever it is that closes, meanwhile. */
const CLOSERS: Record<string, { options?: WebSocketPluginOptions, close: (rig: Rig) => unknown }> = {
  'app.close()': { close: ({ app }) => { app.close() } },
  'websocketServer.close()': { close: ({ app }) => { app.websocketServer.close() } },
  idleTimeout: { options: { idleTimeout: 20 }, close: () => {} },
  'connection.close() from elsewhere': { close: ({ app }) => { for (const each of app.websocketServer.clients) each.close(4000) } },
  'close() of a connection that is paused': {
    close: ({ connection }) => {
      connection.pause()
      connection.close(4000)
    }
  }
}

/** The ways to listen, each of which hears six messages and the end. */
const LISTENERS: Record<string, Listen> = {
  listeners,
  'a close listener, and a message listener later': async (connection, log) => {
    const closed = whenClosed(connection, log)
    await turns(5)
    connection.on('message', data => log(String(data)))
    await closed
  },
  'once, and once again': async (connection, log) => {
    for (let i = 0; i < 6; i++) {
      await new Promise<void>(resolve => connection.once('message', data => { log(String(data)); resolve() }))
      await turns(2)
    }
    await whenClosed(connection, log)
  },
  'for await': async (connection, log) => {
    const over = codeOf(connection)
    for await (const message of connection) log(String(message))
    log(`close ${await over}`)
  },
  'for await, left and entered again after each message': async (connection, log) => {
    const over = codeOf(connection)
    for (let i = 0; i < 6; i++) {
      log(await firstOf(connection))
      await turns(2)
    }
    for await (const message of connection) log(String(message))
    log(`close ${await over}`)
  },
  'json(), left and entered again': async (connection, log) => {
    const over = codeOf(connection)
    for (let i = 0; i < 6; i++) {
      log(await firstOf(connection.json()))
      await turns(2)
    }
    log(`close ${await over}`)
  },
  'json(), then for await': async (connection, log) => {
    const over = codeOf(connection)
    for await (const message of connection.json()) {
      log(String(message))
      if (message === 2) break
    }
    for await (const message of connection) log(String(message))
    log(`close ${await over}`)
  },
  'a json listener': async (connection, log) => {
    connection.on('json', message => log(String(message)))
    await whenClosed(connection, log)
  },
  'a stream': async (connection, log) => {
    const over = codeOf(connection)
    for await (const message of connection.stream({ readableObjectMode: true })) log(String(message))
    log(`close ${await over}`)
  },
  'for await, left, then a stream': async (connection, log) => {
    const over = codeOf(connection)
    log(await firstOf(connection))
    await turns(2)
    for await (const message of connection.stream({ readableObjectMode: true })) log(String(message))
    log(`close ${await over}`)
  },
  'a listener that pauses after each message': async (connection, log) => {
    connection.on('message', data => {
      log(String(data))
      connection.pause()
      setImmediate(() => connection.resume())
    })
    await whenClosed(connection, log)
  }
}

const numbered = (from: number, to: number): Buffer => Buffer.concat(Array.from({ length: to - from }, (_, i) => text(String(from + i))))
const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))

/** Three messages, the closing, three more and the Close frame; the handler listens at some time. */
async function converse (rig: Rig, begin: (rig: Rig) => unknown, when: 'while closing' | 'when closed'): Promise<void> {
  const { client } = rig
  client.write(numbered(0, 3))
  while (rig.app.websocketServer.stats.received.messages < 3) await turns(1)
  await begin(rig)
  await client.closeFrame()
  if (when === 'while closing') {
    rig.listen()
    await turns(2)
  }
  client.write(Buffer.concat([numbered(3, 6), close(1000)]))
  if (when === 'when closed') {
    await rig.allGone()
    await turns()
    rig.listen()
  }
  await rig.over
}

for (const when of ['while closing', 'when closed'] as const) {
  for (const [name, { options, close }] of Object.entries(CLOSERS)) {
    t.test(`${name}, and the handler listens ${when}: everything in order`, async t => {
      const rig = await serve(t, { options })
      await converse(rig, close, when)
      t.same(rig.log, [...range(0, 6), 'close 1000'])
    })
  }
  for (const [name, listen] of Object.entries(LISTENERS)) {
    t.test(`${name}, ${when}: everything in order`, async t => {
      const rig = await serve(t, { listen })
      await converse(rig, ({ app }) => { app.websocketServer.close() }, when)
      t.same(rig.log, [...range(0, 6), 'close 1000'])
    })
  }
}

const TRANSPORTS: Record<string, Setup> = {
  TLS: {
    fastify: { https: certificate },
    async open (_t, port) {
      const client = await connectSecure(port)
      await client.upgrade()
      return client
    }
  },
  'HTTP/2': { fastify: { http2: true }, open: async (t, port) => openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`)) }
}

for (const [name, setup] of Object.entries(TRANSPORTS)) {
  for (const when of ['while closing', 'when closed'] as const) {
    t.test(`over ${name}, ${when}: everything in order`, async t => {
      const rig = await serve(t, setup)
      await converse(rig, ({ connection }) => connection.close(), when)
      t.same(rig.log, [...range(0, 6), 'close 1000'])
    })
  }
}

t.test('injectWS: what its client sent before the server closed', async t => {
  const ready = gate()
  const log: string[] = []
  const done = gate()
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, async connection => {
      await ready.passed
      await listeners(connection, entry => log.push(entry))
      done.open()
    })
  })
  const client = await app.injectWS('/')
  for (let i = 0; i < 3; i++) client.send(String(i))
  const closing = app.websocketServer.close()
  await turns()
  ready.open()
  await done.passed
  await closing
  t.same(log, [...range(0, 3), 'close 1001'])
})

t.test('injectWS: a client that closes without having listened hears nothing more, and is over at once', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { for (let i = 0; i < 500; i++) connection.send(String(i)) })
  }, { closeTimeout: 60_000 })
  const client = await app.injectWS('/')
  await turns()
  client.close()
  client.on('message', () => t.fail('a message behind those that were dropped'))
  await new Promise(resolve => client.on('close', resolve))
})

t.test('more than may wait: the client is held back, its Close frame too, until the handler listens', async t => {
  const COUNT = 300
  const rig = await serve(t)
  rig.client.write(Buffer.concat(Array.from({ length: COUNT }, (_, i) => text(String(i).padEnd(1024)))))
  await turns(50)
  const closing = rig.app.close()
  await rig.client.closeFrame()
  rig.client.write(Buffer.concat([text('last'), close(4001)]))
  await turns(50)
  rig.listen()
  await rig.over
  await closing
  t.same(rig.log.map(entry => entry.trimEnd()), [...range(0, COUNT), 'last', 'close 4001'])
})

t.test('more than may wait, and a handler that never listens: closeTimeout ends it', async t => {
  const rig = await serve(t, { options: { closeTimeout: 100 } })
  for (let i = 0; i < 300; i++) rig.client.write(text(String(i).padEnd(1024)))
  rig.client.write(close(1000))
  await turns(50)
  await rig.app.close()
  await rig.client.closed
  // What waits for a handler keeps no process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  await new Promise<void>(resolve => rig.connection.on('close', () => resolve()))
  rig.listen()
  await turns()
  t.same(rig.log, [], 'and what waited is gone')
})

t.test('a handler that only listens for close, with messages that nobody reads, hears of it within closeTimeout of the end', async t => {
  const rig = await serve(t, {
    options: { closeTimeout: 50 },
    async listen (connection, log) { await whenClosed(connection, log) }
  })
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  rig.listen()
  rig.client.write(numbered(0, 3))
  await turns()
  const closing = rig.app.close()
  await rig.client.closeFrame()
  rig.client.write(close(1000))
  await closing
  await rig.over
  t.same(rig.log, ['close 1000'])
})

t.test('the client has left while more than may wait was there, and nobody listens: the connection ends within closeTimeout', async t => {
  const rig = await serve(t, { options: { closeTimeout: 50, heartbeat: false } })
  rig.client.write(Buffer.concat([...Array.from({ length: 62 }, (_, i) => text(String(i).padEnd(1024))), close(1000)]))
  rig.client.end()
  await rig.allGone()
  await turns()
  rig.listen()
  await rig.over
  t.same(rig.log.slice(0, -1).map(entry => entry.trimEnd()), range(0, rig.log.length - 1), 'what waited, without a gap')
  t.equal(rig.log.at(-1), 'close 1006')
})

t.test('the client has left, and a loop takes longer than closeTimeout for what it has sent: nothing is lost', async t => {
  const rig = await serve(t, {
    options: { closeTimeout: 20 },
    async listen (connection, log) {
      let isFirst = true
      for await (const message of connection) {
        log(String(message).trimEnd())
        if (isFirst) await new Promise(resolve => setTimeout(resolve, 100))
        isFirst = false
        await turns(1)
      }
    }
  })
  rig.listen()
  rig.client.write(Buffer.concat([...Array.from({ length: 300 }, (_, i) => text(String(i).padEnd(1024))), close(1000)]))
  rig.client.end()
  await rig.over
  t.same(rig.log, range(0, 300))
})

t.test('a loop or a stream that is behind holds the client back while the connection closes too', async t => {
  for (const kind of ['loop', 'stream']) {
    const go = gate()
    let received = 0
    const rig = await serve(t, {
      options: { closeTimeout: 60_000 },
      async listen (connection) {
        const source: AsyncIterable<Buffer | string> = kind === 'loop' ? connection : connection.stream({ readableObjectMode: true })
        for await (const message of source) {
          if (received === 0) await go.passed
          if ((message as Buffer).readUInt32BE(0) !== received++) t.fail('a gap')
        }
      }
    })
    rig.listen()
    const payload = Buffer.alloc(4096)
    const send = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        payload.writeUInt32BE(i)
        rig.client.write(binary(payload))
      }
    }
    send(0, 100)
    await turns(50)
    rig.connection.close(1001)
    send(100, 4000)
    rig.client.write(close(1001))
    await turns(200)
    t.ok(rig.app.websocketServer.stats.received.bytes < 1024 * 1024, `${rig.app.websocketServer.stats.received.bytes} bytes were read for a ${kind}`)
    go.open()
    await rig.over
    t.equal(received, 4000)
  }
})

t.test('a message that is being inflated on another thread when the closing begins comes in its place', async t => {
  const rig = await serve(t, {
    options: { perMessageDeflate: true, maxPayload: 4 * 1024 * 1024 },
    open: (_t, port) => RawClient.open(port, '/', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }),
    async listen (connection, log) {
      connection.on('message', data => log(data.length > 100 ? `${data.length} bytes` : String(data)))
      await whenClosed(connection, log)
    }
  })
  const noise = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) >> 3 & 0xff))
  const compressed = deflateRawSync(noise, { level: 0, finishFlush: 2 }).subarray(0, -4)
  rig.client.write(Buffer.concat([text('first'), frame(2, compressed, { rsv: 0x40 }), text('behind')]))
  while (rig.app.websocketServer.stats.received.messages < 1) await turns(1)
  rig.connection.close(1001)
  await rig.client.closeFrame()
  rig.client.write(Buffer.concat([text('last'), close(1001)]))
  rig.listen()
  await rig.over
  t.same(rig.log, ['first', '100000 bytes', 'behind', 'last', 'close 1001'])
})

t.test('pause while a message is inflated on another thread: it waits', async t => {
  const log: string[] = []
  const paused = gate()
  let connection!: WebSocketConnection
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, opened => {
      connection = opened
      connection.on('message', data => {
        log.push(`${data.length} bytes`)
        if (data.length > 1) return
        setImmediate(() => {
          connection.pause()
          paused.open()
        })
      })
    })
  }, { perMessageDeflate: true })
  const client = await RawClient.open(port, '/', { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
  t.teardown(() => client.destroy())
  const compressed = deflateRawSync(Buffer.alloc(900_000, 'abcdefghijklm'), { level: 0, finishFlush: 2 }).subarray(0, -4)
  client.write(Buffer.concat([text('x'), frame(2, compressed, { rsv: 0x40 }), text('yy')]))
  await paused.passed
  const heard = [...log]
  await new Promise(resolve => setTimeout(resolve, 50))
  t.same(log, heard, 'nothing while it is paused')
  connection.resume()
  while (log.length < 3) await turns(1)
  t.same(log, ['1 bytes', '900000 bytes', '2 bytes'])
})

t.test('a JSON message that is not valid, while the connection closes: nothing behind it is delivered', async t => {
  const rig = await serve(t, {
    async listen (connection, log) {
      connection.on('json', message => log(String(message)))
      await whenClosed(connection, log)
    }
  })
  rig.client.write(text('1'))
  rig.connection.close(4000)
  await rig.client.closeFrame()
  rig.listen()
  rig.client.write(Buffer.concat([text('2'), text('{'), text('3'), close(4000)]))
  await rig.over
  t.same(rig.log, ['1', '2', 'close 4000'])
})

t.test('pause() while the connection closes: nothing comes, and closeTimeout ends it', async t => {
  const rig = await serve(t, { options: { closeTimeout: 100 } })
  rig.listen()
  rig.connection.on('message', () => rig.connection.pause())
  rig.connection.close(4000)
  await rig.client.closeFrame()
  rig.client.write(Buffer.concat([numbered(0, 3), close(4000)]))
  await rig.over
  t.same(rig.log.slice(0, -1), range(0, rig.log.length - 1))
  t.equal(rig.log.at(-1), 'close 1006')
})
