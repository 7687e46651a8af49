import type { TopicStats } from '../../types/topics.js'

/** Upper bounds of the buckets, in milliseconds: each is a quarter above the one before, from 0.05 ms to about a minute. */
const BOUNDS = Array.from({ length: 64 }, (_, i) => 0.05 * 1.25 ** i)

/** How long something takes, in buckets. */
class Latencies {
  private readonly buckets = new Uint32Array(BOUNDS.length + 1)
  private count = 0

  record (ms: number): void {
    let low = 0
    let high = BOUNDS.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (BOUNDS[middle]! < ms) low = middle + 1
      else high = middle
    }
    this.buckets[low]!++
    this.count++
  }

  /** @returns milliseconds within which this part of all were done, rounded up to a bucket; `null` before the first */
  quantile (part: number): number | null {
    if (this.count === 0) return null
    let rest = Math.ceil(this.count * part)
    for (let i = 0; i < BOUNDS.length; i++) {
      rest -= this.buckets[i]!
      if (rest <= 0) return BOUNDS[i]!
    }
    return Infinity
  }
}

/** Counts what happens to the topics of one app. */
export class TopicCounters {
  subscriptions = 0
  published = 0
  failed = 0
  delivered = 0
  gaps = 0
  recovered = 0
  reset = 0
  reads = 0
  reconnects = 0
  skipped = 0
  readonly latencies = new Latencies()

  /** @param topics that this process has subscribed to */
  summarize (topics: number, broker: string, isUp: boolean): TopicStats {
    const { subscriptions, published, failed, delivered, gaps, recovered, reset, reads, reconnects, skipped, latencies } = this
    return {
      broker,
      isUp,
      topics,
      subscriptions,
      published,
      failed,
      delivered,
      gaps,
      recovered,
      reset,
      reads,
      reconnects,
      skipped,
      publishLatency: { p50: latencies.quantile(0.5), p99: latencies.quantile(0.99) }
    }
  }
}
