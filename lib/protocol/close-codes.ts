/**
 * The status codes of RFC 6455 §7.4.1 and of the IANA registry "WebSocket
 * Close Code Number". `NO_STATUS_RECEIVED`, `ABNORMAL_CLOSURE` and
 * `TLS_HANDSHAKE` exist only to report an ending to the user; they are never
 * in a Close frame.
 */
export const CloseCode = Object.freeze({
  /** The purpose of the connection is fulfilled. */
  NORMAL_CLOSURE: 1000,
  /** The server shuts down, or the page is left. */
  GOING_AWAY: 1001,
  /** The peer broke the framing rules. */
  PROTOCOL_ERROR: 1002,
  /** The peer sent a type of data that is not accepted, such as binary. */
  UNSUPPORTED_DATA: 1003,
  /** The Close frame had no code. Never in a Close frame. */
  NO_STATUS_RECEIVED: 1005,
  /** There was no Close frame. Never in a Close frame. */
  ABNORMAL_CLOSURE: 1006,
  /** The payload is not what its type promises: text that is not UTF-8. */
  INVALID_FRAME_PAYLOAD_DATA: 1007,
  /** The message breaks a rule of the app or a limit on rates. */
  POLICY_VIOLATION: 1008,
  /** The message is larger than `maxPayload`. */
  MESSAGE_TOO_BIG: 1009,
  /** A client misses an extension in the answer of the server. */
  MANDATORY_EXTENSION: 1010,
  /** The server met an error that it did not expect. */
  INTERNAL_ERROR: 1011,
  /** The server restarts: connect again. */
  SERVICE_RESTART: 1012,
  /** The server is overloaded, or the peer reads too slowly. */
  TRY_AGAIN_LATER: 1013,
  /** A gateway got an invalid answer. */
  BAD_GATEWAY: 1014,
  /** The TLS handshake failed. Never in a Close frame. */
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
