import workerThreads from 'node:worker_threads'
import { EMPTY, noop } from '../common.js'
import { isWanted } from '../optimizations.js'
import { MessageMemory } from '../protocol/message-memory.js'

// V8 collects young buffers once there are 32 MiB of them. Where its own heap is small, that much memory outside of it
// starts a full collection each time, which costs more than the messages do. Garbage in the heap, in proportion to the
// buffers, brings the short collection before that (measured on Node 20; docs/performance.md).

const hastens = isWanted('early-scavenges')

/** Bytes of a buffer from which garbage is made beside it. */
const HASTENS_FROM = 4096
const BYTES_PER_ELEMENT = 64
const MOST_ELEMENTS = 8192

const nursery = { garbage: [] as unknown[] }

function allocate (length: number): Buffer {
  if (hastens && length >= HASTENS_FROM) nursery.garbage = new Array(Math.min(Math.floor(length / BYTES_PER_ELEMENT), MOST_ELEMENTS))
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
