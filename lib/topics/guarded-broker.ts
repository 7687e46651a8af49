import { createError } from '../errors.js'
import type { Broker, BrokerAnchor, BrokerEntry, BrokerEvents, BrokerMember, BrokerPosition, BrokerPresence, BrokerPublication, BrokerRead } from '../../types/broker.js'

/** A broker that rejects where the app's own one throws, or returns no promise: its mistakes do not end the process. */
export class GuardedBroker implements Broker {
  readonly presence: BrokerPresence
  private readonly broker: Broker

  constructor (broker: Broker) {
    this.broker = broker
    this.presence = new GuardedPresence(broker)
  }

  get name (): string {
    return this.broker.name
  }

  start (events: BrokerEvents): Promise<void> {
    return guard(() => this.broker.start(events))
  }

  subscribe (topics: readonly string[]): Promise<void> {
    return guard(() => this.broker.subscribe(topics))
  }

  unsubscribe (topics: readonly string[]): Promise<void> {
    return guard(() => this.broker.unsubscribe(topics))
  }

  publish (topic: string, message: BrokerPublication): Promise<BrokerPosition | null> {
    return guard(() => this.broker.publish(topic, message))
  }

  read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    return guard(() => this.broker.read(topic, since, limit))
  }

  close (): Promise<void> {
    return guard(() => this.broker.close())
  }
}

type TopicAndId = Readonly<Pick<BrokerEntry, 'topic' | 'id'>>

class GuardedPresence implements BrokerPresence {
  private readonly broker: Pick<Broker, 'presence'>

  constructor (broker: Pick<Broker, 'presence'>) {
    this.broker = broker
  }

  renew (process: string, ttl: number): Promise<boolean> {
    return guard(() => this.broker.presence.renew(process, ttl))
  }

  release (process: string): Promise<void> {
    return guard(() => this.broker.presence.release(process))
  }

  enter (process: string, members: readonly BrokerEntry[]): Promise<boolean[]> {
    return guard(() => this.broker.presence.enter(process, members))
  }

  leave (process: string, members: readonly TopicAndId[]): Promise<boolean[]> {
    return guard(() => this.broker.presence.leave(process, members))
  }

  list (topic: string, limit: number): Promise<BrokerMember[]> {
    return guard(() => this.broker.presence.list(topic, limit))
  }

  count (topic: string): Promise<number> {
    return guard(() => this.broker.presence.count(topic))
  }

  expired (): Promise<string[]> {
    return guard(() => this.broker.presence.expired())
  }

  sweep (process: string): Promise<readonly TopicAndId[]> {
    return guard(() => this.broker.presence.sweep(process))
  }
}

function guard<Result> (act: () => Promise<Result>): Promise<Result> {
  try {
    return Promise.resolve(act())
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : createError('FST_WS_ERR_BROKER', String(error)))
  }
}
