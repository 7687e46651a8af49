import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { IS_KNOWN_NODE } from '../common.js'
import { isWanted } from '../optimizations.js'

// Sockets that connect can read into a buffer of the app's, by the option `onread` of `new net.Socket()`. This does the same
// for the sockets of a server, by the members that this option sets, which Node does not document. All of them share the
// buffer, one after the other: nothing is allocated for a chunk, and nothing goes through the Readable.

const kBuffer = findSymbol('kBuffer')
const kBufferCb = findSymbol('kBufferCb')

const isAvailable = isWanted('lent-reads') && kBuffer !== null && kBufferCb !== null && IS_KNOWN_NODE

interface Handle {
  useUserBuffer (buffer: Uint8Array): void
}

type LentSocket = Duplex & { _handle: Partial<Handle> | null } & Record<symbol, unknown>

/** The members of every socket that `onread` would set. */
function findSymbol (description: string): symbol | null {
  return Object.getOwnPropertySymbols(new Socket()).find(symbol => symbol.description === description) ?? null
}

/**
 * Makes the function that lends a buffer to a socket. From then on a plain TCP or Unix socket reads into the buffer and calls
 * `onRead`, instead of emitting `data`. Bytes that come while the socket is paused wait in the Readable, and are emitted as
 * `data` once it flows again. With every other socket, where the members are not there, or with an empty buffer, nothing
 * changes.
 *
 * @param onRead gets the number of bytes in the buffer, which are overwritten after it has returned
 * @param onCopied called when bytes were read into the buffer that `onRead` does not get
 */
export function createLender<S extends Duplex> (
  buffer: Buffer, onRead: (this: S, length: number) => void, onCopied: () => void
): (socket: S) => void {
  // Sockets share this function: a closure would take memory of each of them.
  function read (this: S, length: number): boolean {
    // Other `data` listeners need a copy of their own.
    if (!this.readableFlowing || this.readableLength > 0 || this.listenerCount('data') > 1) {
      onCopied()
      return this.push(copyOf(buffer, length))
    }
    onRead.call(this, length)
    return true
  }

  return socket => {
    if (!isAvailable || buffer.length === 0 || Object.getPrototypeOf(socket) !== Socket.prototype) return
    const lent = socket as unknown as LentSocket
    if (lent._handle?.useUserBuffer === undefined) return
    lent._handle.useUserBuffer(buffer)
    lent[kBuffer!] = buffer
    lent[kBufferCb!] = read
  }
}

/** With memory of its own, as the chunks of Node have it: a message may be a view of it. */
function copyOf (buffer: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length)
  buffer.copy(copy, 0, 0, length)
  return copy
}
