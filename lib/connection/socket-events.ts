import type { Duplex } from 'node:stream'
import { chunkWasOverwritten, sharedChunk, USUAL_READ } from '../protocol/frame-scanner.js'
import { dropIdleListeners } from '../socket/idle-listeners.js'
import { createLender } from '../socket/lent-reads.js'
import { quietResets } from '../socket/quiet-resets.js'

/** Hears what happens to a socket. */
export interface SocketUser {
  /** @param bytes a chunk, or how many bytes there are in the kernel's */
  onRead (bytes: Buffer | number): void
  /** Bytes that the frame still lacks of which the last ones were read are a part. */
  readonly missing: number
  onEnd (): void
  onSocketDrain (): void
  onSocketClose (): void
}

/** Bytes that a frame has to lack. */
const LONG_REST = 2 * USUAL_READ

const kUser = Symbol('fastify-ws-routes.session')

/** The listeners of all sockets are the same functions, which find their user here: closures would cost each connection memory. */
interface UsedSocket extends Duplex {
  [kUser]: SocketUser
}

export function listenToSocket (socket: Duplex, user: SocketUser): void {
  const used = socket as UsedSocket
  used[kUser] = user
  dropIdleListeners(socket)
  used.on('error', onError)
  used.on('close', onClose)
  used.on('end', onEnd)
  used.on('drain', onDrain)
  quietResets(socket)
}

/** Begins to read. */
export function readSocket (socket: Duplex): void {
  socket.on('data', onData)
  lendReads(socket as UsedSocket)
}

/** Plain sockets read where the scanner of frames has its bytes anyway. */
const lendReads = createLender(sharedChunk, USUAL_READ, { onRead: onLentRead, expectsMuch, onCopied: chunkWasOverwritten })

function onData (this: UsedSocket, chunk: Buffer): void { this[kUser].onRead(chunk) }
function onLentRead (this: UsedSocket, length: number): void { this[kUser].onRead(length) }
/** The rest of a long frame costs less in few reads. Anything else could be many small frames, which a pause makes the decoder keep. */
function expectsMuch (this: UsedSocket): boolean { return this[kUser].missing >= LONG_REST }
function onEnd (this: UsedSocket): void { this[kUser].onEnd() }
function onDrain (this: UsedSocket): void { this[kUser].onSocketDrain() }
function onClose (this: UsedSocket): void { this[kUser].onSocketClose() }
/** A broken transport is an ending, not an error of the connection: `close` has 1006 (RFC 6455 §7.1.5). */
function onError (this: UsedSocket): void { this.destroy() }
