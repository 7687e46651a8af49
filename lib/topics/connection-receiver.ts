import type { BrokerAnchor } from '../../types/broker.js'
import { CloseCode } from '../protocol/close-codes.js'
import type { Session } from '../connection/session.js'
import type { Delivery } from './delivery.js'
import { NO_TOPICS, type Join, type LocalTopic, type Receiver } from './local-topic.js'

/** A connection that gets the messages of topics as they were published. */
export class ConnectionReceiver implements Receiver {
  topics: readonly LocalTopic[] = NO_TOPICS
  joining: Map<string, Join> | null = null
  private readonly session: Session

  constructor (session: Session) {
    this.session = session
  }

  onMessage (_topic: LocalTopic, delivery: Delivery): void {
    this.session.outbox.sendShared(delivery.toRaw())
  }

  onGap (topic: LocalTopic): void {
    this.session.emit('gap', topic.name)
  }

  onLost (topic: LocalTopic, _at: BrokerAnchor): void {
    this.session.emit('gap', topic.name)
  }

  /** The app asks for them. */
  onMembers (): void {}

  /** The app has its promise. */
  onSubscribedByApp (): void {}

  /** The app has called for it. */
  onUnsubscribedByApp (): void {}

  onCutOff (): void {
    this.session.close(CloseCode.TRY_AGAIN_LATER, CUT_OFF)
  }
}

/** The reason of the Close frame. */
export const CUT_OFF = 'this server cannot reach its broker'
