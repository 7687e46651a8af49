import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Chain } from '../../lib/topics/chain.js'
import type { BrokerAnchor, BrokerMessage, BrokerRead } from '../../types/broker.js'
import { EngineModel, Witness, type Publication } from './engine-model.js'

/** A chain over an engine whose announcements and reads the test controls. */
class Rig {
  readonly engine = new EngineModel()
  readonly all = new Map<string, Publication>()
  readonly witness = new Witness(this.engine, this.all)
  readonly chain: Chain
  /** Announcements on their way. */
  readonly wire: Publication[] = []
  pending: { since: BrokerAnchor | null, limit: number, early: BrokerRead } | null = null
  hasRetry = false
  reads = 0
  knowsTop = true
  remembers = false
  private readonly seen = new Set<string>()

  constructor () {
    this.chain = new Chain({
      deliver: message => {
        this.seen.add(message.id)
        this.witness.deliver(message)
        this.onDeliver(message)
      },
      lost: at => this.witness.lost(at),
      read: (since, limit) => {
        this.reads++
        this.pending = { since, limit, early: this.engine.read(since, limit, this.knowsTop) }
      },
      later: () => { this.hasRetry = true },
      isKnown: ({ id }) => this.remembers && this.seen.has(id),
      unknownId: () => `?${this.reads}`
    })
  }

  onDeliver: (message: BrokerMessage) => void = () => {}

  publish (step = 1, isPreviousKnown = true): Publication {
    const publication = this.engine.publish(step, isPreviousKnown)
    this.all.set(publication.id, publication)
    this.wire.push(publication)
    return publication
  }

  /** Delivers an announcement. @param keep it comes again */
  arrive (index = 0, keep = false): void {
    const publication = keep ? this.wire[index] : this.wire.splice(index, 1)[0]
    if (publication !== undefined) this.chain.receive(publication)
  }

  /** @param isEarly the read saw the engine when it was asked, and not when it answers */
  answer (isEarly = false): void {
    const { pending } = this
    if (pending === null) return
    this.pending = null
    const wasNew = this.chain.last === null
    const read = isEarly ? pending.early : this.engine.read(pending.since, pending.limit, this.knowsTop)
    if (wasNew) this.witness.begin({ ...read.top, id: read.top.offset === 0 ? '' : read.topId ?? `?${this.reads}` })
    this.chain.onRead(read)
  }

  fail (): void {
    if (this.pending === null) return
    this.pending = null
    this.chain.onReadFailed()
  }

  retry (): void {
    if (!this.hasRetry) return
    this.hasRetry = false
    this.chain.retry()
  }

  /** Answers everything, until nothing happens any more. */
  settle (): void {
    for (let count = 0; this.pending !== null || this.hasRetry; count++) {
      if (count > 100) throw new Error('the chain reads without end')
      this.answer()
      this.retry()
    }
  }
}

function started (): Rig {
  const rig = new Rig()
  rig.chain.start()
  rig.answer()
  return rig
}

function ids (rig: Rig): string[] {
  return rig.engine.history.map(({ id }) => id)
}

function check (t: Test, rig: Rig, received: number, lost: number, reads: number): void {
  t.strictSame({ received: rig.witness.received, lost: rig.witness.lostCount, reads: rig.reads }, { received, lost, reads })
  t.ok(rig.witness.isAtTop)
  t.strictSame(rig.chain.last, rig.witness.at)
}

t.test('messages that follow each other are delivered without a read', async t => {
  const rig = started()
  for (let count = 0; count < 10; count++) {
    rig.publish()
    rig.arrive()
  }
  check(t, rig, 10, 0, 1)
})

t.test('offsets may increase by more than one', async t => {
  const rig = started()
  for (const step of [7, 1, 100, 3]) {
    rig.publish(step)
    rig.arrive()
  }
  check(t, rig, 4, 0, 1)
})

t.test('a repeated message is dropped', async t => {
  const rig = started()
  rig.publish()
  rig.arrive(0, true)
  rig.arrive()
  check(t, rig, 1, 0, 1)
})

t.test('an older message that is repeated is dropped, with a read unless it is remembered', async t => {
  for (const remembers of [false, true]) {
    const rig = started()
    rig.remembers = remembers
    const first = rig.publish()
    rig.arrive()
    rig.publish()
    rig.arrive()
    rig.chain.receive(first)
    rig.settle()
    check(t, rig, 2, 0, remembers ? 1 : 2)
  }
})

