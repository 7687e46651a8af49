import v8 from 'node:v8'
import t from 'tap'
import { NODE_MAJOR } from '../../lib/common.js'
import { connectionMemory } from '../../lib/connection/connection-memory.js'
import { countBuffer } from '../../lib/connection/early-collections.js'
import { isWanted } from '../../lib/optimizations.js'
import { turns } from '../support/server-sockets.js'

const MIB = 1024 * 1024

/** V8 waits for at least 32 MiB of young buffers. */
const BEFORE_V8 = 31 * MIB

// Older versions get some garbage beside each buffer, and V8 decides.
const isFilled = isWanted('early-scavenges') && NODE_MAJOR >= 24
const options = isFilled ? {} : { skip: 'turned off, or before Node 24' }

function countMany (bytes: number): void {
  for (let counted = 0; counted < bytes; counted += MIB) countBuffer(MIB)
}

/** What V8 reports of the space of young objects. */
function youngSpace (): v8.HeapSpaceInfo {
  return v8.getHeapSpaceStatistics().find(space => space.space_name === 'new_space')!
}

/** Whether the function collects young objects, of which there are many. */
function collects (fn: () => void): boolean {
  const garbage = { latest: '' }
  const bytes = Buffer.alloc(16 * 1024)
  while (youngSpace().space_available_size > 256 * 1024) garbage.latest = bytes.toString('latin1')
  garbage.latest = ''
  const before = youngSpace().space_used_size
  fn()
  return youngSpace().space_used_size < before
}

/** The same, while V8 is not in the middle of a full collection: then the space of young objects grows instead. */
async function collectsSoon (fn: () => void): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (collects(fn)) return true
    await turns()
  }
  return false
}

t.test('many bytes in buffers start a short collection before V8 does', options, async t => {
  t.ok(await collectsSoon(() => countMany(BEFORE_V8)))
  t.notOk(collects(() => countBuffer(MIB)), 'the count starts anew')
})

t.test('a buffer that reaches the limits of V8 almost alone does not count', options, async t => {
  t.ok(await collectsSoon(() => countMany(BEFORE_V8)))
  t.notOk(collects(() => countBuffer(BEFORE_V8)))
  t.notOk(collects(() => countMany(20 * MIB)))
})

t.test('the memory of messages counts', options, async t => {
  countMany(BEFORE_V8)
  t.ok(await collectsSoon(() => connectionMemory.allocate(MIB)))
})

t.test('a collection of V8 itself starts the count anew', options, async t => {
  const garbage = { latest: '' }
  const bytes = Buffer.alloc(16 * 1024)
  const makeGarbage = (): void => { garbage.latest = bytes.toString('latin1') }
  // The count is empty after this.
  t.ok(await collectsSoon(() => countMany(BEFORE_V8)))
  while (youngSpace().space_available_size > 256 * 1024) makeGarbage()
  countMany(20 * MIB)
  for (let before = 0; youngSpace().space_used_size >= before;) {
    before = youngSpace().space_used_size
    makeGarbage()
  }
  while (youngSpace().space_available_size > youngSpace().space_used_size) makeGarbage()
  const before = youngSpace().space_used_size
  countMany(20 * MIB)
  t.ok(youngSpace().space_used_size >= before, 'nothing is collected')
  while (youngSpace().space_available_size > 256 * 1024) makeGarbage()
  t.ok(await collectsSoon(() => countMany(20 * MIB)))
})
