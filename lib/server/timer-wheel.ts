import { NO_CONTEXT, runInContext } from '../async-context.js'

/** Buckets of the wheel. Entries due after more than one turn stay in their bucket for the next turn. */
const BUCKETS = 256

/** The longest time between two ticks, in milliseconds. All entries due within one tick run together. */
const LONGEST_TICK = 250

/** Ticks in the shortest time that anybody waits: how late it may be found out that it is over. */
const TICKS_PER_WAIT = 4

/** Waits on a wheel, as a link in the list that is its bucket: so it needs no other object there. */
export abstract class WheelNode {
  /** @internal */
  _next: WheelNode | null = null
  /** @internal */
  _previous: WheelNode | null = null
  /** @internal */
  _dueTick = 0

  /** It is time. The node is off the wheel. */
  abstract visit (): void
  /** Called after `condemn`, when everything that was there to be read has been read. */
  abstract judge (): void
}

/** The ends of a bucket's list, one node for both. */
class Bucket extends WheelNode {
  constructor () {
    super()
    this._next = this._previous = this
  }

  visit (): void {}
  judge (): void {}
}

/**
 * One timer for all connections of a server. There is none while nobody waits, and it keeps no process alive.
 *
 * Its clock counts ticks that came, not time that went by: while the event loop is blocked it stands still, for then nobody
 * could have been heard.
 */
export class TimerWheel {
  private readonly buckets = Array.from({ length: BUCKETS }, () => new Bucket())
  private tickLength = LONGEST_TICK
  private tick = 0
  private size = 0
  private timer: NodeJS.Timeout | null = null
  private condemned: WheelNode[] = []

  /** Milliseconds on the wheel's own clock. */
  get now (): number {
    return this.tick * this.tickLength
  }

  /** The earliest time at which the wheel visits an entry that is scheduled now. */
  get nextTick (): number {
    return this.now + this.tickLength
  }

  /** Declares the shortest delay, in milliseconds, that will be scheduled. Call it before `schedule`. */
  prepare (wait: number): void {
    this.tickLength = Math.max(1, Math.min(this.tickLength, Math.floor(wait / TICKS_PER_WAIT)))
  }

  /** Adds a node that is not on the wheel. @param delay milliseconds, counted from the last tick */
  schedule (node: WheelNode, delay: number): void {
    this.insert(node, this.tick + Math.max(1, Math.ceil(delay / this.tickLength)))
    this.size++
    // The timer would keep the stores of the first connection, and visit all others with them.
    this.timer ??= runInContext(NO_CONTEXT, start, undefined, this, this.tickLength)
  }

  /** Takes a node off the wheel, if it is on it. */
  remove (node: WheelNode): void {
    if (node._next === null) return
    unlink(node)
    this.size--
    this.stopIfEmpty()
  }

  /** Calls `judge` when the event loop has read what is there. Then a sign of life that came in time, but late to us, counts. */
  condemn (node: WheelNode): void {
    if (this.condemned.push(node) === 1) setImmediate(judgeAll, this)
  }

  /** @internal */
  _turn (): void {
    this.tick++
    const bucket = this.buckets[this.tick % BUCKETS]!
    // Visits put nodes on the wheel, into this bucket too, and take others off.
    const due = new Bucket()
    moveAll(bucket, due)
    for (let node = due._next!; node !== due; node = due._next!) {
      if (node._dueTick === this.tick) {
        unlink(node)
        this.size--
        node.visit()
      } else {
        unlink(node)
        this.insert(node, node._dueTick)
      }
    }
    this.stopIfEmpty()
  }

  /** @internal */
  _judgeAll (): void {
    const nodes = this.condemned
    this.condemned = []
    for (const node of nodes) node.judge()
  }

  private stopIfEmpty (): void {
    if (this.size > 0 || this.timer === null) return
    clearInterval(this.timer)
    this.timer = null
  }

  private insert (node: WheelNode, dueTick: number): void {
    const bucket = this.buckets[dueTick % BUCKETS]!
    node._dueTick = dueTick
    node._previous = bucket._previous
    node._next = bucket
    bucket._previous!._next = node
    bucket._previous = node
  }
}

function unlink (node: WheelNode): void {
  node._previous!._next = node._next
  node._next!._previous = node._previous
  node._next = node._previous = null
}

function moveAll (from: WheelNode, to: WheelNode): void {
  if (from._next === from) return
  to._next = from._next
  to._previous = from._previous
  to._next!._previous = to._previous!._next = to
  from._next = from._previous = from
}

function start (wheel: TimerWheel, interval: number): NodeJS.Timeout {
  return setInterval(turn, interval, wheel).unref()
}

function turn (wheel: TimerWheel): void {
  wheel._turn()
}

function judgeAll (wheel: TimerWheel): void {
  wheel._judgeAll()
}
