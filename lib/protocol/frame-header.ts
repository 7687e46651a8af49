import { createError, type WebSocketError } from '../errors.js'
import { CONTROL_BIT, FIN, MASK, MAX_CONTROL_PAYLOAD, Opcode, RSV1 } from './opcodes.js'

/**
 * The header of a frame as it is received: its grammar, and the rules that it must keep whatever the payload is. `first` and
 * `second` are its first two bytes; `at` is the index of its first byte.
 */

const RSV = 0x70
const OPCODE = 0x0f
const LENGTH = 0x7f

/** Values of the 7-bit length that announce 16 or 64 bits (RFC 6455 §5.2). */
const LENGTH_16 = 126
const LENGTH_64 = 127

/** Bytes of the header, by its second byte (RFC 6455 §5.2). */
export function headerLengthOf (second: number): number {
  const length = second & LENGTH
  return (length < LENGTH_16 ? 2 : length === LENGTH_16 ? 4 : 10) + ((second & MASK) !== 0 ? 4 : 0)
}

export function isFinal (first: number): boolean {
  return (first & FIN) !== 0
}

export function opcodeOf (first: number): number {
  return first & OPCODE
}

/** Whether the message is compressed: RSV1 of its first frame (RFC 7692 §6). */
export function isCompressed (first: number): boolean {
  return (first & RSV1) !== 0
}

/** Bytes of the payload; not exact above 2^53 (RFC 6455 §5.2). */
export function payloadLengthAt (bytes: Buffer, at: number): number {
  const length = bytes[at + 1]! & LENGTH
  return length < LENGTH_16 ? length : extendedLengthAt(bytes, at + 2, length)
}

function extendedLengthAt (bytes: Buffer, at: number, form: number): number {
  return form === LENGTH_16 ? bytes.readUInt16BE(at) : bytes.readUInt32BE(at) * 0x100000000 + bytes.readUInt32BE(at + 4)
}

/** The masking key as a word: its first byte is the lowest (RFC 6455 §5.3). */
export function maskingKeyAt (bytes: Buffer, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24
}

/**
 * Checks a header against RFC 6455 §5.1, §5.2, §5.4 and §5.5.
 *
 * @param requireMask whether the frame must be masked; otherwise it must not be
 * @param isCompressionAgreed whether permessage-deflate gives RSV1 its meaning
 * @param isInMessage whether fragments of a message are still missing
 * @returns the first rule that it breaks, or `null`
 */
export function checkHeader (
  bytes: Buffer, at: number, requireMask: boolean, isCompressionAgreed: boolean, isInMessage: boolean
): WebSocketError | null {
  const first = bytes[at]!
  const second = bytes[at + 1]!
  return checkReservedBits(first, isCompressionAgreed) ??
    checkMasked(second, requireMask) ??
    checkOpcode(first) ??
    ((first & CONTROL_BIT) !== 0 ? checkControlFrame(first, second) : checkFragmentation(first, isInMessage)) ??
    checkShortestLength(second, bytes, at)
}

/**
 * RFC 6455 §5.2: reserved bits are zero unless an extension defines them. RFC 7692 §6: RSV1 is for the first frame of a
 * data message; continuation and control frames have it clear.
 */
function checkReservedBits (first: number, isCompressionAgreed: boolean): WebSocketError | null {
  const reserved = first & RSV
  if (reserved === 0) return null
  const opcode = first & OPCODE
  const mayBeCompressed = isCompressionAgreed && (opcode === Opcode.TEXT || opcode === Opcode.BINARY)
  return reserved === RSV1 && mayBeCompressed ? null : createError('FST_WS_ERR_RESERVED_BITS')
}

/** RFC 6455 §5.1: a client masks all frames, a server masks none. */
function checkMasked (second: number, requireMask: boolean): WebSocketError | null {
  const isMasked = (second & MASK) !== 0
  if (isMasked === requireMask) return null
  return createError('FST_WS_ERR_MASK_REQUIRED', isMasked ? 'frame from the server is masked' : 'frame from the client is not masked')
}

/** RFC 6455 §5.2: opcodes 3-7 and 11-15 are reserved. */
function checkOpcode (first: number): WebSocketError | null {
  const opcode = first & OPCODE
  const isKnown = opcode <= Opcode.BINARY || (opcode >= Opcode.CLOSE && opcode <= Opcode.PONG)
  return isKnown ? null : createError('FST_WS_ERR_INVALID_OPCODE', `opcode ${opcode} is reserved`)
}

/** RFC 6455 §5.5: a control frame is not fragmented and has at most 125 bytes of payload. */
function checkControlFrame (first: number, second: number): WebSocketError | null {
  if (!isFinal(first)) return createError('FST_WS_ERR_CONTROL_FRAME', 'control frame is fragmented')
  if ((second & LENGTH) <= MAX_CONTROL_PAYLOAD) return null
  return createError('FST_WS_ERR_CONTROL_FRAME', `control frame is longer than ${MAX_CONTROL_PAYLOAD} bytes`)
}

/** RFC 6455 §5.4: a fragmented message goes on with continuation frames until its last, and no other message interrupts it. */
function checkFragmentation (first: number, isInMessage: boolean): WebSocketError | null {
  const isContinuation = (first & OPCODE) === Opcode.CONTINUATION
  if (isContinuation === isInMessage) return null
  return createError(
    'FST_WS_ERR_FRAGMENTATION',
    isContinuation ? 'continuation frame without a message' : 'new message before the last fragment of the previous one'
  )
}

/** RFC 6455 §5.2: the minimal number of bytes encodes the length, and the top bit of 64 is zero. */
function checkShortestLength (second: number, bytes: Buffer, at: number): WebSocketError | null {
  const form = second & LENGTH
  return form < LENGTH_16 ? null : checkExtendedLength(form, bytes, at + 2)
}

function checkExtendedLength (form: number, bytes: Buffer, at: number): WebSocketError | null {
  if (form === LENGTH_64 && bytes[at]! > 0x7f) return createError('FST_WS_ERR_FRAME_LENGTH', 'top bit of the payload length is set')
  const isShortest = extendedLengthAt(bytes, at, form) >= (form === LENGTH_16 ? LENGTH_16 : 0x10000)
  return isShortest ? null : createError('FST_WS_ERR_FRAME_LENGTH', 'payload length is not in its shortest form')
}
