import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Deadlines } from '../../lib/topics/deadlines.js'
import { HistoryFeed, type Joined } from '../../lib/topics/history-feed.js'
import type { BrokerAnchor, BrokerMessage, BrokerRead } from '../../types/broker.js'
import { EngineModel, Witness, type Publication } from './engine-model.js'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

interface Read {
  readonly since: BrokerAnchor | null
  readonly limit: number
  readonly resolve: (read: BrokerRead) => void
  readonly reject: (error: Error) => void
}

/** One topic in an engine, whose announcements and reads the test controls. */
class Rig {
  readonly engine = new EngineModel()
  readonly all = new Map<string, Publication>()
  readonly feeds: Process[] = []

  publish (count = 1): Publication {
    let publication!: Publication
    for (let index = 0; index < count; index++) {
      publication = this.engine.publish()
      this.all.set(publication.id, publication)
      for (const { wire } of this.feeds) wire.push(publication)
    }
    return publication
  }

  process (options: { readTimeout?: number, maxCachedMessages?: number } = {}): Process {
    const process = new Process(this, options.readTimeout ?? 60_000, options.maxCachedMessages ?? 1_000)
    this.feeds.push(process)
    return process
  }
}

/** A feed, as a process has it, and its receivers. */
class Process {
  readonly feed: HistoryFeed
  readonly wire: Publication[] = []
  readonly receivers = new Set<Client>()
  reads: Read[] = []
  readCount = 0
  readonly rig: Rig

  constructor (rig: Rig, readTimeout: number, maxCachedMessages: number) {
    this.rig = rig
    const broker = {
      read: (_topic: string, since: BrokerAnchor | null, limit: number) => new Promise<BrokerRead>((resolve, reject) => {
        this.readCount++
        this.reads.push({ since, limit, resolve, reject })
      })
    }
    this.feed = new HistoryFeed('topic', broker, {
      deliver: message => { for (const client of this.receivers) client.deliver(message) },
      lost: at => { for (const client of this.receivers) client.lost(at) }
    }, { deadlines: new Deadlines(readTimeout), maxCachedMessages, maxCachedBytes: 1_000_000 })
  }

  arrive (count = 1): void {
    for (const publication of this.wire.splice(0, count)) this.feed.receive(publication)
  }

  async answer (): Promise<void> {
    for (const { since, limit, resolve } of this.reads.splice(0)) resolve(this.rig.engine.read(since, limit))
    await turn()
  }

  async fail (): Promise<void> {
    for (const { reject } of this.reads.splice(0)) reject(new Error('the engine is away'))
    await turn()
  }

  async settle (): Promise<void> {
    await turn()
    const { backoff } = this.feed as unknown as { backoff: { isPending: boolean } }
    for (let count = 0; this.reads.length > 0 || backoff.isPending; count++) {
      if (count > 500) throw new Error('the feed reads without end')
      // Ends the wait too.
      if (this.reads.length === 0) this.feed.interrupted()
      await this.answer()
    }
  }

  join (client: Client): void {
    client.process = this
    client.cancel = this.feed.join(client.witness.at, joined => {
      client.joined = joined
      if (!(joined instanceof Error)) client.begin(joined)
    })
  }

  stop (): void {
    this.feed.stop()
    this.rig.feeds.splice(this.rig.feeds.indexOf(this), 1)
    for (const client of this.receivers) client.leave()
  }
}

/** How clients have joined. */
const counts = { recovered: 0, reset: 0 }

class Client {
  readonly witness: Witness
  process: Process | null = null
  joined: Joined | Error | null = null
  cancel = (): void => {}

  constructor (rig: Rig) {
    this.witness = new Witness(rig.engine, rig.all)
  }

  begin (joined: Joined): void {
    const { witness } = this
    counts[joined.isRecovered ? 'recovered' : 'reset']++
    if (witness.at === null) witness.begin(joined.at)
    else if (!joined.isRecovered) witness.lost(joined.at)
    for (const message of joined.messages) witness.deliver(message)
    this.process!.receivers.add(this)
  }

  deliver (message: BrokerMessage): void {
    this.witness.deliver(message)
  }

  lost (at: BrokerAnchor): void {
    this.witness.lost(at)
  }

  leave (): void {
    this.cancel()
    this.process?.receivers.delete(this)
    this.process = null
    this.joined = null
  }
}

