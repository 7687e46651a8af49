import { frameHeaderLength, maskPayload, writeFrameHeader } from '../../lib/protocol/frame-encoder.js'

interface EncodeFrameOptions {
  /** Default `true`. */
  fin?: boolean
  /** `true` for the client's side (RFC 6455 §5.1). Default `false`. */
  masked?: boolean
}

/** A frame as the functions of the encoder write it, in a buffer of its own. */
export function encodeAnyFrame (opcode: number, payload: Uint8Array, { fin = true, masked = false }: EncodeFrameOptions = {}): Buffer {
  const headerLength = frameHeaderLength(payload.length, masked)
  const frame = Buffer.allocUnsafe(headerLength + payload.length)
  const end = writeFrameHeader(frame, 0, opcode, fin, payload.length, masked)
  frame.set(payload, headerLength)
  if (masked) maskPayload(frame, end, payload.length)
  return frame
}
