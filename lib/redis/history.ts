import { randomBytes } from 'node:crypto'
import type { BrokerAnchor, BrokerMessage, BrokerPosition, BrokerPublication, BrokerRead, TopicHistory } from '../../types/broker.js'
import type { Commands } from './commands.js'
import type { Reply } from './connections.js'
import type { Keys } from './keys.js'
import { BEGIN, PUBLISH, READ } from './scripts.js'

/** Milliseconds for which ids are remembered, at most. */
const LONGEST_ID_WINDOW = 5 * 60_000

/** Milliseconds for which a topic without messages keeps its epoch, at least; a process that is subscribed to it lets it live on. */
export const LEAST_LIFE = 60 * 60_000

/** How much longer than its messages a topic keeps its epoch: who has all of them can resume after that time too. */
const LIFE_FACTOR = 10

/** Tells the epochs of this process from those of others: 48 random bits. */
const PREFIX = randomBytes(6).toString('base64url')
let epochs = 0

/** Each publish offers one, in case the topic has none: random bytes for each would cost more than the rest of the arguments. */
const newEpoch = (): string => PREFIX + (epochs++).toString(36)

/** @param command of a message's announcement */
export async function publishKept (
  commands: Commands, keys: Keys, command: 'PUBLISH' | 'SPUBLISH', topic: string, { id, data }: BrokerPublication, { messages, seconds }: TopicHistory
): Promise<BrokerPosition> {
  const life = seconds * 1_000
  const reply = await commands.run(PUBLISH, [keys.stream(topic), keys.meta(topic), keys.id(topic, id)], [
    id, data, keys.channel(topic), command, String(messages), String(life), String(Math.min(life, LONGEST_ID_WINDOW)),
    String(Math.max(life * LIFE_FACTOR, LEAST_LIFE)), newEpoch()
  ])
  const [epoch, offset] = reply as Reply[]
  return { epoch: String(epoch), offset: Number(offset) }
}

export async function readHistory (commands: Commands, keys: Keys, topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
  const names = [keys.stream(topic), keys.meta(topic)]
  const args = since === null ? [String(limit)] : [String(limit), since.epoch, String(since.offset), since.id]
  let reply = await commands.run(READ, names, args)
  if (reply === null) {
    await commands.run(BEGIN, names, [newEpoch(), String(LEAST_LIFE)])
    reply = await commands.run(READ, names, args)
    if (reply === null) throw new Error('Redis has removed a key that was just written: it evicts keys, or somebody deletes them')
  }
  const [epoch, top, topId, isComplete, entries] = reply as [Reply, Reply, Reply, Reply, Reply[]]
  const messages = entries.map(entry => messageOf(String(epoch), entry as [Buffer, Buffer[]]))
  return {
    top: { epoch: String(epoch), offset: Number(top) },
    topId: Number(top) === 0 ? null : String(topId),
    messages: since === null ? messages.reverse() : messages,
    isComplete: isComplete === 1
  }
}

/** The fields of an entry are in the order in which they were written: i, t, d. */
function messageOf (epoch: string, [at, fields]: [Buffer, Buffer[]]): BrokerMessage {
  const offset = Number.parseInt(String(at), 10)
  return { id: String(fields[1]), data: fields[5]!, position: { epoch, offset }, previous: offset - 1 }
}
