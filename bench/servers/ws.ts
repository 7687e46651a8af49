import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { announce, MAX_PAYLOAD, perMessageDeflate } from './task.js'
import { handle, watch } from './ws-handler.js'

const server = createServer((_request, response) => response.end('ok'))
const sockets = new WebSocketServer({ server, maxPayload: MAX_PAYLOAD, perMessageDeflate })
sockets.on('connection', socket => handle(socket, sockets))
watch(sockets)
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
