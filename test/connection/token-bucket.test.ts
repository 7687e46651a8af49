import t from 'tap'
import { TokenBucket } from '../../lib/connection/token-bucket.js'

t.test('it is full at first, refills continuously, and holds no more than its capacity', async t => {
  const bucket = new TokenBucket(10, 1000, 0)
  t.same([bucket.take(10, 0, 0), bucket.take(1, 0, 0)], [true, false])
  t.same([bucket.take(1, 99, 0), bucket.take(1, 100, 0), bucket.take(1, 100, 0)], [false, true, false], 'a refusal costs nothing')
  t.same([bucket.take(10, 10_000, 0), bucket.take(1, 10_000, 0)], [true, false])
})

t.test('an allowance of time lets it hold as much more as it gains in that time', async t => {
  const bucket = new TokenBucket(10, 1000, 0)
  t.same([bucket.take(30, 2000, 2000), bucket.take(1, 2000, 2000)], [true, false])
  t.notOk(bucket.take(11, 12_000, 0), 'without it, no more than the capacity')
  t.ok(bucket.take(10, 12_000, 0))
})

t.test('fractions add up: a token for each third of a window', async t => {
  const bucket = new TokenBucket(3, 1000, 0)
  t.ok(bucket.take(3, 0, 0))
  for (let i = 1; i <= 30_000; i++) {
    if (!bucket.take(1, i * 1000 / 3, 0)) t.fail(`token ${i}`)
  }
  t.notOk(bucket.take(1, 30_000 * 1000 / 3, 0))
})

t.test('without a limit it takes whatever there is, and nothing becomes NaN', async t => {
  const bucket = new TokenBucket(Infinity, 1000, 0)
  for (const now of [0, 0, 1, 1e9]) t.ok(bucket.take(Number.MAX_SAFE_INTEGER, now, now))
})
