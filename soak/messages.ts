import { createHash } from 'node:crypto'

// The messages on the wire, in both directions, and between the processes.

/** Encodes a client's message: its number, counted from 1 in each session, and content that must arrive unchanged. */
export function encodeMessage (number: number, content: Buffer): string {
  return `${number} ${checksumOf(content)} ${content.toString('latin1')}`
}

/** @returns its number */
export function decodeMessage (message: string): number {
  const [, number, checksum, content] = /^(\d+) (\S+) ([^]*)$/.exec(message) ?? []
  if (checksum === undefined || checksumOf(Buffer.from(content!, 'latin1')) !== checksum) throw new Error(`not a message: ${message.slice(0, 100)}`)
  return Number(number)
}

function checksumOf (content: Buffer): string {
  return createHash('sha1').update(content).digest('base64')
}

/** A session is one connection. What the server knows of it when it is over. */
export interface ServedSession {
  session: string
  /** The number of the last message; all before it have come too, once and in order. */
  received: number
  code: number
}

/** The client's record of a session. */
export interface ClientSession {
  session: string
  sent: number
  acknowledged: number
}

export type FromServer =
  | { type: 'listening', port: number }
  | { type: 'ended', ended: ServedSession }
  | { type: 'fault', message: string }
  | { type: 'state', state: ServerState }

export interface ServerState {
  rss: number
  heapUsed: number
  external: number
  descriptors: number
  connections: number
  broadcasts: number
}

export type FromClient =
  | { type: 'progress', sessions: ClientSession[], broadcasts: number }
  | { type: 'ended', ended: ClientSession, how: Ending }
  | { type: 'fault', message: string }

/** How a session ends, or what it goes through before it ends in another way. */
export const ENDINGS = ['close', 'terminate', 'reset', 'half-close', 'garbage', 'too big', 'closed by the server'] as const
export type Ending = typeof ENDINGS[number]