async function setUp (t: Test, published = 0, options = {}) {
  const rig = new Rig()
  rig.publish(published)
  const process = rig.process(options)
  t.teardown(() => process.stop())
  process.feed.start()
  await process.settle()
  const client = (since?: BrokerAnchor): Client => {
    const client = new Client(rig)
    if (since !== undefined) client.witness.begin(since)
    process.join(client)
    return client
  }
  return { rig, process, client }
}

function anchorOf (rig: Rig, index: number): BrokerAnchor {
  const { epoch } = rig.engine
  if (index === 0) return { epoch, offset: 0, id: '' }
  const { position, id } = rig.engine.history[index - 1]!
  return { ...position, id }
}

function idsOf (joined: Joined | Error | null): string[] {
  return (joined as Joined).messages.map(({ id }) => id)
}

t.test('a receiver without a position begins at the top, without a read', async t => {
  const { rig, process, client } = await setUp(t, 3)
  const { joined, witness } = client()
  t.strictSame(joined, { at: anchorOf(rig, 3), messages: [], isRecovered: true })
  rig.publish(2)
  process.arrive(2)
  t.equal(witness.received, 2)
  t.equal(process.readCount, 1)
})

t.test('a receiver that comes before the feed has begun waits for it', async t => {
  const rig = new Rig()
  rig.publish(3)
  const process = rig.process()
  t.teardown(() => process.stop())
  const [one, two] = [new Client(rig), new Client(rig)]
  two.witness.begin(anchorOf(rig, 1))
  process.join(one)
  process.join(two)
  rig.publish()
  process.arrive()
  t.equal(one.joined, null)
  process.feed.start()
  await process.settle()
  t.strictSame(one.witness.at, anchorOf(rig, 4))
  t.equal(two.witness.received, 3)
  t.ok(one.witness.isAtTop && two.witness.isAtTop)
})

t.test('a receiver resumes from every place', async t => {
  const { rig, client } = await setUp(t, 5)
  for (let index = 5; index >= 0; index--) {
    const resumed = client(anchorOf(rig, index))
    await resumed.process!.settle()
    t.match(resumed.joined, { at: anchorOf(rig, index), isRecovered: true })
    t.strictSame(idsOf(resumed.joined), rig.engine.history.slice(index).map(({ id }) => id))
    t.ok(resumed.witness.isAtTop)
  }
})

t.test('messages that come while the history is read are in what is missed', async t => {
  const { rig, process, client } = await setUp(t, 5)
  const resumed = client(anchorOf(rig, 2))
  await turn()
  rig.publish(2)
  process.arrive(1)
  await process.answer()
  t.equal(resumed.witness.received, 4)
  process.arrive(1)
  t.equal(resumed.witness.received, 5)
  t.ok(resumed.witness.isAtTop)
})

t.test('a place that is no longer kept, of another message, or of another epoch is not recovered', async t => {
  const { rig, process, client } = await setUp(t, 10)
  rig.engine.trim(5)
  const places = [anchorOf(rig, 3), { ...anchorOf(rig, 7), id: 'other' }, { ...anchorOf(rig, 10), id: 'other' }, { ...anchorOf(rig, 7), epoch: 'other' },
    { ...anchorOf(rig, 10), offset: 11, id: 'later' }, anchorOf(rig, 0)]
  for (const place of places) {
    const resumed = client(place)
    await process.settle()
    t.strictSame(resumed.joined, { at: anchorOf(rig, 10), messages: [], isRecovered: false }, JSON.stringify(place))
  }
  const kept = client(anchorOf(rig, 6))
  await process.settle()
  t.equal(kept.witness.received, 4)
})

t.test('a receiver that has seen more than this process makes it look', async t => {
  const { rig, process, client } = await setUp(t, 3)
  rig.publish(2)
  const ahead = client(anchorOf(rig, 5))
  t.equal(ahead.joined, null)
  await process.settle()
  t.match(ahead.joined, { isRecovered: true, messages: [] })
  t.strictSame(process.feed.position, anchorOf(rig, 5))
  process.arrive(2)
  rig.publish()
  process.arrive()
  await process.settle()
  t.equal(ahead.witness.received, 1)
})

