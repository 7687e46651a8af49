import type { AsyncApiMessage } from '../../types/asyncapi.js'
import { toComponentName, UniqueNames } from './names.js'

export const DIRECTIONS = ['receive', 'send'] as const

/** The direction, from the server's point of view. */
export type Direction = typeof DIRECTIONS[number]

/** A message with its names: in its channel, and among the components of the document. */
export interface NamedMessage {
  readonly inChannel: string
  readonly inComponents: string
}

interface Draft {
  readonly name: string
  readonly message: AsyncApiMessage
  readonly content: string
}

const ORIGINS: Record<Direction, string> = { receive: 'fromClient', send: 'fromServer' }

/**
 * Names the messages of all channels. A message keeps its own name if all messages of that name are the same. Otherwise the
 * name gets the channel as a prefix and, if needed, the direction as a suffix, so it does not depend on the order of routes.
 */
export class MessageComponents {
  private readonly components = new Map<string, Draft>()
  private readonly names = new UniqueNames()
  private readonly contents = new Map<string, Set<string>>()
  private readonly drafts: ReadonlyMap<string, Record<Direction, Draft[]>>

  /** @param channels their messages, by their keys */
  constructor (channels: ReadonlyMap<string, Readonly<Record<Direction, readonly AsyncApiMessage[]>>>) {
    this.drafts = new Map([...channels].map(([key, { receive, send }]) => [key, { receive: receive.map(toDraft), send: send.map(toDraft) }]))
    for (const { name, content } of [...this.drafts.values()].flatMap(({ receive, send }) => [...receive, ...send])) {
      this.contents.set(name, (this.contents.get(name) ?? new Set()).add(content))
    }
  }

  /** The names of the messages of a channel in one direction. */
  nameAll (channel: string, direction: Direction): NamedMessage[] {
    const ofChannel = this.drafts.get(channel)!
    const others = ofChannel[direction === 'receive' ? 'send' : 'receive']
    return ofChannel[direction].map(draft => {
      const { name, content } = draft
      const isAmbiguous = others.some(other => other.name === name && other.content !== content)
      const inChannel = isAmbiguous ? `${name}.${ORIGINS[direction]}` : name
      return { inChannel, inComponents: this.register(this.contents.get(name)!.size === 1 ? name : `${channel}.${inChannel}`, draft) }
    })
  }

  /** All messages, by name. */
  toObject (): Record<string, AsyncApiMessage> {
    return Object.fromEntries([...this.components].map(([name, { message }]) => [name, message]))
  }

  private register (name: string, draft: Draft): string {
    if (this.components.get(name)?.content === draft.content) return name
    const unique = this.names.take(name)
    this.components.set(unique, draft)
    return unique
  }
}

function toDraft (message: AsyncApiMessage): Draft {
  return { name: toComponentName(message.name), message, content: JSON.stringify(message) }
}
