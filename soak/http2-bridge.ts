import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { computeAccept } from '../lib/protocol/handshake.js'
import { extendedConnect } from '../test/support/http2-client.js'

/**
 * A server of HTTP/1.1 whose WebSockets are streams of one HTTP/2 session to another, for clients that speak no HTTP/2:
 * what ends one side ends the other in the same way. @returns its port
 */
export async function startHttp2Bridge (port: number): Promise<number> {
  const session = connect(`http://127.0.0.1:${port}`, { settings: { enablePush: false } })
  session.setMaxListeners(0)
  await once(session, 'remoteSettings')
  const bridge = createServer()
  bridge.on('upgrade', (request, socket: Socket, head: Buffer) => {
    socket.unshift(head)
    join(session, request.url!, request.headers, socket)
  })
  bridge.listen(0, '127.0.0.1')
  await once(bridge, 'listening')
  return (bridge.address() as AddressInfo).port
}

function join (session: ClientHttp2Session, path: string, headers: IncomingHttpHeaders, socket: Socket): void {
  const offer = headers['sec-websocket-extensions']
  const stream = extendedConnect(session, path, offer === undefined ? {} : { 'sec-websocket-extensions': offer })
  stream.on('response', answer => {
    if (answer[':status'] !== 200) return socket.end(`HTTP/1.1 ${String(answer[':status'])} Refused\r\nConnection: close\r\n\r\n`)
    const agreed = answer['sec-websocket-extensions']
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${computeAccept(headers['sec-websocket-key']!)}\r\n` +
      (agreed === undefined ? '\r\n' : `Sec-WebSocket-Extensions: ${String(agreed)}\r\n\r\n`)
    )
    socket.pipe(stream).pipe(socket)
  })
  // A side that has ended cleanly has ended the other through the pipe.
  finished(socket).catch(() => stream.close(constants.NGHTTP2_CANCEL))
  finished(stream).catch(() => socket.destroy())
  socket.on('error', () => {})
}
