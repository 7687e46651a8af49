import type { BrokerAnchor, BrokerMessage, BrokerPosition, BrokerPublication, BrokerRead, TopicHistory } from '../../types/broker.js'
import type { NatsMessage } from './client.js'
import { JetStreamError, type JetStream, type StoredMessage } from './jetstream.js'
import type { Names } from './names.js'
import type { NatsSettings } from './options.js'
import { serverTime } from './presence.js'

/** Nanoseconds of a second, in which JetStream counts. */
const SECOND = 1_000_000_000

/** Seconds for which ids are known again, at most. */
const MOST_KNOWN = 300

/** The histories of topics: one stream for each setting, which announces what it stores. */
export class Histories {
  private readonly jetstream: JetStream
  private readonly names: Names
  private readonly settings: NatsSettings
  /** By name. */
  private readonly streams = new Map<string, Promise<void>>()
  private epoch = ''

  constructor (jetstream: JetStream, names: Names, settings: NatsSettings) {
    this.jetstream = jetstream
    this.names = names
    this.settings = settings
  }

  /** Reads the epoch, which is another one if the server has lost its data. */
  async refresh (): Promise<void> {
    const { created } = await this.jetstream.info(this.names.stateStream)
    // To the nanosecond.
    const epoch = created.replace(/\D/g, '')
    if (epoch !== this.epoch) this.streams.clear()
    this.epoch = epoch
  }

  async publish (topic: string, { id, data }: BrokerPublication, history: TopicHistory): Promise<BrokerPosition> {
    const stream = this.names.historyStream(history)
    await this.ensure(stream, history)
    const subject = this.names.kept(stream, topic)
    // Streams know ids by themselves, and not by subject.
    const headers = { 'Nats-Msg-Id': `${subject}/${id}`, 'Nats-Expected-Stream': stream }
    try {
      const { seq } = await this.jetstream.publish(subject, data, headers)
      return { epoch: this.epoch, offset: seq }
    } catch (error) {
      // Somebody has removed the stream, or the server has lost it: it is made again for the next message.
      this.streams.delete(stream)
      throw error
    }
  }

  /** Reads an announcement of a stream. `previous` is 0 if no message of the topic is kept from before. */
  readAnnouncement ({ data, headers }: NatsMessage): BrokerMessage | null {
    const offset = Number(headers?.get('Nats-Sequence'))
    if (!Number.isSafeInteger(offset) || offset < 1) return null
    return {
      id: toId(headers!.get('Nats-Msg-Id')),
      data: Buffer.from(data),
      position: { epoch: this.epoch, offset },
      previous: Number(headers!.get('Nats-Last-Sequence'))
    }
  }

  async read (topic: string, since: BrokerAnchor | null, limit: number): Promise<BrokerRead> {
    await this.refresh()
    const found = await this.find(topic)
    if (found === null) return this.readEmpty(since)
    const { stream, last } = found
    const subject = this.names.kept(stream, topic)
    const read = { top: { epoch: this.epoch, offset: last.sequence }, topId: toId(last.id) }
    if (since === null) return upTo(limit === 0 ? [] : await this.newest(stream, subject, limit), read)
    const isKept = since.epoch === this.epoch && (since.offset === 0 ? since.id === '' && await this.isFromBeginning(stream, subject) : await this.isThere(stream, subject, since))
    if (!isKept) return { ...read, messages: [], isComplete: false }
    const messages: BrokerMessage[] = []
    if (limit > 0 && since.offset < last.sequence) {
      for await (const message of this.jetstream.all(stream, subject, since.offset + 1)) {
        messages.push(this.toMessage(message, messages.at(-1)?.position!.offset ?? since.offset))
        if (messages.length === limit) break
      }
    }
    return upTo(messages, read)
  }

  private readEmpty (since: BrokerAnchor | null): BrokerRead {
    const isComplete = since === null || (since.epoch === this.epoch && since.offset === 0 && since.id === '')
    return { top: { epoch: this.epoch, offset: 0 }, topId: null, messages: [], isComplete }
  }

