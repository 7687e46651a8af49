import { connected, type Argument, type ClusterNode, type ConnectionEvents, type RedisConnection, type RedisDriver, type Reply, type SubscriberConnection } from './connections.js'

/** A `Redis` or a `Cluster` of ioredis 5 or 6, or of iovalkey: its members by which it is known. */
export interface IoRedisLike {
  /** The state of its connection. The broker does not read it. */
  readonly status: string
  /** Makes a client with the same options. */
  duplicate (...args: never[]): unknown
  /** Sends a command. Replies are Buffers. */
  callBuffer (...args: never[]): unknown
}

/** The members of both that this package uses. */
interface Client {
  readonly isCluster?: boolean
  readonly options?: { keyPrefix?: unknown, redisOptions?: { keyPrefix?: unknown } }
  connect (): Promise<void>
  disconnect (): void
  callBuffer (command: string, ...args: Argument[]): Promise<unknown>
  on (event: string, listener: (first: never, second: never) => void): unknown
}

interface Single extends Client {
  duplicate (override: object): Single
}

interface Cluster extends Client {
  duplicate (nodes: [], override: object): Cluster
  nodes (role: 'master'): Single[]
}

/** A connection that breaks stays broken, no command waits for another, and none is sent twice. */
const OPTIONS = {
  lazyConnect: true,
  keyPrefix: '',
  protocol: 2,
  replyMapping: 'legacy',
  retryStrategy: () => null,
  reconnectOnError: null,
  maxRetriesPerRequest: null,
  enableOfflineQueue: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: false,
  stringNumbers: false,
  readOnly: false,
  monitor: false
}

const { lazyConnect, keyPrefix, enableOfflineQueue, enableAutoPipelining, ...NODE_OPTIONS } = OPTIONS

const CLUSTER_OPTIONS = {
  lazyConnect,
  keyPrefix,
  enableOfflineQueue,
  enableAutoPipelining,
  clusterRetryStrategy: () => null,
  shardedSubscribers: false,
  scaleReads: 'master',
  redisOptions: { ...NODE_OPTIONS, keyPrefix, maxRetriesPerRequest: 1 }
}

export class IoRedisDriver implements RedisDriver {
  readonly isCluster: boolean
  readonly keyPrefix: string
  readonly #client: Client

  constructor (client: IoRedisLike) {
    this.#client = client as unknown as Client
    const { isCluster, options } = this.#client
    this.isCluster = isCluster === true
    const prefix = options?.keyPrefix || options?.redisOptions?.keyPrefix
    this.keyPrefix = typeof prefix === 'string' ? prefix : ''
  }

  async open (events: ConnectionEvents, timeout: number): Promise<RedisConnection> {
    const client = this.isCluster ? (this.#client as Cluster).duplicate([], CLUSTER_OPTIONS) : (this.#client as Single).duplicate(OPTIONS)
    const destroy = await connect(client, events, timeout)
    // ioredis finds the node by the keys of the command.
    return { send: (_key, args) => call(client, args), destroy, client } as RedisConnection
  }

  openSubscriber (events: ConnectionEvents, timeout: number): Promise<SubscriberConnection> {
    return openSubscriber(this.#client as Single, events, timeout)
  }

  async nodesOf (connection: RedisConnection): Promise<ClusterNode[]> {
    const { client } = connection as RedisConnection & { client: Cluster }
    return client.nodes('master').map(node => ({
      send: args => call(node, args),
      openSubscriber: (events, timeout) => openSubscriber(node, events, timeout)
    }))
  }
}

async function openSubscriber (like: Single, events: ConnectionEvents, timeout: number): Promise<SubscriberConnection> {
  const client = like.duplicate(OPTIONS)
  client.on('messageBuffer', (channel: Buffer, data: Buffer) => events.message(channel, data))
  client.on('smessageBuffer', (channel: Buffer, data: Buffer) => events.message(channel, data))
  client.on('moved', () => events.moved())
  const destroy = await connect(client, events, timeout)
  return {
    ping: () => client.callBuffer('ping'),
    subscribe: (channels, isSharded) => client.callBuffer(isSharded ? 'ssubscribe' : 'subscribe', ...channels),
    unsubscribe: (channels, isSharded) => client.callBuffer(isSharded ? 'sunsubscribe' : 'unsubscribe', ...channels),
    destroy
  }
}

/** Resolves when commands can be sent. @returns ends it */
async function connect (client: Client, events: ConnectionEvents, timeout: number): Promise<() => void> {
  let cause: Error | undefined
  let isOpen = false
  const onEnd = (): void => {
    if (!isOpen) return
    isOpen = false
    events.closed(cause ?? new Error('the connection was closed'))
  }
  client.on('error', (error: Error & { lastNodeError?: Error | null }) => { cause = error.lastNodeError ?? error })
  client.on('close', onEnd)
  client.on('end', onEnd)
  const destroy = (): void => {
    isOpen = false
    client.disconnect()
  }
  // `connect` rejects with less than `error` says.
  await connected(client.connect(), destroy, timeout, () => cause)
  cause = undefined
  isOpen = true
  return destroy
}

function call (client: Client, [command, ...args]: Argument[]): Promise<Reply> {
  return client.callBuffer(command as string, ...args) as Promise<Reply>
}
