import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import type { Clock } from '../../lib/topics/clock.js'
import type { MemberList, MemberNotice } from '../../lib/topics/member-view.js'
import { Presence } from '../../lib/topics/presence.js'
import { decodeChange, encodeChange } from '../../lib/topics/presence-change.js'
import type { BrokerPresence } from '../../types/broker.js'

/** A clock that goes when the test says so. */
class ScriptedClock implements Clock {
  time = 0
  private timers: Array<{ readonly at: number, readonly callback: () => void }> = []

  now (): number {
    return this.time
  }

  later (milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.time + milliseconds, callback }
    this.timers.push(timer)
    return () => { this.timers = this.timers.filter(other => other !== timer) }
  }

  get size (): number {
    return this.timers.length
  }

  /** Lets time pass, timer by timer. */
  async pass (milliseconds: number): Promise<void> {
    await settle()
    const end = this.time + milliseconds
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.timers = this.timers.filter(other => other !== next)
      this.time = Math.max(this.time, next.at)
      next.callback()
      await settle()
    }
    this.time = end
    await settle()
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

async function settle (): Promise<void> {
  for (let count = 0; count < 4; count++) await turn()
}

const TOPIC = 'rooms/1'
const GRACE = 10_000

/** A receiver that keeps the list that it was given, by the differences alone. */
class Page {
  list: Map<string, string> | number = -1
  notices: string[] = []

  show ({ members, count }: MemberList): void {
    this.list = members === null ? count : new Map(members.map(({ id, info }) => [id, info]))
  }

  onNotice (notice: MemberNotice): void {
    if (notice.kind === 'list') {
      this.notices.push(`list ${notice.list.count}`)
      return this.show(notice.list)
    }
    if (!(this.list instanceof Map)) return
    if (notice.kind === 'joined') {
      this.notices.push(`joined ${notice.member.id}`)
      this.list.set(notice.member.id, notice.member.info)
    } else {
      this.notices.push(`left ${notice.id}`)
      if (!this.list.delete(notice.id)) throw new Error(`${notice.id} left, and was not there`)
    }
  }

  get ids (): string[] | number {
    return this.list instanceof Map ? [...this.list.keys()].sort() : this.list
  }

  /** @returns what has changed since the last call */
  take (): string[] {
    return this.notices.splice(0)
  }
}

interface Options {
  max?: number
  grace?: number
  wrap?: (presence: BrokerPresence) => BrokerPresence
}

/** A process: a hub that has subscribed to the topic. */
class Process {
  readonly presence: Presence
  readonly broker: MemoryBroker
  readonly page = new Page()
  readonly settings: { grace: number, max: number }
  isAlive = true
  /** Whether announcements are lost on their way here. */
  isDeaf = false
  isCutOff = false
  calls = 0

  constructor (bus: MemoryBus, clock: Clock, { max = 1_000, grace = GRACE }: Options) {
    this.broker = new MemoryBroker(bus)
    this.settings = { grace, max }
    const broker = new Proxy(this.broker.presence, {
      get: (target, name) => (...args: unknown[]) => {
        this.calls++
        // Calls of a process that was killed are never answered, and have no effect.
        if (!this.isAlive) return new Promise(() => {})
        if (this.isCutOff) return Promise.reject(new Error('the broker is away'))
        return (Reflect.get(target, name) as (...args: unknown[]) => unknown).apply(target, args)
      }
    })
    this.presence = new Presence({
      broker,
      publish: (topic, data) => {
        if (!this.isAlive) return new Promise(() => {})
        if (this.isCutOff) return Promise.reject(new Error('the broker is away'))
        return this.broker.publish(topic, { id: 'id', data, history: null })
      },
      notify: (_topic, notice) => this.page.onNotice(notice),
      clock
    })
  }

  async start (): Promise<this> {
    await this.broker.start({
      message: (topic, { data }) => {
        if (this.isAlive && !this.isDeaf && !this.isCutOff) this.presence.receive(topic, data)
      },
      interrupted () {},
      state () {}
    })
    await this.broker.subscribe([TOPIC])
    return this
  }

  watch (): void {
    this.presence.list(TOPIC, this.settings, list => this.page.show(list))
  }

  enter (id: string, info: unknown = id): void {
    this.presence.enter(TOPIC, { id, info: JSON.stringify(info) }, this.settings)
  }

  leave (id: string, isClean = true): void {
    this.presence.leave(TOPIC, id, isClean, this.settings)
  }

  /** Ends the process without a word. */
  kill (): void {
    this.isAlive = false
  }

