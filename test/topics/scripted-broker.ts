import type { Broker, BrokerAnchor, BrokerEvents, BrokerPresence, BrokerPublication, BrokerRead } from '../../lib/index.js'

/** A broker that does what the test says: each method can fail or hang, and the test delivers messages itself if it likes. */
export class ScriptedBroker implements Broker {
  readonly name = 'scripted'
  readonly calls: string[] = []
  readonly subscribed = new Set<string>()
  events!: BrokerEvents
  /** By the names of methods. */
  readonly failing = new Map<string, Error | 'hang'>()
  readonly presence = {} as BrokerPresence

  private async act (method: string, detail: string): Promise<void> {
    this.calls.push(detail === '' ? method : `${method} ${detail}`)
    const failure = this.failing.get(method)
    if (failure === 'hang') await new Promise(() => {})
    if (failure !== undefined) throw failure
  }

  async start (events: BrokerEvents): Promise<void> {
    this.events = events
    await this.act('start', '')
  }

  async subscribe (topics: readonly string[]): Promise<void> {
    await this.act('subscribe', topics.join(' '))
    for (const topic of topics) this.subscribed.add(topic)
  }

  async unsubscribe (topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.subscribed.delete(topic)
    await this.act('unsubscribe', topics.join(' '))
  }

  async publish (topic: string, message: BrokerPublication): Promise<null> {
    await this.act('publish', topic)
    this.deliver(topic, message)
    return null
  }

  deliver (topic: string, { id, data }: Pick<BrokerPublication, 'id' | 'data'>): void {
    if (this.subscribed.has(topic)) this.events.message(topic, { id, data, position: null, previous: null })
  }

  async read (_topic: string, _since: BrokerAnchor | null, _limit: number): Promise<BrokerRead> {
    await this.act('read', '')
    throw new Error('this broker keeps nothing')
  }

  async close (): Promise<void> {
    await this.act('close', '')
  }
}
