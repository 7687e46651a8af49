/**
 * The phases of an upgrade as a table: a phase and an event give the next phase. It does nothing itself.
 */

export const PHASES = [
  /** Responses to earlier, pipelined requests are not sent yet (RFC 9112 §9.3.2). */
  'waiting',
  /** The same, but the app closes or the time is over: the response will be a 503. */
  'expired',
  /** Router, hooks and handler of the app have the request, or its refusal is being written. */
  'answering',
  /** The route has accepted: its 101 or 200 is being written, unless a hook fails. */
  'accepting',
  /** The refusal was written whole: the client is given the time to read it. */
  'refused',
  /** A connection has the socket. */
  'accepted',
  /** A hook of the app has the socket. */
  'hijacked',
  /** The client left, or was disconnected. */
  'closed'
] as const

export type Phase = typeof PHASES[number]

export const PHASE_EVENTS = [
  /** The request must be refused, whether or not it is its turn. */
  'expire',
  /** All earlier responses are sent. */
  'turn',
  /** The route accepts. */
  'accept',
  /** The answer that accepts cannot be sent. */
  'withdraw',
  /** The app calls `reply.hijack()`. */
  'hijack',
  /** An answer with a status that accepts was written whole. */
  'acceptanceWritten',
  /** An answer with any other status was written whole. */
  'refusalWritten',
  /** The socket is closed, or about to be. */
  'close'
] as const

export type PhaseEvent = typeof PHASE_EVENTS[number]

const TABLE: Readonly<Record<Phase, Readonly<Partial<Record<PhaseEvent, Phase>>>>> = {
  waiting: { expire: 'expired', turn: 'answering', close: 'closed' },
  expired: { expire: 'expired', turn: 'answering', close: 'closed' },
  // A status that accepts is that of a hook here, and the client gets no WebSocket.
  answering: { accept: 'accepting', hijack: 'hijacked', acceptanceWritten: 'refused', refusalWritten: 'refused', close: 'closed' },
  accepting: { withdraw: 'answering', hijack: 'hijacked', acceptanceWritten: 'accepted', refusalWritten: 'refused', close: 'closed' },
  refused: { close: 'closed' },
  accepted: {},
  hijacked: {},
  closed: {}
}

/** @returns the next phase; `null` if the event means nothing in this one, and is to be ignored */
export function nextPhase (phase: Phase, event: PhaseEvent): Phase | null {
  return TABLE[phase][event] ?? null
}

/** Whether the upgrade has ended, and the socket is no longer its own. */
export function isOver (phase: Phase): boolean {
  return phase === 'accepted' || phase === 'hijacked' || phase === 'closed'
}
