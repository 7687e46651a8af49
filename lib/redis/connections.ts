/** An argument of a command, as it is sent. */
export type Argument = string | Buffer

/** Bulk strings come as Buffers; simple strings may come as either. */
export type Reply = Buffer | string | number | null | Reply[]

/** The events of an open connection. */
export interface ConnectionEvents {
  /** It has broken. Called at most once, and not after `destroy`. */
  closed (error: Error): void
  /** A message of a channel. */
  message (channel: Buffer, data: Buffer): void
  /** Slots have moved to other nodes, and channels with them. */
  moved (): void
}

/** One connection, or one client of a cluster. It does not come back when it has broken: whoever opened it opens another one. */
export interface RedisConnection {
  /** @param key by which a cluster finds the node; `null`: any node */
  send (key: string | null, args: Argument[]): Promise<Reply>
  destroy (): void
}

/** A connection that messages come through. */
export interface SubscriberConnection {
  ping (): Promise<unknown>
  subscribe (channels: string[], isSharded: boolean): Promise<unknown>
  unsubscribe (channels: string[], isSharded: boolean): Promise<unknown>
  destroy (): void
}

/** A node of a cluster that takes writes. */
export interface ClusterNode {
  send (args: Argument[]): Promise<Reply>
  openSubscriber (events: ConnectionEvents, timeout: number): Promise<SubscriberConnection>
}

/** The client of the app as this package uses it: as the template of connections of its own. `timeout` is in milliseconds. */
export interface RedisDriver {
  readonly isCluster: boolean
  /** Put in front of all keys and channels by the app's client. */
  readonly keyPrefix: string
  open (events: ConnectionEvents, timeout: number): Promise<RedisConnection>
  openSubscriber (events: ConnectionEvents, timeout: number): Promise<SubscriberConnection>
  /** The nodes that the client of a cluster knows now. */
  nodesOf (connection: RedisConnection): Promise<ClusterNode[]>
}

/**
 * Waits until a client is connected, and no longer than `timeout` milliseconds. Then, and if it cannot connect, it is destroyed.
 *
 * @param reason says more than the error with which `connecting` rejects
 */
export async function connected (connecting: Promise<unknown>, destroy: () => void, timeout: number, reason?: () => Error | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis has not answered for ${timeout} ms`)), timeout)
  })
  try {
    await Promise.race([connecting, limit])
  } catch (error) {
    destroy()
    throw reason?.() ?? error
  } finally {
    clearTimeout(timer)
  }
}
