import type { TopicHistory } from '../../types/broker.js'

/** The subjects and streams of one prefix. A topic, a process and a member are one token of a subject each. */
export class Names {
  /** Leases, members, and what processes own. Its creation begins the epoch of all topics. */
  readonly stateStream: string
  readonly clock: string
  private readonly prefix: string

  constructor (prefix: string) {
    this.prefix = prefix
    this.stateStream = `${prefix}-state`
    this.clock = `${prefix}-state.clock`
  }

  /** Everything of the state. */
  get states (): string { return `${this.prefix}-state.>` }

  /** Topics live: without history, or behind a stream, whose name is in place of the wildcard. */
  live (topic: string): string { return `${this.prefix}.*.${toToken(topic)}` }

  /** A message without history. */
  plain (topic: string): string { return `${this.prefix}.plain.${toToken(topic)}` }

  historyStream ({ messages, seconds }: TopicHistory): string { return `${this.prefix}-${messages}-${seconds}` }

  /** Whether it is the stream of a history. */
  isHistoryStream (stream: string): boolean {
    return stream.startsWith(`${this.prefix}-`) && /^\d+-\d+$/.test(stream.slice(this.prefix.length + 1))
  }

  /** Subjects that a stream keeps, and on which it announces them. */
  kept (stream: string, topic: string): string { return `${this.prefix}-in.${stream}.${toToken(topic)}` }
  allKept (stream: string): string { return `${this.prefix}-in.${stream}.>` }
  announced (stream: string): string { return `${this.prefix}.${stream}.>` }
  keptAnywhere (topic: string): string { return `${this.prefix}-in.*.${toToken(topic)}` }

  lease (process: string): string { return `${this.prefix}-state.lease.${toToken(process)}` }
  get leases (): string { return `${this.prefix}-state.lease.*` }
  member (topic: string, id: string): string { return `${this.prefix}-state.member.${toToken(topic)}.${toToken(id)}` }
  members (topic: string): string { return `${this.prefix}-state.member.${toToken(topic)}.*` }
  owned (process: string, topic: string, id: string): string { return `${this.prefix}-state.owned.${toToken(process)}.${toToken(topic)}.${toToken(id)}` }
  ownedBy (process: string): string { return `${this.prefix}-state.owned.${toToken(process)}.>` }
}

/** One token of a subject: no spaces, dots, wildcards or control characters (https://docs.nats.io/nats-concepts/subjects). */
export function toToken (text: string): string {
  return encodeURIComponent(text).replace(/[.*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

export function fromToken (token: string): string {
  return decodeURIComponent(token)
}
