/** How far the stream of frames is. A phase is only ever followed by a later one. */
export const READING = 0
/** Nothing is expected but a Close frame; all else is skipped. */
export const SKIPPING = 1
/** A Close frame or an error was the last event (RFC 6455 §5.5.1, §7.1.7). */
export const ENDED = 2

/** The chunk that is being decoded: none, */
export const NO_CHUNK = 0
/** one that belongs to the decoder, */
export const OWN_CHUNK = 1
/** the same with a copy in the shared chunk, for the scanner, */
export const COPIED_CHUNK = 2
/** or the shared chunk, of which nothing may be kept or handed out. */
export const LENT_CHUNK = 3

/** `remaining` between frames. */
export const NO_FRAME = -1
