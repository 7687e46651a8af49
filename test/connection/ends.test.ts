import { deflateRawSync } from 'node:zlib'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import * as ours from '../../lib/index.js'
import type { WebSocketConnection, WebSocketPluginOptions } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { cellsOf, exampleNamed } from '../support/examples.js'
import { binary, close, continuation, frame, ping, RawClient, text } from '../support/raw-client.js'
import { ServerSockets, turns } from '../support/server-sockets.js'

const LONG = 3_600_000

interface Peers {
  app: FastifyInstance
  connection: WebSocketConnection
  client: RawClient
  /** The server's side of the TCP connection. */
  socket: Socket
}

interface Path {
  options?: WebSocketPluginOptions
  headers?: Record<string, string>
  handler?: (connection: WebSocketConnection) => unknown
  /** Brings the end about. */
  end: (peers: Peers) => unknown
  /** Whether the client answers our Close frame and our FIN. Default `true`. */
  answers?: boolean
  /** What the `close` event tells. */
  code: number
  /** `code`s of what `errorHandler` gets. Default none. */
  errors?: string[]
}

/** Sends until the connection is not open any more. */
async function flood ({ connection, client }: Peers): Promise<void> {
  client.socket.pause()
  while (connection.readyState === connection.OPEN) {
    connection.send(Buffer.alloc(64 * 1024))
    await turns(1)
  }
  client.socket.resume()
}

const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }

/** Every way in which a connection can end. */
const PATHS: Record<string, Path> = {
  'the client closes': { end: ({ client }) => client.write(close(3000, 'bye')), code: 3000 },
  'the client closes without a code': { end: ({ client }) => client.write(close()), code: 1005 },
  'the client closes twice, and goes on': { end: ({ client }) => client.write(Buffer.concat([close(3000), close(3001), text('x')])), code: 3000 },
  'the client closes and ends at once': {
    end: ({ client }) => {
      client.write(close(3000))
      client.end()
    },
    code: 3000
  },
  'the client ends without a Close frame': { end: ({ client }) => client.end(), code: 1006 },
  'the client ends in the middle of a message': {
    end: ({ client }) => {
      client.write(binary('half', { announce: 100 }))
      client.end()
    },
    code: 1006
  },
  'the client resets the connection': { end: ({ client }) => (client.socket as Socket).resetAndDestroy(), code: 1006 },
  'the client disappears': { end: ({ client }) => client.destroy(), code: 1006 },
  'we close': { end: ({ connection }) => connection.close(4000), code: 4000 },
  'we close twice': {
    end: ({ connection }) => {
      connection.close(4000)
      connection.close(4001)
    },
    code: 4000
  },
  'both close at the same time': {
    end: ({ connection, client }) => {
      client.write(close(3000))
      connection.close(4000)
    },
    code: 3000,
    answers: false,
    options: { closeTimeout: 50 }
  },
  'we close, and nobody answers': { options: { closeTimeout: 20 }, end: ({ connection }) => connection.close(4000), answers: false, code: 1006 },
  'we close and terminate': {
    end: ({ connection }) => {
      connection.close(4000)
      connection.terminate()
    },
    code: 1006
  },
  'we terminate': { end: ({ connection }) => connection.terminate(), code: 1006 },
  'we terminate twice': {
    end: ({ connection }) => {
      connection.terminate()
      connection.terminate()
    },
    code: 1006
  },
  'the socket fails': { end: ({ socket }) => socket.destroy(new Error('a broken line')), code: 1006 },
  'a close listener closes, terminates and sends': {
    handler: connection => {
      connection.on('close', () => {
        connection.close(1000)
        connection.terminate()
        connection.send('x')
        connection.resume()
      })
    },
    end: ({ client }) => client.write(close(3000)),
    code: 3000
  },
  // What follows means nothing any more, not even a Close frame.
  'a rule is broken': { end: ({ client }) => client.write(frame(3)), code: 1006, errors: ['FST_WS_ERR_INVALID_OPCODE'] },
  'a rule is broken, and nobody answers': {
    options: { closeTimeout: 20 }, end: ({ client }) => client.write(frame(3)), answers: false, code: 1006, errors: ['FST_WS_ERR_INVALID_OPCODE']
  },
  'a rule is broken behind a Close frame': { end: ({ client }) => client.write(Buffer.concat([close(3000), frame(3)])), code: 3000 },
  'a message is too long': { end: ({ client }) => client.write(binary(Buffer.alloc(10_000))), code: 1009, errors: ['FST_WS_ERR_MESSAGE_TOO_BIG'] },
  'a message is too long once it is inflated': {
    headers: DEFLATE,
    end: ({ client }) => client.write(frame(2, deflateRawSync(Buffer.alloc(100_000)), { rsv: 0x40 })),
    code: 1009,
    errors: ['FST_WS_ERR_MESSAGE_TOO_BIG']
  },
  'the client leaves while its message is inflated elsewhere': {
    headers: DEFLATE,
    options: { maxPayload: 1024 * 1024 },
    end: ({ client }) => {
      client.write(frame(2, deflateRawSync(Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7919) >> 3 & 0xff))), { rsv: 0x40 }))
      client.end()
    },
    code: 1006
  },
  'too many messages': {
    options: { rateLimit: { messages: 1, window: LONG } },
    end: ({ client }) => client.write(Buffer.concat([text('1'), text('2')])),
    code: 1008,
    errors: ['FST_WS_ERR_RATE_LIMIT']
  },
  'the client does not read': { options: { maxBufferedAmount: 1024 * 1024 }, end: flood, code: 1013, errors: ['FST_WS_ERR_SLOW_READER'] },
  'the client does not read, and never will': {
    options: { maxBufferedAmount: 1024 * 1024, closeTimeout: 20 }, end: flood, answers: false, code: 1006, errors: ['FST_WS_ERR_SLOW_READER']
  },
  'the client does not answer Pings': { options: { heartbeat: { interval: 5, timeout: 5 } }, end: () => {}, code: 1006 },
  'nobody has anything to say': { options: { idleTimeout: 20 }, end: () => {}, code: 1001 },
  'the handler throws': { handler: () => { throw new Error('its own') }, end: ({ connection }) => connection.close(1011), code: 1011, errors: [''] },
  'all are closed': { end: ({ app }) => { app.websocketServer.close() }, code: 1001 },
  'the app closes': { end: ({ app }) => { app.close() }, code: 1001 },
  'the app closes, and nobody answers': { options: { closeTimeout: 20 }, end: ({ app }) => { app.close() }, answers: false, code: 1006 },
  'the client leaves while we have paused': {
    handler: connection => connection.pause(),
    end: ({ client, connection }) => {
      client.write(Buffer.concat([text('1'), close(3000)]))
      client.end()
      setImmediate(() => connection.resume())
    },
    code: 3000
  },
  'the client leaves while messages wait for a handler that takes its time': {
    handler: async () => { await turns(50) },
    end: ({ client }) => {
      client.write(Buffer.concat([text('1'), ping(), close(3000)]))
      client.end()
    },
    code: 3000
  }
}

