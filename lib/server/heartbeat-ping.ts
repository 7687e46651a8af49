import { randomBytes, randomFillSync } from 'node:crypto'
import { EMPTY } from '../common.js'

/** A Ping of the heartbeat. Pings sent within the same millisecond share one payload. */
export interface HeartbeatPing {
  readonly payload: Buffer
  /** As `performance.now()` has it. */
  readonly sentAt: number
}

const TAG_LENGTH = 4
const PAYLOAD_LENGTH = 8

/** All heartbeat Pings begin with this, so that a late Pong is not mistaken for the answer to a Ping of the app. */
const TAG = randomBytes(TAG_LENGTH)

/** Milliseconds. */
const SHARED_FOR = 1

let current: HeartbeatPing = { payload: EMPTY, sentAt: -Infinity }

/** The Ping to send now. Nobody can answer it who has not got it. */
export function currentPing (): HeartbeatPing {
  const now = performance.now()
  if (now - current.sentAt >= SHARED_FOR) {
    const payload = Buffer.allocUnsafeSlow(PAYLOAD_LENGTH)
    TAG.copy(payload)
    randomFillSync(payload, TAG_LENGTH)
    current = { payload, sentAt: now }
  }
  return current
}

/** Whether a Pong answers a Ping of the heartbeat. */
export function isHeartbeatPong (data: Buffer): boolean {
  return data.length === PAYLOAD_LENGTH && TAG.compare(data, 0, TAG_LENGTH) === 0
}