  /** The stream that has the newest message of a topic: there is more than one if its declaration has changed. */
  private async find (topic: string): Promise<{ stream: string, last: StoredMessage } | null> {
    const streams = (await this.jetstream.streamsOf(this.names.keptAnywhere(topic))).filter(stream => this.names.isHistoryStream(stream))
    const lasts = await Promise.all(streams.map(async stream => ({ stream, last: await this.jetstream.last(stream, this.names.kept(stream, topic)) })))
    let newest: { stream: string, last: StoredMessage } | null = null
    for (const { stream, last } of lasts) {
      if (last !== null && (newest === null || last.time > newest.last.time)) newest = { stream, last }
    }
    return newest
  }

  private async isThere (stream: string, subject: string, { offset, id }: BrokerAnchor): Promise<boolean> {
    const message = await this.jetstream.at(stream, offset)
    return message !== null && message.subject === subject && toId(message.id) === id
  }

  /** Whether nothing of the subject has been removed: it has room for more, and the stream is not old enough to have let anything go. */
  private async isFromBeginning (stream: string, subject: string): Promise<boolean> {
    const { created, state } = await this.jetstream.info(stream, subject)
    const [, messages, seconds] = /(\d+)-(\d+)$/.exec(stream)!
    const isOld = await serverTime(this.jetstream, this.names) - Date.parse(created) >= Number(seconds) * 1_000
    return (state.subjects?.[subject] ?? 0) < Number(messages) && (!isOld || state.first_seq <= 1)
  }

  private async newest (stream: string, subject: string, limit: number): Promise<BrokerMessage[]> {
    const messages: BrokerMessage[] = []
    let previous: number | null = null
    for await (const message of this.jetstream.all(stream, subject)) {
      messages.push(this.toMessage(message, previous))
      previous = message.sequence
      if (messages.length > limit) messages.shift()
    }
    return messages
  }

  private toMessage ({ id, data, sequence }: StoredMessage, previous: number | null): BrokerMessage {
    return { id: toId(id), data, position: { epoch: this.epoch, offset: sequence }, previous }
  }

  private ensure (stream: string, { messages, seconds }: TopicHistory): Promise<void> {
    let ensured = this.streams.get(stream)
    if (ensured === undefined) {
      ensured = this.jetstream.ensureStream({
        name: stream,
        subjects: [this.names.allKept(stream)],
        republish: { src: this.names.allKept(stream), dest: this.names.announced(stream) },
        allow_direct: true,
        discard: 'old',
        max_msgs_per_subject: messages,
        max_age: seconds * SECOND,
        duplicate_window: Math.min(seconds, MOST_KNOWN) * SECOND,
        storage: this.settings.storage,
        num_replicas: this.settings.replicas,
        retention: 'limits'
      })
      this.streams.set(stream, ensured)
      ensured.catch(() => this.streams.delete(stream))
    }
    return ensured
  }
}

/** @param read the newest message before the others were read: those that were stored meanwhile are the newest now */
function upTo (messages: BrokerMessage[], read: Pick<BrokerRead, 'top' | 'topId'>): BrokerRead {
  const end = messages.at(-1)
  return end !== undefined && end.position!.offset > read.top.offset
    ? { top: end.position!, topId: end.id, messages, isComplete: true }
    : { ...read, messages, isComplete: true }
}

/** @param header the value of `Nats-Msg-Id`: a subject, and the id */
function toId (header: string): string {
  return header.slice(header.indexOf('/') + 1)
}

/** Says what a failed request means, in words that help. */
export function explain (error: unknown): Error {
  const { message, name } = error instanceof Error ? error : new Error(String(error))
  if (error instanceof JetStreamError) return new Error(`JetStream: ${message}`, { cause: error })
  if (/no responders/i.test(message) || name === 'NoRespondersError') return new Error('this NATS server has no JetStream: start it with -js, or enable it in its configuration', { cause: error })
  return new Error(`NATS: ${message || name}`, { cause: error })
}
