import Fastify, { type FastifyInstance, type FastifyPluginCallback, type FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import websocket, { fastifyWebsocket as fastifyWebsocketOfOurs, type WebSocketConnection, type WebSocketPluginOptions } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { cellsOf, exampleNamed } from '../support/examples.js'
import { binary, close, continuation, frame, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { gate, turns } from '../support/server-sockets.js'
import { DIFFERENCES, TYPE_DIFFERENCES } from './differences.js'

// Each row of docs/migration.md that a program can see: the same app on @fastify/websocket, on ours, and on ours with the
// option that the row names, has to behave as the row says.

// Untyped, since its declarations clash with ours.
const fastifyWebsocket = createRequire(import.meta.url)('@fastify/websocket') as FastifyPluginCallback<object>

type Register = (app: FastifyInstance, options?: object) => Promise<void>

interface App {
  app: FastifyInstance
  port: number
}

/** An app with whichever plugin it is, listening, closed when the test ends. */
type Start = (configure: (app: FastifyInstance) => unknown, options?: object) => Promise<App>

interface Scenario {
  observe: (t: Teardown, start: Start, register: Register) => Promise<unknown>
  was: unknown
  is: unknown
  /** The options that the row names to get back what was. */
  back?: WebSocketPluginOptions
}

function starter (t: Teardown, register: Register): Start {
  return async (configure, options) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await register(app, options)
    await configure(app)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { app, port: (app.server.address() as AddressInfo).port }
  }
}

const withTheirs: Register = async (app, options = {}) => { await app.register(fastifyWebsocket, options) }
const withOurs = (more: WebSocketPluginOptions): Register => async (app, options = {}) => { await app.register(websocket, { ...more, ...options }) }

/** A route at `/` that sends back what it gets. */
function echo (app: FastifyInstance): void {
  app.get('/', { websocket: true }, socket => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
}

async function open (t: Teardown, port: number, headers: Record<string, string | null> = {}, path = '/'): Promise<RawClient> {
  const client = await RawClient.open(port, path, headers)
  t.teardown(() => client.destroy())
  return client
}

/** The status of an upgrade, and the code of the Close frame where one follows at once. */
async function upgrade (t: Teardown, port: number, headers: Record<string, string | null> = {}, path = '/'): Promise<number[]> {
  const client = await RawClient.connect(port)
  t.teardown(() => client.destroy())
  client.write(upgradeRequest(path, headers))
  const { status } = await client.head()
  // An echo of a Ping comes where no Close frame does.
  if (status !== 101) return [status]
  client.write(ping('?'))
  const { opcode, payload } = await client.frame()
  return opcode === 0x8 ? [status, payload.length === 0 ? 1005 : payload.readUInt16BE(0)] : [status]
}

/** What comes next: a message, or the code of a Close frame, or 1006 for an end without one. */
async function next (client: RawClient): Promise<string | number> {
  try {
    const { opcode, payload } = await client.frame()
    if (opcode !== 0x8) return payload.length > 100 ? `${payload.length} bytes` : payload.toString()
    return payload.length === 0 ? 1005 : payload.readUInt16BE(0)
  } catch {
    return 1006
  }
}

async function codeOf (promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
    return null
  } catch (error) {
    return (error as { code?: unknown }).code ?? (error as Error).message
  }
}

const SCENARIOS: Record<string, Scenario> = {
  'Pages of other origins': {
    async observe (t, start) {
      const { port } = await start(echo)
      return upgrade(t, port, { Origin: 'https://elsewhere.example' })
    },
    was: [101],
    is: [403],
    back: { origin: '*' }
  },

  'Longest message': {
    async observe (t, start) {
      const { port } = await start(echo)
      const client = await open(t, port)
      client.write(binary(Buffer.alloc(1024 * 1024 + 1)))
      return next(client)
    },
    was: '1048577 bytes',
    is: 1009,
    back: { maxPayload: 100 * 1024 * 1024 }
  },

  '`options` of `ws` that have no effect': {
    async observe (t, start) {
      const { port } = await start(echo, { options: { autoPong: false, skipUTF8Validation: true } })
      const client = await open(t, port)
      client.write(Buffer.concat([ping('a ping'), text(Buffer.from([0xff])), text('later')]))
      return [await next(client), await next(client)]
    },
    was: ['\ufffd', 'later'],
    is: ['a ping', 1007]
  },

  'Wrong options and routes': {
    async observe (_t, _start, register) {
      return [await codeOf(register(Fastify(), { maxpayload: 5 })), await codeOf(register(Fastify(), { errorHandler: {} }))]
    },
    was: [null, 'invalid errorHandler function'],
    is: ['FST_WS_ERR_INVALID_OPTION', 'FST_WS_ERR_INVALID_OPTION']
  },

  'Upgrade to a route that has only HTTP': {
    async observe (t, start) {
      const { port } = await start(app => { app.get('/', async () => 'http') })
      return upgrade(t, port)
    },
    was: [101, 1005],
    is: [404]
  },

  'Plain HTTP to a WebSocket route': {
    async observe (_t, start) {
      const { app } = await start(app => {
        echo(app)
        // As the row says.
        app.route({ method: 'GET', url: '/as-before', handler: async (_request, reply: FastifyReply) => reply.code(404).send(), wsHandler: () => {} })
      })
      const status = async (url: string): Promise<number> => (await app.inject(url)).statusCode
      return [await status('/'), await status('/as-before')]
    },
    was: [404, 404],
    is: [426, 404]
  },

  'Headers and cookies set by hooks': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.addHook('onRequest', async (_request, reply) => { reply.header('X-Hook', 'was here') })
        echo(app)
      })
      const client = await RawClient.connect(port)
      t.teardown(() => client.destroy())
      client.write(upgradeRequest())
      return (await client.head()).headers['x-hook']
    },
    was: undefined,
    is: 'was here'
  },

  '`onSend`, `onResponse`, `request completed` in the log': {
    async observe (t, start) {
      const hooks: string[] = []
      const { port } = await start(app => {
        app.addHook('onSend', async () => { hooks.push('onSend') })
        app.addHook('onResponse', async () => { hooks.push('onResponse') })
        app.get('/', { websocket: true }, socket => { hooks.push('handler'); socket.send('there') })
      })
      await next(await open(t, port))
      return hooks
    },
    was: ['handler'],
    is: ['onSend', 'onResponse', 'handler']
  },

  'Messages before there is a listener': {
    async observe (t, start) {
      const listening = gate()
      const { port } = await start(app => {
        app.get('/', { websocket: true }, async socket => {
          await listening.passed
          socket.on('message', data => socket.send(`heard ${String(data)}`))
        })
      })
      const client = await open(t, port)
      client.write(Buffer.concat([text('early'), ping('pong')]))
      // Says that the message before it has arrived.
      const pong = await next(client)
      listening.open()
      await turns()
      client.write(text('late'))
      return [pong, await next(client)]
    },
    was: ['pong', 'heard late'],
    is: ['pong', 'heard early']
  },

  'Error thrown by a handler': {
    async observe (t, start) {
      const { port } = await start(app => { app.get('/', { websocket: true }, () => { throw new Error('of the handler') }) })
      return next(await open(t, port))
    },
    was: 1006,
    is: 1011,
    back: { errorHandler: (_error, connection) => connection.terminate() }
  },

  '`app.close()`': {
    async observe (t, start) {
      const { app, port } = await start(echo)
      const client = await open(t, port)
      const closing = app.close()
      const code = await next(client)
      client.write(close(code as number === 1005 ? undefined : code as number))
      client.end()
      await closing
      return code
    },
    was: 1005,
    is: 1001,
    back: {
      preClose (done) {
        for (const client of this.websocketServer.clients) client.close()
        done()
      }
    }
  },

  'Error codes': {
    async observe (t, start) {
      const codes: unknown[] = []
      const { port } = await start(echo, {
        options: { maxPayload: 1000 },
        errorHandler: (error: Error & { code: string }, socket: WebSocketConnection) => {
          codes.push(error.code)
          socket.terminate()
        }
      })
      for (const wrong of Object.values(BROKEN_FRAMES)) {
        const client = await open(t, port)
        client.write(wrong)
        await client.ended
      }
      return codes
    },
    was: [
      'WS_ERR_UNEXPECTED_RSV_2_3', 'WS_ERR_UNEXPECTED_RSV_1', 'WS_ERR_INVALID_OPCODE', 'WS_ERR_INVALID_OPCODE', 'WS_ERR_EXPECTED_MASK', 'WS_ERR_EXPECTED_FIN',
      'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', 'WS_ERR_INVALID_CLOSE_CODE', 'WS_ERR_INVALID_UTF8', 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH'
    ],
    is: [
      'FST_WS_ERR_RESERVED_BITS', 'FST_WS_ERR_RESERVED_BITS', 'FST_WS_ERR_INVALID_OPCODE', 'FST_WS_ERR_FRAGMENTATION', 'FST_WS_ERR_MASK_REQUIRED', 'FST_WS_ERR_CONTROL_FRAME',
      'FST_WS_ERR_CONTROL_FRAME', 'FST_WS_ERR_CLOSE_PAYLOAD', 'FST_WS_ERR_INVALID_PAYLOAD', 'FST_WS_ERR_MESSAGE_TOO_BIG', 'FST_WS_ERR_MESSAGE_TOO_BIG'
    ]
  },

  'Routes declared too early': {
    async observe (t, _start, register) {
      const app = Fastify()
      t.teardown(() => app.close())
      const registered = register(app)
      app.get('/', { websocket: true }, () => {})
      await registered
      return codeOf(app.ready())
    },
    was: null,
    is: 'FST_WS_ERR_UNSEEN_ROUTE'
  },

  'Other `upgrade` listeners': {
    async observe (t, start) {
      let calls = 0
      const { port } = await start(app => {
        app.server.on('upgrade', () => { calls++ })
        echo(app)
      })
      await open(t, port)
      return calls
    },
    was: 1,
    is: 0
  },

  'Handshakes that break RFC 6455': {
    async observe (t, start) {
      const { port } = await start(echo)
      const statusOf = async (headers: Record<string, string | null>): Promise<number> => {
        const client = await RawClient.connect(port)
        t.teardown(() => client.destroy())
        client.write(upgradeRequest('/', headers) + (headers.Host === null ? '' : 'a body'))
        return (await client.head()).status
      }
      return [await statusOf({ Host: null }), await statusOf({ 'Content-Length': '6' })]
    },
    was: [101, 101],
    is: [400, 400]
  },

  '`app.websocketServer`': {
    async observe (_t, start) {
      const { app } = await start(() => {})
      const members = app.websocketServer as unknown as Record<string, unknown>
      return ['clients', 'close', 'on', 'options', 'handleUpgrade', 'shouldHandle', 'address'].filter(name => members[name] !== undefined)
    },
    was: ['clients', 'close', 'on', 'options', 'handleUpgrade', 'shouldHandle', 'address'],
    is: ['clients', 'close', 'on', 'options']
  },

  '`injectWS`': {
    async observe (_t, start) {
      const ips: unknown[] = []
      const { app } = await start(app => {
        app.get('/', { websocket: true, onRequest: async request => { ips.push(request.ip) } }, () => {})
        app.get('/no', { websocket: true, onRequest: async (_request, reply) => reply.code(401).send('who are you?') }, () => {})
      })
      const client = await app.injectWS('/')
      client.terminate()
      const refusal: { message?: string, statusCode?: number, body?: string } = await app.injectWS('/no').then(() => ({}), error => error)
      return [...ips, refusal.message, refusal.statusCode, refusal.body]
    },
    was: [undefined, 'Unexpected server response: 401', undefined, undefined],
    is: ['127.0.0.1', 'Unexpected server response: 401', 401, 'who are you?']
  },

  Swagger: {
    async observe (_t, start) {
      const hidden: unknown[] = []
      await start(app => {
        app.addHook('onRoute', ({ url, schema }) => { if (url !== '*') hidden.push([url, (schema as { hide?: boolean } | undefined)?.hide]) })
        app.get('/', { websocket: true, exposeHeadRoute: false }, () => {})
        app.get('/with-schema', { websocket: true, exposeHeadRoute: false, schema: { summary: 'a room' } as object }, () => {})
        app.get('/as-before', { websocket: true, exposeHeadRoute: false, schema: { hide: true } as object }, () => {})
      })
      return hidden
    },
    was: [['/', true], ['/with-schema', true], ['/as-before', true]],
    is: [['/', true], ['/with-schema', undefined], ['/as-before', true]]
  },

  '`send`, `ping` and `pong` of what is neither text, bytes nor a `Blob`': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          for (const data of [5, undefined, [65, 66], { length: 1 }]) {
            for (const method of ['send', 'ping', 'pong'] as const) {
              if (data === undefined && method !== 'send') continue
              try {
                (socket[method] as (data: unknown) => unknown).call(socket, data)
              } catch (error) {
                socket.send((error as Error).name)
              }
            }
          }
        })
      })
      const client = await open(t, port)
      const heard: unknown[] = []
      for (let i = 0; i < 10; i++) heard.push(await next(client))
      return heard
    },
    was: ['5', '5', '5', '', 'AB', 'AB', 'AB', '\0', '\0', '\0'],
    is: Array<string>(10).fill('TypeError')
  },

  '`close` with a reason that is neither text nor a `Uint8Array`': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          try {
            socket.close(4000, 5 as unknown as string)
          } catch (error) {
            socket.send((error as Error).name)
          }
        })
      })
      return next(await open(t, port))
    },
    was: 4000,
    is: 'TypeError'
  },

  '`close` with a code that may not be sent': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          try {
            socket.close(1004)
          } catch (error) {
            socket.send((error as Error).name)
          }
        })
      })
      return next(await open(t, port))
    },
    was: 'TypeError',
    is: 'RangeError'
  },

  '`Blob` that cannot be read': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          socket.on('error', () => {})
          const unreadable = new Blob(['x'])
          Object.defineProperty(unreadable, 'arrayBuffer', { value: async () => { throw new Error('no file') } })
          socket.send(unreadable as unknown as Buffer)
        })
      })
      return next(await open(t, port))
    },
    was: 1006,
    is: 1011
  },

  '`extensions`': {
    async observe (t, start) {
      const seen: unknown[] = []
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          // The last is what the row says.
          seen.push(socket.extensions.includes(';'), socket.extensions.split(';')[0])
          socket.send('there')
        })
      }, { options: { perMessageDeflate: { serverNoContextTakeover: true } } })
      await next(await open(t, port, { 'Sec-WebSocket-Extensions': 'permessage-deflate; server_no_context_takeover' }))
      return seen
    },
    was: [false, 'permessage-deflate'],
    is: [true, 'permessage-deflate']
  },

  "`binaryType = 'fragments'`": {
    async observe (t, start) {
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          socket.binaryType = 'fragments'
          socket.on('message', (data: unknown) => socket.send((data as Buffer[]).map(String).join()))
        })
      })
      const client = await open(t, port)
      client.write(Buffer.concat([binary('a', { fin: false }), continuation('b')]))
      return next(client)
    },
    was: 'a,b',
    is: 'ab'
  },

  '`bufferedAmount` behind the end': {
    async observe (t, start) {
      const amounts = gate()
      let amount = -1
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          socket.on('close', () => {
            socket.send('12345')
            amount = socket.bufferedAmount
            amounts.open()
          })
        })
      })
      const client = await open(t, port)
      client.write(close(1000))
      await client.ended
      client.end()
      await amounts.passed
      return amount
    },
    was: 5,
    is: 0
  },

  'Code of `close` behind a message that is too long': {
    async observe (t, start) {
      const closed = gate()
      let code = 0
      const { port } = await start(app => {
        app.get('/', { websocket: true }, socket => {
          socket.on('error', () => {})
          socket.on('close', closeCode => {
            code = closeCode
            closed.open()
          })
        })
      }, { options: { maxPayload: 10 }, errorHandler: () => {} })
      const client = await open(t, port)
      client.write(binary('x'.repeat(11)))
      await next(client)
      client.write(close(1009))
      client.end()
      await closed.passed
      return code
    },
    was: 1006,
    is: 1009
  },

  '`websocket: false` together with a `wsHandler`': {
    async observe (t, start) {
      const { port } = await start(app => {
        app.route({ method: 'GET', url: '/', websocket: false, handler: async () => 'http', wsHandler: () => {} })
      })
      return upgrade(t, port)
    },
    was: [101],
    is: [404]
  },

  'Other values of `Upgrade`': {
    async observe (t, start) {
      const { port } = await start(app => { app.get('/', async () => 'http') })
      const client = await RawClient.connect(port)
      t.teardown(() => client.destroy())
      client.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n')
      return (await client.head()).status
    },
    was: 400,
    is: 200
  }
}

