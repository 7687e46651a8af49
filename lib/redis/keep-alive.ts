import type { Commands } from './commands.js'
import { LEAST_LIFE } from './history.js'
import { PARTITIONS, type Keys } from './keys.js'
import { KEEP } from './scripts.js'

/** Keys of one script. */
const BATCH = 500

/**
 * Every key has a time to live. This lets those live on that this process needs though nobody writes to them: the epochs of topics
 * that it is subscribed to, and its members.
 */
export class KeepAlive {
  readonly #commands: Commands
  readonly #keys: Keys
  readonly #owners: () => string[]
  readonly #topics = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor (commands: Commands, keys: Keys, owners: () => string[]) {
    this.#commands = commands
    this.#keys = keys
    this.#owners = owners
  }

  /** A topic has a history. */
  add (topic: string): void {
    this.#topics.add(topic)
  }

  delete (topic: string): void {
    this.#topics.delete(topic)
  }

  /** @param interval milliseconds */
  start (interval = LEAST_LIFE / 3): void {
    // A failed attempt is repeated the next time: there is time for two.
    this.#timer = setInterval(() => this.run().catch(() => {}), interval).unref()
  }

  close (): void {
    clearInterval(this.#timer)
  }

  async run (): Promise<void> {
    const keys: string[][] = Array.from({ length: PARTITIONS }, () => [])
    for (const topic of this.#topics) keys[this.#keys.partitionOf(topic)]!.push(this.#keys.meta(topic))
    for (const partition of keys.keys()) {
      for (const owner of this.#owners()) keys[partition]!.push(...await this.#keysOfMembers(partition, owner))
      for (let i = 0; i < keys[partition]!.length; i += BATCH) await this.#commands.run(KEEP, keys[partition]!.slice(i, i + BATCH), [String(LEAST_LIFE)])
    }
  }

  async #keysOfMembers (partition: number, owner: string): Promise<string[]> {
    const owned = this.#keys.owned(partition, owner)
    const topics = await this.#commands.send(owned, ['SMEMBERS', owned]) as Buffer[]
    const keys = new Set<string>(topics.length === 0 ? [] : [owned])
    for (const entry of topics) {
      const topic = readTopic(entry)
      keys.add(this.#keys.members(topic))
      keys.add(this.#keys.counts(topic))
    }
    return [...keys]
  }
}

function readTopic (entry: Buffer): string {
  const text = String(entry)
  const colon = text.indexOf(':')
  return text.slice(colon + 1, colon + 1 + Number(text.slice(0, colon)))
}
