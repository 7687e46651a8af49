// A text that several people write at once, with Yjs and y-websocket. PORT and HOST say where it listens.
//
//   npm run example yjs

import staticFiles from '@fastify/static'
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { setupWSConnection } from './setup-ws-connection.js'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
// The whole document comes in one message when somebody joins.
await app.register(websocket, { maxPayload: 16 * 1024 * 1024 })

app.get<{ Params: { document: string } }>('/documents/:document', { websocket: true }, (connection, request) => {
  setupWSConnection(connection, request.raw, { docName: request.params.document })
})

const page = await readFile(new URL('index.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(page))

// The page's import map names the modules of these packages as they lie in node_modules; most projects have a bundler.
await app.register(staticFiles, {
  root: fileURLToPath(new URL('../node_modules', import.meta.url)),
  prefix: '/modules/',
  extensions: ['js'],
  allowedPath: path => /^\/(?:lib0|y-protocols|y-websocket|yjs)\/[\w./-]+$/.test(path)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`Open ${address} twice`)
