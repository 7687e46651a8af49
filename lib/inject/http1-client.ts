import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { createError, UnexpectedResponseError } from '../errors.js'
import { createKey, verifyAccept } from '../protocol/handshake.js'
import type { InjectingClient } from './handshake.js'
import { Http1Transport } from '../upgrade/http1/transport.js'
import type { Dispatch } from '../upgrade/pending-upgrade.js'
import type { PendingUpgrades } from '../upgrade/upgrades.js'

/** Upgrades of HTTP/1.1. */
export function createHttp1Client (dispatch: Dispatch, upgrades: PendingUpgrades): InjectingClient {
  const server = createServer(dispatch).on('upgrade', (request, socket, head) => upgrades.begin(new Http1Transport(request, socket, head), false))

  return ({ path, headers, clientSocket, serverSocket }, { onAccepted, onFailed }) => {
    server.emit('connection', serverSocket)
    const key = createKey()
    const request = httpRequest({
      path,
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key },
      createConnection: () => clientSocket
    })
    request.on('error', onFailed)
    request.on('response', response => {
      text(response).then(body => onFailed(new UnexpectedResponseError(response.statusCode!, response.headers, body)), onFailed)
    })
    request.on('upgrade', (response: IncomingMessage, _socket: Duplex, head: Buffer) => {
      if (verifyAccept(key, response.headers['sec-websocket-accept'])) {
        onAccepted(clientSocket, response.headers, head)
      } else {
        clientSocket.destroy()
        onFailed(createError('FST_WS_ERR_INJECT', 'the server sent a wrong Sec-WebSocket-Accept'))
      }
    })
    request.end()
  }
}
