import t from 'tap'
import { TOPIC_DEFAULTS } from '../../lib/options/settings.js'
import { encodeEnvelope, EnvelopeKind } from '../../lib/topics/envelope.js'
import { Hub } from '../../lib/topics/hub.js'
import type { Join, LocalTopic, Receiver, Subscribed } from '../../lib/topics/local-topic.js'
import { RAW } from '../../lib/topics/settings.js'
import type { Broker, BrokerAnchor, BrokerEvents } from '../../types/broker.js'
import { EngineModel, type Publication } from './engine-model.js'

/** A broker over an engine that the test fails over. */
class FailingOver implements Broker {
  readonly name = 'failing-over'
  readonly presence = {} as Broker['presence']
  readonly engine = new EngineModel()
  events!: BrokerEvents
  reads = 0

  async start (events: BrokerEvents): Promise<void> {
    this.events = events
  }

  async read (_topic: string, since: BrokerAnchor | null, limit: number) {
    this.reads++
    return this.engine.read(since, limit)
  }

  deliver (publication: Publication): void {
    this.events.message('topic', { ...publication, data: encodeEnvelope(EnvelopeKind.TEXT, publication.data, true) })
  }

  async subscribe (): Promise<void> {}
  async unsubscribe (): Promise<void> {}
  async publish (): Promise<null> { return null }
  async close (): Promise<void> {}
}

class Witness implements Receiver {
  readonly topics: LocalTopic[] = []
  joining: Map<string, Join> | null = null
  readonly seen: string[] = []

  onMessage (_topic: LocalTopic, { message }: Parameters<Receiver['onMessage']>[1]): void {
    this.seen.push(message.id)
  }

  onLost (_topic: LocalTopic, { offset }: BrokerAnchor): void {
    this.seen.push(`lost, on at ${offset}`)
  }

  onGap (): void {}
  onMembers (): void {}
  onSubscribedByApp (): void {}
  onUnsubscribedByApp (): void {}
  onCutOff (): void {}
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('messages of a new connection that come before the broker says so do not hide that the history has gone back', async t => {
  const broker = new FailingOver()
  const hub = new Hub(broker, TOPIC_DEFAULTS, { onState () {} })
  t.teardown(() => hub.close(100))
  hub.declarations = { settingsOf: () => ({ ...RAW, history: { messages: 100, seconds: 60 } }) }
  await hub.start()
  const witness = new Witness()
  await new Promise<Subscribed | Error>(resolve => hub.subscribe(witness, 'topic', null, resolve))
  const { engine } = broker
  const first = [engine.publish(), engine.publish(), engine.publish()]
  for (const publication of first) broker.deliver(publication)
  t.strictSame(witness.seen, first.map(({ id }) => id))

  broker.events.state(false, new Error('the master is gone'))
  // The replica has missed the last one. Another takes its offset, and is not seen here.
  engine.goBack(1)
  engine.publish()
  const [next, last] = [engine.publish(), engine.publish()]
  broker.deliver(next)
  t.equal(witness.seen.length, 3, 'though it names the offset of the last one here')
  await turn()
  broker.deliver(last)
  broker.events.state(true)
  broker.events.interrupted()
  await turn()
  const after = engine.publish()
  broker.deliver(after)
  await turn()
  t.strictSame(witness.seen.slice(3), [`lost, on at ${last.position.offset}`, after.id])
})

t.test('after an outage the history is read once or twice, and then no more', async t => {
  const broker = new FailingOver()
  const hub = new Hub(broker, TOPIC_DEFAULTS, { onState () {} })
  t.teardown(() => hub.close(100))
  hub.declarations = { settingsOf: () => ({ ...RAW, history: { messages: 100, seconds: 60 } }) }
  await hub.start()
  const witness = new Witness()
  await new Promise<Subscribed | Error>(resolve => hub.subscribe(witness, 'topic', null, resolve))
  broker.events.state(false, new Error('gone'))
  broker.events.state(true)
  broker.events.interrupted(['topic'])
  await turn()
  const { reads } = broker
  t.equal(reads, 2)
  const published = Array.from({ length: 10 }, () => broker.engine.publish())
  for (const publication of published) broker.deliver(publication)
  await turn()
  t.equal(broker.reads, reads)
  t.strictSame(witness.seen, published.map(({ id }) => id))
})
