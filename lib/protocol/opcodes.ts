/** The opcodes of RFC 6455 §5.2; all others are reserved. */
export const Opcode = {
  CONTINUATION: 0x0,
  TEXT: 0x1,
  BINARY: 0x2,
  CLOSE: 0x8,
  PING: 0x9,
  PONG: 0xa
} as const

/** RFC 6455 §5.2: the top bit of the first byte. */
export const FIN = 0x80

/** RFC 6455 §5.2: the top bit of the second byte. */
export const MASK = 0x80

/** RFC 6455 §5.5: all control frames have the top bit of the opcode set. */
export const CONTROL_BIT = 0x8

/** RFC 6455 §5.5: bytes that a control frame may carry. */
export const MAX_CONTROL_PAYLOAD = 125

/** RFC 6455 §5.5.1: bytes of the reason, behind the two of the code. */
export const MAX_CLOSE_REASON = MAX_CONTROL_PAYLOAD - 2

/** RFC 6455 §5.2; RFC 7692 §6 gives it the meaning that the message is compressed. */
export const RSV1 = 0x40
