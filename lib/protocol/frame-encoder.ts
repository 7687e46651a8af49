import { randomFillSync } from 'node:crypto'
import { maskingKeyAt } from './frame-header.js'
import { applyMask } from './mask.js'
import { FIN, MASK } from './opcodes.js'

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
  applyMask(target, payload, payload + payloadLength, maskingKeyAt(target, offset))
}

/** A whole frame of a server, with FIN, in a buffer of its own, so that it can be sent to many. */
export function encodeFrame (opcode: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderLength(payload.length, false) + payload.length)
  frame.set(payload, writeFrameHeader(frame, 0, opcode, true, payload.length, false))
  return frame
}