  /** Breaks the connection to the broker, or makes it again. */
  cut (isCutOff: boolean): void {
    this.isCutOff = isCutOff
    if (!isCutOff) this.presence.interrupted()
  }
}

function setUp (t: Test, options: Options = {}) {
  const clock = new ScriptedClock()
  const bus = new MemoryBus(() => clock.time)
  const all: Process[] = []
  t.teardown(() => Promise.all(all.map(process => process.broker.close())))
  const start = async (): Promise<Process> => {
    const process = await new Process(bus, clock, options).start()
    all.push(process)
    process.watch()
    await settle()
    return process
  }
  const truth = async (): Promise<string[]> => (await bus.presence.list(TOPIC, 10_000)).map(({ id }) => id).sort()
  return { clock, bus, start, truth }
}

t.test('members of all processes are seen by all, each change once', async t => {
  const { start, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  t.strictSame(one.page.take(), ['joined a'], 'at once where it came')
  await settle()
  two.enter('b')
  await settle()
  t.strictSame(two.page.take(), ['joined a', 'joined b'])
  t.strictSame(one.page.take(), ['joined b'])
  t.strictSame(await truth(), ['a', 'b'])
  one.leave('a')
  await settle()
  for (const { page } of [one, two]) {
    t.strictSame(page.take(), ['left a'])
    t.strictSame(page.ids, ['b'])
  }
})

t.test('a list is read once for each process, however many ask', async t => {
  const { start } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a', { name: 'Ann' })
  await settle()
  const { calls } = two
  let given = 0
  for (let count = 0; count < 1_000; count++) {
    two.presence.list(TOPIC, two.settings, ({ members, count }) => {
      given++
      t.strictSame(members, [{ id: 'a', info: '{"name":"Ann"}' }])
      t.equal(count, 1)
    })
  }
  t.equal(given, 1_000)
  t.equal(two.calls, calls)
})

t.test('a client that breaks off and comes back within the grace period has never left', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two, three] = [await start(), await start(), await start()]
  one.enter('a')
  await settle()
  for (const { page } of [one, two, three]) page.take()
  for (const [from, to] of [[one, one], [one, two], [two, three], [three, one]] as const) {
    from.leave('a', false)
    await clock.pass(GRACE - 1_000)
    to.enter('a')
    await clock.pass(GRACE * 3)
    for (const { page } of [one, two, three]) t.strictSame(page.take(), [])
    t.strictSame(await truth(), ['a'])
  }
  one.leave('a', false)
  await clock.pass(GRACE - 1)
  t.strictSame(two.page.take(), [])
  await clock.pass(1)
  for (const { page } of [one, two, three]) t.strictSame(page.take(), ['left a'])
})

t.test('a client that resumes while its old connection still lives has never left', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  await settle()
  for (const { page } of [one, two]) page.take()
  for (const other of [one, two]) {
    other.enter('a')
    await settle()
    one.leave('a', false)
    await clock.pass(GRACE * 2)
    for (const { page } of [one, two]) t.strictSame(page.take(), [])
    t.strictSame(await truth(), ['a'])
  }
  two.leave('a')
  await settle()
  t.strictSame(one.page.take(), ['left a'])
})

t.test('a client with two connections that ends one of them is still there', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  await settle()
  two.enter('a')
  await settle()
  two.leave('a')
  await clock.pass(1_000)
  t.strictSame(await truth(), ['a'])
  for (const { page } of [one, two]) t.strictSame(page.ids, ['a'])
})

t.test('a clean end is a leave at once, and so is any end without a grace period', async t => {
  const { start, truth } = setUp(t, { grace: 0 })
  const one = await start()
  one.enter('a')
  await settle()
  one.leave('a', false)
  await settle()
  t.strictSame(await truth(), [])
  t.strictSame(one.page.take(), ['joined a', 'left a'])
})

t.test('who comes and goes in one turn is written to nobody', async t => {
  const { start } = setUp(t)
  const [one, two] = [await start(), await start()]
  const { calls } = one
  one.enter('a')
  one.leave('a')
  await settle()
  t.equal(one.calls, calls + 1, 'but for the lease')
  t.strictSame(two.page.take(), [])
})

t.test('new information about a member replaces the old one', async t => {
  const { start } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a', { name: 'Ann' })
  await settle()
  one.enter('a', { name: 'Anne' })
  await settle()
  t.strictSame(two.page.take(), ['joined a', 'joined a'])
  t.strictSame((two.page.list as Map<string, string>).get('a'), '{"name":"Anne"}')
})