t.test('ten thousand receivers that come back at once cost a handful of reads', async t => {
  const { rig, process } = await setUp(t, 5_000, { maxCachedMessages: 1_000 })
  const clients = Array.from({ length: 10_000 }, (_, index) => {
    const client = new Client(rig)
    client.witness.begin(anchorOf(rig, 4_900 + index * 7 % 100))
    return client
  })
  const before = process.readCount
  for (const [index, client] of clients.entries()) {
    process.join(client)
    if (index % 1_000 !== 0) continue
    await process.answer()
    rig.publish()
    process.arrive()
  }
  await process.settle()
  t.ok(clients.every(({ joined, witness }) => (joined as Joined).isRecovered && witness.isAtTop))
  t.ok(process.readCount - before <= 12, `${process.readCount - before} reads`)
})

t.test('made-up positions do not keep others from being served', async t => {
  const { rig, process, client } = await setUp(t, 3_000)
  for (let index = 0; index < 100; index++) client({ ...anchorOf(rig, index + 1), id: 'made-up' })
  const honest = client(anchorOf(rig, 2_000))
  for (let index = 0; index < 100; index++) client({ ...anchorOf(rig, index + 1), id: 'also made-up' })
  await turn()
  for (let count = 0; honest.joined === null; count++) {
    if (count > 201) throw new Error('it is never served')
    await process.answer()
  }
  t.equal(honest.witness.received, 1_000)
  await process.settle()
})

t.test('receivers that come one by one are served from memory', async t => {
  const { rig, process, client } = await setUp(t, 50)
  client(anchorOf(rig, 10))
  await process.settle()
  const { readCount } = process
  for (let index = 10; index <= 50; index++) {
    const next = client(anchorOf(rig, index))
    t.equal(next.witness.received, rig.engine.history.length - index)
    rig.publish()
    process.arrive()
    t.equal(next.witness.received, rig.engine.history.length - index)
  }
  t.equal(process.readCount, readCount)
})

t.test('messages in memory are bounded', async t => {
  const { rig, process, client } = await setUp(t, 10, { maxCachedMessages: 20 })
  client(anchorOf(rig, 0))
  await process.settle()
  for (let count = 0; count < 500; count++) {
    rig.publish()
    process.arrive()
    const { recent } = process.feed as unknown as { recent: { size: number } }
    if (recent.size > 25) t.fail(`${recent.size} messages`)
  }
  for (const index of [500, 300, 10]) {
    const late = client(anchorOf(rig, index))
    await process.settle()
    t.ok(late.witness.isAtTop)
    t.equal(late.witness.received, 510 - index)
  }
})

t.test('large messages in memory are bounded', async t => {
  const rig = new Rig()
  const process = rig.process()
  t.teardown(() => process.stop())
  process.feed.start()
  await process.settle()
  rig.publish()
  process.arrive()
  const resumed = new Client(rig)
  resumed.witness.begin(anchorOf(rig, 0))
  process.join(resumed)
  await process.settle()
  for (let count = 0; count < 100; count++) {
    const publication = rig.engine.publish()
    rig.all.set(publication.id, publication)
    process.feed.receive({ ...publication, data: Buffer.alloc(100_000) })
  }
  const { recent } = process.feed as unknown as { recent: { size: number } }
  t.ok(recent.size <= 13, `${recent.size} messages of 100 kB`)
})

t.test('a history that is trimmed while it is read is not recovered', async t => {
  const { rig, process, client } = await setUp(t, 5_000)
  const resumed = client(anchorOf(rig, 1))
  await turn()
  await process.answer()
  rig.engine.trim(4_000)
  await process.settle()
  t.match(resumed.joined, { isRecovered: false, at: anchorOf(rig, 5_000) })
})

t.test('an engine that goes back while somebody joins is noticed', async t => {
  const { rig, process, client } = await setUp(t, 10)
  const resumed = client(anchorOf(rig, 4))
  await turn()
  rig.engine.goBack(3)
  rig.publish(5)
  process.wire.length = 0
  process.feed.interrupted()
  await process.settle()
  t.ok(resumed.witness.isAtTop)
  rig.publish()
  process.arrive()
  t.ok(resumed.witness.isAtTop)
})

t.test('a receiver whose history cannot be read gets an error in time', async t => {
  const { rig, process, client } = await setUp(t, 5, { readTimeout: 30 })
  const [failing, cancelled] = [client(anchorOf(rig, 1)), client(anchorOf(rig, 1))]
  cancelled.cancel()
  await turn()
  await process.fail()
  while (failing.joined === null) await new Promise(resolve => setTimeout(resolve, 5))
  t.match(failing.joined, { message: 'the engine is away' })
  t.equal(cancelled.joined, null)

  const hanging = client(anchorOf(rig, 1))
  while (hanging.joined === null) await new Promise(resolve => setTimeout(resolve, 5))
  t.match(hanging.joined, { message: /within 30 ms|the engine is away/ })
})

