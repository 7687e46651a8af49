import type { Argument, ClusterNode, RedisConnection, RedisDriver, Reply } from './connections.js'
import { Link } from './link.js'
import { Pending } from './pending.js'
import { run, type Script } from './scripts.js'

/** Answers of a server that takes no writes: another one may have taken its place. */
const WRONG_SERVER = /^(READONLY|MASTERDOWN|LOADING|CLUSTERDOWN)\b/

/** Errors that the server has sent begin with a code. */
const REPLY = /^[A-Z][A-Z0-9]+ /

export interface CommandEvents {
  /** Commands can be sent, or no longer. */
  state (isUp: boolean, error?: Error): void
}

/** The connection for everything but subscriptions. While it is broken, commands are rejected at once. */
export class Commands {
  readonly #driver: RedisDriver
  readonly #link: Link<RedisConnection>
  /** Set before the link is up too, for the check. */
  #connection: RedisConnection | null = null
  #pending: Pending | null = null
  #why = 'it has not been reached yet'
  #waiting: Array<() => void> = []

  /**
   * @param timeout milliseconds for the answer to a command @param check is done on each new connection
   * @param probe a command that shows whether the server can still be used: it is sent while no other is
   */
  constructor (driver: RedisDriver, timeout: number, check: () => Promise<void>, probe: () => Promise<unknown>, events: CommandEvents) {
    this.#driver = driver
    this.#link = new Link<RedisConnection>({
      open: closed => driver.open({ closed, message () {}, moved () {} }, timeout),
      prepare: async connection => {
        this.#pending = new Pending(timeout, !driver.isCluster, probe, error => this.#link.break(error))
        this.#connection = connection
        await check()
      },
      up: () => {
        const waiting = this.#waiting
        this.#waiting = []
        for (const resolve of waiting) resolve()
        events.state(true)
      },
      down: error => {
        this.#why = error.message
        this.#connection = null
        this.#pending?.end(error)
        this.#pending = null
        events.state(false, error)
      }
    })
  }

  start (): Promise<void> {
    return this.#link.start()
  }

  send (key: string | null, args: Argument[]): Promise<Reply> {
    if (this.#connection === null) return Promise.reject(new Error(`Redis cannot be reached: ${this.#why}`))
    try {
      return this.#pending!.track(this.#connection.send(key, args), this.#explain)
    } catch (error) {
      return Promise.reject(this.#explain(error as Error))
    }
  }

  readonly #explain = (error: Error): Error => {
    const { message } = error
    if (WRONG_SERVER.test(message) && !this.#driver.isCluster) this.#link.break(error)
    // An error of the client, whose words say little, about a connection that is just breaking.
    return REPLY.test(message) ? error : new Error(`Redis cannot be reached: ${message}`, { cause: error })
  }

  get isUp (): boolean {
    return this.#link.opened !== null
  }

  async whenUp (): Promise<void> {
    if (!this.isUp) await new Promise<void>(resolve => this.#waiting.push(resolve))
  }

  /** Ends the connection as if it had broken: it comes back, perhaps to another server. */
  break (error: Error): void {
    this.#link.break(error)
  }

  run (script: Script, keys: string[], args: Argument[]): Promise<Reply> {
    return run((key, args) => this.send(key, args), script, keys, args)
  }

  /** The nodes of the cluster that take writes. */
  nodes (): Promise<ClusterNode[]> {
    if (this.#connection === null) throw new Error(`Redis cannot be reached: ${this.#why}`)
    return this.#pending!.track(this.#driver.nodesOf(this.#connection))
  }

  close (): void {
    this.#link.close()
    this.#connection = null
    this.#pending?.end(new Error('the broker is closed'))
    this.#why = 'the broker is closed'
  }
}
