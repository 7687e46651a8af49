import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import { announce, MAX_PAYLOAD, paths, perMessageDeflate, task } from './task.js'
import { handle, watch } from './ws-handler.js'

const app = Fastify()
await app.register(websocket, { options: { maxPayload: MAX_PAYLOAD, perMessageDeflate } })
if (task.hook) app.addHook('onRequest', async () => {})
app.get('/http', async () => 'ok')
for (const path of paths) app.get(path, { websocket: true }, socket => handle(socket, app.websocketServer))
watch(app.websocketServer)
await app.listen({ port: 0, host: '127.0.0.1' })
announce((app.server.address() as AddressInfo).port)
