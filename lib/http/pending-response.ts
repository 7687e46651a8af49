import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Calls back once every response to earlier, pipelined requests on this socket was sent (RFC 9112 §9.3.2).
 *
 * Which response has the socket is known only to Node, as `_httpMessage`. Were that to go, the socket would
 * look free, `assignSocket` would throw, and the upgrade would be dropped: never interleaved.
 */
export function afterEarlierResponses (socket: Duplex, callback: () => void): void {
  const response = (socket as Duplex & { _httpMessage?: ServerResponse | null })._httpMessage
  if (response === null || response === undefined || socket.destroyed) return callback()
  // By its `close` the next response in the queue, if any, has got the socket.
  response.once('close', () => afterEarlierResponses(socket, callback))
}
