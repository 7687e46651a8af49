import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { IS_KNOWN_NODE } from '../common.js'
import { isWanted } from '../optimizations.js'

// Sockets that connect can read into a buffer of the app's, by the option `onread` of `new net.Socket()`. This does the same
// for the sockets of a server and for streams of HTTP/2, by the members that this option sets, which Node does not document.
// All of them share the buffer, one after the other: nothing is allocated for a chunk, and nothing goes through the Readable.

const kBuffer = findSymbol('kBuffer')
const kBufferCb = findSymbol('kBufferCb')
/** Returns the buffer of the next read. Sockets have `null` here; streams of HTTP/2 have nothing, and need that too. */
const kBufferGen = findSymbol('kBufferGen')
/** The handle of a stream of HTTP/2. Node exports no class to find it on, so it is looked up on the first stream. */
let kHandle: symbol | null = null

const isAvailable = isWanted('lent-reads') && kBuffer !== null && kBufferCb !== null && kBufferGen !== null && IS_KNOWN_NODE

interface Handle {
  useUserBuffer (buffer: Uint8Array): void
  readStart (): void
}

type LentSocket = Duplex & { _handle?: Partial<Handle> | null } & Record<symbol, unknown>

/** The members of every socket that `onread` would set. */
function findSymbol (description: string, object: object = new Socket()): symbol | null {
  return Object.getOwnPropertySymbols(object).find(symbol => symbol.description === description) ?? null
}

/** The user of lent reads. Its functions are called with the socket as `this`. */
export interface Borrower<S extends Duplex> {
  /** @param length of the bytes in the buffer, which are overwritten after this has returned */
  onRead (this: S, length: number): void
  /** Asked after a read that has filled `usual` or more: whether the next one may fill the whole buffer. */
  expectsMuch (this: S): boolean
  /** Called when bytes were read into the buffer that `onRead` does not get. */
  onCopied (): void
}

/** The buffer that a socket reads into from the next read on; `undefined` leaves it as it is. */
let next: Buffer | undefined

/** Node calls it behind each read. It is the same for all sockets, and gets no `this`. */
function takeNext (): Buffer | undefined {
  const buffer = next
  next = undefined
  return buffer
}

/**
 * Makes the function that lends a buffer to a socket. From then on a socket of TCP, TLS or Unix, or a stream of HTTP/2, reads
 * into the buffer and calls `onRead`, instead of emitting `data`. Bytes that come while the socket is paused wait in the
 * Readable, and are emitted as `data` once it flows again. With every other socket, where the members are not there, or with
 * an empty buffer, nothing changes.
 *
 * @param usual the bytes at the start of the buffer that one read may fill, unless much is expected: what a client that does
 *   not wait can make the server keep when it pauses
 */
export function createLender<S extends Duplex> (
  buffer: Buffer, usual: number, { onRead, expectsMuch, onCopied }: Borrower<S>
): (socket: S) => void {
  const start = buffer.subarray(0, usual)

  // Sockets share this function: a closure would take memory of each of them.
  function read (this: S, length: number): boolean {
    // Other `data` listeners need a copy of their own.
    if (!this.readableFlowing || this.readableLength > 0 || this.listenerCount('data') > 1) {
      onCopied()
      return this.push(copyOf(buffer, length))
    }
    onRead.call(this, length)
    if (length >= usual) chooseNext(this)
    return true
  }

  function chooseNext (socket: S): void {
    const lent = socket as unknown as LentSocket
    const wanted = expectsMuch.call(socket) ? buffer : start
    if (lent[kBuffer!] === wanted) return
    next = wanted
    lent[kBufferGen!] = takeNext
  }

  return socket => {
    if (!isAvailable || buffer.length === 0) return
    const lent = socket as unknown as LentSocket
    const isStream = isHttp2Stream(socket)
    const handle = isStream ? handleOfStream(lent) : isSocket(socket) ? lent._handle : null
    if (handle?.useUserBuffer === undefined) return
    handle.useUserBuffer(start)
    lent[kBuffer!] = start
    lent[kBufferCb!] = read
    if (!isStream) return
    lent[kBufferGen!] = null
    socket.on('resume', startReading)
  }
}

function isSocket (socket: Duplex): boolean {
  const prototype = Object.getPrototypeOf(socket)
  return prototype === Socket.prototype || prototype === TLSSocket.prototype
}

function isHttp2Stream (socket: Duplex): boolean {
  return 'sentTrailers' in socket
}

function handleOfStream (stream: LentSocket): Partial<Handle> | null {
  kHandle ??= findSymbol('kHandle', stream)
  return kHandle === null ? null : stream[kHandle] as Partial<Handle> | undefined ?? null
}

/** A Readable that was never given a chunk takes its first read as still under way. `net.Socket` does the same by itself. */
function startReading (this: LentSocket): void {
  if (!this.destroyed) handleOfStream(this)?.readStart?.()
}

/** With memory of its own, as the chunks of Node have it: a message may be a view of it. */
function copyOf (buffer: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length)
  buffer.copy(copy, 0, 0, length)
  return copy
}
