import { createError } from '../errors.js'
import type { TopicPolicy } from './policies.js'

/** Milliseconds from one snapshot of a topic to the next. */
const INTERVAL = 1_000

type Callback = (snapshot: string | Error) => void

/** One reading of the state of a topic. */
interface Run {
  /** Whoever has asked since it began. */
  readonly next: Callback[]
}

/**
 * Asks the app for the states of topics: one at a time for each topic, and at most one in a second, however many clients want
 * it. The state that a client gets is read after it has asked, so that nothing is missing between the two.
 */
export class Snapshots {
  private readonly timeout: number
  private readonly runs = new Map<string, Run>()

  /** @param timeout milliseconds in which the app has to answer */
  constructor (timeout: number) {
    this.timeout = timeout
  }

  /** @param callback gets JSON */
  take (topic: string, snapshot: NonNullable<TopicPolicy['snapshot']>, callback: Callback): void {
    const run = this.runs.get(topic)
    if (run === undefined) this.begin(topic, snapshot, [callback])
    else run.next.push(callback)
  }

  private begin (topic: string, snapshot: NonNullable<TopicPolicy['snapshot']>, waiting: Callback[]): void {
    const run: Run = { next: [] }
    this.runs.set(topic, run)
    const pause = new Promise(resolve => setTimeout(resolve, INTERVAL).unref())
    const taken = this.read(topic, snapshot).then(result => {
      for (const callback of waiting) callback(result)
    })
    Promise.all([taken, pause]).then(() => {
      if (run.next.length > 0) this.begin(topic, snapshot, run.next)
      else this.runs.delete(topic)
    })
  }

  private read (topic: string, snapshot: NonNullable<TopicPolicy['snapshot']>): Promise<string | Error> {
    return new Promise(resolve => {
      const timer = setTimeout(() => resolve(createError('FST_WS_ERR_POLICY', `the snapshot of topic '${topic}' was not there in time`)), this.timeout)
      write(snapshot).then(resolve, resolve).finally(() => clearTimeout(timer))
    })
  }
}

async function write (snapshot: () => unknown): Promise<string> {
  const text: unknown = JSON.stringify(await snapshot())
  return typeof text === 'string' ? text : 'null'
}
