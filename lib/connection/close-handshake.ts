/**
 * The closing handshake (RFC 6455 §7) as a table: a state and an event give the next state and what to do. It does nothing
 * itself. `docs/internals/decisions.md` draws it.
 */

/** How far the end of a connection has come. */
export const CLOSE_STATES = [
  'open',
  /** Our Close frame is sent; that of the peer is awaited (§7.1.2). */
  'closeSent',
  /** We failed the connection for what the peer sent, but still understand it: its Close frame is awaited. */
  'failed',
  /** Both Close frames are sent: the socket is being ended (§7.1.1). */
  'bothSent',
  /** The socket is being ended without a Close frame of the peer. */
  'ending',
  /** The app has destroyed the socket. */
  'terminated',
  /** The socket is closed, and the handshake was complete (§7.1.4). */
  'closedCleanly',
  /** The socket is closed, and the handshake was not complete. */
  'closedAbnormally'
] as const

export type CloseState = typeof CLOSE_STATES[number]

export const CLOSE_EVENTS = [
  /** The app closes. */
  'close',
  /** The peer's Close frame has arrived. */
  'closeReceived',
  /** The peer broke a limit: what follows is still understood. */
  'refuse',
  /** The peer broke the framing: what follows means nothing (§7.1.7). */
  'fail',
  /** A message of ours cannot be sent, and a Close frame that was queued behind it is dropped. */
  'unsendable',
  /** The peer has ended its side of the socket. */
  'endReceived',
  /** The app terminates. */
  'terminate',
  'socketClosed'
] as const

export type CloseEvent = typeof CLOSE_EVENTS[number]

export type CloseAction = 'sendClose' | 'endSocket' | 'destroySocket'

export interface Transition {
  readonly state: CloseState
  readonly actions: readonly CloseAction[]
}

const TABLE: Readonly<Record<CloseState, Readonly<Partial<Record<CloseEvent, Transition>>>>> = {
  open: {
    close: to('closeSent', 'sendClose'),
    closeReceived: to('bothSent', 'sendClose', 'endSocket'),
    refuse: to('failed', 'sendClose'),
    fail: to('ending', 'sendClose', 'endSocket'),
    unsendable: to('closeSent', 'sendClose'),
    endReceived: to('ending', 'endSocket'),
    terminate: to('terminated', 'destroySocket'),
    socketClosed: to('closedAbnormally')
  },
  closeSent: {
    closeReceived: to('bothSent', 'endSocket'),
    refuse: to('failed'),
    fail: to('ending', 'endSocket'),
    unsendable: to('closeSent', 'sendClose'),
    endReceived: to('ending', 'endSocket'),
    terminate: to('terminated', 'destroySocket'),
    socketClosed: to('closedAbnormally')
  },
  failed: {
    closeReceived: to('bothSent', 'endSocket'),
    fail: to('ending', 'endSocket'),
    unsendable: to('failed', 'sendClose'),
    endReceived: to('ending', 'endSocket'),
    terminate: to('terminated', 'destroySocket'),
    socketClosed: to('closedAbnormally')
  },
  bothSent: {
    unsendable: to('bothSent', 'sendClose'),
    // The handshake is complete already.
    terminate: to('bothSent', 'destroySocket'),
    socketClosed: to('closedCleanly')
  },
  ending: {
    unsendable: to('ending', 'sendClose'),
    terminate: to('terminated', 'destroySocket'),
    socketClosed: to('closedAbnormally')
  },
  terminated: {
    socketClosed: to('closedAbnormally')
  },
  closedCleanly: {},
  closedAbnormally: {}
}

function to (state: CloseState, ...actions: CloseAction[]): Transition {
  return { state, actions }
}

/** @returns what the event leads to; `null` if it changes nothing */
export function transition (state: CloseState, event: CloseEvent): Transition | null {
  return TABLE[state][event] ?? null
}

/** `readyState` as browsers define it: 1 OPEN, 2 CLOSING, 3 CLOSED. */
export function readyStateOf (state: CloseState): 1 | 2 | 3 {
  if (state === 'open') return 1
  return isClosed(state) ? 3 : 2
}

export function isClosed (state: CloseState): boolean {
  return state === 'closedCleanly' || state === 'closedAbnormally'
}

/** Whether both sides have sent a Close frame (§7.1.4). */
export function wasClean (state: CloseState): boolean {
  return state === 'bothSent' || state === 'closedCleanly'
}

/** Whether data may be sent: not behind a Close frame (§5.5.1). */
export function maySend (state: CloseState): boolean {
  return state === 'open'
}

/** Whether messages that have arrived may be delivered. They may while the connection closes, but not once it is terminated. */
export function mayDeliver (state: CloseState): boolean {
  return state !== 'terminated'
}
