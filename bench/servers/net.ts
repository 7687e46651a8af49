// The floor: answers the handshake, then sends back every byte as it came, masked as it is, without a look at it.
import { createServer, type AddressInfo } from 'node:net'
import { computeAccept } from '../../lib/protocol/handshake.js'
import { announce } from './task.js'

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {})
  socket.once('data', request => {
    const key = /sec-websocket-key: (\S+)/i.exec(request.toString('latin1'))![1]!
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${computeAccept(key)}\r\n\r\n`)
    socket.on('data', chunk => socket.write(chunk))
  })
})
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
