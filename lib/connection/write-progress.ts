import type { Duplex } from 'node:stream'

/** How far writing to a socket has come. Two that are equal mean: nothing was taken by the other side in between. */
export interface WriteProgress {
  /** Bytes of writes that are done. */
  readonly written: number
  /** Bytes of the write under way that the operating system has not taken. */
  readonly unwritten: number
}

interface CountingSocket extends Duplex {
  readonly bytesWritten?: number
  readonly _handle?: { readonly writeQueueSize?: number } | null
  /** A stream of HTTP/2 has one. */
  readonly session?: { readonly state: { readonly remoteWindowSize?: number } }
}

/**
 * Node hands all that is queued to the operating system in one write, and tells when that is done: to a slow reader
 * of many megabytes after minutes. How much of it is left only its handle knows, which is not documented (Node's own
 * `socket.setTimeout` asks it too). Without it, only writes that are done count as progress.
 *
 * Of a stream of HTTP/2 nothing is known but what its session may send: that moves with each frame, of this stream or
 * another, and stands still if nothing is taken from any.
 */
export function writeProgressOf (socket: Duplex): WriteProgress {
  const { bytesWritten = 0, writableLength, _handle, session } = socket as CountingSocket
  return { written: bytesWritten - writableLength, unwritten: _handle?.writeQueueSize ?? session?.state.remoteWindowSize ?? 0 }
}
