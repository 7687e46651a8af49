import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from './app.js'
import { certificate } from './certificate.js'
import { close, RawClient, serverFrame, upgradeRequest } from './raw-client.js'
import { connectSecure } from './server-sockets.js'

/** Clients of which every other one does not read until the end, each with the frames that it has to get. */
export interface SlowReaders {
  app: FastifyInstance
  connections: WebSocketConnection[]
  /** Tests add what they send. */
  expected: Buffer[][]
  /** Lets all of them read, and compares every byte. The server has closed its connections by then. */
  finish: (t: Test) => Promise<void>
}

export async function startSlowReaders (t: Test, secure: boolean, count: number): Promise<SlowReaders> {
  const connections: WebSocketConnection[] = []
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  }, {}, secure ? { https: certificate } as object : {})

  const sockets: Socket[] = []
  const received: Buffer[][] = []
  const expected: Buffer[][] = []
  const filler = randomBytes(8 * 1024 * 1024)
  for (let i = 0; i < count; i++) {
    const client = secure ? await connectSecure(port) : await RawClient.connect(port)
    client.write(upgradeRequest())
    await client.head()
    const socket = client.socket as Socket
    t.teardown(() => socket.destroy())
    socket.removeAllListeners('data')
    const chunks: Buffer[] = []
    socket.on('data', chunk => { chunks.push(chunk) })
    sockets.push(socket)
    received.push(chunks)
    // Half of them are full from the beginning, so that everything queues up in the process.
    expected.push([])
    if (i % 2 === 1) continue
    socket.pause()
    connections[i]!.send(filler)
    expected[i]!.push(serverFrame(2, filler))
  }

  async function finish (t: Test): Promise<void> {
    for (const [index, socket] of sockets.entries()) {
      const wanted = Buffer.concat(expected[index]!)
      const ended = once(socket, 'close')
      socket.write(close(1000))
      socket.on('end', () => socket.end())
      socket.resume()
      await ended
      t.ok(Buffer.concat(received[index]!).equals(wanted), `${expected[index]!.length} frames, ${wanted.length} bytes`)
    }
  }

  return { app, connections, expected, finish }
}
