import { EMPTY } from '../common.js'
import { createError, type WebSocketError } from '../errors.js'
import { CloseCode, isReceivableCloseCode } from './close-codes.js'
import { isValidUtf8 } from './utf8.js'

interface ClosePayload {
  /** The rule that the payload breaks, or `null`. */
  readonly fault: WebSocketError | null
  /** 1005 if the frame has none (RFC 6455 §7.1.5). */
  readonly code: number
  readonly reason: Buffer
}

/** The payload of a Close frame (RFC 6455 §5.5.1): empty without a code. */
export function encodeClosePayload (code: number | undefined, reason: Uint8Array): Buffer {
  if (code === undefined) return EMPTY
  const payload = Buffer.allocUnsafe(2 + reason.length)
  payload.writeUInt16BE(code, 0)
  payload.set(reason, 2)
  return payload
}

/** Reads the payload of a Close frame (RFC 6455 §5.5.1, §7.4). */
export function decodeClosePayload (payload: Buffer): ClosePayload {
  if (payload.length === 0) return { fault: null, code: CloseCode.NO_STATUS_RECEIVED, reason: payload }
  const code = payload.length === 1 ? 0 : payload.readUInt16BE(0)
  return { fault: checkClosePayload(payload, code), code, reason: payload.subarray(2) }
}

function checkClosePayload (payload: Buffer, code: number): WebSocketError | null {
  if (payload.length === 1) return createError('FST_WS_ERR_CLOSE_PAYLOAD', 'close frame with half a status code')
  if (!isReceivableCloseCode(code)) return createError('FST_WS_ERR_CLOSE_PAYLOAD', `close frame with invalid status code ${code}`)
  if (!isValidUtf8(payload, 2, payload.length)) return createError('FST_WS_ERR_INVALID_PAYLOAD', 'reason of the close frame is not UTF-8')
  return null
}
