import { EMPTY } from '../common.js'
import { SharedBatch } from './shared-batch.js'

// One `setImmediate` serves all writers that got frames of a broadcast in this turn of the event loop.

interface TurnWriter {
  turnScheduled: boolean
  flush (): void
}

let writers: TurnWriter[] = []
// Every shared batch of the turn begins with this one.
let emptyBatch = new SharedBatch(null, EMPTY)

function flushTurn (): void {
  const flushed = writers
  writers = []
  emptyBatch = new SharedBatch(null, EMPTY)
  for (const writer of flushed) {
    writer.turnScheduled = false
    writer.flush()
  }
}

/** Flushes a writer at the end of this turn. */
export function flushAfterTurn (writer: TurnWriter): void {
  if (writers.push(writer) === 1) setImmediate(flushTurn)
}

/** @returns the batch of all writers that got the same frames in this turn; the writer has to be flushed after it */
export function continueBatch (batch: SharedBatch | null, frame: Buffer): SharedBatch {
  return (batch ?? emptyBatch).with(frame)
}
