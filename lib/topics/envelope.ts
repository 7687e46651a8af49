// The global of this name is an accessor, which costs several times what a call of it does.
import { Buffer } from 'node:buffer'

// `data` of a message that goes through a broker: a version, a kind, and the payload.

/** Other versions of this package may share the broker: an envelope of a version they do not know is skipped. */
const VERSION = 1

/** Bit of the kind's byte: the message is not to be compressed. */
const NOT_COMPRESSED = 0x80

export const enum EnvelopeKind {
  TEXT = 0,
  BINARY = 1,
  /** A member has come or gone. It has no place in a history. */
  PRESENCE = 2
}

const HIGHEST_KIND = EnvelopeKind.PRESENCE

const HEADER_LENGTH = 2

export interface Envelope {
  readonly kind: EnvelopeKind
  readonly compress: boolean
  /** A view of the envelope. */
  readonly payload: Buffer
}

/** @returns a copy with the header in front */
export function encodeEnvelope (kind: EnvelopeKind, payload: Uint8Array, compress: boolean): Buffer {
  const data = Buffer.allocUnsafe(HEADER_LENGTH + payload.length)
  data[0] = VERSION
  data[1] = compress ? kind : kind | NOT_COMPRESSED
  data.set(payload, HEADER_LENGTH)
  return data
}

/** @returns `null` if it is of another version, or of a kind that this one does not know */
export function decodeEnvelope (data: Buffer): Envelope | null {
  if (data.length < HEADER_LENGTH || data[0] !== VERSION) return null
  const kind = data[1]! & ~NOT_COMPRESSED
  if (kind > HIGHEST_KIND) return null
  return { kind, compress: (data[1]! & NOT_COMPRESSED) === 0, payload: data.subarray(HEADER_LENGTH) }
}
