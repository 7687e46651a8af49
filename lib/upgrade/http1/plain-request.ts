import { ServerResponse, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import type { Duplex } from 'node:stream'
import { NODE_MAJOR } from '../../common.js'

/** Whether Node parses the body of an upgrade request. No API tells; an empty body looks the same either way. */
const PARSES_BODY = NODE_MAJOR >= 26

/**
 * Serves a request that came as an `upgrade` as the plain HTTP request that it is without its `Upgrade`, which
 * a server may ignore (RFC 9110 §7.8). Node has already taken its parser off the socket. So the request is put back in front
 * of what follows, and the socket is given to the server again as a new connection.
 *
 * The `shouldUpgradeCallback` of Node ≥ 24.9 could keep such requests from becoming upgrades, but loses what is
 * pipelined behind them (seen in 26.10), and the second server that Fastify starts for `localhost` has none.
 *
 * @param stream what Node gives with the request: its socket, unless there is more of its body to come
 * @param head what Node has read behind the request; before Node 26, behind its header section
 */
export function serveAsPlainRequest (server: HttpServer, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const { socket } = request
  if (stream !== socket) return serveWhileParsing(server, request, stream)
  socket.unshift(Buffer.concat([Buffer.from(formatHeaderSection(request), 'latin1'), takeBody(request), head]))
  // Documented for `connection`; on a TLS server the sockets of that event are not yet decrypted.
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket)
}

/**
 * Node 26 leaves its parser on the socket until the body has come. Such a request can be served as it is, but
 * nothing behind it: the connection is closed then, and the answer says so.
 */
function serveWhileParsing (server: HttpServer, request: IncomingMessage, stream: Duplex): void {
  const { socket } = request
  stream.on('error', () => { socket.destroy() })
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.on('finish', () => {
    response.detachSocket(socket)
    socket.destroySoon()
  })
  if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue()
  server.emit('request', request, response)
}

/** The body, which the parser has taken off the wire, as it was there; nothing if it is still to be read. */
function takeBody (request: IncomingMessage): Buffer {
  const pieces: Buffer[] = []
  // Node 26 gives one piece at a time.
  for (let piece: Buffer | null; (piece = request.read()) !== null;) pieces.push(piece)
  const body = Buffer.concat(pieces)
  const isChunked = request.headers['transfer-encoding'] !== undefined && (body.length > 0 || PARSES_BODY)
  if (!isChunked) return body
  const chunks = body.length > 0 ? [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')] : []
  return Buffer.concat([...chunks, Buffer.from(`0\r\n${formatFields(request.rawTrailers)}\r\n`, 'latin1')])
}

function formatHeaderSection ({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  return `${method} ${url} HTTP/${httpVersion}\r\n${formatFields(rawHeaders)}\r\n`
}

function formatFields (raw: readonly string[]): string {
  let text = ''
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    switch (name.toLowerCase()) {
      case 'upgrade':
        break
      case 'connection':
        text += `${name}: ${withoutUpgrade(value)}\r\n`
        break
      default:
        text += `${name}: ${value}\r\n`
    }
  }
  return text
}

function withoutUpgrade (connection: string): string {
  return connection.split(',').filter(option => option.trim().toLowerCase() !== 'upgrade').join(',')
}
