import { connect, createServer, type IncomingHttpHeaders, type IncomingHttpStatusHeader, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { EMPTY } from '../common.js'
import { createError, UnexpectedResponseError } from '../errors.js'
import { cancelWhenDestroyed } from '../upgrade/http2/cancel-stream.js'
import { ConnectExchange } from '../upgrade/http2/exchange.js'
import { Http2Transport } from '../upgrade/http2/transport.js'
import type { InjectingClient } from './handshake.js'
import type { PendingUpgrades } from '../upgrade/upgrades.js'

/** Extended CONNECT (RFC 8441), each on a session of its own. */
export function createHttp2Client (upgrades: PendingUpgrades): InjectingClient {
  const server = createServer({ settings: { enableConnectProtocol: true } })

  return ({ path, headers: { host, ...headers }, clientSocket, serverSocket }, { onAccepted, onFailed }) => {
    server.once('session', session => {
      session.on('stream', (stream: ServerHttp2Stream, requestHeaders: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) =>
        upgrades.begin(new Http2Transport(new ConnectExchange(stream, requestHeaders, rawHeaders, serverSocket)), false))
    })
    server.emit('connection', serverSocket)
    const authority = String(host)
    const session = connect(`http://${authority}`, { createConnection: () => clientSocket })
    session.on('error', onFailed)
    // RFC 8441 §3: not before the server has said that it may.
    session.once('remoteSettings', () => {
      const request: OutgoingHttpHeaders = {
        ...withoutConnectionFields(headers),
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': isEncrypted(serverSocket) ? 'https' : 'http',
        ':authority': authority,
        ':path': path
      }
      const stream = session.request(request)
      cancelWhenDestroyed(stream)
      stream.on('error', onFailed)
      stream.on('close', () => {
        session.destroy()
        onFailed(createError('FST_WS_ERR_INJECT', 'the server has reset the stream'))
      })
      stream.on('response', answer => {
        const { ':status': statusCode = 0, ...answerHeaders }: IncomingHttpHeaders & IncomingHttpStatusHeader = answer
        if (statusCode === 200) onAccepted(stream, answerHeaders, EMPTY)
        else text(stream).then(body => onFailed(new UnexpectedResponseError(statusCode, answerHeaders, body)), onFailed)
      })
    })
  }
}

/** Removes connection-specific fields (RFC 9113 §8.2.2), which a caller may set for HTTP/1.1 and on which Node would throw. */
function withoutConnectionFields (headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(?:connection|upgrade|keep-alive|proxy-connection|transfer-encoding)$/i.test(name)))
}

function isEncrypted (socket: Duplex): boolean {
  return 'encrypted' in socket && socket.encrypted === true
}
