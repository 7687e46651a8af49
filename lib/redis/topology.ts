import type { Commands } from './commands.js'
import type { ClusterNode, ConnectionEvents, RedisDriver, Reply, SubscriberConnection } from './connections.js'
import { PARTITIONS, slotOf, type Keys } from './keys.js'

/** Opens a connection to a node that messages come through. */
export type OpenSubscriber = (events: ConnectionEvents, timeout: number) => Promise<SubscriberConnection>

/** Which node has which partition. */
export interface Topology {
  /** Whether messages go to one node only (`SPUBLISH`). */
  readonly isSharded: boolean
  /** By partition, the node that its channels are on; `null` if it is not known. */
  readonly nodes: ReadonlyArray<string | null>
  readonly open: ReadonlyMap<string, OpenSubscriber>
}

/** One server, or one behind Sentinel. */
export function singleTopology (driver: RedisDriver): Topology {
  return {
    isSharded: false,
    nodes: new Array<string>(PARTITIONS).fill(''),
    open: new Map([['', (events: ConnectionEvents, timeout: number) => driver.openSubscriber(events, timeout)]])
  }
}

/** A cluster before Redis 7: each node gets all messages, and any of them will do. */
export function unshardedTopology (commands: Commands): Topology {
  return {
    isSharded: false,
    nodes: new Array<string>(PARTITIONS).fill(''),
    open: new Map([['', async (events: ConnectionEvents, timeout: number) => {
      const nodes = await commands.nodes()
      const node = nodes[Math.floor(Math.random() * nodes.length)]
      if (node === undefined) throw new Error('no node of the cluster can be reached')
      return node.openSubscriber(events, timeout)
    }]])
  }
}

/** A cluster from Redis 7 on. Nodes are known by their ids, whatever addresses they have for this client. */
export async function shardedTopology (commands: Commands, keys: Keys): Promise<Topology> {
  const nodes = await commands.nodes()
  const ids = await Promise.allSettled(nodes.map(node => node.send(['CLUSTER', 'MYID'])))
  const open = new Map<string, OpenSubscriber>()
  for (const [i, id] of ids.entries()) {
    if (id.status === 'fulfilled') open.set(String(id.value), (events, timeout) => nodes[i]!.openSubscriber(events, timeout))
  }
  const ranges = await slotRanges(nodes)
  const ofPartitions = Array.from({ length: PARTITIONS }, (_, partition) => {
    const slot = slotOf(partition)
    const range = ranges.find(({ first, last }) => slot >= first && slot <= last)
    return range !== undefined && open.has(range.id) ? range.id : null
  })
  const missing = ofPartitions.indexOf(null)
  // The client asks for the slots again when a command comes to a wrong node, or finds none.
  if (missing !== -1) commands.send(keys.owned(missing, ''), ['EXISTS', keys.owned(missing, '')]).catch(() => {})
  return { isSharded: true, nodes: ofPartitions, open }
}

interface Range {
  readonly first: number
  readonly last: number
  readonly id: string
}

async function slotRanges (nodes: ClusterNode[]): Promise<Range[]> {
  if (nodes.length === 0) throw new Error('no node of the cluster can be reached')
  const reply = await Promise.any(nodes.map(node => node.send(['CLUSTER', 'SLOTS'])))
  return (reply as Reply[][]).map(([first, last, master]) => ({ first: Number(first), last: Number(last), id: String((master as Reply[])[2]) }))
}
