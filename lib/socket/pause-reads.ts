import { Duplex } from 'node:stream'
import { JoinedBytes } from './joined-bytes.js'

const kUnread = Symbol('fastify-ws-routes.unread')

type JoiningSocket = Duplex & { [kUnread]?: JoinedBytes }

/**
 * Pauses any socket. `net.Socket.pause()` would also stop the handle of one that reads into a lent buffer, and so miss the
 * peer's FIN.
 */
export function pauseReads (socket: Duplex): void {
  joinUnread(socket)
  Duplex.prototype.pause.call(socket)
}

/**
 * Joins the chunks that wait in the Readable of a socket that does not flow, all but the first. A Readable counts bytes, up to
 * its `highWaterMark`, and over HTTP/2 a window more; but a chunk of one byte, a TLS record or a DATA frame takes a hundred to
 * four hundred times as much memory.
 */
export function joinUnread (socket: Duplex): void {
  const joining = socket as JoiningSocket
  if (joining[kUnread] !== undefined) return
  joining[kUnread] = new JoinedBytes()
  joining.push = pushJoined
  joining.on('resume', pushUnread)
}

/** Leaves a socket as Node has it, with all that came. */
export function stopJoining (socket: Duplex): void {
  const joining = socket as JoiningSocket
  if (joining[kUnread] === undefined) return
  pushUnread.call(joining)
  joining.off('resume', pushUnread)
  Reflect.deleteProperty(joining, 'push')
  delete joining[kUnread]
}

function pushJoined (this: JoiningSocket, chunk: Uint8Array | null): boolean {
  const unread = this[kUnread]!
  // The first goes where Node looks for whether there is anything.
  const isFirst = unread.length === 0 && (this.readableFlowing === true || this.readableLength === 0)
  if (chunk === null) pushUnread.call(this)
  if (chunk === null || isFirst) return push(this, chunk)
  unread.add(chunk)
  return this.readableLength + unread.length < this.readableHighWaterMark
}

/** `resume` is emitted just before the Readable gives out what it has. */
function pushUnread (this: JoiningSocket): void {
  const unread = this[kUnread]!
  if (unread.length === 0) return
  const bytes = unread.take()
  if (!this.destroyed) push(this, bytes)
}

function push (socket: Duplex, chunk: Uint8Array | null): boolean {
  return Duplex.prototype.push.call(socket, chunk)
}
