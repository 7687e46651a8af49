import t from 'tap'
import { setTimeout as pause } from 'node:timers/promises'
import { Pending } from '../../lib/redis/pending.js'

const TIMEOUT = 100

const never = (): Promise<never> => new Promise(() => {})

t.test('a line that answers is alive, however long its queue is', async t => {
  let stuck: Error | null = null
  const pending = new Pending(TIMEOUT, true, never, error => { stuck = error })
  const answers: Array<(value: number) => void> = []
  const replies = Array.from({ length: 10 }, () => pending.track(new Promise<number>(resolve => answers.push(resolve))))
  for (const [i, answer] of answers.entries()) {
    await pause(TIMEOUT / 2)
    answer(i)
  }
  t.same(await Promise.all(replies), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.equal(stuck, null)
  pending.end(new Error('over'))
})

t.test('a line that does not answer is dead', async t => {
  const keep = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(keep))
  const error = await new Promise<Error>(resolve => {
    const pending = new Pending(TIMEOUT, true, never, resolve)
    pending.track(never()).catch(() => {})
  })
  t.match(error.message, /has not answered for 100 ms/)
})

t.test('a line that is idle is asked', async t => {
  const keep = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(keep))
  let probes = 0
  const error = await new Promise<Error>(resolve => new Pending(TIMEOUT, true, () => ++probes < 3 ? Promise.resolve() : never(), resolve))
  t.equal(probes, 3)
  t.match(error.message, /has not answered/)
})

t.test('in a cluster each command counts by itself', async t => {
  const keep = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(keep))
  const error = await new Promise<Error>(resolve => {
    const pending = new Pending(TIMEOUT, false, () => Promise.resolve(), resolve)
    pending.track(never()).catch(() => {})
    const others = setInterval(() => pending.track(Promise.resolve()), TIMEOUT / 4)
    t.teardown(() => clearInterval(others))
  })
  t.match(error.message, /has not answered/)
})

t.test('what is waiting is rejected when the connection ends, and what comes later', async t => {
  const pending = new Pending(TIMEOUT, true, never, () => {})
  const reply = pending.track(never())
  pending.end(new Error('broken'))
  await t.rejects(reply, { message: 'broken' })
  await t.rejects(pending.track(never()), { message: 'the connection was closed' })
})
