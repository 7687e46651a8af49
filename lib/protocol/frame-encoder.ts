import { applyMask } from './mask.js'
import { randomFillSync } from 'node:crypto'

const FIN = 0x80
const MASK = 0x80

/** The longest header of RFC 6455 §5.2, in bytes: opcode, 64-bit length, masking key. */
export const MAX_HEADER_LENGTH = 14

/** Bytes of the header of a frame, in the shortest form of its length (RFC 6455 §5.2). */
export function frameHeaderLength (payloadLength: number, masked: boolean): number {
  return (payloadLength < 126 ? 2 : payloadLength < 65536 ? 4 : 10) + (masked ? 4 : 0)
}

/**
 * Writes a frame's header, without a masking key.
 *
 * @param opcode may carry RSV bits
 * @param masked whether a masking key follows, which the caller writes
 * @returns the offset behind it
 */
export function writeFrameHeader (target: Buffer, offset: number, opcode: number, fin: boolean, payloadLength: number, masked: boolean): number {
  const maskBit = masked ? MASK : 0
  target[offset] = fin ? FIN | opcode : opcode
  if (payloadLength < 126) {
    target[offset + 1] = maskBit | payloadLength
    return offset + 2
  }
  if (payloadLength < 65536) {
    target[offset + 1] = maskBit | 126
    target[offset + 2] = payloadLength >>> 8
    target[offset + 3] = payloadLength & 0xff
    return offset + 4
  }
  target[offset + 1] = maskBit | 127
  target.writeUInt32BE(Math.floor(payloadLength / 0x100000000), offset + 2)
  target.writeUInt32BE(payloadLength >>> 0, offset + 6)
  return offset + 10
}

/** Writes a fresh masking key (RFC 6455 §5.3) before the payload at `offset + 4`, and masks that. */
export function maskPayload (target: Buffer, offset: number, payloadLength: number): void {
  randomFillSync(target, offset, 4)
  const payload = offset + 4
  applyMask(target, payload, payload + payloadLength, target[offset]!, target[offset + 1]!, target[offset + 2]!, target[offset + 3]!)
}

export interface EncodeFrameOptions {
  /** Default `true`. */
  fin?: boolean
  /** `true` for the client's side (RFC 6455 §5.1). Default `false`. */
  masked?: boolean
}

/** A whole frame in a buffer of its own, so that it can be sent to many. */
export function encodeFrame (opcode: number, payload: Uint8Array, options: EncodeFrameOptions = {}): Buffer {
  const { fin = true, masked = false } = options
  const headerLength = frameHeaderLength(payload.length, masked)
  const frame = Buffer.allocUnsafe(headerLength + payload.length)
  const end = writeFrameHeader(frame, 0, opcode, fin, payload.length, masked)
  frame.set(payload, headerLength)
  if (masked) maskPayload(frame, end, payload.length)
  return frame
}

/** The payload of a Close frame (RFC 6455 §5.5.1): empty without a code. */
export function encodeClosePayload (code: number | undefined, reason: Uint8Array): Buffer {
  if (code === undefined) return Buffer.alloc(0)
  const payload = Buffer.allocUnsafe(2 + reason.length)
  payload.writeUInt16BE(code, 0)
  payload.set(reason, 2)
  return payload
}