for (const [name, { options = {}, headers = {}, handler = () => {}, end, answers = true, code, errors = [] }] of Object.entries(PATHS)) {
  t.test(`close comes once, last, and with the right code: ${name}`, async t => {
    const events: string[] = []
    const codes: number[] = []
    const told: string[] = []
    const logged: unknown[] = []
    let opened!: (connection: WebSocketConnection) => void
    const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
    let sockets!: ServerSockets
    const { app, port } = await startApp(t, app => {
      sockets = new ServerSockets(app.server)
      app.get('/', { websocket: true }, connection => {
        opened(connection)
        for (const event of ['message', 'ping', 'pong', 'error', 'drain'] as const) connection.on(event, () => events.push(event))
        connection.on('close', code => {
          events.push('close')
          codes.push(code)
        })
        connection.signal.addEventListener('abort', () => events.push('abort'))
        return handler(connection)
      })
    }, {
      maxPayload: 5000,
      heartbeat: false,
      perMessageDeflate: true,
      ...options,
      errorHandler (error) { told.push('code' in error ? String(error.code) : '') }
    }, { logger: { level: 'info', stream: { write: line => { logged.push(JSON.parse(line)) } } } })
    const client = await RawClient.open(port, '/', headers)
    t.teardown(() => client.destroy())
    const connection = await whenOpened
    const socket = sockets.only
    if (answers) {
      client.socket.on('end', () => client.end())
      // Every Close frame gets its answer.
      ;(async () => {
        for (;;) {
          const { opcode, payload } = await client.frame()
          if (opcode === 8) client.write(frame(8, payload))
        }
      })().catch(() => {})
    }
    const closed = new Promise(resolve => connection.once('close', resolve))
    await end({ app, connection, client, socket })
    await closed
    await sockets.allClosed()
    await turns()
    t.same(codes, [code])
    t.equal(events.at(-1), 'close')
    t.equal(events.filter(event => event === 'abort').length, 1)
    t.same(told, errors)
    t.equal(connection.readyState, connection.CLOSED)
    t.equal(connection.bufferedAmount, 0)
    t.equal(app.websocketServer.clients.size, 0)
    const lines = logged.filter(line => (line as { msg: string }).msg === 'websocket connection closed')
    t.match(lines, [{ code }])
    t.equal(lines.length, 1)
  })
}

