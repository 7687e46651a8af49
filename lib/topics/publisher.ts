import type { Broker } from '../../types/broker.js'
import type { TopicPosition } from '../../types/topics.js'
import { noop } from '../common.js'
import { createError } from '../errors.js'
import { Deadlines } from './deadlines.js'
import type { Receiver } from './local-topic.js'
import type { TopicCounters } from './stats.js'
import type { TopicSettings } from './settings.js'

/** Milliseconds after which a message that was published here, and has not come back from the broker, is not expected any more. */
const RETURN_TIME = 60_000

/** Tells the messages of this process from those of others: 48 random bits. */
const PREFIX = Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString('base64url')
let ids = 0

/** @returns the id of a new message, unique among all processes */
export function nextMessageId (): string {
  return `${PREFIX}-${(ids++).toString(36)}`
}

/** A connection that does not get a message. */
interface Exception {
  readonly topic: string
  readonly receiver: Receiver
  readonly until: number
}

/** Hands messages to the broker, and waits until it has them, up to `publishTimeout`. */
export class Publisher {
  private readonly broker: Pick<Broker, 'publish'>
  private readonly counters: TopicCounters
  private readonly deadlines: Deadlines
  private readonly timeout: number
  /** By the ids of messages. */
  private readonly exceptions = new Map<string, Exception>()
  /** Messages that are with the broker, each by a function of its own. */
  private readonly pending = new Set<() => void>()
  private onFinished: () => void = noop

  /** @param timeout milliseconds */
  constructor (broker: Pick<Broker, 'publish'>, counters: TopicCounters, timeout: number) {
    this.broker = broker
    this.counters = counters
    this.timeout = timeout
    this.deadlines = new Deadlines(timeout)
  }

  /** @param except does not get the message, which comes back to this process by way of the broker */
  publish (topic: string, id: string, data: Buffer, settings: TopicSettings, except: Receiver | null): Promise<TopicPosition | null> {
    if (except !== null) this.except(topic, id, except)
    const promise = new Promise<TopicPosition | null>((resolve, reject) => {
      const began = performance.now()
      const fail = (error: Error): void => {
        if (!this.settle(inTime)) return
        this.counters.failed++
        reject(error)
      }
      const inTime = this.deadlines.add(() => {
        fail(createError('FST_WS_ERR_PUBLISH', `the broker did not take a message for topic '${topic}' within ${this.timeout} ms; it may have it all the same`))
      })
      this.pending.add(inTime)
      this.broker.publish(topic, { id, data, history: settings.history }).then(
        position => {
          inTime()
          // Too late: the caller knows it as failed, and it counts as that alone.
          if (!this.settle(inTime)) return
          this.counters.published++
          this.counters.latencies.record(performance.now() - began)
          resolve(position ? { epoch: position.epoch, offset: position.offset, id } : null)
        },
        (cause: unknown) => {
          inTime()
          const reason = cause instanceof Error ? cause.message : String(cause)
          fail(createError('FST_WS_ERR_PUBLISH', `the broker did not take a message for topic '${topic}': ${reason}`, { cause }))
        }
      )
    })
    // A promise that nobody awaits does not end the process when the broker is away: `stats` counts it.
    promise.catch(noop)
    return promise
  }

  /** @returns whether the message was pending */
  private settle (message: () => void): boolean {
    if (!this.pending.delete(message)) return false
    if (this.pending.size === 0) this.onFinished()
    return true
  }

  /** @returns the receiver that does not get the message, if it was published here. Asked once for each message */
  takeException (topic: string, id: string): Receiver | null {
    if (this.exceptions.size === 0) return null
    const exception = this.exceptions.get(id)
    if (exception === undefined || exception.topic !== topic) return null
    this.exceptions.delete(id)
    return exception.receiver
  }

  /** Resolves when no message is on its way to the broker: each is for `publishTimeout` at most. */
  async finished (): Promise<void> {
    if (this.pending.size > 0) await new Promise<void>(resolve => { this.onFinished = resolve })
  }

  private except (topic: string, id: string, receiver: Receiver): void {
    const now = performance.now()
    for (const [other, { until }] of this.exceptions) {
      if (until > now) break
      this.exceptions.delete(other)
    }
    this.exceptions.set(id, { topic, receiver, until: now + RETURN_TIME })
  }
}