t.test('reads that fail are tried again', async t => {
  const { rig, process, client } = await setUp(t, 5)
  const resumed = client(anchorOf(rig, 1))
  await turn()
  for (let count = 0; count < 2; count++) {
    await process.fail()
    while (process.reads.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  }
  await process.settle()
  t.equal(resumed.witness.received, 4)
})

t.test('stop ends everything, and leaves no timer', async t => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const rig = new Rig()
  rig.publish(5)
  const before = timers()
  const own = rig.process()
  own.feed.start()
  await own.settle()
  const served = new Client(rig)
  served.witness.begin(anchorOf(rig, 3))
  own.join(served)
  await own.settle()
  const waiting = new Client(rig)
  waiting.witness.begin(anchorOf(rig, 1))
  own.join(waiting)
  await turn()
  own.feed.interrupted()
  own.feed.stop()
  t.ok(waiting.joined instanceof Error)
  own.feed.receive(rig.publish())
  await own.settle()
  t.equal(served.witness.received, 2)
  t.equal(timers(), before)
})

// --- whatever happens

const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('arrive' as const), process: fc.nat(1), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('drop' as const), process: fc.nat(1), index: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('repeat' as const), process: fc.nat(1), index: fc.nat(20) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('answer' as const), process: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('fail' as const), process: fc.nat(1) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('join' as const), process: fc.nat(1), client: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('leave' as const), client: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), process: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('trim' as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('goBack' as const), count: fc.integer({ min: 1, max: 4 }), again: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wipe' as const), again: fc.nat(3) }) }
)

t.test('whatever happens, clients that move between processes get each message once and in order, or a notice', async t => {
  let cleanUp = (): void => {}
  t.teardown(() => cleanUp())
  Object.assign(counts, { recovered: 0, reset: 0 })
  await fc.assert(fc.asyncProperty(fc.constantFrom(2, 1_000), fc.array(action, { minLength: 10, maxLength: 60, size: 'max' }), async (maxCachedMessages, actions) => {
    const rig = new Rig()
    const start = (): Process => {
      const process = rig.process({ maxCachedMessages })
      process.feed.start()
      return process
    }
    const processes = [start(), start()]
    cleanUp = () => { for (const process of processes) process.stop() }
    const clients = Array.from({ length: 5 }, () => new Client(rig))
    const interrupt = (): void => {
      for (const process of processes) {
        process.wire.length = 0
        process.feed.interrupted()
      }
    }
    const settle = async (): Promise<void> => {
      interrupt()
      for (const process of processes) await process.settle()
    }
    for (const action of actions) {
      const process = 'process' in action ? processes[action.process]! : processes[0]!
      const client = 'client' in action ? clients[action.client]! : clients[0]!
      switch (action.type) {
        case 'publish': rig.publish(action.count); break
        case 'arrive': process.arrive(action.count); break
        case 'drop': process.wire.splice(action.index, 1); break
        case 'repeat': {
          const publication = rig.engine.history[action.index]
          if (publication !== undefined) process.feed.receive(publication)
          break
        }
        case 'answer': await process.answer(); break
        case 'fail': await process.fail(); break
        case 'join':
          if (client.process !== null) break
          process.join(client)
          break
        case 'leave': client.leave(); break
        case 'kill':
          for (const client of clients) if (client.process === process) client.leave()
          process.stop()
          processes[action.process] = start()
          break
        case 'trim': rig.engine.trim(action.count); break
        case 'goBack':
          rig.engine.goBack(action.count)
          rig.publish(action.again)
          interrupt()
          break
        case 'wipe':
          rig.engine.wipe()
          rig.publish(action.again)
          interrupt()
      }
    }
    await settle()
    for (const client of clients) {
      if (client.process === null) processes[0]!.join(client)
    }
    await settle()
    for (const { witness, joined } of clients) {
      if (joined === null || joined instanceof Error) throw new Error('a client waits for ever')
      if (!witness.isAtTop) throw new Error(`a client stops at ${JSON.stringify(witness.at)}`)
    }
    for (const process of processes) process.stop()
  }), { numRuns: 500 })
  t.ok(counts.recovered > 1_000 && counts.reset > 50, JSON.stringify(counts))
})
