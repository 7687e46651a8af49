import { createHook } from 'node:async_hooks'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { TimerWheel, WheelNode } from '../../lib/server/timer-wheel.js'

/** Does what it is told when its time has come. */
class Node extends WheelNode {
  readonly visit: () => void
  readonly judge: () => void

  constructor (visit: () => void, judge: () => void = () => {}) {
    super()
    this.visit = visit
    this.judge = judge
  }
}

/** The wheel keeps no process alive, nor the test's. */
function stayAlive (t: Test): void {
  const timer = setInterval(() => {}, 3_600_000)
  t.teardown(() => clearInterval(timer))
}

/** A wheel that the test turns itself, though a timer does so too. */
function turning (tickLength: number): { wheel: TimerWheel, turn: (ticks: number) => void } {
  const wheel = new TimerWheel()
  wheel.prepare(tickLength * 4)
  return { wheel, turn: ticks => { for (let i = 0; i < ticks; i++) wheel._turn() } }
}

t.test('each node is visited once, at its time, however long that is', async t => {
  const { wheel, turn } = turning(10)
  // Over several turns of the wheel, which has 256 buckets.
  const delays = Array.from({ length: 2000 }, (_, i) => 1 + (i * 7919) % 9000)
  const visits = new Map<number, number[]>()
  const nodes = delays.map((_, i) => new Node(() => { visits.set(i, [...visits.get(i) ?? [], wheel.now]) }))
  nodes.forEach((node, i) => wheel.schedule(node, delays[i]!))
  turn(899)
  t.ok([...visits.keys()].every(i => delays[i]! <= 8990))
  turn(1101)
  let wrong = 0
  for (const [i, delay] of delays.entries()) if (visits.get(i)?.join() !== String(Math.ceil(delay / 10) * 10)) wrong++
  t.equal(wrong, 0)
})

t.test('a visit may put its node back, take others off and put others on, in the same bucket too', async t => {
  const { wheel, turn } = turning(10)
  const log: string[] = []
  const removed = new Node(() => log.push('removed'))
  const late = new Node(() => log.push('late'))
  const again = new Node(() => {
    log.push(`again ${wheel.now}`)
    // The same bucket, a whole turn later.
    wheel.schedule(again, 2560)
  })
  const remover = new Node(() => {
    log.push('remover')
    wheel.remove(removed)
    wheel.remove(removed)
    wheel.remove(remover)
    wheel.schedule(late, 10)
  })
  for (const node of [again, remover, removed]) wheel.schedule(node, 30)
  turn(4)
  t.same(log.splice(0), ['again 30', 'remover', 'late'])
  turn(255)
  t.same(log.splice(0), ['again 2590'])
  wheel.remove(again)
  turn(1000)
  t.same(log, [])
})

t.test('the shortest wait says how fine it is, and a quarter of a second is the coarsest', async t => {
  for (const [wait, tick] of [[30_000, 250], [1000, 250], [999, 249], [20, 5], [3, 1], [1, 1]] as const) {
    const wheel = new TimerWheel()
    wheel.prepare(wait)
    wheel.prepare(60_000)
    t.equal(wheel.nextTick - wheel.now, tick)
  }
})

t.test('one timer for all, none without anybody', async t => {
  const timers = new Set<number>()
  let made = 0
  const hook = createHook({
    init (id, type) {
      if (type !== 'Timeout') return
      made++
      timers.add(id)
    },
    destroy (id) { timers.delete(id) }
  }).enable()
  const wheel = new TimerWheel()
  const nodes = Array.from({ length: 1000 }, () => new Node(() => {}))
  for (const node of nodes) wheel.schedule(node, 3_600_000)
  t.equal(made, 1)
  for (const node of nodes) wheel.remove(node)
  wheel.schedule(nodes[0]!, 3_600_000)
  wheel.remove(nodes[0]!)
  await new Promise(resolve => setImmediate(resolve))
  hook.disable()
  t.equal(made, 2)
  t.equal(timers.size, 0)
})

t.test('one that waits alone and always again keeps its timer', async t => {
  stayAlive(t)
  let made = 0
  const wheel = new TimerWheel()
  wheel.prepare(4)
  const hook = createHook({ init (_id, type) { if (type === 'Timeout') made++ } }).enable()
  await new Promise<void>(resolve => {
    let visits = 0
    const node: Node = new Node(() => {
      if (++visits === 20) resolve()
      else wheel.schedule(node, 2)
    })
    wheel.schedule(node, 2)
  })
  hook.disable()
  t.equal(made, 1)
})

t.test('while the event loop is blocked the clock stands still', async t => {
  stayAlive(t)
  const wheel = new TimerWheel()
  wheel.prepare(4)
  const before = wheel.now
  await new Promise<void>(resolve => {
    wheel.schedule(new Node(resolve), 50)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    // All that was missed, should it be made up for, is so by now.
    setImmediate(() => setImmediate(() => t.ok(wheel.now - before <= 10, `${wheel.now - before}`)))
  })
})

t.test('who is condemned is judged when what came was read', async t => {
  const wheel = new TimerWheel()
  const log: string[] = []
  const nodes = [1, 2].map(i => new Node(() => {}, () => log.push(`judged ${i}`)))
  await new Promise<void>(resolve => {
    setTimeout(() => {
      for (const node of nodes) wheel.condemn(node)
      log.push('condemned')
      setImmediate(resolve)
    }, 1)
  })
  t.same(log, ['condemned', 'judged 1', 'judged 2'])
})

t.test('it keeps no process alive', async t => {
  const program = `
    import { TimerWheel, WheelNode } from ${JSON.stringify(new URL('../../lib/server/timer-wheel.ts', import.meta.url).href)}
    class Node extends WheelNode { visit () {} judge () {} }
    new TimerWheel().schedule(new Node(), 3_600_000)
  `
  const { stdout } = await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', '--input-type=module', '-e', `${program}; console.log('done')`])
  t.equal(stdout.trim(), 'done')
})
