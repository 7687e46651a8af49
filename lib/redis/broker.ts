import type { Broker, BrokerAnchor, BrokerEvents, BrokerPosition, BrokerPresence, BrokerPublication, BrokerRead } from '../../types/broker.js'
import { announce, readAnnouncement } from './announcements.js'
import { Commands } from './commands.js'
import { Echo } from './echo.js'
import { KeepAlive } from './keep-alive.js'
import { publishKept, readHistory } from './history.js'
import { Keys } from './keys.js'
import type { RedisSettings } from './options.js'
import { RedisPresence } from './presence.js'
import { READ } from './scripts.js'
import { Subscriptions } from './subscriptions.js'
import { shardedTopology, singleTopology, unshardedTopology, type Topology } from './topology.js'

/** The parts that are open between `start` and `close`. */
interface Started {
  readonly commands: Commands
  readonly subscriptions: Subscriptions
  readonly presence: RedisPresence
  readonly keepAlive: KeepAlive
}

export class RedisBroker implements Broker {
  readonly name = 'redis'
  readonly presence: BrokerPresence
  readonly #settings: RedisSettings
  readonly #keys: Keys
  #started: Started | null = null
  #command: 'PUBLISH' | 'SPUBLISH' = 'PUBLISH'

  constructor (settings: RedisSettings) {
    this.#settings = settings
    this.#keys = new Keys(settings.prefix)
    const presence = (): RedisPresence => this.#open.presence
    this.presence = {
      renew: async (process, ttl) => presence().renew(process, ttl),
      release: async process => presence().release(process),
      enter: async (process, members) => presence().enter(process, members),
      leave: async (process, members) => presence().leave(process, members),
      list: async (topic, limit) => presence().list(topic, limit),
      count: async topic => presence().count(topic),
      expired: async () => presence().expired(),
      sweep: async process => presence().sweep(process)
    }
  }

  async start (events: BrokerEvents): Promise<void> {
    const { driver, timeout } = this.#settings
    let isUp: boolean | null = null
    // Before both are up for the first time there is nothing to report.
    const state = (error?: Error): void => {
      const now = commands.isUp && subscriptions.isUp
      if (isUp === null || isUp === now) return
      isUp = now
      events.state(now, error)
    }
    // The hub reads histories when it hears of an interruption: that takes commands.
    const held = new Set<string>()
    const commands: Commands = new Commands(driver, timeout, () => this.#check(commands), () => this.#probe(commands), {
      state: (isUp, error) => {
        state(error)
        // Another server may have taken its place: messages have to come from the one that gets them.
        if (!isUp && !driver.isCluster) subscriptions.break(error!)
        if (!isUp || held.size === 0) return
        const topics = [...held]
        held.clear()
        events.interrupted(topics)
      }
    })
    const isSharded = async (): Promise<boolean> => driver.isCluster && await hasShardedChannels(commands)
    const look = async (): Promise<Topology> => {
      if (!driver.isCluster) return singleTopology(driver)
      return this.#command === 'SPUBLISH' ? shardedTopology(commands, this.#keys) : unshardedTopology(commands)
    }
    const echo = driver.isCluster ? null : new Echo(commands, this.#keys.channel(''), timeout)
    const subscriptions: Subscriptions = new Subscriptions(this.#keys, timeout, look, echo, {
      message: (topic, data) => {
        const message = readAnnouncement(data)
        if (message === null) return
        if (message.position !== null) keepAlive.add(topic)
        events.message(topic, message)
      },
      interrupted: topics => {
        if (commands.isUp) events.interrupted(topics)
        else for (const topic of topics) held.add(topic)
      },
      state: (_, error) => state(error)
    })
    const presence = new RedisPresence(commands, this.#keys)
    const keepAlive: KeepAlive = new KeepAlive(commands, this.#keys, () => presence.owners)
    try {
      await commands.start()
      this.#command = await isSharded() ? 'SPUBLISH' : 'PUBLISH'
      await subscriptions.start()
    } catch (error) {
      commands.close()
      subscriptions.close()
      throw explain(error as Error)
    }
    isUp = true
    keepAlive.start()
    this.#started = { commands, subscriptions, presence, keepAlive }
    // One of them may have broken since.
    state()
  }

  subscribe (topics: readonly string[]): Promise<void> {
    return this.#call(({ subscriptions }) => subscriptions.subscribe(topics))
  }

  unsubscribe (topics: readonly string[]): Promise<void> {
    return this.#call(({ subscriptions, keepAlive }) => {
      for (const topic of topics) keepAlive.delete(topic)
      return subscriptions.unsubscribe(topics)
    })
  }

  publish (topic: string, message: BrokerPublication): Promise<BrokerPosition | null> {
    return this.#call(({ commands }) => {
      if (message.history !== null) return publishKept(commands, this.#keys, this.#command, topic, message, message.history)
      const channel = this.#keys.channel(topic)
      return commands.send(channel, [this.#command, channel, announce(message.id, message.data)]).then(toNull)
    })
  }

  read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    return this.#call(({ commands, keepAlive, subscriptions }) => {
      if (subscriptions.has(topic)) keepAlive.add(topic)
      return readHistory(commands, this.#keys, topic, since, limit)
    })
  }

  async close (): Promise<void> {
    const started = this.#started
    this.#started = null
    started?.keepAlive.close()
    started?.subscriptions.close()
    started?.commands.close()
  }

  get #open (): Started {
    if (this.#started === null) throw new Error('the broker is closed')
    return this.#started
  }

  /** Not `async`: each promise more counts for each message. */
  #call<T> (fn: (started: Started) => Promise<T>): Promise<T> {
    return this.#started === null ? Promise.reject(new Error('the broker is closed')) : fn(this.#started)
  }

  /** A server must run scripts, for everything that is kept, take writes, and let the user publish. */
  async #check (commands: Commands): Promise<void> {
    await this.#probe(commands)
    try {
      await commands.run(READ, [this.#keys.stream(''), this.#keys.meta('')], ['0'])
    } catch (error) {
      const { message } = error as Error
      if (!/^(NOPERM|ERR unknown command|ERR .*(not allowed|not supported|disabled))/i.test(message)) throw error
      throw new Error(`this Redis does not allow scripts (EVAL and EVALSHA), which the broker needs: ${message}`, { cause: error })
    }
    const channel = this.#keys.channel('')
    try {
      await commands.send(channel, ['PUBLISH', channel, ''])
    } catch (error) {
      const { message } = error as Error
      if (!message.startsWith('NOPERM')) throw error
      throw new Error(`this Redis does not let the user publish to the channels of the broker ('${this.#settings.prefix}*'): ${message}`, { cause: error })
    }
  }

  /** A write that changes nothing, since no topic has an empty name: a server that has become a replica refuses it. */
  async #probe (commands: Commands): Promise<void> {
    const key = this.#keys.meta('')
    await commands.send(key, ['PEXPIRE', key, '1'])
  }
}

const toNull = (): null => null

async function hasShardedChannels (commands: Commands): Promise<boolean> {
  const reply = await commands.send(null, ['COMMAND', 'INFO', 'SPUBLISH']).catch(() => [])
  return Array.isArray(reply) && Array.isArray(reply[0])
}

function explain (error: Error): Error {
  if (/^(Redis cannot|this Redis)/.test(error.message)) return error
  return new Error(`Redis cannot be reached: ${error.message || (error as NodeJS.ErrnoException).code || error.name}`, { cause: error })
}
