import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { IS_KNOWN_NODE } from '../common.js'
import { isWanted } from '../optimizations.js'

type Listener = (...args: unknown[]) => void

/** Node's own listeners for the end of a socket: all they do is to forbid writing where a socket may not stay half open. */
const endListeners = isWanted('lean-listeners') && IS_KNOWN_NODE ? new Socket().listeners('end') as Listener[] : []

/** Takes these off a socket that may stay half open: an event with a single listener needs no array, which takes 64 bytes. */
export function dropIdleListeners (socket: Duplex): void {
  if (socket.allowHalfOpen) for (const listener of endListeners) socket.off('end', listener)
}
