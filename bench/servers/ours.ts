import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import websocket from '../../lib/index.js'
import { orderMessageSchema } from '../json-messages.js'
import { announce, MAX_PAYLOAD, perMessageDeflate, task } from './task.js'

const app = Fastify()
await app.register(websocket, { options: { maxPayload: MAX_PAYLOAD, perMessageDeflate } })
if (task.hook) app.addHook('onRequest', async () => {})
app.get('/http', async () => 'ok')
// Only our server does this: a schema validates the messages of both directions.
const schema = task.handler === 'echo-json' ? { receive: orderMessageSchema, send: orderMessageSchema } : {}
app.get('/', { websocket: true, schema }, connection => {
  switch (task.handler) {
    case 'echo':
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
      break
    case 'echo-string':
      connection.addEventListener('message', ({ data }) => connection.send(data as string))
      break
    case 'echo-json':
      connection.on('json', message => connection.sendJson(message))
      break
    case 'broadcast':
      connection.on('message', (data, isBinary) => app.websocketServer.broadcast(data, { binary: isBinary }))
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce((app.server.address() as AddressInfo).port)
