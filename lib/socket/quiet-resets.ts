import { errorMonitor } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isWanted } from '../optimizations.js'

// When a client resets its connection, Node makes an error and destroys the socket with it, which formats the stack of the
// error: a fifth of the CPU of a handshake, for text that nobody reads. After a restart of a load balancer that is one for
// each connection. So the error is left out where nobody can see it.

const isAvailable = isWanted('quiet-resets')

/** Leaves out errors of reading that only a single listener of `error` and of `close` would be called for: the caller's. */
export function quietResets (socket: Duplex): void {
  if (isAvailable && socket instanceof Socket) socket.destroy = destroyQuietly
}

function destroyQuietly (this: Socket, error?: Error & { syscall?: string }, ...rest: unknown[]): Socket {
  const isUnheard = error?.syscall === 'read' && !isHeard(this)
  return Reflect.apply(Object.getPrototypeOf(this).destroy, this, [isUnheard ? undefined : error, ...rest]) as Socket
}

/** Whether anybody else would notice: by an event, or by the callback of a write. */
function isHeard (socket: Socket): boolean {
  return socket.listenerCount('error') > 1 || socket.listenerCount('close') > 1 || socket.listenerCount(errorMonitor) > 0 || socket.writableLength > 0
}
