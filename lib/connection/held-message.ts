/** A message that waits to be heard. */
export interface HeldMessage {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** What messages that wait may cost, as `costOf` counts it; over it the socket is paused. */
export const MAX_HELD = 64 * 1024

/** What a waiting message costs beside its bytes. */
const OVERHEAD = 64

/** Bytes that a waiting message keeps. */
export function costOf ({ data }: HeldMessage): number {
  return data.length + OVERHEAD
}
