import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { startApp } from '../test/support/app.js'
import { MAX_PAYLOAD } from './server-settings.js'

// The server that is attacked, in a process of its own. Commands come on its standard input, one a line, and are answered
// on its standard output with one line of JSON each. Ends with its input; whatever else ends it is a finding.

export interface ServerState {
  clients: number
  /** File descriptors. */
  descriptors: number
  /** Bytes that are in use after a collection. */
  memory: number
}

// The honest clients read only between two rounds, which may be a long time on a machine that is busy.
const HEARTBEAT = { interval: 1000, timeout: 600_000 }

const { app, port } = await startApp({ teardown: () => {} }, app => {
  for (const [path, perMessageDeflate] of [['/plain', false], ['/deflate', true]] as const) {
    app.get(path, { websocket: { perMessageDeflate } }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  }
  app.get('/http', async () => 'hello')
  app.get('/hook', {
    websocket: true,
    onRequest: async () => { await new Promise(resolve => setImmediate(resolve)) }
  }, async connection => {
    for await (const message of connection) connection.send(message)
  })
}, { maxPayload: MAX_PAYLOAD, closeTimeout: 500, handshakeTimeout: 2000, heartbeat: HEARTBEAT, origin: '*' }, process.argv[2] === 'http2' ? { http2: true } : { forceCloseConnections: true, keepAliveTimeout: 500 })

function state (): ServerState {
  globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return { clients: app.websocketServer.clients.size, descriptors: readdirSync('/proc/self/fd').length, memory: heapUsed + external }
}

const commands: Record<string, () => unknown> = { port: () => port, clients: () => app.websocketServer.clients.size, state }

for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(commands[line]!())}\n`)
}
process.exit()
