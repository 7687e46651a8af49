import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { NODE_MAJOR } from '../common.js'
import { isWanted } from '../optimizations.js'

// A write that the kernel takes at once, as almost all are, gains nothing from the Writable of its socket: neither its queue
// nor its callback. This calls the socket's handle as Node does, which is not documented, and leaves every other write to Node.

/** The major versions of Node that the suite has passed on. */
const KNOWN_VERSIONS = [20, 22, 24, 26]

// Bun and Deno have handles too, and say that they are a version of Node.
const { versions } = process
const isAvailable = isWanted('direct-writes') && KNOWN_VERSIONS.includes(NODE_MAJOR) && !('bun' in versions) && !('deno' in versions)

/** The object of a write that is under way. */
type WriteRequest = object

interface Handle {
  /** @returns 0, the number of an error, or where Node passes no request the request of a write that is under way */
  writeBuffer (request: WriteRequest | null, bytes: Uint8Array): number | WriteRequest
  /** Bytes that the kernel has not taken yet. */
  readonly writeQueueSize?: number
}

const { write, _write } = Socket.prototype

type PlainSocket = Socket & { readonly _handle: Handle | null }

/**
 * How this version of Node calls `writeBuffer`: with a request, which only a write that takes longer uses up, or with none.
 * It has changed within a major version, and a handle that is called in the wrong way ends the process.
 */
type Form = { request: WriteRequest } | 'without request' | 'unknown' | 'none'

let form: Form = isAvailable ? 'unknown' : 'none'

/**
 * Writes to a plain TCP or Unix socket that has nothing queued.
 *
 * @returns whether it has: otherwise nothing was written
 */
export function writeDirectly (socket: Duplex, bytes: Buffer): boolean {
  if (form === 'none' || socket.constructor !== Socket) return false
  const plain = socket as PlainSocket
  const handle = plain._handle
  if (handle === null || !isIdle(plain) || isWatched(plain)) return false

  if (form === 'without request') {
    const result = handle.writeBuffer(null, bytes)
    if (result !== 0) handOver(plain, handle, bytes, result)
    return true
  }
  if (form === 'unknown') {
    observe(plain, handle, bytes)
    return true
  }
  const result = handle.writeBuffer(form.request, bytes)
  if (result !== 0 || handle.writeQueueSize !== 0) {
    const { request } = form
    form = { request: Reflect.construct(request.constructor, []) as WriteRequest }
    // Node has made a request of its own, which holds what it does when the write is done.
    Object.assign(request, handOver(plain, handle, bytes, result))
  }
  return true
}

/** Whether nothing is queued, and writes go straight to the handle. */
function isIdle (socket: PlainSocket): boolean {
  return socket.writable && socket.writableLength === 0 && socket.writableCorked === 0
}

/** Whether somebody is to see each write: the timeout that it restarts, or whoever has replaced a method. */
function isWatched (socket: PlainSocket): boolean {
  return (socket.timeout ?? 0) > 0 || socket.write !== write || socket._write !== _write
}

/** Lets Node write, and sees how it does that. */
function observe (socket: PlainSocket, handle: Handle, bytes: Buffer): void {
  const [request] = writeThrough(socket, handle, bytes, (...args) => {
    Reflect.deleteProperty(handle, 'writeBuffer')
    return handle.writeBuffer(...args)
  })
  if (request === null) form = 'without request'
  else if (request === undefined) form = 'none'
  else form = 'writeQueueSize' in handle ? { request: Reflect.construct(request.constructor, []) as WriteRequest } : 'none'
}

/** Leaves a write that was begun, but is not done, to Node: its bytes count as queued, and its end or failure is the socket's. */
function handOver (socket: PlainSocket, handle: Handle, bytes: Buffer, result: number | WriteRequest): WriteRequest | null {
  const [request] = writeThrough(socket, handle, bytes, () => result)
  return request ?? null
}

/** Writes as Node does, with another `writeBuffer` in the place of the handle's. @returns what Node has called that with */
function writeThrough (socket: PlainSocket, handle: Handle, bytes: Buffer, writeBuffer: Handle['writeBuffer']): Parameters<Handle['writeBuffer']> | [] {
  let found: Parameters<Handle['writeBuffer']> | [] = []
  handle.writeBuffer = (...args) => {
    found = args
    return writeBuffer(...args)
  }
  try {
    socket.write(bytes)
  } finally {
    Reflect.deleteProperty(handle, 'writeBuffer')
  }
  return found
}