function speakJson ({ connection, client }: Peers, bytes: Buffer): void {
  connection.on('json', () => {})
  client.write(bytes)
}

/** What makes the client break each of the rules, and the options that it takes. */
const PROVOCATIONS: Record<string, { bytes?: Buffer, options?: WebSocketPluginOptions, act?: (peers: Peers) => unknown }> = {
  FST_WS_ERR_MASK_REQUIRED: { bytes: text('x', { mask: null }) },
  FST_WS_ERR_RESERVED_BITS: { bytes: text('x', { rsv: 0x20 }) },
  FST_WS_ERR_INVALID_OPCODE: { bytes: frame(11) },
  FST_WS_ERR_CONTROL_FRAME: { bytes: ping('x'.repeat(126)) },
  FST_WS_ERR_FRAGMENTATION: { bytes: continuation('x') },
  FST_WS_ERR_FRAME_LENGTH: { bytes: text('x', { lengthBytes: 2 }) },
  FST_WS_ERR_CLOSE_PAYLOAD: { bytes: close(1006) },
  FST_WS_ERR_INVALID_PAYLOAD: { bytes: text(Buffer.from([0xc0])) },
  FST_WS_ERR_MESSAGE_TOO_BIG: { bytes: binary('12345'), options: { maxPayload: 4 } },
  FST_WS_ERR_RATE_LIMIT: { bytes: binary('12345'), options: { rateLimit: { bytes: 10 } } },
  FST_WS_ERR_INVALID_JSON: { act: peers => speakJson(peers, text('{')) },
  FST_WS_ERR_INVALID_MESSAGE: { act: peers => speakJson(peers, text('{"id":"x"}')) },
  FST_WS_ERR_BINARY_MESSAGE: { act: peers => speakJson(peers, binary('{}')) },
  FST_WS_ERR_SLOW_READER: { act: flood, options: { maxBufferedAmount: 64 * 1024 } }
}

t.test('the table of errors in the documentation: each has the class and the close code that it says, and is told once', async t => {
  const table = await exampleNamed('docs/errors.md', 'codes')
  const provoked = new Set<string>()
  for (const [codes, className, effect] of cellsOf(table.text)) {
    const [, closeCode] = /close code (\d+)/.exec(effect!) ?? []
    if (closeCode === undefined) continue
    const errorClass = (ours as unknown as Record<string, new () => Error>)[className!.replaceAll('`', '')]!
    for (const [code] of codes!.matchAll(/FST_WS_ERR_\w+/g)) {
      // The one stands for rules without a code of their own, of which there are none; test/connection/lent-reads.test.ts
      // provokes the other.
      if (code === 'FST_WS_ERR_PROTOCOL' || code === 'FST_WS_ERR_REENTERED') continue
      const { bytes, options, act } = PROVOCATIONS[code]!
      const errors: Array<Error & { code?: string, closeCode?: number }> = []
      const events: Error[] = []
      let opened!: (connection: WebSocketConnection) => void
      const whenOpened = new Promise<WebSocketConnection>(resolve => { opened = resolve })
      let sockets!: ServerSockets
      const { app, port } = await startApp(t, app => {
        sockets = new ServerSockets(app.server)
        app.get('/', { websocket: true, schema: { receive: { type: 'object', properties: { id: { type: 'integer' } } } } }, connection => {
          connection.on('error', error => events.push(error))
          opened(connection)
        })
      }, { ...options, errorHandler: error => { errors.push(error) } })
      const client = await RawClient.open(port)
      const connection = await whenOpened
      client.socket.on('end', () => client.end())
      if (bytes !== undefined) client.write(bytes)
      await act?.({ app, connection, client, socket: sockets.only })
      let last = await client.frame()
      while (last.opcode !== 8) last = await client.frame()
      t.equal(last.payload.readUInt16BE(0), Number(closeCode), code)
      client.write(close(Number(closeCode)))
      await client.closed
      await turns()
      t.equal(errors.length, 1, code)
      t.ok(errors[0] instanceof errorClass, `${code} is a ${className}`)
      t.match(errors[0], { code, closeCode: Number(closeCode) })
      t.same(events, errors)
      provoked.add(code)
    }
  }
  t.same([...provoked].sort(), Object.keys(PROVOCATIONS).sort(), 'and the table forgets none')
})
