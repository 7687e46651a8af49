import t from 'tap'
import { JoinedBytes } from '../../lib/socket/joined-bytes.js'

t.test('what comes in chunks of any size is one, in order, and kept once', async t => {
  for (const sizes of [[], [1], [70_000], [1, 1, 1], [3, 5000, 2, 40_000, 0, 7], Array<number>(3000).fill(1)]) {
    const all = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0), 'abcdefghijklmnopqrs')
    const joined = new JoinedBytes()
    let at = 0
    for (const size of sizes) joined.add(all.subarray(at, at += size))
    t.equal(joined.length, all.length)
    const bytes = joined.take()
    t.ok(bytes.equals(all), `${sizes.length} chunks, ${all.length} bytes`)
    t.equal(joined.length, 0)
    t.equal(joined.take().length, 0)
    joined.add(Buffer.from('next'))
    t.equal(joined.take().toString(), 'next')
    t.ok(bytes.equals(all), 'what was taken is not written to any more')
  }
})
