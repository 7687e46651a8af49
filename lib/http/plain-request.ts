import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import type { Duplex } from 'node:stream'

/**
 * Serves a request that came as an `upgrade` as the plain HTTP request that it is without its `Upgrade`, which
 * a server may ignore (RFC 9110 §7.8). Node has already taken its parser off the socket. So the request is put back in front
 * of what follows, its body above all, and the socket is given to the server again as a new connection.
 *
 * @param head what Node has read behind the header section
 */
export function serveAsPlainRequest (server: HttpServer, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  // Node's own, which it will add again.
  socket.removeAllListeners('pause')
  socket.removeAllListeners('resume')
  socket.unshift(Buffer.concat([Buffer.from(formatHeaderSection(request), 'latin1'), head]))
  // Documented for `connection`; on a TLS server the sockets of that event are not yet decrypted.
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket)
}

function formatHeaderSection ({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
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
  return text + '\r\n'
}

function withoutUpgrade (connection: string): string {
  return connection.split(',').filter(option => option.trim().toLowerCase() !== 'upgrade').join(',')
}
