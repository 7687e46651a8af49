/**
 * Partitions of topics. All keys of a partition have the same hash tag, and so the same slot of a cluster: few enough that the
 * channels of a process are subscribed to with few commands, and enough to be spread over the nodes.
 */
export const PARTITIONS = 128

/** Names of keys and channels. */
export class Keys {
  readonly leases: string
  readonly #prefix: string
  /** The beginning of all keys and channels. */
  readonly #begin: string

  constructor (prefix: string) {
    this.#prefix = prefix
    this.#begin = `${prefix}{`
    this.leases = this.of(0, 'leases')
  }

  /** FNV-1a over UTF-16 code units, and the finalizer of MurmurHash3, so that names that differ in their last character are spread too. */
  partitionOf (topic: string): number {
    let hash = 0x811c9dc5
    for (let i = 0; i < topic.length; i++) hash = Math.imul(hash ^ topic.charCodeAt(i), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return ((hash ^ (hash >>> 16)) >>> 0) % PARTITIONS
  }

  stream (topic: string): string {
    return this.of(this.partitionOf(topic), `s:${topic}`)
  }

  /** A hash: epoch `e`, offset `o` and id `i` of the newest message, and a time `t` before which no message is kept. */
  meta (topic: string): string {
    return this.of(this.partitionOf(topic), `m:${topic}`)
  }

  /** Where the message with an id is. */
  id (topic: string, id: string): string {
    return this.of(this.partitionOf(topic), `i:${id.length}:${id}${topic}`)
  }

  channel (topic: string): string {
    return this.of(this.partitionOf(topic), `c:${topic}`)
  }

  /** A hash: members of a topic by their ids. */
  members (topic: string): string {
    return this.of(this.partitionOf(topic), `p:${topic}`)
  }

  /** A hash: how many members of a topic each owner has. */
  counts (topic: string): string {
    return this.of(this.partitionOf(topic), `n:${topic}`)
  }

  /** A set: the members that an owner has in a partition. */
  owned (partition: number, owner: string): string {
    return this.of(partition, `o:${owner}`)
  }

  /** @returns the topic of a channel, or `null` if the channel is not one of these */
  topicOf (channel: string): string | null {
    if (!channel.startsWith(this.#begin)) return null
    const end = channel.indexOf('}:c:', this.#prefix.length)
    return end === -1 ? null : channel.slice(end + 4)
  }

  private of (partition: number, rest: string): string {
    return `${this.#begin}${partition}}:${rest}`
  }
}

/** CRC-16/XMODEM of the hash tag: the slot of a partition (Redis Cluster Specification, "Key distribution model"). */
export function slotOf (partition: number): number {
  let crc = 0
  for (const byte of Buffer.from(String(partition))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    crc &= 0xffff
  }
  return crc % 16384
}
