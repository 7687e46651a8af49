import { connected, type Argument, type ClusterNode, type ConnectionEvents, type RedisConnection, type RedisDriver, type Reply, type SubscriberConnection } from './connections.js'

/** A client or cluster of node-redis 5 or 6: the members by which it is recognized. */
export interface NodeRedisLike {
  /** Makes a client with the same options. */
  duplicate (...args: never[]): unknown
  /** Sends a command as it is. */
  sendCommand (...args: never[]): unknown
  /** Makes a view of the client with other types of replies. */
  withTypeMapping (...args: never[]): unknown
}

type Listener = (message: Buffer, channel: Buffer) => void

/** The members of both that this package uses. */
interface Client {
  on (event: string, listener: (first: never) => void): unknown
  connect (): Promise<unknown>
  destroy (): unknown
}

interface Single extends Client {
  readonly options?: { socket?: object }
  duplicate (overrides: object): Single
  sendCommand (args: Argument[], options: object): Promise<unknown>
  ping (): Promise<unknown>
  subscribe (channels: string[], listener: Listener, isBuffer: true): Promise<unknown>
  sSubscribe (channels: string[], listener: Listener, isBuffer: true): Promise<unknown>
  unsubscribe (channels: string[]): Promise<unknown>
  sUnsubscribe (channels: string[]): Promise<unknown>
}

interface Cluster extends Client {
  readonly masters: readonly object[]
  duplicate (): Cluster
  sendCommand (firstKey: string | undefined, isReadonly: boolean, args: Argument[], options: object): Promise<unknown>
  nodeClient (node: object): Promise<Single>
}

/** Bulk strings (`$` in RESP) come as Buffers. */
const COMMAND_OPTIONS = { typeMapping: { 36: Buffer } }

/** A connection that breaks stays broken, and no command waits for another. */
function overrides (options: { socket?: object } | undefined): object {
  return {
    RESP: 2,
    socket: { ...options?.socket, reconnectStrategy: false },
    disableOfflineQueue: true,
    pingInterval: 0,
    readonly: false,
    clientSideCache: undefined,
    emitInvalidate: false,
    maintNotifications: 'disabled',
    commandOptions: {}
  }
}

export class NodeRedisDriver implements RedisDriver {
  readonly isCluster: boolean
  // Commands that are sent as they are do not get the prefix that newer versions can add.
  readonly keyPrefix = ''
  readonly #client: unknown

  constructor (client: NodeRedisLike) {
    this.#client = client
    this.isCluster = isCluster(client)
  }

  async open (events: ConnectionEvents, timeout: number): Promise<RedisConnection> {
    if (this.isCluster) return openCluster(this.#client as Cluster, timeout)
    const { client, destroy } = await openClient(this.#client as Single, events, timeout)
    return { send: (_key, args) => client.sendCommand(args, COMMAND_OPTIONS) as Promise<Reply>, destroy }
  }

  openSubscriber (events: ConnectionEvents, timeout: number): Promise<SubscriberConnection> {
    return openSubscriber(this.#client as Single, events, timeout)
  }

  async nodesOf (connection: RedisConnection): Promise<ClusterNode[]> {
    const { client } = connection as RedisConnection & { client: Cluster }
    const nodes = await Promise.allSettled(client.masters.map(async master => client.nodeClient(master)))
    return nodes.flatMap(node => node.status === 'rejected'
      ? []
      : [{
          send: (args: Argument[]) => node.value.sendCommand(args, COMMAND_OPTIONS) as Promise<Reply>,
          openSubscriber: (events: ConnectionEvents, timeout: number) => openSubscriber(node.value, events, timeout)
        }])
  }
}

export function isCluster (client: NodeRedisLike): boolean {
  return typeof (client as { nodeClient?: unknown }).nodeClient === 'function'
}

/** The cluster's client opens connections to its nodes again by itself. */
async function openCluster (like: Cluster, timeout: number): Promise<RedisConnection> {
  const client = like.duplicate()
  const destroy = await connect(client, () => {}, timeout)
  return {
    send: (key: string | null, args: Argument[]) => client.sendCommand(key ?? undefined, false, args, COMMAND_OPTIONS) as Promise<Reply>,
    destroy,
    client
  } as RedisConnection
}

async function openClient (like: Single, events: ConnectionEvents, timeout: number): Promise<{ client: Single, destroy: () => void }> {
  const client = like.duplicate(overrides(like.options))
  client.on('sharded-channel-moved', () => events.moved())
  return { client, destroy: await connect(client, events.closed, timeout) }
}

async function openSubscriber (like: Single, events: ConnectionEvents, timeout: number): Promise<SubscriberConnection> {
  const { client, destroy } = await openClient(like, events, timeout)
  const listener: Listener = (message, channel) => events.message(channel, message)
  return {
    ping: () => client.ping(),
    subscribe: (channels, isSharded) => isSharded ? client.sSubscribe(channels, listener, true) : client.subscribe(channels, listener, true),
    unsubscribe: (channels, isSharded) => isSharded ? client.sUnsubscribe(channels) : client.unsubscribe(channels),
    destroy
  }
}

/** Resolves when commands can be sent. @returns ends it */
async function connect (client: Client, closed: (error: Error) => void, timeout: number): Promise<() => void> {
  let isOpen = false
  const onEnd = (error?: Error): void => {
    if (!isOpen) return
    isOpen = false
    closed(error ?? new Error('the connection was closed'))
  }
  client.on('error', onEnd)
  client.on('terminated', onEnd)
  client.on('end', () => onEnd())
  const destroy = (): void => {
    isOpen = false
    try {
      client.destroy()
    } catch {
      // It is closed already.
    }
  }
  await connected(client.connect(), destroy, timeout)
  isOpen = true
  return destroy
}
