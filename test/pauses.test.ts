import t from 'tap'
import { mock } from 'node:test'
import { Pauses } from '../lib/pauses.js'

t.test('each pause is twice as long as the one before, up to a limit, and begins anew', async t => {
  const pauses = new Pauses({ first: 100, most: 1_000, jitter: 0 })
  t.same(Array.from({ length: 6 }, () => pauses.next()), [100, 200, 400, 800, 1_000, 1_000])
  for (let i = 0; i < 2_000; i++) pauses.next()
  t.equal(pauses.next(), 1_000, 'after however many')
  pauses.reset()
  t.equal(pauses.next(), 100)
})

t.test('a part of each pause is random', async t => {
  const { mock: random } = mock.method(Math, 'random', () => 0)
  t.teardown(() => random.restore())
  for (const [jitter, least] of [[0, 100], [0.5, 50], [1, 0]] as const) {
    random.mockImplementation(() => 0)
    t.equal(new Pauses({ first: 100, most: 1_000, jitter }).next(), least)
    random.mockImplementation(() => 1)
    t.equal(new Pauses({ first: 100, most: 1_000, jitter }).next(), 100)
  }
})
