import { CloseCode } from '../protocol/close-codes.js'

/** Milliseconds from one group of connections to the next. */
const STEP = 20

/** Clients read it: they may come back at once, since they do not all do so at the same time. */
const REASON = 'retry=0'

/** A connection that is to be closed. */
export interface Drainable {
  readonly maySend: boolean
  close (code: number, reason: string): void
}

/**
 * Closes connections one after the other, in random order and evenly over the time, with 1012 (Service Restart, in the registry
 * of RFC 6455 §11.7): clients that all come back at once would be a storm for the other processes.
 *
 * @param over milliseconds
 * @returns when the last one has its Close frame
 */
export async function drain (sessions: readonly Drainable[], over: number): Promise<void> {
  const queue = shuffle([...sessions])
  const began = performance.now()
  const total = queue.length
  while (queue.length > 0) {
    const elapsed = performance.now() - began
    const due = elapsed >= over ? total : Math.floor(total * elapsed / over)
    while (queue.length > total - due) {
      const session = queue.pop()!
      if (session.maySend) session.close(CloseCode.SERVICE_RESTART, REASON)
    }
    // Clients that have left by themselves do not prolong it.
    while (queue.length > 0 && !queue.at(-1)!.maySend) queue.pop()
    if (queue.length > 0) await new Promise(resolve => setTimeout(resolve, Math.min(STEP, over)))
  }
}

/** Fisher-Yates. */
function shuffle<T> (items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!]
  }
  return items
}
