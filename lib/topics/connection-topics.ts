import type { TopicPosition } from '../../types/topics.js'
import { noop } from '../common.js'
import type { HostedSession, TopicsOfConnections } from '../connection/host.js'
import type { Session } from '../connection/session.js'
import { createError } from '../errors.js'
import { ConnectionReceiver } from './connection-receiver.js'
import type { Hub } from './hub.js'
import type { Receiver } from './local-topic.js'
import { checkTopicName } from './names.js'
import { publish } from './publish.js'

/** The members of connections that have to do with topics. */
export class ConnectionTopics implements TopicsOfConnections {
  private readonly hub: Hub

  constructor (hub: Hub) {
    this.hub = hub
  }

  subscribe (session: HostedSession, name: unknown): Promise<void> {
    const topic = checkTopicName(name)
    const promise = new Promise<void>((resolve, reject) => {
      if (!session.maySend) return reject(createError('FST_WS_ERR_NOT_OPEN'))
      const receiver = this.receiverOf(session)
      const isNew = !this.isSubscribed(session, topic) && receiver.joining?.has(topic) !== true
      this.hub.subscribe(receiver, topic, null, result => {
        if (result instanceof Error) return reject(result)
        if (isNew) receiver.onSubscribedByApp(result)
        resolve()
      })
    })
    // The handler of a connection that is gone awaits nothing more.
    promise.catch(noop)
    return promise
  }

  unsubscribe (session: HostedSession, name: unknown): boolean {
    const topic = this.hub.find(checkTopicName(name))
    const receiver = this.hub.receivers.get(session)
    if (topic === undefined || receiver === undefined || !this.hub.unsubscribe(receiver, topic.name)) return false
    receiver.onUnsubscribedByApp(topic)
    return true
  }

  isSubscribed (session: HostedSession, name: unknown): boolean {
    const topic = this.hub.find(checkTopicName(name))
    return topic !== undefined && this.hub.receivers.get(session)?.topics.includes(topic) === true
  }

  subscriptionsOf (session: HostedSession): Set<string> {
    return new Set(this.hub.receivers.get(session)?.topics.map(({ name }) => name))
  }

  publish (session: HostedSession, name: unknown, message: unknown, options: unknown): Promise<TopicPosition | null> {
    return publish(this.hub, name, message, options, this.hub.receivers.get(session) ?? null)
  }

  sessionEnded (session: HostedSession): void {
    const receiver = this.hub.receivers.get(session)
    if (receiver === undefined) return
    this.hub.receivers.delete(session)
    this.hub.forget(receiver)
  }

  private receiverOf (session: HostedSession): Receiver {
    let receiver = this.hub.receivers.get(session)
    if (receiver === undefined) this.hub.receivers.set(session, receiver = new ConnectionReceiver(session as Session))
    return receiver
  }
}
