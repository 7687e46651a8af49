// The global of this name is an accessor, which costs several times what `isBuffer` does.
import { Buffer } from 'node:buffer'
import { isUint8Array } from 'node:util/types'
import { EMPTY } from '../common.js'
import { createError, describe } from '../errors.js'
import { isReceivableCloseCode } from '../protocol/close-codes.js'
import { MAX_CLOSE_REASON, MAX_CONTROL_PAYLOAD } from '../protocol/opcodes.js'
import { encodeText } from '../protocol/text.js'

/**
 * The bytes of what a user gave, without a copy: a view is read through its own offset and length.
 *
 * @throws {TypeError} for anything but a string, an ArrayBuffer, a SharedArrayBuffer or a view of one.
 *   Numbers above all: as a length they have leaked memory before (CVE-2016-10518).
 */
export function toBytes (data: unknown): Buffer {
  if (Buffer.isBuffer(data)) return data
  if (typeof data === 'string') return encodeText(data)
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return Buffer.from(data)
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `data must be a string, a Buffer, an ArrayBuffer or a view of one, not ${describe(data)}`)
}

/** A Blob, a File, or what looks like one, as `ws` takes it: not all are of this realm, or of Node. */
export type BlobLike = Pick<Blob, 'size' | 'arrayBuffer'>

function isBlob (data: unknown): data is BlobLike {
  if (typeof data !== 'object' || data === null || !('arrayBuffer' in data && 'size' in data && Symbol.toStringTag in data)) return false
  const { arrayBuffer, size, [Symbol.toStringTag]: tag } = data
  return typeof arrayBuffer === 'function' && Number.isSafeInteger(size) && (size as number) >= 0 && (tag === 'Blob' || tag === 'File')
}

/**
 * Returns what `send` was given: bytes, as `toBytes` does, or a Blob, which is read later.
 *
 * @throws {TypeError} for anything else
 */
export function toBytesOrBlob (data: unknown): Buffer | BlobLike {
  return !Buffer.isBuffer(data) && isBlob(data) ? data : toBytes(data)
}

/** The bytes of a Blob, which are nobody else's. Rejects if it cannot be read, or is not as long as it says. */
export async function readBlob (blob: BlobLike): Promise<Buffer> {
  const bytes = toBytes(await blob.arrayBuffer())
  if (bytes.length !== blob.size) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `the Blob has ${bytes.length} bytes, and not ${blob.size} as it says`)
  return bytes
}

/**
 * The payload of a Ping or Pong (RFC 6455 §5.5).
 *
 * @throws {TypeError} as `toBytesOrBlob`
 * @throws {RangeError} if it is longer than 125 bytes
 */
export function toControlPayload (data: unknown): Buffer | BlobLike {
  const payload = data === undefined ? EMPTY : toBytesOrBlob(data)
  const length = Buffer.isBuffer(payload) ? payload.length : payload.size
  if (length > MAX_CONTROL_PAYLOAD) {
    throw createError('FST_WS_ERR_OUT_OF_RANGE', `data of a control frame must be at most ${MAX_CONTROL_PAYLOAD} bytes, not ${length}`)
  }
  return payload
}

/**
 * The code and the reason of a Close frame from our own user (RFC 6455 §5.5.1, §7.4).
 *
 * @throws {TypeError} if they are not of these types
 * @throws {RangeError} if the code may not be sent, or the reason is longer than 123 bytes
 */
export function checkClose (code: unknown, reason: unknown): Buffer {
  if (code !== undefined) {
    if (typeof code !== 'number') throw createError('FST_WS_ERR_INVALID_ARGUMENT', `close code must be a number, not ${describe(code)}`)
    if (!isReceivableCloseCode(code)) {
      throw createError('FST_WS_ERR_OUT_OF_RANGE', `close code must be 1000–1003, 1007–1014 or 3000–4999, not ${code}`)
    }
  }
  // Without a code there is no place for a reason; `ws` drops it as well.
  if (code === undefined || reason === undefined || reason === '') return EMPTY
  if (typeof reason !== 'string' && !isUint8Array(reason)) {
    throw createError('FST_WS_ERR_INVALID_ARGUMENT', `close reason must be a string or a Uint8Array, not ${describe(reason)}`)
  }
  const bytes = toBytes(reason)
  if (bytes.length > MAX_CLOSE_REASON) {
    throw createError('FST_WS_ERR_OUT_OF_RANGE', `close reason must be at most ${MAX_CLOSE_REASON} bytes of UTF-8, not ${bytes.length}`)
  }
  return bytes
}

/** The longest start of a text that fits into a Close frame and ends with a whole character. */
export function truncateReason (reason: string): Buffer {
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_CLOSE_REASON) return bytes
  let end = MAX_CLOSE_REASON
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}
