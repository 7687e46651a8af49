import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** A socket holds the response that writes to it here. */
type ResponseSocket = Duplex & { _httpMessage?: ServerResponse | null }

/**
 * Calls back once every response to earlier, pipelined requests on this socket was sent (RFC 9112 §9.3.2).
 *
 * Which response has the socket is known only to Node, as `_httpMessage`. Were that to go, the socket would
 * look free, `assignSocket` would throw, and the upgrade would be dropped: never interleaved.
 */
export function afterEarlierResponses<Context> (socket: Duplex, callback: (context: Context) => void, context: Context): void {
  const response = (socket as ResponseSocket)._httpMessage
  if (response === null || response === undefined || socket.destroyed) return callback(context)
  // By its `close` the next response in the queue, if any, has got the socket.
  response.once('close', () => afterEarlierResponses(socket, callback, context))
}

/** Whether somebody has put a response to this request on the socket, and so will answer. */
export function hasResponseTo (request: IncomingMessage, socket: Duplex): boolean {
  return (socket as ResponseSocket)._httpMessage?.req === request
}
