/**
 * The status codes of RFC 6455 §7.4.1 and of the IANA registry "WebSocket
 * Close Code Number". `NO_STATUS_RECEIVED`, `ABNORMAL_CLOSURE` and
 * `TLS_HANDSHAKE` exist only to report an ending to the user; they are never
 * in a Close frame.
 */
export const CloseCode = Object.freeze({
  NORMAL_CLOSURE: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  UNSUPPORTED_DATA: 1003,
  NO_STATUS_RECEIVED: 1005,
  ABNORMAL_CLOSURE: 1006,
  INVALID_FRAME_PAYLOAD_DATA: 1007,
  POLICY_VIOLATION: 1008,
  MESSAGE_TOO_BIG: 1009,
  MANDATORY_EXTENSION: 1010,
  INTERNAL_ERROR: 1011,
  SERVICE_RESTART: 1012,
  TRY_AGAIN_LATER: 1013,
  BAD_GATEWAY: 1014,
  TLS_HANDSHAKE: 1015
} as const)

/**
 * Whether a peer may put `code` into a Close frame; any other code is a
 * protocol error.
 *
 * Valid are the codes of the registry that are not reserved for local use
 * (RFC 6455 §7.4.1), the range for libraries and frameworks (3000-3999) and
 * the one for private use (4000-4999, §7.4.2). 1004 has no meaning yet, and
 * 1016-2999 are kept for later revisions of the protocol.
 *
 * @param code the first two bytes of the Close frame's payload, an unsigned integer
 */
export function isReceivableCloseCode (code: number): boolean {
  return Number.isInteger(code) && (
    (code >= CloseCode.NORMAL_CLOSURE && code <= CloseCode.UNSUPPORTED_DATA) ||
    (code >= CloseCode.INVALID_FRAME_PAYLOAD_DATA && code <= CloseCode.BAD_GATEWAY) ||
    (code >= 3000 && code <= 4999)
  )
}
