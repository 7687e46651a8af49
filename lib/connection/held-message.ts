/** A message that waits to be heard. */
export interface HeldMessage {
  readonly data: Buffer
  readonly isBinary: boolean
  /** Bytes that it keeps. */
  readonly cost: number
}

/** The most that buffered messages may cost; above it the socket is paused. */
export const MAX_HELD = 64 * 1024

/** The cost of a buffered message besides its bytes: objects of ours and of Node. */
const OVERHEAD = 256

/** Messages share buffers of this size, and what is larger is a chunk. */
const SHARED_BUFFER = 8 * 1024

/** @param before the one that waits before it, if any */
export function holdMessage (message: Buffer, isBinary: boolean, before: HeldMessage | undefined): HeldMessage {
  // In memory, a chunk is a view of what the other side writes from: a small message would count as all of that.
  const isPart = message.buffer.byteLength > Math.max(SHARED_BUFFER, 4 * message.length)
  const data = isPart ? copyOf(message) : message
  // A view keeps alive all that it is a view of. Where that is the same as with the one before, it is counted already.
  const kept = before?.data.buffer === data.buffer ? data.length : data.buffer.byteLength
  return { data, isBinary, cost: kept + OVERHEAD }
}

function copyOf (message: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(message.length)
  message.copy(copy)
  return copy
}
