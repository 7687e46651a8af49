import type { BrokerAnchor, BrokerMember, BrokerMessage } from '../../types/broker.js'
import type { PublishOptions, Topic, TopicHistoryOptions, TopicHistoryPart, TopicMember, TopicMessage, TopicPosition } from '../../types/topics.js'
import { createError, describe } from '../errors.js'
import { decodeText } from '../protocol/text.js'
import { decodeEnvelope, EnvelopeKind } from './envelope.js'
import type { Hub } from './hub.js'
import { checkTopicName } from './names.js'
import { parsePosition } from './position.js'
import { checkOptions, publish } from './publish.js'

/** Messages or members that are read unless the app says otherwise. */
const LIMITS = { messages: 100, members: 1_000 }

/** One topic, as the app holds it: nothing is kept for it. */
export class TopicHandle implements Topic<unknown, unknown> {
  readonly name: string
  readonly presence = {
    list: (options?: { limit?: number | undefined }): Promise<TopicMember[]> => this.members(options),
    count: (): Promise<number> => this.hub.countMembers(this.name)
  }

  private readonly hub: Hub

  constructor (hub: Hub, name: unknown) {
    this.hub = hub
    this.name = checkTopicName(name)
  }

  get subscribers (): number {
    return this.hub.find(this.name)?.size ?? 0
  }

  publish (message: unknown, options?: PublishOptions): Promise<TopicPosition | null> {
    return publish(this.hub, this.name, message, options, null)
  }

  async history (options: TopicHistoryOptions = {}): Promise<TopicHistoryPart> {
    checkOptions('history', ['since', 'limit'], options)
    const { since, limit = LIMITS.messages } = options
    if (this.hub.settingsOf(this.name).history === null) {
      throw createError('FST_WS_ERR_INVALID_ARGUMENT', `topic '${this.name}' has no history: declare one with app.topic()`)
    }
    checkLimit(limit)
    const anchor = since === undefined ? null : toAnchor(since)
    const { top, topId, messages, isComplete } = await this.hub.read(this.name, anchor, limit)
    const last = messages.at(-1)
    const position = last === undefined ? { ...top, id: topId ?? '' } : positionOf(last)
    return { messages: messages.flatMap(message => readMessage(message)), position, isComplete }
  }

  private async members (options: { limit?: number | undefined } = {}): Promise<TopicMember[]> {
    checkOptions('presence.list', ['limit'], options)
    const { limit = LIMITS.members } = options
    checkLimit(limit)
    return (await this.hub.readMembers(this.name, limit)).map(readMember)
  }
}

function checkLimit (limit: unknown): void {
  if (Number.isSafeInteger(limit) && (limit as number) >= 1) return
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'limit' must be an integer from 1, not ${describe(limit)}`)
}

function toAnchor (since: unknown): BrokerAnchor {
  const anchor = typeof since === 'string' ? parsePosition(since) : since
  const { epoch, offset, id } = Object(anchor) as Partial<BrokerAnchor>
  if (typeof epoch === 'string' && Number.isSafeInteger(offset) && typeof id === 'string') return { epoch, offset: offset!, id }
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'since' must be a position, as { epoch, offset, id } or as a string, not ${describe(since)}`)
}

function positionOf ({ position, id }: BrokerMessage): TopicPosition {
  return { epoch: position!.epoch, offset: position!.offset, id }
}

function readMessage (message: BrokerMessage): TopicMessage[] {
  const envelope = decodeEnvelope(message.data)
  if (envelope === null || envelope.kind !== EnvelopeKind.TEXT) return []
  return [{ position: positionOf(message), message: JSON.parse(decodeText(envelope.payload)) as unknown }]
}

function readMember ({ id, data }: BrokerMember): TopicMember {
  return { id, info: JSON.parse(data.toString()) as unknown }
}
