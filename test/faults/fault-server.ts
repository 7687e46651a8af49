import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'

// The server to which things happen, in a process of its own. Commands come on its standard input, one a line, and are
// answered on its standard output with one line of JSON each. Ends with its input, and as servers do with SIGTERM.

export interface FaultServerOptions {
  websocket?: WebSocketPluginOptions
  /** Where the log is written to. Default: nowhere. */
  logFile?: string
  /** An address other than 127.0.0.1. */
  host?: string
}

const { websocket: options = {}, logFile, host = '127.0.0.1' } = JSON.parse(process.argv[2] ?? '{}') as FaultServerOptions

/** Errors of the log's file. */
let logErrors = 0

function createLog (file: string): WriteStream {
  return createWriteStream(file).on('error', () => { logErrors++ })
}

const app = Fastify({ logger: logFile === undefined ? false : { level: 'info', stream: createLog(logFile) } }) as FastifyInstance
await app.register(websocket, options)

/** Close codes, of all that are over. */
const codes: number[] = []

app.get('/', { websocket: true }, connection => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  connection.on('close', code => codes.push(code))
})
app.get('/throws', { websocket: true }, () => { throw new Error('thrown by the handler') })
app.get('/http', async () => 'hello')
await app.listen({ port: 0, host })

const commands = createInterface(process.stdin)

process.once('SIGTERM', async () => {
  await app.close()
  commands.close()
  process.stdin.destroy()
})

function block (milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

for await (const line of commands) {
  const [command, argument] = line.split(' ')
  let answer: unknown = null
  if (command === 'port') answer = (app.server.address() as AddressInfo).port
  else if (command === 'clients') answer = app.websocketServer.clients.size
  else if (command === 'codes') answer = codes
  else if (command === 'log-errors') answer = logErrors
  else if (command === 'block') block(Number(argument))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
