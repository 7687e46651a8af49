import workerThreads from 'node:worker_threads'
import { EMPTY, noop } from '../common.js'
import { MessageMemory } from '../protocol/message-memory.js'
import { countBuffer } from './early-collections.js'

function allocate (length: number): Buffer {
  countBuffer(length)
  return Buffer.allocUnsafeSlow(length)
}

/**
 * Keeps apps from transferring memory that messages share, as Node does with its own pool: `postMessage(data, [data.buffer])`
 * would take the messages of other connections along, and the memory away from a decoder that is still reading.
 */
function findProtection (): (memory: Buffer) => void {
  const { markAsUntransferable } = workerThreads
  try {
    // Reasons of Close frames that have none are this buffer.
    markAsUntransferable(EMPTY.buffer)
  } catch {
    // Bun and Deno do not have it.
    return noop
  }
  return memory => markAsUntransferable(memory.buffer)
}

/** The memory of the messages of all connections. */
export const connectionMemory = new MessageMemory({ allocate, protect: findProtection() })