/** What is as it was, although one might think otherwise. */
const SAME: Record<string, Scenario> = {
  'Subprotocols of a route that declares none': {
    async observe (t, start) {
      const { port } = await start(echo)
      const client = await RawClient.connect(port)
      t.teardown(() => client.destroy())
      client.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'one, two' }))
      return (await client.head()).headers['sec-websocket-protocol']
    },
    was: 'one',
    is: 'one'
  },

  'Options, flat or nested': {
    async observe (t, start) {
      const { port } = await start(echo, { options: { maxPayload: 4, handleProtocols: () => 'two', verifyClient: ({ req }: { req: { headers: object } }) => 'x-pass' in req.headers } })
      const client = await RawClient.connect(port)
      t.teardown(() => client.destroy())
      client.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'one, two', 'X-Pass': 'yes' }))
      const { headers } = await client.head()
      client.write(text('12345'))
      return [headers['sec-websocket-protocol'], await next(client), await upgrade(t, port)]
    },
    was: ['two', 1009, [401]],
    is: ['two', 1009, [401]]
  }
}

/** One for each code that `ws` has for what a client sends. */
const BROKEN_FRAMES: Record<string, Buffer> = {
  'a reserved bit': frame(0x2, 'x', { rsv: 0x20 }),
  'RSV1 without permessage-deflate': frame(0x2, 'x', { rsv: 0x40 }),
  'an opcode that is none': frame(0x3),
  'a continuation of nothing': continuation('x'),
  'no mask': frame(0x2, 'x', { mask: null }),
  'a fragmented Ping': ping('x', { fin: false }),
  'a long Ping': ping('x'.repeat(126)),
  'a Close frame with a code that may not be sent': close(1005),
  'no UTF-8': text(Buffer.from([0xff])),
  'a long message': binary(Buffer.alloc(1001)),
  'a length beyond 2^53': frame(0x2, '', { announce: 2n ** 53n, lengthBytes: 8 })
}

