// Puts what comes through a WebSocket through gzip, with streams and `createWebSocketStream` of ws; those who do not have ws
// use `connection.stream()`, which does the same. PORT and HOST say where it listens.
//
//   npm run example stream

import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { pipeline } from 'node:stream/promises'
import { createGzip, constants } from 'node:zlib'
import { createWebSocketStream, type WebSocket } from 'ws'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)

app.get('/gzip', { websocket: true }, async (connection, request) => {
  // The cast is for the compiler only: a connection has everything that the stream uses of a ws socket.
  const stream = createWebSocketStream(connection as unknown as WebSocket)
  // Each message comes back at once, not when enough has come together.
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
  try {
    await pipeline(stream, gzip, stream)
  } catch (error) {
    // Whoever leaves does so in the middle: a stream that is closed has not ended.
    if (!connection.signal.aborted) throw error
    request.log.info('the client has left')
  }
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`Gzip is at ${address}/gzip`)