t.test('members of a killed process are gone within 20 s, and lists leave them out after 15 s', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two, three] = [await start(), await start(), await start()]
  for (let index = 0; index < 500; index++) one.enter(`m${index}`)
  two.enter('b')
  await clock.pass(7_000)
  for (const { page } of [two, three]) page.take()
  one.kill()
  await clock.pass(15_000)
  t.strictSame(await truth(), ['b'])
  await clock.pass(5_000)
  for (const { page } of [two, three]) {
    t.strictSame(page.ids, ['b'])
    t.equal(page.take().length, 500)
  }
})

t.test('clients of a killed process that resume elsewhere in time have never left', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two, three] = [await start(), await start(), await start()]
  for (const id of ['a', 'b', 'c']) one.enter(id)
  await clock.pass(6_000)
  for (const { page } of [two, three]) page.take()
  one.kill()
  await clock.pass(3_000)
  two.enter('a')
  three.enter('b')
  await clock.pass(60_000)
  for (const { page } of [two, three]) t.strictSame(page.take(), ['left c'])
  t.strictSame(await truth(), ['a', 'b'])
})

t.test('a process that was stopped for longer than its lease enters its members again', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  one.enter('b')
  await clock.pass(6_000)
  one.cut(true)
  await clock.pass(30_000)
  t.strictSame(two.page.ids, [])
  one.leave('b', false)
  one.cut(false)
  await clock.pass(20_000)
  t.strictSame(await truth(), ['a'])
  for (const { page } of [one, two]) t.strictSame(page.ids, ['a'])
})

t.test('changes that were missed come as differences after an interruption', async t => {
  const { start } = setUp(t)
  const [one, two] = [await start(), await start()]
  for (const id of ['a', 'b']) one.enter(id)
  await settle()
  two.page.take()
  two.isDeaf = true
  one.leave('a')
  one.enter('c')
  one.enter('b', 'new')
  await settle()
  two.isDeaf = false
  two.presence.interrupted([TOPIC])
  await settle()
  t.strictSame(two.page.take(), ['left a', 'joined b', 'joined c'])
})

t.test('while the broker is away nothing is lost: it is made up for', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  await settle()
  one.cut(true)
  one.enter('b')
  one.leave('a')
  await clock.pass(4_000)
  t.strictSame(await truth(), ['a'])
  one.cut(false)
  await settle()
  t.strictSame(await truth(), ['b'])
  t.strictSame(two.page.ids, ['b'])
})

t.test('an announcement that fails comes later', async t => {
  const { start, clock } = setUp(t)
  const [one, two] = [await start(), await start()]
  const publish = one.broker.publish.bind(one.broker)
  one.broker.publish = () => Promise.reject(new Error('not now'))
  one.enter('a')
  await settle()
  one.broker.publish = publish
  await clock.pass(1_000)
  t.strictSame(two.page.take(), ['joined a'])
})

t.test('a view that missed something silently is right within its time', async t => {
  const { start, clock } = setUp(t)
  const [one, two] = [await start(), await start()]
  one.enter('a')
  await settle()
  two.isDeaf = true
  one.leave('a')
  await settle()
  two.isDeaf = false
  await clock.pass(70_000)
  t.strictSame(two.page.ids, [])
})

t.test('above the bound members are counted, at most once a second', async t => {
  const { start, clock } = setUp(t, { max: 10 })
  const [one, two] = [await start(), await start()]
  for (let index = 0; index < 10; index++) one.enter(`m${index}`)
  await settle()
  t.equal((two.page.ids as string[]).length, 10)
  two.page.take()
  one.enter('m10')
  await settle()
  for (const { page } of [one, two]) {
    t.equal(page.ids, 11)
    t.strictSame(page.take().filter(notice => notice.startsWith('list')), ['list 11'])
  }
  for (let index = 11; index < 50; index++) {
    one.enter(`m${index}`)
    await clock.pass(50)
  }
  await clock.pass(1_000)
  for (const { page } of [one, two]) {
    t.equal(page.ids, 50)
    t.ok(page.take().length <= 4)
  }
  for (let index = 9; index < 50; index++) one.leave(`m${index}`)
  await clock.pass(2_000)
  for (const { page } of [one, two]) t.strictSame(page.ids, Array.from({ length: 9 }, (_, index) => `m${index}`))
  one.enter('z')
  await settle()
  t.equal((two.page.ids as string[]).length, 10)

  const three = await start()
  t.equal((three.page.ids as string[]).length, 10)
})

t.test('a list that is too long from the beginning is a count', async t => {
  const { start, clock } = setUp(t, { max: 5 })
  const one = await start()
  for (let index = 0; index < 100; index++) one.enter(`m${index}`)
  await clock.pass(2_000)
  const two = await start()
  await clock.pass(1_000)
  t.equal(two.page.ids, 100)
})

