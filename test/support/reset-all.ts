import type { Socket } from 'node:net'

/** Resets both sides of the connections that a proxy passes on. */
export function resetAll (pairs: Iterable<readonly [Socket, Socket]>): void {
  for (const pair of pairs) {
    for (const socket of pair) {
      // Node 20 never closes a handle that is reset while its FIN is under way, and waits for it when the process ends.
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }
}
