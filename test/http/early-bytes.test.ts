import t from 'tap'
import { EarlyBytes } from '../../lib/http/early-bytes.js'

t.test('what comes in chunks of any size is one, in order, and kept once', async t => {
  for (const sizes of [[], [1], [70_000], [1, 1, 1], [3, 5000, 2, 40_000, 0, 7], Array<number>(3000).fill(1)]) {
    const all = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0), 'abcdefghijklmnopqrs')
    const early = new EarlyBytes()
    let at = 0
    for (const size of sizes) early.add(Buffer.from(all.subarray(at, at += size)))
    t.equal(early.isFull, all.length >= 32 * 1024)
    t.ok(early.take().equals(all), `${sizes.length} chunks, ${all.length} bytes`)
    t.equal(early.take().length, 0)
    early.add(Buffer.from('next'))
    t.equal(early.take().toString(), 'next')
  }
})

t.test('it never writes into a chunk, which may be a part of something larger', async t => {
  const whole = Buffer.from('head, and what is behind it')
  const early = new EarlyBytes()
  early.add(whole.subarray(0, 4))
  early.add(Buffer.from('!'))
  t.equal(early.take().toString(), 'head!')
  t.equal(whole.toString(), 'head, and what is behind it')
})

t.test('it is full from 32 KiB on', async t => {
  const early = new EarlyBytes()
  early.add(Buffer.alloc(32_767))
  t.notOk(early.isFull)
  early.add(Buffer.alloc(1))
  t.ok(early.isFull)
})
