/** Figures of a server process of soak/return.ts, since its start. */
export interface ReturnServerState {
  /** Reads of histories at the broker. */
  readonly reads: number
  /** Milliseconds. */
  readonly cpu: number
}

/** Figures of all clients of one process. */
export interface ReturnReport {
  /** Milliseconds from the kill, as each client saw it, until it was live again. */
  readonly times: number[]
  readonly received: number
  /** Messages of histories. */
  readonly missed: number
  readonly lost: number
  readonly doubled: number
  readonly unordered: number
  readonly notRecovered: number
}

/** The orders of a process of clients. */
export interface ReturnOrders {
  /** The first is that of the process that is killed. */
  readonly ports: number[]
  readonly connections: number
  readonly topics: number
  /** Milliseconds. */
  readonly jitter: number
  /** The number of its first client among all. */
  readonly first: number
}
