import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { NODE_MAJOR } from '../common.js'
import { isWanted } from '../optimizations.js'
import { chunkWasOverwritten } from '../protocol/frame-scanner.js'
import { kernel } from '../protocol/frame-kernel.js'

// The one place that uses what Node does not document: reading from a TCP socket into a buffer of ours. For sockets that
// connect it does, as the option `onread` of `new net.Socket()`; here it is for those of a server. All of them read into the
// same buffer, the chunk of the kernel, one after the other: nothing is allocated for a chunk, nothing goes through the
// Readable, and the scanner has the bytes where it needs them. Everything works without it.

/** The versions that the suite has passed on. What a later one does with the members below nobody knows. */
const KNOWN_VERSIONS = [20, 22, 24, 26]

const kBuffer = findSymbol('kBuffer')
const kBufferCb = findSymbol('kBufferCb')

const isAvailable = isWanted('lent-reads') && kernel !== null && kBuffer !== null && kBufferCb !== null &&
  KNOWN_VERSIONS.includes(NODE_MAJOR)

interface Handle {
  useUserBuffer (buffer: Uint8Array): void
}

type LentSocket = Duplex & { _handle: Partial<Handle> | null } & Record<symbol, unknown>

/** The members of every socket that `onread` would set. */
function findSymbol (description: string): symbol | null {
  return Object.getOwnPropertySymbols(new Socket()).find(symbol => symbol.description === description) ?? null
}

/**
 * From now on what a plain TCP or Unix socket reads goes to the kernel's chunk, and not to its `data` listener, but for
 * what is read while the socket is paused: that waits in the Readable, and comes as `data` once it flows again.
 *
 * @param onRead called with how many bytes there are, which it has to be done with when it returns
 */
export function lendReads<S extends Duplex> (socket: S, onRead: (this: S, length: number) => void): void {
  if (!isAvailable || Object.getPrototypeOf(socket) !== Socket.prototype) return
  const lent = socket as unknown as LentSocket
  if (lent._handle?.useUserBuffer === undefined) return
  const { chunk } = kernel!
  lent._handle.useUserBuffer(chunk)
  lent[kBuffer!] = chunk
  lent[kBufferCb!] = function (this: S, length: number): boolean {
    // Who else listens shall hear it too.
    if (!this.readableFlowing || this.readableLength > 0 || this.listenerCount('data') > 1) {
      chunkWasOverwritten()
      return this.push(copyOf(chunk, length))
    }
    onRead.call(this, length)
    return true
  }
}

/** With memory of its own, as the chunks of Node have it: a message may be a view of it. */
function copyOf (chunk: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length)
  chunk.copy(copy, 0, 0, length)
  return copy
}
