import type { Duplex } from 'node:stream'

/** How far writing to a socket has come. Two equal values mean that the other side has taken nothing in between. */
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
 * Node hands everything that is queued to the operating system in one write, and calls back when all of it was taken: with a
 * slow reader of many megabytes after minutes. Only the socket's handle knows how much is left, which is not documented
 * (Node's own `socket.setTimeout` reads it too). Without it, only writes that are done count as progress.
 *
 * For an HTTP/2 stream, only the window of its session is known. It changes with each frame of any stream, and stands
 * still while the peer reads nothing.
 */
export function writeProgressOf (socket: Duplex): WriteProgress {
  const { bytesWritten = 0, writableLength, _handle, session } = socket as CountingSocket
  return { written: bytesWritten - writableLength, unwritten: _handle?.writeQueueSize ?? session?.state.remoteWindowSize ?? 0 }
}
