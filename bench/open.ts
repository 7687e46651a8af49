import { once } from 'node:events'
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'

/**
 * A raw socket on which the handshake is done, and the head of the 101.
 *
 * @param extensions what to offer; `null` for nothing
 */
export async function open (options: TcpNetConnectOpts, extensions: string | null): Promise<{ socket: Socket, head: string }> {
  const socket = connect(options)
  await once(socket, 'connect')
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    (extensions === null ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  let head = ''
  while (!head.endsWith('\r\n\r\n')) head += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1')
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(head)
  return { socket, head }
}
