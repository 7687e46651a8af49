import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import { orderMessageSchema } from '../json-messages.js'
import { announce, MAX_PAYLOAD, paths, perMessageDeflate, task } from './task.js'

const app = Fastify()
const beats = task.heartbeat === undefined ? {} : { heartbeat: task.heartbeat !== false && { interval: task.heartbeat, timeout: task.heartbeat } }
await app.register(websocket, { options: { maxPayload: MAX_PAYLOAD, perMessageDeflate }, ...beats })
if (task.hook) app.addHook('onRequest', async () => {})
app.get('/http', async () => 'ok')
// Only our server does this: a schema validates the messages of both directions.
const schema = task.handler === 'echo-json' ? { receive: orderMessageSchema, send: orderMessageSchema } : {}
const handle = (connection: WebSocketConnection): void => {
  switch (task.handler) {
    case 'echo':
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
      break
    case 'echo-string':
      connection.addEventListener('message', ({ data }) => connection.send(data as string))
      break
    case 'echo-to-string':
      connection.on('message', data => connection.send(data.toString()))
      break
    case 'echo-json':
      connection.on('json', message => connection.sendJson(message))
      break
    case 'broadcast':
      connection.on('message', (data, isBinary) => app.websocketServer.broadcast(data, { binary: isBinary }))
  }
}
for (const path of paths) app.get(path, { websocket: true, schema }, handle)
await app.listen({ port: 0, host: '127.0.0.1' })
announce((app.server.address() as AddressInfo).port)