t.test('a closed process leaves its members to the grace period', async t => {
  const { start, clock, truth } = setUp(t)
  const [one, two] = [await start(), await start()]
  for (const id of ['a', 'b']) one.enter(id)
  await settle()
  two.page.take()
  for (const id of ['a', 'b']) one.leave(id, false)
  await one.presence.close()
  await clock.pass(5_000)
  t.strictSame(await truth(), ['a', 'b'])
  two.enter('a')
  await clock.pass(15_000)
  t.strictSame(two.page.take(), ['left b'])
  t.strictSame(await truth(), ['a'])
})

t.test('at rest a process costs two calls in five seconds, whatever its members, and nothing without any', async t => {
  const { start, clock } = setUp(t)
  const one = await start()
  for (let index = 0; index < 1_000; index++) one.presence.enter(`rooms/${index}`, { id: 'a', info: '1' }, one.settings)
  await clock.pass(5_000)
  const { calls } = one
  await clock.pass(50_000)
  t.equal(one.calls - calls, 20)

  for (let index = 0; index < 1_000; index++) one.presence.leave(`rooms/${index}`, 'a', true, one.settings)
  one.presence.forget(TOPIC)
  await clock.pass(10_000)
  const after = one.calls
  await clock.pass(60_000)
  t.equal(one.calls, after)
  t.equal(clock.size, 0)
})

t.test('changes survive the wire, in messages that are not too large', async t => {
  const joined = Array.from({ length: 450 }, (_, index) => ({ id: `"${index}"`, info: JSON.stringify({ name: `é${index}` }) }))
  const payloads = encodeChange({ by: 'p', joined, left: ['x'], swept: 'q' })
  t.equal(payloads.length, 3)
  const changes = payloads.map(payload => decodeChange(payload)!)
  t.strictSame(changes.flatMap(({ joined }) => joined), joined)
  t.strictSame(changes.flatMap(({ left }) => left), ['x'])
  for (const change of changes) t.match(change, { by: 'p', swept: 'q' })
  t.strictSame(encodeChange({ by: 'p', joined: [], left: [], swept: null }), [])
})

t.test('a change that another version or somebody else has sent is no change', async t => {
  const others = ['', 'null', '1', '[]', '{}', '{"by":1,"joined":[],"left":[]}', '{"by":"p","joined":{},"left":[]}', '{"by":"p","joined":[1],"left":[]}',
    '{"by":"p","joined":[{"id":"a"}],"left":[]}', '{"by":"p","joined":[],"left":[1]}', '{"by":"p","joined":[]}', '\xff']
  for (const text of others) t.equal(decodeChange(Buffer.from(text, 'latin1')), null, text)
})

// --- whatever happens

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('enter' as const), process: fc.nat(2), id: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('leave' as const), process: fc.nat(2), id: fc.nat(3), clean: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('pass' as const), time: fc.constantFrom(0, 100, 3_000, 9_000, 20_000) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), process: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cut' as const), process: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('mend' as const), process: fc.nat(2) }) }
)

t.test('whatever happens, all see the truth in the end', async t => {
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 30, size: 'max' }), async actions => {
    const { clock, start, truth } = setUp(t)
    const processes = [await start(), await start(), await start()]
    /** How many connections each process has for each client. */
    let held = processes.map(() => [0, 0, 0, 0])
    for (const action of actions) {
      const { process: index } = 'process' in action ? action : { process: 0 }
      const process = processes[index]!
      switch (action.type) {
        case 'enter':
          held[index]![action.id]!++
          process.enter(`c${action.id}`)
          break
        case 'leave':
          if (held[index]![action.id] === 0) break
          held[index]![action.id]!--
          process.leave(`c${action.id}`, action.clean)
          break
        case 'pass': await clock.pass(action.time); break
        case 'kill':
          process.kill()
          held = held.map((counts, other) => other === index ? [0, 0, 0, 0] : counts)
          processes[index] = await start()
          break
        case 'cut': process.cut(true); break
        case 'mend': process.cut(false); break
      }
    }
    for (const process of processes) if (process.isCutOff) process.cut(false)
    await clock.pass(100_000)
    const expected = [0, 1, 2, 3].filter(id => held.some(counts => counts[id]! > 0)).map(id => `c${id}`)
    const seen = [await truth(), ...processes.map(({ page }) => page.ids)]
    for (const ids of seen) if (JSON.stringify(ids) !== JSON.stringify(expected)) throw new Error(`${JSON.stringify(seen)} and not ${JSON.stringify(expected)}`)
  }), { numRuns: 100 })
})
