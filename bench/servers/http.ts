// The floor of handshakes: Node's own parser, and a 101 that is written by hand.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { announce } from './task.js'

const server = createServer()
server.on('upgrade', (request, socket) => {
  socket.on('error', () => {})
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  socket.resume()
})
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
