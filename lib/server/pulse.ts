import type { Connection } from '../connection/connection.js'
import { currentPing } from '../connection/heartbeat-ping.js'
import type { HeartbeatSettings } from '../options/settings.js'
import { CloseCode } from '../protocol/close-codes.js'
import { WheelNode, type HeartbeatWheel } from './heartbeat-wheel.js'

export interface PulseSettings {
  readonly heartbeat: HeartbeatSettings | null
  /** Milliseconds. `Infinity` for none. */
  readonly idleTimeout: number
}

/** An idle connection is looked at so many times in its `idleTimeout`: when it has last said something is not noted. */
const LOOKS_PER_IDLE_TIMEOUT = 4

const NEVER = -1

/** Waits of the wheel that these settings make. */
export function waitsOf ({ heartbeat, idleTimeout }: PulseSettings): number[] {
  const waits = heartbeat === null ? [] : [heartbeat.interval, heartbeat.timeout]
  return idleTimeout === Infinity ? waits : [...waits, Math.ceil(idleTimeout / LOOKS_PER_IDLE_TIMEOUT)]
}

/** Looks after one connection: whether there is still somebody at its other end, and whether he has anything to say. */
export class Pulse extends WheelNode {
  private readonly connection: Connection
  private readonly wheel: HeartbeatWheel
  private readonly settings: PulseSettings

  // All on the wheel's clock.
  private nextPingAt: number
  private pingedAt = NEVER
  private stuckAt = NEVER
  // How far writing had come then.
  private written = 0
  private unwritten = 0

  private activeAt: number
  private messages = 0

  constructor (connection: Connection, wheel: HeartbeatWheel, settings: PulseSettings) {
    super()
    this.connection = connection
    this.wheel = wheel
    this.settings = settings
    this.activeAt = wheel.nextTick
    this.nextPingAt = wheel.now + (settings.heartbeat?.interval ?? 0)
    this.wait(Math.min(settings.heartbeat?.interval ?? Infinity, settings.idleTimeout / LOOKS_PER_IDLE_TIMEOUT))
  }

  stop (): void {
    this.wheel.remove(this)
  }

  visit (): void {
    const { connection } = this
    // `closeTimeout` sees to the rest.
    if (connection.readyState !== connection.OPEN) return
    const { heartbeat, idleTimeout } = this.settings
    let delay = Infinity
    if (idleTimeout !== Infinity) {
      const left = this.timeLeft(idleTimeout)
      if (left <= 0) return connection.close(CloseCode.GOING_AWAY, 'idle timeout')
      delay = Math.min(left, idleTimeout / LOOKS_PER_IDLE_TIMEOUT)
    }
    if (heartbeat !== null) {
      const next = this.beat(heartbeat)
      if (next === NEVER) return this.wheel.condemn(this)
      delay = Math.min(delay, next)
    }
    this.wait(delay)
  }

  judge (): void {
    const { connection } = this
    if (connection.readyState !== connection.OPEN) return
    const isAlive = this.stuckAt === NEVER ? connection._hasHeard : !connection._isStuck || this.hasWritten()
    if (isAlive) this.visit()
    else connection._socket.destroy()
  }

  private wait (delay: number): void {
    this.wheel.schedule(this, delay)
  }

  /** @returns milliseconds until the connection has been idle for too long */
  private timeLeft (idleTimeout: number): number {
    const { messagesReceived, messagesSent } = this.connection._counts
    const messages = messagesReceived + messagesSent
    // What waits to be read may be a message.
    if (messages !== this.messages || this.connection._isHeldBack) this.activeAt = this.wheel.now
    this.messages = messages
    return this.activeAt + idleTimeout - this.wheel.now
  }

  /** @returns milliseconds until the next look; `NEVER` if there seems to be nobody any more */
  private beat ({ interval, timeout }: HeartbeatSettings): number {
    const { connection, wheel: { now } } = this
    if (connection._isStuck) {
      this.pingedAt = NEVER
      // A Ping would wait behind all that is queued already. What tells of life is that the queue moves.
      if (this.stuckAt === NEVER || this.hasWritten()) this.noteWritten()
      else if (now - this.stuckAt >= timeout) return NEVER
      return Math.min(interval, this.stuckAt + timeout - now)
    }
    this.stuckAt = NEVER
    if (connection._isHeldBack) {
      this.pingedAt = NEVER
      // It may have answered: we do not read. So its TCP is asked.
      connection._keepAlive(interval)
      return interval
    }
    if (this.pingedAt !== NEVER && !connection._hasHeard) {
      const left = this.pingedAt + timeout - now
      return left <= 0 ? NEVER : Math.min(interval, left)
    }
    this.pingedAt = NEVER
    if (now < this.nextPingAt) return this.nextPingAt - now
    connection._sendHeartbeat(currentPing())
    this.pingedAt = now
    this.nextPingAt = now + interval
    return Math.min(interval, timeout)
  }

  private hasWritten (): boolean {
    const { written, unwritten } = this.connection._writeProgress
    return written !== this.written || unwritten !== this.unwritten
  }

  private noteWritten (): void {
    const { written, unwritten } = this.connection._writeProgress
    this.written = written
    this.unwritten = unwritten
    this.stuckAt = this.wheel.now
  }
}
