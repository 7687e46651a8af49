import type { Broker, BrokerAnchor, BrokerMessage } from '../../types/broker.js'
import { noop } from '../common.js'
import { createError } from '../errors.js'

/** How a receiver joins: the messages that it has missed, behind `at`. */
export interface Joined {
  readonly at: BrokerAnchor
  readonly messages: readonly BrokerMessage[]
  /** `false`: the position that it came with is no longer kept, and `at` is the top. */
  readonly isRecovered: boolean
}

/** Gets the messages of one topic with history, in order. */
export interface FeedSink {
  deliver (message: BrokerMessage): void
  /** Messages before `at` are gone. */
  lost (at: BrokerAnchor): void
}

export interface FeedSettings {
  /** Milliseconds. */
  readonly readTimeout: number
  readonly maxCachedMessages: number
  readonly maxCachedBytes: number
  readonly onRead?: () => void
}

/** The messages of one topic with history on this process. */
export class HistoryFeed {
  readonly position: BrokerAnchor | null = null
  private readonly sink: FeedSink

  constructor (_topic: string, _broker: Pick<Broker, 'read'>, sink: FeedSink, _settings: FeedSettings) {
    this.sink = sink
  }

  start (): void {}

  receive (message: BrokerMessage): void {
    this.sink.deliver(message)
  }

  interrupted (): void {}

  join (_since: BrokerAnchor | null, callback: (joined: Joined | Error) => void): () => void {
    callback(createError('FST_WS_ERR_SUBSCRIBE'))
    return noop
  }

  stop (): void {}
}
