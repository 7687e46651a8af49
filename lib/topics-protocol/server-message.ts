import type { ErrorCode } from '../errors.js'
import type { MemberList, MemberNotice } from '../topics/member-view.js'
import type { Member } from '../topics/presence-change.js'

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

export interface Beginning {
  readonly at: string | null
  readonly recovered: boolean | null
  /** Messages that follow from the history. */
  readonly missed: number
  /** JSON. */
  readonly snapshot: string | null
  readonly presence: MemberList | null
}

export function writeSubscribed (topic: string, { at, recovered, missed, snapshot, presence }: Beginning): string {
  const head = JSON.stringify({ subscribed: topic, at, recovered, missed }).slice(0, -1)
  return `${head}${snapshot === null ? '' : `,"snapshot":${snapshot}`}${presence === null ? '' : `,${membersOf(presence)}`}}`
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

/** A difference to the members that a client knows. */
export function writeNotice (topic: string, notice: MemberNotice): string {
  switch (notice.kind) {
    case 'joined': return `{"joined":${JSON.stringify(topic)},"member":${writeMember(notice.member)}}`
    case 'left': return JSON.stringify({ left: topic, member: { id: notice.id } })
    case 'list': return writePresence(topic, notice.list)
  }
}

export function writePresence (topic: string, list: MemberList): string {
  return `{"presence":${JSON.stringify(topic)},${membersOf(list)}}`
}

export function writeRefused (request: string, part: { topic?: string | undefined, id?: string | undefined }, { code, message, retry }: Reason): string {
  return JSON.stringify({ refused: request, topic: part.topic, id: part.id, code, message, retry })
}

/** Members of a JSON object. */
function membersOf ({ members, count }: MemberList): string {
  return members === null ? `"count":${count}` : `"members":[${members.map(writeMember).join(',')}],"count":${count}`
}

function writeMember ({ id, info }: Member): string {
  return `{"id":${JSON.stringify(id)},"info":${info}}`
}