t.test('a hole is read, and what came behind it meanwhile is delivered after it', async t => {
  const rig = started()
  for (let count = 0; count < 4; count++) rig.publish()
  rig.wire.splice(0, 2)
  rig.arrive()
  t.equal(rig.witness.received, 0)
  rig.arrive()
  rig.answer(true)
  check(t, rig, 4, 0, 2)
})

t.test('messages in a wrong order are put right', async t => {
  const rig = started()
  for (let count = 0; count < 3; count++) rig.publish()
  rig.arrive(2)
  rig.arrive(1)
  rig.arrive(0)
  rig.settle()
  check(t, rig, 3, 0, 2)
})

t.test('a message that does not name the one before it is looked up', async t => {
  const rig = started()
  for (let count = 0; count < 3; count++) {
    rig.publish(1, false)
    rig.arrive()
    rig.settle()
  }
  check(t, rig, 3, 0, 4)
})

t.test('an interruption without a loss is noticed by nobody', async t => {
  const rig = started()
  rig.publish()
  rig.arrive()
  rig.chain.interrupted()
  rig.answer()
  check(t, rig, 1, 0, 2)
})

t.test('messages that were missed in an interruption are read, in as many parts as it takes', async t => {
  const rig = started()
  for (let count = 0; count < 2_500; count++) rig.publish()
  rig.wire.length = 0
  rig.chain.interrupted()
  rig.settle()
  check(t, rig, 2_500, 0, 4)
})

t.test('an interruption while the history is read makes it be read again', async t => {
  const rig = started()
  rig.chain.interrupted()
  rig.publish()
  rig.wire.length = 0
  rig.chain.interrupted()
  rig.answer(true)
  rig.settle()
  check(t, rig, 1, 0, 3)
})

t.test('messages that are no longer kept are lost', async t => {
  const rig = started()
  for (let count = 0; count < 10; count++) rig.publish()
  rig.engine.trim(5)
  rig.wire.splice(0, 9)
  rig.arrive()
  rig.settle()
  check(t, rig, 0, 1, 2)
  rig.publish()
  rig.arrive()
  check(t, rig, 1, 1, 2)
})

t.test('a history that expired without a loss is no loss', async t => {
  const rig = started()
  rig.publish()
  rig.arrive()
  rig.engine.trim(1)
  rig.chain.interrupted()
  rig.answer()
  rig.publish()
  rig.arrive()
  check(t, rig, 2, 0, 2)
})

t.test('an engine that has gone back is noticed, though the offset is taken again', async t => {
  for (const count of [0, 1, 2, 3]) {
    const rig = started()
    for (let count = 0; count < 3; count++) {
      rig.publish()
      rig.arrive()
    }
    rig.engine.goBack(2)
    for (let other = 0; other < count; other++) rig.publish()
    rig.wire.length = 0
    rig.chain.interrupted()
    rig.settle()
    t.equal(rig.witness.lostCount, 1, `${count} messages since`)
    t.ok(rig.witness.isAtTop)
    rig.publish()
    rig.arrive()
    t.equal(rig.witness.received, 4)
    t.same(rig.witness.at!.id, ids(rig).at(-1))
  }
})

t.test('a new epoch is a loss', async t => {
  const rig = started()
  rig.publish()
  rig.arrive()
  rig.engine.wipe()
  rig.publish()
  rig.arrive()
  rig.settle()
  check(t, rig, 1, 1, 2)
})

t.test('a message of a former epoch that is late is dropped', async t => {
  const rig = started()
  rig.publish()
  rig.engine.wipe()
  rig.publish()
  rig.arrive(1)
  rig.settle()
  rig.arrive(0)
  rig.settle()
  check(t, rig, 0, 1, 3)
})

t.test('a message that the history does not have yet is looked for again', async t => {
  const rig = started()
  const [first, second] = [rig.publish(), rig.publish()]
  const { history } = rig.engine
  rig.engine.history = []
  rig.chain.receive(second)
  rig.answer()
  t.equal(rig.witness.received, 0)
  rig.engine.history = history
  rig.settle()
  check(t, rig, 2, 0, 3)
  t.equal(first.position.offset, 1)
})

t.test('a message that the history never has is given up', async t => {
  const rig = started()
  rig.publish()
  const lost = rig.publish()
  rig.engine.goBack(2)
  rig.chain.receive(lost)
  rig.settle()
  check(t, rig, 0, 0, 5)
  rig.wire.length = 0
  rig.publish()
  rig.arrive()
  check(t, rig, 1, 0, 5)
})

