/** Bytes of a message that the server under attack accepts. */
export const MAX_PAYLOAD = 64 * 1024

/** The window size that the server selects if the client allows it. */
export const CLIENT_WINDOW_BITS = 12
