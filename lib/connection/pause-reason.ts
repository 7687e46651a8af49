/** Why nothing is read from a peer: bits of one value. */
export const PauseReason = {
  /** The app has called `pause`. */
  APP: 1,
  /** A loop or a stream contains more than its reader has asked for. */
  VIEW: 2,
  /** As many messages wait for a listener as may. */
  MAILBOX: 4,
  /** Too much is queued to the peer. */
  QUEUE: 8,
  /** A message is inflated on another thread, and the next may not overtake it. */
  INFLATING: 16,
  /** As many requests of a subprotocol are under way as may. */
  REQUESTS: 32
} as const

/** The reasons for which it is the app that holds the peer back, and not the peer's own doing. */
export const HELD_BY_APP = PauseReason.APP | PauseReason.VIEW | PauseReason.MAILBOX | PauseReason.REQUESTS
