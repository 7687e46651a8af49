import type { ErrorCode } from '../errors.js'

// The messages of the server, as text. docs/topics-protocol.md has their meaning.

/** Sent in the interval that `hello` names. */
export const BEAT = '{}'

export interface Hello {
  readonly id: string
  /** Milliseconds. */
  readonly beat: number
  readonly maxSubscriptions: number
  /** Bytes; `Infinity` without a limit. */
  readonly maxMessage: number
}

export function writeHello ({ id, beat, maxSubscriptions, maxMessage }: Hello): string {
  return JSON.stringify({ hello: { version: 1, id, beat, maxSubscriptions, maxMessage: Number.isFinite(maxMessage) ? maxMessage : null } })
}

export interface Member {
  readonly id: string
  readonly info: unknown
}

/** The members of a topic, and their number; without members if there are more than its bound. */
export interface Members {
  readonly members: readonly Member[] | null
  readonly count: number
}

export interface Beginning {
  readonly at: string | null
  readonly recovered: boolean | null
  /** Messages that follow from the history. */
  readonly missed: number
  /** JSON. */
  readonly snapshot: string | null
  readonly presence: Members | null
}

export function writeSubscribed (topic: string, { at, recovered, missed, snapshot, presence }: Beginning): string {
  const head = JSON.stringify({ subscribed: topic, at, recovered, missed })
  const members = presence === null ? '' : `,${inner(membersOf(presence))}`
  return `${head.slice(0, -1)}${snapshot === null ? '' : `,"snapshot":${snapshot}`}${members}}`
}

/** @param message JSON */
export function writeMessage (topic: string, at: string | null, id: string, message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify({ topic, at, id }).slice(0, -1)},"message":`), message, END])
}

const END = Buffer.from('}')

export function writePublished (id: string, topic: string, at: string | null): string {
  return JSON.stringify({ published: id, topic, at })
}

export interface Reason {
  readonly code: ErrorCode | string
  readonly message: string
  readonly retry: boolean
}

/** @param reason why the server has ended the subscription; `null`: the client has asked for it */
export function writeUnsubscribed (topic: string, reason: Reason | null): string {
  return JSON.stringify({ unsubscribed: topic, ...reason })
}

export function writeGap (topic: string): string {
  return JSON.stringify({ gap: topic })
}

/** @param snapshot JSON */
export function writeLost (topic: string, at: string, snapshot: string | null): string {
  const text = JSON.stringify({ lost: topic, at })
  return snapshot === null ? text : `${text.slice(0, -1)},"snapshot":${snapshot}}`
}

export function writeJoined (topic: string, { id, info }: Member): string {
  return JSON.stringify({ joined: topic, member: { id, info } })
}

export function writeLeft (topic: string, id: string): string {
  return JSON.stringify({ left: topic, member: { id } })
}

export function writePresence (topic: string, presence: Members): string {
  return JSON.stringify({ presence: topic, ...membersOf(presence) })
}

export function writeRefused (request: string, part: { topic?: string | undefined, id?: string | undefined }, { code, message, retry }: Reason): string {
  return JSON.stringify({ refused: request, topic: part.topic, id: part.id, code, message, retry })
}

function membersOf ({ members, count }: Members): object {
  return members === null ? { count } : { members: members.map(({ id, info }) => ({ id, info })), count }
}

/** JSON of an object without its braces. */
function inner (object: object): string {
  return JSON.stringify(object).slice(1, -1)
}
