import type { TopicHistory } from '../../types/broker.js'

/** Presence of a topic. */
export interface PresenceSettings {
  /** Milliseconds for which a member whose connection broke off stays one, since it may come back. */
  readonly grace: number
  /** Up to this many members are listed and announced; above it, their number is. */
  readonly max: number
}

/** How the messages of a topic are kept and written. */
export interface TopicSettings {
  readonly isDeclared: boolean
  readonly history: TopicHistory | null
  readonly presence: PresenceSettings | null
  /** Writes a message of a declared topic as JSON. @throws what the app gets from `publish` if the message is not valid */
  write (message: unknown): string
}

/** Finds the declaration of a topic. */
export interface Declarations {
  /** @returns `null` for a raw topic */
  settingsOf (name: string): TopicSettings | null
}

/** Topics that nobody has declared. */
export const RAW: TopicSettings = {
  isDeclared: false,
  history: null,
  presence: null,
  write: message => JSON.stringify(message)
}
