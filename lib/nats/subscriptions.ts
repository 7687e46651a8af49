import type { BrokerEvents } from '../../types/broker.js'
import type { NatsConnection, NatsMessage, NatsSubscription } from './client.js'
import { InOrder } from './in-order.js'
import type { Histories } from './histories.js'
import type { Names } from './names.js'

interface Subscribed {
  readonly subscription: NatsSubscription
  /** `null` before the first message with history. */
  inOrder: InOrder | null
}

/** The topics of this process: one subscription each, for messages with and without history. */
export class Subscriptions {
  private readonly connection: NatsConnection
  private readonly names: Names
  private readonly histories: Histories
  private readonly events: Pick<BrokerEvents, 'message'>
  private readonly topics = new Map<string, Subscribed>()

  constructor (connection: NatsConnection, names: Names, histories: Histories, events: Pick<BrokerEvents, 'message'>) {
    this.connection = connection
    this.names = names
    this.histories = histories
    this.events = events
  }

  add (topics: readonly string[]): void {
    for (const topic of topics) {
      if (this.topics.has(topic)) continue
      const subscription = this.connection.subscribe(this.names.live(topic), {
        callback: (error, message) => { if (error === null) this.receive(topic, message) }
      })
      this.topics.set(topic, { subscription, inOrder: null })
    }
  }

  delete (topics: readonly string[]): void {
    for (const topic of topics) {
      const subscribed = this.topics.get(topic)
      this.topics.delete(topic)
      subscribed?.subscription.unsubscribe()
      subscribed?.inOrder?.stop()
    }
  }

  /** Messages may have been missed. */
  interrupted (): void {
    for (const { inOrder } of this.topics.values()) inOrder?.interrupted()
  }

  close (): void {
    this.delete([...this.topics.keys()])
  }

  private receive (topic: string, message: NatsMessage): void {
    const subscribed = this.topics.get(topic)
    if (subscribed === undefined) return
    if (message.subject === this.names.plain(topic)) {
      const plain = decodePlain(message.data)
      if (plain !== null) this.events.message(topic, { ...plain, position: null, previous: null })
      return
    }
    const kept = this.histories.readAnnouncement(message)
    if (kept === null) return
    subscribed.inOrder ??= new InOrder(message => this.events.message(topic, message))
    subscribed.inOrder.receive(kept)
  }
}

/** A message without history, whose id is in front. */
export function encodePlain (id: string, data: Buffer): Buffer {
  const encoded = Buffer.from(id)
  return Buffer.concat([Buffer.of(encoded.length), encoded, data])
}

function decodePlain (payload: Uint8Array): { id: string, data: Buffer } | null {
  const bytes = Buffer.from(payload)
  if (bytes.length === 0 || bytes.length < 1 + bytes[0]!) return null
  const end = 1 + bytes[0]!
  return { id: bytes.toString('utf8', 1, end), data: bytes.subarray(end) }
}
