import { Duplex } from 'node:stream'

/** Bytes that one end takes before the other has read them, as the buffers of a kernel do. */
const CAPACITY = 64 * 1024

/** The one of Node: a test may replace the global one by its own, whose turns it takes itself. */
const nextTurn = setImmediate

type WriteCallback = (error?: Error | null) => void

/** One end of a connection in memory. It does what a TCP socket does, as far as apps and tests can see that. */
export class MemorySocket extends Duplex {
  private other!: MemorySocket

  // The bytes that are on their way to the other end.
  private wire: Buffer[] = []
  private wireBytes = 0
  /** The callback of the write that waits for room on the wire. */
  private whenRoom: WriteCallback | null = null
  private isScheduled = false
  /** Whether the other end asks for more. */
  private isWanted = false
  private hasEnd = false

  static pair (): [MemorySocket, MemorySocket] {
    const [one, other] = [new MemorySocket(), new MemorySocket()]
    one.other = other
    other.other = one
    return [one, other]
  }

  override _read (): void {
    this.other.isWanted = true
    this.other.schedule()
  }

  /**
   * The other end gets copies, as over a network. Otherwise both would share memory: the buffer that an app has sent, the
   * frame of a broadcast, and the message that a test keeps.
   */
  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    if (this.other.destroyed) return callback(brokenPipe())
    this.wire.push(Buffer.from(chunk))
    this.wireBytes += chunk.length
    this.schedule()
    if (this.wireBytes <= CAPACITY) callback()
    else this.whenRoom = callback
  }

  override _final (callback: WriteCallback): void {
    this.hasEnd = true
    this.schedule()
    callback()
  }

  /** Ends the wire behind what is on it, which still arrives. */
  override _destroy (error: Error | null, callback: WriteCallback): void {
    this.callBack(error ?? canceled())
    this.hasEnd = true
    this.schedule()
    callback(error)
  }

  /** In a turn of its own: two ends that answer each other in the same turn would let nothing else happen. */
  private schedule (): void {
    if (this.isScheduled || (this.wire.length === 0 && !this.hasEnd)) return
    this.isScheduled = true
    nextTurn(deliver, this)
  }

  /** @internal */
  _deliver (): void {
    this.isScheduled = false
    const { other } = this
    if (other.destroyed) {
      this.wire = []
      this.wireBytes = 0
      return this.callBack(brokenPipe())
    }
    while (this.wire.length > 0 && (this.isWanted || this.destroyed)) {
      const chunk = this.wire.shift()!
      this.wireBytes -= chunk.length
      this.isWanted = other.push(chunk)
    }
    if (this.wireBytes <= CAPACITY) this.callBack()
    if (this.wire.length > 0 || !this.hasEnd || other.readableEnded) return
    other.push(null)
    // As `net.Socket` does: the end is emitted while reading is paused too, if nothing is left to be read.
    other.read(0)
  }

  private callBack (error?: Error): void {
    const callback = this.whenRoom
    this.whenRoom = null
    callback?.(error)
  }
}

function deliver (socket: MemorySocket): void {
  socket._deliver()
}

function brokenPipe (): Error {
  return Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
}

function canceled (): Error {
  return Object.assign(new Error('write ECANCELED'), { code: 'ECANCELED' })
}
