import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'

// A server in a process of its own, so that nothing else is measured. Commands come on its standard input, one a line,
// and are answered on its standard output with one line of JSON each. Ends with its input.

export interface Memory {
  rss: number
  heapUsed: number
  /** zlib's contexts and buffers. */
  external: number
  clients: number
}

/** The highest of each since the last time. */
export interface Peak {
  rss: number
  external: number
}

const kept: WebSocketConnection[] = []

const { app, port } = await startApp({ teardown: () => {} }, app => {
  for (const [path, perMessageDeflate] of Object.entries({
    '/plain': false,
    '/takeover': { serverMaxWindowBits: 15, clientMaxWindowBits: 15 },
    '/default': true,
    '/no-takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true }
  })) {
    app.get(path, { websocket: { perMessageDeflate, maxPayload: 1024 * 1024 } }, connection => {
      kept.push(connection)
      connection.on('message', data => connection.send(data))
    })
  }
})

let peak: Peak = { rss: 0, external: 0 }
let sampling: NodeJS.Timeout | undefined
function sample (): void {
  const { rss, external } = process.memoryUsage()
  peak = { rss: Math.max(peak.rss, rss), external: Math.max(peak.external, external) }
}

/** What is left when what nobody needs is gone. */
async function measure (): Promise<Memory> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await sleep(20)
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heapUsed, external, clients: app.websocketServer.clients.size }
}

const commands: Record<string, () => unknown> = {
  port: () => port,
  measure,
  forget: () => { kept.length = 0 },
  startSampling: () => {
    peak = { rss: 0, external: 0 }
    sample()
    sampling = setInterval(sample, 1)
  },
  peak: () => {
    clearInterval(sampling)
    sample()
    return peak
  }
}

for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await commands[line]!() ?? null)}\n`)
}
process.exit()