t.test('failing reads are repeated, and live messages wait', async t => {
  const rig = started()
  rig.publish()
  rig.chain.interrupted()
  rig.fail()
  rig.arrive()
  t.equal(rig.witness.received, 0)
  rig.retry()
  rig.fail()
  t.ok(rig.hasRetry)
  rig.settle()
  check(t, rig, 1, 0, 4)
})

t.test('live messages that wait are bounded', async t => {
  const rig = started()
  rig.chain.interrupted()
  rig.fail()
  for (let count = 0; count < 5_000; count++) {
    rig.publish()
    rig.arrive()
  }
  t.ok((rig.chain as unknown as { held: unknown[] }).held.length <= 1_000)
  rig.settle()
  check(t, rig, 5_000, 0, 7)
})

t.test('messages that come before the beginning is known are not delivered twice', async t => {
  const rig = new Rig()
  rig.publish()
  rig.arrive()
  rig.chain.start()
  rig.publish()
  rig.arrive()
  rig.answer(true)
  check(t, rig, 1, 0, 1)
})

t.test('a receiver that makes the broker deliver the next message gets it afterwards', async t => {
  const rig = started()
  const order: string[] = []
  rig.onDeliver = ({ id }) => {
    if (order.length === 0) {
      rig.publish()
      rig.arrive()
    }
    order.push(id)
  }
  rig.publish()
  rig.arrive()
  check(t, rig, 2, 0, 1)
  t.strictSame(order, ids(rig))
})

t.test('nothing is delivered after stop, from within too', async t => {
  for (const isRead of [false, true]) {
    const rig = started()
    rig.onDeliver = () => rig.chain.stop()
    rig.publish()
    rig.publish()
    if (isRead) {
      rig.wire.length = 0
      rig.chain.interrupted()
      rig.answer()
    } else {
      rig.arrive(1)
      rig.arrive(0)
      rig.answer()
    }
    rig.chain.interrupted()
    rig.chain.retry()
    t.equal(rig.witness.received, 1)
    t.equal(rig.pending, null)
  }
})

// --- whatever happens

const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('publish' as const), step: fc.constantFrom(1, 1, 1, 2, 9), known: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('arrive' as const), index: fc.constantFrom(0, 0, 0, 1, 2, 5), keep: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('drop' as const), index: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('answer' as const), early: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('fail' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('retry' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('interrupted' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('trim' as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('goBack' as const), count: fc.integer({ min: 1, max: 4 }), again: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wipe' as const) }) }
)

t.test('whatever a broker does, each message comes once and in order, or lost says where some are missing', async t => {
  let losses = 0
  let received = 0
  fc.assert(fc.property(fc.boolean(), fc.boolean(), fc.nat(3), fc.array(action, { minLength: 1, maxLength: 60, size: 'max' }), (knowsTop, remembers, before, actions) => {
    const rig = new Rig()
    rig.knowsTop = knowsTop
    rig.remembers = remembers
    for (let count = 0; count < before; count++) rig.publish()
    rig.chain.start()
    for (const action of actions) {
      switch (action.type) {
        case 'publish': rig.publish(action.step, action.known); break
        case 'arrive': rig.arrive(action.index, action.keep); break
        case 'drop': rig.wire.splice(action.index, 1); break
        case 'answer': rig.answer(action.early); break
        case 'fail': rig.fail(); break
        case 'retry': rig.retry(); break
        case 'interrupted': rig.chain.interrupted(); break
        case 'trim': rig.engine.trim(action.count); break
        case 'wipe': rig.engine.wipe(); break
        case 'goBack':
          // A fail-over breaks the connection: what is on its way is lost, or has come before.
          rig.engine.goBack(action.count)
          for (let count = 0; count < action.again; count++) rig.publish()
          rig.wire.length = 0
          rig.chain.interrupted()
      }
    }
    rig.settle()
    rig.wire.length = 0
    rig.chain.interrupted()
    rig.settle()
    if (!rig.witness.isAtTop) throw new Error(`it stops at ${JSON.stringify(rig.witness.at)}`)
    losses += rig.witness.lostCount
    received += rig.witness.received
  }), { numRuns: 2_000 })
  t.ok(losses > 100, `${losses} losses`)
  t.ok(received > 1_000, `${received} messages`)
})
