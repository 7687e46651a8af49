import t, { type Test } from 'tap'
import { Backlog } from '../../lib/connection/backlog.js'
import { turns } from '../support/server-sockets.js'

/** A backlog, and how often it was read to its end. */
function create (t: Test): { backlog: Backlog, count: () => number, timers: Array<() => void> } {
  let count = 0
  const timers: Array<() => void> = []
  const { setTimeout } = globalThis
  t.teardown(() => { globalThis.setTimeout = setTimeout })
  // The time is over when the test says so.
  globalThis.setTimeout = ((run: (backlog: Backlog) => void, _delay: number, backlog: Backlog) => {
    timers.push(() => run(backlog))
    return { unref () { return this } }
  }) as unknown as typeof setTimeout
  return { backlog: new Backlog(() => { count++ }), count: () => count, timers }
}

t.test('it is over with the first turn of the event loop in which nothing is read', async t => {
  const { backlog, count, timers } = create(t)
  backlog.begin()
  backlog.watch()
  backlog.watch()
  for (let i = 0; i < 10; i++) {
    backlog.noteRead(100)
    await turns(1)
    t.equal(count(), 0, `turn ${i}`)
  }
  await turns(2)
  t.equal(count(), 1)
  await turns(5)
  t.equal(count(), 1, 'once')
  t.same(timers, [])
})

t.test('a client that may have been held back by flow control has a second to go on', async t => {
  const { backlog, count, timers } = create(t)
  backlog.begin()
  backlog.watch()
  backlog.noteRead(4096)
  await turns(5)
  t.equal(count(), 0)
  t.equal(timers.length, 1)
  backlog.noteRead(1)
  timers.pop()!()
  t.equal(count(), 0, 'it has gone on')
  await turns(5)
  t.equal(timers.length, 1, 'and has another second')
  timers.pop()!()
  // A loop that was blocked runs the timer before it reads.
  backlog.noteRead(1)
  await turns(5)
  t.equal(count(), 0)
  timers.pop()!()
  await turns(5)
  t.equal(count(), 1)
})

t.test('nothing is over while nothing is read; what was read before the app held the client back does not count', async t => {
  const { backlog, count, timers } = create(t)
  backlog.noteRead(1_000_000)
  backlog.begin()
  backlog.watch()
  backlog.forget()
  await turns(5)
  t.equal(count(), 0)
  backlog.watch()
  await turns(5)
  t.equal(count(), 1)
  t.same(timers, [], 'this one was not held back')
})
