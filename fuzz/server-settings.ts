/** Bytes of a message that the server under attack accepts. */
export const MAX_PAYLOAD = 64 * 1024

/** What the server agrees on with clients that let it. */
export const CLIENT_WINDOW_BITS = 12
