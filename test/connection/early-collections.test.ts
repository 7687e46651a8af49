import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'
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

/** Whether the function collects more often than not, if the count was empty before: V8 may also do it, or not be able to. */
async function mostlyCollects (fn: () => void): Promise<boolean> {
  let times = 0
  for (let attempt = 0; attempt < 15; attempt++) {
    await collectsSoon(() => countMany(BEFORE_V8))
    if (collects(fn)) times++
    await turns()
  }
  return times > 7
}

t.test('while V8 makes many full collections, short ones are more frequent', options, async t => {
  v8.setFlagsFromString('--expose-gc')
  const collectFully = runInNewContext('gc') as () => void
  t.notOk(await mostlyCollects(() => countMany(10 * MIB)))
  for (let full = 0; full < 7; full++) {
    countMany(12 * MIB)
    // A symbol that a `WeakRef` was asked for in this turn is not collected.
    await turns()
    collectFully()
  }
  t.ok(await mostlyCollects(() => countMany(10 * MIB)))

  let isAsBefore = false
  for (let attempt = 0; attempt < 10 && !isAsBefore; attempt++) {
    countMany(1200 * MIB)
    isAsBefore = !await mostlyCollects(() => countMany(10 * MIB))
  }
  t.ok(isAsBefore, 'not any more, some time after the last one')
})
