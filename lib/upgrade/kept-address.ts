import type { Duplex } from 'node:stream'
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'

// Apps log who has left in a `close` listener, and Node answers `undefined` then: a closed socket has no handle to ask
// for the peer's address, and a closed stream of HTTP/2 has no session. Both are asked while they are open.

const kPeer = Symbol('fastify-ws-routes.peer')

/** Properties of a request's socket that Fastify and loggers read. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort' | 'remoteFamily'> & { readonly encrypted: boolean | undefined }

type KeepingSession = ServerHttp2Session & { [kPeer]?: Peer }
type KeepingStream = Duplex & { [kPeer]?: Peer }

/** Node looks at the stream itself once the session is gone. */
const PROPERTIES: PropertyDescriptorMap = Object.fromEntries((['remoteAddress', 'remotePort', 'remoteFamily', 'encrypted'] as const).map(name =>
  [name, { get (this: KeepingStream) { return this[kPeer]![name] }, configurable: true }]))

/** Lets a TCP or TLS socket answer for its peer's address when it is closed too: Node remembers what it was asked once. */
export function keepAddressOfSocket (socket: Duplex): void {
  Reflect.get(socket, 'remoteAddress')
}

/** The same for a stream of HTTP/2. All streams of a session share one object. */
export function keepAddressOfStream (stream: ServerHttp2Stream): void {
  const session = stream.session as KeepingSession | undefined
  if (session === undefined) return
  ;(stream as KeepingStream)[kPeer] = session[kPeer] ??= peerOf(session)
  Object.defineProperties(stream, PROPERTIES)
}

function peerOf ({ socket }: ServerHttp2Session): Peer {
  const { remoteAddress, remotePort, remoteFamily } = socket
  return { remoteAddress, remotePort, remoteFamily, encrypted: 'encrypted' in socket ? socket.encrypted : undefined }
}
