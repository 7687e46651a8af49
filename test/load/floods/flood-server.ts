import { EventEmitter, once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { WebSocketPluginOptions } from '../../../lib/index.js'
import type { FastifyServerOptions } from 'fastify'
import { startApp } from '../../support/app.js'
import { certificate } from '../../support/certificate.js'
import { gate } from '../../support/server-sockets.js'

// The server that is flooded, in a process of its own, so that nothing else is measured. Commands come on its standard
// input, one a line, and are answered on its standard output with one line of JSON each. Ends with its input.

export interface Usage {
  /** Bytes of the heap and of buffers that are in use after a collection. */
  memory: number
  /** Connections. */
  clients: number
  /** File descriptors. */
  descriptors: number
}

/** What the server is reached by. */
export type Transport = 'tcp' | 'tls' | 'http2'

const options = JSON.parse(process.argv[2] ?? '{}') as WebSocketPluginOptions
const transport = process.argv[3] as Transport

/** Milliseconds. Fastify hands these on to Node's server, though its types know of it only beside other ones. */
const timeouts = { headersTimeout: 2500, requestTimeout: 2500, connectionsCheckingInterval: 100 }
const fastifyOptions = transport === 'http2' ? { http2: true } : transport === 'tls' ? { https: { ...certificate, ...timeouts } } : { http: timeouts }

/** What handlers wait for. */
let held = gate()

const { app, port } = await startApp({ teardown: () => {} }, app => {
  for (const [path, perMessageDeflate] of [['/', false], ['/deflate', { threshold: 0 }]] as const) {
    app.get(path, { websocket: { perMessageDeflate } }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
      connection.on('error', () => {})
    })
  }
  app.get('/idle', { websocket: { idleTimeout: 600 } }, () => {})
  // Waits for something, and has not yet begun to listen.
  app.get('/deaf', { websocket: true }, () => held.passed)
  // A loop that is busy with its first message.
  app.get('/busy', { websocket: true }, async connection => {
    const { passed } = held
    for await (const message of connection) {
      await passed
      connection.send(message)
    }
  })
  app.get('/pushes', { websocket: true }, connection => {
    connection.on('message', data => connection.send(data))
    // Made only for those who ask for it.
    connection.signal.addEventListener('abort', () => {})
  })
  // Ends of the server's making.
  app.get('/closes', { websocket: true }, connection => connection.close(4000, 'enough'))
  app.get('/terminates', { websocket: true }, connection => connection.terminate())
  app.get('/throws', { websocket: true }, async () => { throw new Error('thrown by the handler') })
  app.get('/throws-later', { websocket: true }, connection => {
    connection.on('message', () => { throw new Error('thrown by a listener') })
  })
  app.get('/pauses', { websocket: true }, async connection => {
    connection.pause()
    await held.passed
    connection.resume()
  })
  app.get('/stream', { websocket: true }, connection => {
    const stream = connection.stream()
    stream.on('error', () => {})
    stream.pipe(stream)
  })
  app.get('/denied', { websocket: true, preHandler: async (_request, reply) => reply.code(401).send('no') }, () => {})
  app.get('/waits', { websocket: true, onRequest: () => held.passed }, () => {})
  app.get('/hook', { websocket: true, onRequest: () => new Promise(() => {}) }, () => {})
  app.get('/http', async () => 'hello')
}, options, fastifyOptions as FastifyServerOptions)

const sockets = new Set<Socket>()
/** Emits `left` for each socket. */
const leaving = new EventEmitter()
/** The first there is. */
let honest: Socket | null = null
let readBefore = 0
app.server.on('connection', (socket: Socket) => {
  if (sockets.has(socket)) return
  sockets.add(socket)
  honest ??= socket
  socket.on('close', () => {
    sockets.delete(socket)
    readBefore += socket.bytesRead
    leaving.emit('left')
  })
})

async function usage (): Promise<Usage> {
  // Some things are let go of by the turns after a collection.
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await nextTurn()
  }
  const { heapUsed, external } = process.memoryUsage()
  return { memory: heapUsed + external, clients: app.websocketServer.clients.size, descriptors: readdirSync('/proc/self/fd').length }
}

/** Bytes that were read from all sockets there ever were, but that of the honest client. */
function read (): number {
  let read = readBefore
  for (const socket of sockets) if (socket !== honest) read += socket.bytesRead
  return read
}

const commands: Record<string, () => unknown> = {
  port: () => port,
  usage,
  read,
  // Answered when nobody but the honest client has a socket: how many clients there are then.
  forgotten: async () => {
    while (sockets.size > 1) await once(leaving, 'left')
    await nextTurn()
    return app.websocketServer.clients.size
  },
  queued: () => [...app.websocketServer.clients].filter(({ bufferedAmount }) => bufferedAmount > 64 * 1024).length,
  release: () => {
    held.open()
    held = gate()
    return null
  },
  // Each in a turn of its own, as they come from somewhere else.
  broadcast: async () => {
    for (let i = 0; i < 10_000; i++) {
      app.websocketServer.route('/pushes').broadcast('tick')
      await nextTurn()
    }
    return null
  }
}

for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await commands[line]!())}\n`)
}
process.exit()
