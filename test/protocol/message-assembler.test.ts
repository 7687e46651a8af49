import t from 'tap'
import { MessageAssembler } from '../../lib/protocol/message-assembler.js'
import { MessageMemory } from '../../lib/protocol/message-memory.js'
import { retainedBytes } from '../support/retained-bytes.js'

const KIB = 1024
const MIB = 1024 * KIB

interface Receiving {
  assembler: MessageAssembler
  /** The sizes of the buffers that were asked for. */
  sizes: number[]
  /** Receives bytes as reads of a socket bring them. @returns whether there was memory */
  receive: (bytes: number, announced: number) => boolean
}

function receiving (limit: number, largest = Infinity): Receiving {
  const sizes: number[] = []
  const memory = new MessageMemory({
    allocate (size) {
      sizes.push(size)
      if (size > largest) throw new RangeError('Array buffer allocation failed')
      return Buffer.allocUnsafeSlow(size)
    },
    protect () {}
  })
  const assembler = new MessageAssembler(memory, limit)
  const read = Buffer.alloc(256 * KIB, 'x')
  return {
    assembler,
    sizes,
    receive (bytes, announced) {
      for (let left = bytes; left > 0;) {
        const length = Math.min(left, left === bytes ? 64 * KIB : read.length)
        if (!assembler.append(read, 0, length, 0, announced)) return false
        left -= length
      }
      return true
    }
  }
}

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0)

t.test('a long message is copied little on its way: it takes hardly more memory than its bytes', async t => {
  for (const length of [6, 8, 16, 20].map(size => size * MIB)) {
    const { assembler, sizes, receive } = receiving(64 * MIB)
    t.ok(receive(length, length))
    t.ok(sum(sizes) <= length + 2 * MIB, `${sizes.join(' + ')} for ${length}`)
    t.equal(assembler.take().length, length)
    t.equal(sizes.at(-1), length, 'and is handed out in a buffer that it fills')
  }
})

t.test('C1, C2: the buffer is never more than a multiple of what has come, whatever was announced', async t => {
  for (const [announced, isAnnounced] of [[512 * MIB, true], [Infinity, false]] as const) {
    const { assembler, receive } = receiving(1024 * MIB)
    for (let i = 0; i < 40; i++) {
      receive(64 * KIB, announced)
      const multiple = retainedBytes({ buffer: Reflect.get(assembler, 'buffer') as Buffer }) / assembler.length
      const isLong = isAnnounced && assembler.length >= MIB
      t.ok(multiple <= (isLong ? 16 : 4), `${multiple} times ${assembler.length} bytes, announced: ${announced}`)
    }
  }
})

t.test('C2: of messages of which a part has come, only that part takes memory', async t => {
  const COUNT = 50
  const before = process.memoryUsage.rss()
  const all = Array.from({ length: COUNT }, () => {
    const one = receiving(20 * MIB)
    // Long enough for the buffer to have all of the 20 MiB.
    one.receive(1.5 * MIB, 20 * MIB)
    return one
  })
  const taken = process.memoryUsage.rss() - before
  t.equal(sum(all.map(({ sizes }) => sizes.at(-1)!)), COUNT * 20 * MIB)
  // What has come is 75 MiB, in buffers of 1000; those that they have outgrown, 1.5 MiB each, may not be collected yet.
  t.ok(taken < 300 * MIB, `${taken} bytes for ${COUNT * 1.5} MiB`)
})

t.test('where there is no memory for much more than has come, there may be for less', async t => {
  const { assembler, sizes, receive } = receiving(1024 * MIB, 8 * MIB)
  t.ok(receive(5 * MIB, 40 * MIB))
  t.ok(sizes.some(size => size > 8 * MIB), 'more was asked for')
  t.equal(assembler.length, 5 * MIB)
  t.notOk(receive(20 * MIB, 40 * MIB), 'and in the end there is none')
})
