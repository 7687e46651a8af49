import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { computeAccept } from '../../lib/protocol/handshake.js'
import { extendedConnect } from './http2-client.js'

/**
 * Streams of a session: a client that resets more than a thousand, faster than 33 a second, has its session ended by Node
 * (nghttp2's answer to CVE-2023-44487).
 */
const STREAMS = 500

export interface Http2Bridge {
  readonly port: number
  close (): void
}

/**
 * A server of HTTP/1.1 whose WebSockets are streams of few HTTP/2 sessions to another, for clients that speak no HTTP/2:
 * what ends one side ends the other in the same way.
 */
export async function startHttp2Bridge (port: number): Promise<Http2Bridge> {
  const sessions = new Set<ClientHttp2Session>()
  let session = open(port, sessions)
  let before: Promise<ClientHttp2Session> | null = null
  let streams = 0
  const bridge = createServer()
  bridge.on('upgrade', (request, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    socket.unshift(head)
    if (++streams % STREAMS === 0) {
      // Not yet the last one: its GOAWAY would overtake what was just requested, and that would be refused.
      before?.then(session => session.close(), () => {})
      before = session
      session = open(port, sessions)
    }
    session.then(session => join(session, request.url!, request.headers, socket), () => socket.destroy())
  })
  bridge.listen(0, '127.0.0.1')
  await Promise.all([once(bridge, 'listening'), session])
  const close = (): void => {
    bridge.close()
    for (const session of sessions) session.destroy()
  }
  return { port: (bridge.address() as AddressInfo).port, close }
}

async function open (port: number, sessions: Set<ClientHttp2Session>): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  session.setMaxListeners(0)
  sessions.add(session)
  session.on('close', () => sessions.delete(session))
  // If the server has gone, so have all streams.
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

function join (session: ClientHttp2Session, path: string, headers: IncomingHttpHeaders, socket: Socket): void {
  const offer = headers['sec-websocket-extensions']
  const stream = extendedConnect(session, path, offer === undefined ? {} : { 'sec-websocket-extensions': offer })
  let isAnswered = false
  stream.on('response', answer => {
    isAnswered = true
    if (answer[':status'] !== 200) return socket.end(`HTTP/1.1 ${String(answer[':status'])} Refused\r\nConnection: close\r\n\r\n`)
    const agreed = answer['sec-websocket-extensions']
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${computeAccept(headers['sec-websocket-key']!)}\r\n` +
      (agreed === undefined ? '\r\n' : `Sec-WebSocket-Extensions: ${String(agreed)}\r\n\r\n`)
    )
    stream.pipe(socket)
  })
  // Bytes that come with the request are passed on without waiting for the response.
  socket.pipe(stream)
  // Data that the client no longer reads would keep the stream open, even after close().
  finished(socket).then(() => stream.close(constants.NGHTTP2_NO_ERROR), () => stream.destroy())
  finished(stream).catch(() => {
    // A server that has nothing more to hear says so behind its end (RFC 9113 §8.1).
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) socket.end()
    else if (isAnswered) socket.destroy()
    else socket.end(`HTTP/1.1 502 Reset with ${stream.rstCode}\r\nConnection: close\r\n\r\n`)
  })
}
