import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { IS_KNOWN_NODE } from '../common.js'
import { isWanted } from '../optimizations.js'

// A write that the kernel takes at once, as almost all are, gains nothing from the Writable of its socket: neither its queue
// nor its callback. This calls the socket's handle as Node does, which is not documented, and leaves every other write to Node.

// Bun and Deno have handles too, and say that they are a version of Node.
const { versions } = process
const isAvailable = isWanted('direct-writes') && IS_KNOWN_NODE && !('bun' in versions) && !('deno' in versions)

/** The object of a write that is under way. */
interface WriteRequest {
  /** @returns -1 for a request that no write has used */
  getAsyncId? (): number
}

/** @returns 0, the number of an error, or where Node passes no request the request of a write that is under way */
type Write<Data, More extends unknown[]> = (request: WriteRequest | null, data: Data, ...more: More) => number | WriteRequest

interface Handle {
  writeBuffer: Write<Buffer, []>
  writev: Write<readonly Buffer[], [areBuffers: true]>
}

/** The async id of a request that no write has used. */
const UNUSED = -1

const { write, _write, _writev } = Socket.prototype

type PlainSocket = Socket & { readonly _handle: Handle | null }

/**
 * How this version of Node calls a method of a handle: with a request, which only a write that takes longer uses up, or with
 * none. It has changed within a major version, and a handle that is called in the wrong way ends the process.
 */
type Form = { request: WriteRequest } | 'without request' | 'unknown' | 'none'

/** A method of a handle that writes. */
interface Way<Data> {
  readonly method: 'writeBuffer' | 'writev'
  form: Form
  readonly call: (handle: Handle, request: WriteRequest | null, data: Data) => number | WriteRequest
  /** Makes Node call it. */
  readonly writeThrough: (socket: Socket, data: Data) => void
}

const ONE: Way<Buffer> = {
  method: 'writeBuffer',
  form: isAvailable ? 'unknown' : 'none',
  call: (handle, request, bytes) => handle.writeBuffer(request, bytes),
  writeThrough (socket, bytes) { socket.write(bytes) }
}

const SEVERAL: Way<readonly Buffer[]> = {
  method: 'writev',
  form: isAvailable ? 'unknown' : 'none',
  call: (handle, request, buffers) => handle.writev(request, buffers, true),
  writeThrough (socket, buffers) {
    socket.cork()
    for (const bytes of buffers) socket.write(bytes)
    socket.uncork()
  }
}

/**
 * Writes to a plain TCP or Unix socket that has nothing queued.
 *
 * @returns whether it has: otherwise nothing was written
 */
export function writeDirectly (socket: Duplex, bytes: Buffer): boolean {
  return tryWrite(ONE, socket, bytes)
}

/** The same for at least two buffers, in one call of the system. */
export function writeAllDirectly (socket: Duplex, buffers: readonly Buffer[]): boolean {
  return tryWrite(SEVERAL, socket, buffers)
}

function tryWrite<Data> (way: Way<Data>, socket: Duplex, data: Data): boolean {
  const { form } = way
  if (form === 'none' || socket.constructor !== Socket) return false
  const plain = socket as PlainSocket
  const handle = plain._handle
  if (handle === null || !isIdle(plain) || isWatched(plain)) return false

  if (form === 'without request') {
    const result = way.call(handle, null, data)
    if (result !== 0) handOver(way, plain, handle, data, result)
    return true
  }
  if (form === 'unknown') {
    observe(way, plain, handle, data)
    return true
  }
  const result = way.call(handle, form.request, data)
  if (result !== 0 || isUsed(form.request)) {
    way.form = { request: newRequest(form.request) }
    // Node has made a request of its own, which holds what it does when the write is done.
    Object.assign(form.request, handOver(way, plain, handle, data, result))
  }
  return true
}

/**
 * Whether the write takes longer, so that the request cannot be passed again. The length of the queue does not tell: a client
 * that reads fast can empty it within the call, and yet the request is called back later. Using it twice ends the process.
 */
function isUsed (request: WriteRequest): boolean {
  return request.getAsyncId!() !== UNUSED
}

function newRequest ({ constructor }: WriteRequest): WriteRequest {
  return Reflect.construct(constructor, []) as WriteRequest
}

/** Whether nothing is queued, and writes go straight to the handle. */
function isIdle (socket: PlainSocket): boolean {
  return socket.writable && socket.writableLength === 0 && socket.writableCorked === 0
}

/** Whether somebody is to see each write: the timeout that it restarts, or whoever has replaced a method. */
function isWatched (socket: PlainSocket): boolean {
  return (socket.timeout ?? 0) > 0 || socket.write !== write || socket._write !== _write || socket._writev !== _writev
}

/** Lets Node write, and sees how it does that. */
function observe<Data> (way: Way<Data>, socket: PlainSocket, handle: Handle, data: Data): void {
  const request = replace(way, socket, handle, data, (...args) => {
    Reflect.deleteProperty(handle, way.method)
    return (handle[way.method] as Write<unknown, unknown[]>)(...args)
  })
  if (request === null) way.form = 'without request'
  else if (request === undefined) way.form = 'none'
  else way.form = formWith(newRequest(request))
}

function formWith (request: WriteRequest): Form {
  return request.getAsyncId?.() === UNUSED ? { request } : 'none'
}

/** Leaves a write that was begun, but is not done, to Node: its bytes count as queued, and its end or failure is the socket's. */
function handOver<Data> (way: Way<Data>, socket: PlainSocket, handle: Handle, data: Data, result: number | WriteRequest): WriteRequest | null {
  return replace(way, socket, handle, data, () => result) ?? null
}

/** Writes as Node does, with another method in the place of the handle's. @returns the request that Node has called it with */
function replace<Data> (way: Way<Data>, socket: PlainSocket, handle: Handle, data: Data, method: Write<unknown, unknown[]>): WriteRequest | null | undefined {
  let found: WriteRequest | null | undefined
  handle[way.method] = (request: WriteRequest | null, ...rest: [unknown, ...unknown[]]) => {
    found = request
    return method(request, ...rest)
  }
  try {
    way.writeThrough(socket, data)
  } finally {
    Reflect.deleteProperty(handle, way.method)
  }
  return found
}
