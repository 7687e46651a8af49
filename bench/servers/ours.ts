import Fastify from 'fastify'
import websocket from '../../lib/index.js'
import { announce, perMessageDeflate } from './announce.js'

const app = Fastify()
await app.register(websocket, { options: { maxPayload: 64 * 1024 * 1024, perMessageDeflate } })
app.get('/', { websocket: true }, connection => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)