/** Rows that no such app can show, and where they are shown instead. */
const ELSEWHERE: Record<string, string> = {
  'Silent clients': 'test/server/heartbeat.test.ts',
  'Slow readers': 'test/connection/max-buffered-amount.test.ts',
  'Slow handshakes': 'test/upgrade/pending-upgrade.test.ts',
  '`perMessageDeflate`': 'test/options/per-message-deflate.test.ts',
  '`threshold`': 'test/compression/message-deflater.test.ts',
  'Error thrown by a listener': 'test/connection/errors.test.ts',
  '`preClose`': 'test/plugin.test.ts',
  'Plugin registered twice': 'test/plugin.test.ts',
  Types: 'test/compat/compat.test.ts'
}

for (const [title, { observe, was, is, back }] of Object.entries({ ...SCENARIOS, ...SAME })) {
  t.test(title, { buffered: true }, async t => {
    const play = (register: Register): Promise<unknown> => observe(t, starter(t, register), register)
    t.same(await play(withTheirs), was, 'what it was')
    t.same(await play(withOurs({})), is, 'what it is')
    if (back !== undefined) t.same(await play(withOurs(back)), was, 'what it was, by the option')
  })
}

t.test('docs/migration.md: each row is shown by a program, and the differences of the published tests are rows', async t => {
  const differences = cellsOf((await exampleNamed('docs/migration.md', 'differences')).text).map(([title]) => title!)
  t.same(differences.toSorted(), [...Object.keys(SCENARIOS), ...Object.keys(ELSEWHERE)].toSorted())
  for (const { row } of [...DIFFERENCES, ...TYPE_DIFFERENCES]) t.ok(differences.includes(row), row)
  for (const file of Object.values(ELSEWHERE)) t.ok(existsSync(new URL(`../../${file}`, import.meta.url)), file)

  const [, published, passing, others] = /Of the (\d+) tests that .+ publishes, (\d+) pass with this package\. The other (\d+) /
    .exec(await readFile(new URL('../../docs/migration.md', import.meta.url), 'utf8'))!.map(Number)
  t.equal(others, DIFFERENCES.length)
  t.equal(published, passing! + others!)

  const codes = cellsOf((await exampleNamed('docs/migration.md', 'error codes')).text).map(row => row.map(cell => cell.replaceAll('`', '')))
  const { was, is } = SCENARIOS['Error codes'] as { was: string[], is: string[] }
  t.same(codes.map(([theirs, ours]) => `${theirs} ${ours}`).toSorted(), [...new Set(was.map((code, i) => `${code} ${is[i]}`))].toSorted())
})

t.test('other plugins find ours by the name of @fastify/websocket, and both of its exports', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(fastifyWebsocketOfOurs)
  app.register(fp(async instance => {
    t.ok(instance.hasPlugin('@fastify/websocket'))
    t.ok(instance.hasPlugin('fastify-ws-routes'))
  }, { name: 'dependent', dependencies: ['@fastify/websocket'] }))
  await app.ready()
  t.equal(fastifyWebsocketOfOurs, websocket)
  t.equal(websocket.default, websocket)
  t.equal(websocket.fastifyWebsocket, websocket)

  const without = Fastify()
  t.teardown(() => without.close())
  without.register(fp(async () => {}, { name: 'dependent', dependencies: ['@fastify/websocket'] }))
  await t.rejects(async () => { await without.ready() }, /@fastify\/websocket/)
})
