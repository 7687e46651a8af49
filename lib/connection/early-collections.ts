import v8 from 'node:v8'
import { NODE_MAJOR } from '../common.js'
import { isWanted } from '../optimizations.js'
import { keepMemory } from './kept-memory.js'

// V8 frees the memory of a buffer when it has collected the buffer. Its short collection, of young objects, takes a quarter of
// a millisecond; a full one visits the whole heap of the app, on several threads. V8 counts 32 MiB of young buffers (64 MiB
// since Node 24) until it starts a short collection. But the same bytes count towards the limits of the full collection, which
// are lower in a small heap. So the package starts the short one earlier, by filling the space of young objects. Before Node 24
// some garbage beside each buffer is enough, and cheaper (measured on Node 20 and 22).
const FILLS = NODE_MAJOR >= 24

/** Bytes of a buffer from which garbage is made beside it, and the size of the garbage. */
const GARBAGE_FROM = 4096
const BYTES_PER_ELEMENT = 64
const MOST_ELEMENTS = 8192

/** Most bytes of buffers between two short collections: less than V8 waits for. */
const COLLECT_EVERY = 30 * 1024 * 1024

/**
 * After some idle seconds V8 gives memory back and lowers its limits: then it makes a full collection for every 18 MiB of buffers,
 * and goes on like that. Some in a row, each within this many bytes of the one before, halve the bytes between short collections,
 * down to the least. An app that starts makes fewer.
 */
const OFTEN = 2 * COLLECT_EVERY
const IN_A_ROW = 3
const COLLECT_AT_LEAST_EVERY = COLLECT_EVERY / 4

/** Bytes without a full collection that double them again. */
const CALM = 512 * 1024 * 1024

/**
 * Larger buffers do not count: a few of them reach V8's limits anyway. An echo of 16 MiB takes a tenth less CPU time, and a quarter
 * less memory, than it does when these are collected early too.
 */
const LARGEST = COLLECT_EVERY / 4

/** Looks between two short collections at whether V8 has collected on its own, as it does where the app makes garbage. */
const LOOKS = 3

/** Bytes of each string that fills the space. V8 has another space for objects of 128 KiB. */
const FILLER_SIZE = 64 * 1024

/** Bytes of buffers since the last look, and before it since the last collection. */
let uncounted = 0
let counted = 0
/** Bytes between two short collections. */
let interval = COLLECT_EVERY
/** Bytes of buffers since the last full collection. */
let sinceFull = 0
/** Full collections in a row, each of them soon after the one before. */
let frequent = 0
/** Refers to a symbol, which V8 makes as an old object: only a full collection takes it. */
let untilFull: WeakRef<symbol> | null = null
/** Bytes of young objects at the last look. */
let youngBytes = 0
let filler: Buffer | null = null
const youngest = { garbage: null as unknown }
let collects = isWanted('early-scavenges')

/** Counts the bytes of a buffer that will soon be garbage. */
export function countBuffer (bytes: number): void {
  if (!FILLS && collects && bytes >= GARBAGE_FROM) youngest.garbage = new Array(Math.min(Math.floor(bytes / BYTES_PER_ELEMENT), MOST_ELEMENTS))
  if (bytes > LARGEST) return
  uncounted += bytes
  if (uncounted >= interval / LOOKS) look()
}

function look (): void {
  keepMemory()
  if (FILLS && collects) {
    adaptInterval()
    collectInTime()
  }
  uncounted = 0
}

function adaptInterval (): void {
  sinceFull += uncounted
  if (untilFull?.deref() !== undefined) {
    if (sinceFull < CALM) return
    interval = Math.min(interval * 2, COLLECT_EVERY)
  } else {
    frequent = untilFull !== null && sinceFull < OFTEN ? frequent + 1 : 0
    if (frequent === IN_A_ROW) {
      interval = Math.max(interval / 2, COLLECT_AT_LEAST_EVERY)
      frequent = 0
    }
    untilFull = new WeakRef(Symbol('collected'))
  }
  sinceFull = 0
}

function collectInTime (): void {
  const space = youngSpace()
  collects = space !== undefined
  if (space === undefined) return
  const hasCollected = space.space_used_size < youngBytes
  counted = hasCollected ? uncounted : counted + uncounted
  youngBytes = space.space_used_size
  if (counted >= interval) collect(space.space_available_size)
}

function collect (available: number): void {
  // A string is copied into the heap faster than an array is filled.
  filler ??= Buffer.alloc(FILLER_SIZE)
  for (; available > 0; available -= FILLER_SIZE) youngest.garbage = filler.toString('latin1')
  youngest.garbage = null
  counted = youngBytes = 0
}

/** Nothing where the engine is not V8 or does not report its spaces. */
function youngSpace (): v8.HeapSpaceInfo | undefined {
  try {
    return v8.getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
  } catch {
    return undefined
  }
}
