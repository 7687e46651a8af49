import { Buffer } from 'node:buffer'

/**
 * The frames of broadcasts that wait for the end of a turn of the event loop. All writers that got the same frames have the
 * same batch: it is made once, and its bytes are joined once. It must not outlive the turn, as it leads to all batches
 * that continue it.
 */
export class SharedBatch {
  private readonly before: SharedBatch | null
  private readonly frame: Buffer
  /** The batch with one more frame that a writer asked for last. */
  private next: SharedBatch | null = null
  private bytes: Buffer | null = null

  constructor (before: SharedBatch | null, frame: Buffer) {
    this.before = before
    this.frame = frame
  }

  /** @returns the batch that has one more frame */
  with (frame: Buffer): SharedBatch {
    const { next } = this
    if (next !== null && next.frame === frame) return next
    this.next = new SharedBatch(this, frame)
    return this.next
  }

  /** @returns all frames behind each other; they are not copied if there is only one */
  joined (): Buffer {
    if (this.bytes === null) {
      const frames = this.frames()
      this.bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
    }
    return this.bytes
  }

  /** @returns a new array of the frames; it has none of the batch at the start, which no frame made */
  frames (): Buffer[] {
    const frames: Buffer[] = []
    for (let batch: SharedBatch = this; batch.before !== null; batch = batch.before) frames.push(batch.frame)
    return frames.reverse()
  }
}

/** @returns segments of a batch, in an array that no other writer has */
export function toArray (segments: Buffer[] | SharedBatch | null): Buffer[] {
  if (segments === null) return []
  return segments instanceof SharedBatch ? segments.frames() : segments
}
