import type { Broker, BrokerEvents } from '../../types/broker.js'
import { noop } from '../common.js'
import { createError } from '../errors.js'
import { within } from '../within.js'

/** Milliseconds between two attempts to reach the broker. */
const PAUSE = 200

/** Starts and ends the use of a broker, each once. */
export class Startup {
  isStarted = false
  private readonly broker: Broker
  private readonly timeout: number
  private starting: Promise<void> | null = null
  private readonly started: Promise<void>
  private resolveStarted: () => void = noop
  private rejectStarted: (error: Error) => void = noop
  private isClosed = false

  /** @param timeout milliseconds in which the broker has to be reached */
  constructor (broker: Broker, timeout: number) {
    this.broker = broker
    this.timeout = timeout
    this.started = new Promise((resolve, reject) => {
      this.resolveStarted = resolve
      this.rejectStarted = reject
    })
    this.started.catch(noop)
  }

  start (events: BrokerEvents): Promise<void> {
    this.starting ??= this.run(events)
    return this.starting
  }

  /** Resolves when the broker has been reached, and rejects if it cannot be. */
  whenStarted (): Promise<void> {
    return this.started
  }

  private async run (events: BrokerEvents): Promise<void> {
    const attempt = this.attempt(events)
    try {
      await within(this.timeout, attempt, () => createError('FST_WS_ERR_BROKER', `it did not answer within ${this.timeout} ms`))
      this.isStarted = true
      this.resolveStarted()
    } catch (cause) {
      this.isClosed = true
      const reason = cause instanceof Error ? cause.message : String(cause)
      const error = createError('FST_WS_ERR_BROKER', `the broker '${this.broker.name}' cannot be used: ${reason}`, { cause })
      this.rejectStarted(error)
      // A broker that starts after all has connections, which would keep the process from ending.
      attempt.then(() => this.broker.close()).catch(noop)
      throw error
    }
  }

  /** Tries until the time is over, and then gives the broker's own reason. */
  private async attempt (events: BrokerEvents): Promise<void> {
    const end = performance.now() + this.timeout
    while (true) {
      try {
        return await this.broker.start(events)
      } catch (error) {
        if (this.isClosed || performance.now() + PAUSE >= end) throw error
      }
      await new Promise(resolve => setTimeout(resolve, PAUSE))
    }
  }

  /**
   * Closes the broker, if it was started.
   *
   * @param timeout milliseconds for all of it
   * @param finished resolves when nothing is under way
   */
  async close (timeout: number, finished: () => Promise<void>): Promise<void> {
    this.isClosed = true
    if (!this.isStarted) return this.rejectStarted(createError('FST_WS_ERR_BROKER', 'the app was closed before the broker was reached'))
    const end = performance.now() + timeout
    await within(timeout, finished()).catch(noop)
    await within(Math.max(100, end - performance.now()), this.broker.close()).catch(noop)
  }
}
