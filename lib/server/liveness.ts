import type { PongWatcher } from '../connection/host.js'
import type { Session } from '../connection/session.js'
import { writeProgressOf, type WriteProgress } from '../socket/write-progress.js'
import type { HeartbeatSettings } from '../options/settings.js'
import { CloseCode } from '../protocol/close-codes.js'
import { currentPing, isHeartbeatPong, type HeartbeatPing } from './heartbeat-ping.js'
import { WheelNode, type TimerWheel } from './timer-wheel.js'

export interface LivenessSettings {
  readonly heartbeat: HeartbeatSettings | null
  /** Milliseconds. `Infinity` for none. */
  readonly idleTimeout: number
}

/** Checks of an idle connection per `idleTimeout`: the time of its last message is not recorded. */
const LOOKS_PER_IDLE_TIMEOUT = 4

const NEVER = -1

/** Waits of the wheel that these settings make. */
export function waitsOf ({ heartbeat, idleTimeout }: LivenessSettings): number[] {
  const waits = heartbeat === null ? [] : [heartbeat.interval, heartbeat.timeout]
  return idleTimeout === Infinity ? waits : [...waits, Math.ceil(idleTimeout / LOOKS_PER_IDLE_TIMEOUT)]
}

/** A peer that takes nothing. */
interface Stuck {
  /** Since when, or since it last took something. */
  readonly at: number
  /** How far writing had come then. */
  readonly progress: WriteProgress
}

/** The last message. */
interface Activity {
  at: number
  /** How many there were. */
  messages: number
}

/** Detects a peer that is dead (`heartbeat`) or idle (`idleTimeout`). */
export class Liveness extends WheelNode implements PongWatcher {
  latency: number | undefined = undefined
  private readonly session: Session
  private readonly wheel: TimerWheel
  private readonly settings: LivenessSettings

  // All on the wheel's clock.
  private nextPingAt: number
  private pingedAt = NEVER
  private stuck: Stuck | null = null
  /** `null` without an `idleTimeout`. */
  private readonly activity: Activity | null

  /** The Ping that waits for its Pong. */
  private awaitedPing: HeartbeatPing | null = null
  private isKeptAlive = false

  constructor (session: Session, wheel: TimerWheel, settings: LivenessSettings) {
    super()
    this.session = session
    this.wheel = wheel
    this.settings = settings
    this.activity = settings.idleTimeout === Infinity ? null : { at: wheel.nextTick, messages: 0 }
    this.nextPingAt = wheel.now + (settings.heartbeat?.interval ?? 0)
    this.wait(Math.min(settings.heartbeat?.interval ?? Infinity, settings.idleTimeout / LOOKS_PER_IDLE_TIMEOUT))
  }

  stop (): void {
    this.wheel.remove(this)
  }

  visit (): void {
    const { session } = this
    // `closeTimeout` sees to the rest.
    if (!session.maySend) return
    const { settings: { heartbeat, idleTimeout }, activity } = this
    let delay = Infinity
    if (activity !== null) {
      const left = this.timeLeft(idleTimeout, activity)
      if (left <= 0) return session.close(CloseCode.GOING_AWAY, 'idle timeout')
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
    const { session } = this
    if (!session.maySend) return
    const isAlive = this.stuck === null ? session.hasHeard : !session.isStuck || this.hasWritten(this.stuck)
    if (isAlive) this.visit()
    else session.socket.destroy()
  }

  onPong (payload: Buffer): boolean {
    const { awaitedPing } = this
    if (awaitedPing === null || !payload.equals(awaitedPing.payload)) return isHeartbeatPong(payload)
    this.latency = performance.now() - awaitedPing.sentAt
    this.awaitedPing = null
    return true
  }

  private wait (delay: number): void {
    this.wheel.schedule(this, delay)
  }

  /** @returns milliseconds until the connection has been idle for too long */
  private timeLeft (idleTimeout: number, activity: Activity): number {
    const { messagesReceived, messagesSent } = this.session
    const messages = messagesReceived + messagesSent
    // The unread bytes may be a message.
    if (messages !== activity.messages || this.session.isHeldBack) activity.at = this.wheel.now
    activity.messages = messages
    return activity.at + idleTimeout - this.wheel.now
  }

  /** @returns milliseconds until the next look; `NEVER` if there seems to be nobody any more */
  private beat ({ interval, timeout }: HeartbeatSettings): number {
    const { session, wheel: { now } } = this
    if (session.isStuck) {
      this.pingedAt = NEVER
      // A Ping would wait behind everything that is queued already. The peer is alive if the queue shrinks.
      if (this.stuck === null || this.hasWritten(this.stuck)) this.stuck = { at: now, progress: writeProgressOf(session.socket) }
      else if (now - this.stuck.at >= timeout) return NEVER
      return Math.min(interval, this.stuck.at + timeout - now)
    }
    this.stuck = null
    if (session.isHeldBack) {
      this.pingedAt = NEVER
      // It may have answered: we do not read. So its TCP is asked.
      this.keepAlive(interval)
      return interval
    }
    if (this.pingedAt !== NEVER && !session.hasHeard) {
      const left = this.pingedAt + timeout - now
      return left <= 0 ? NEVER : Math.min(interval, left)
    }
    this.pingedAt = NEVER
    if (now < this.nextPingAt) return this.nextPingAt - now
    session.hasHeard = false
    this.awaitedPing = currentPing()
    session.outbox.sendPing(this.awaitedPing.payload)
    this.pingedAt = now
    this.nextPingAt = now + interval
    return Math.min(interval, timeout)
  }

  /** Lets TCP find out whether the peer is there, after a time without a packet. */
  private keepAlive (delay: number): void {
    const { socket } = this.session
    if (this.isKeptAlive || !('setKeepAlive' in socket && typeof socket.setKeepAlive === 'function')) return
    this.isKeptAlive = true
    socket.setKeepAlive(true, delay)
  }

  private hasWritten ({ progress }: Stuck): boolean {
    const { written, unwritten } = writeProgressOf(this.session.socket)
    return written !== progress.written || unwritten !== progress.unwritten
  }
}
