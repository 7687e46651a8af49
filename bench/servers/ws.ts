import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { announce, perMessageDeflate } from './announce.js'

const server = createServer()
new WebSocketServer({ server, maxPayload: 64 * 1024 * 1024, perMessageDeflate }).on('connection', socket => {
  socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary }))
})
server.listen(0, '127.0.0.1', () => announce(server))
