import { encodeHeaders, type NatsConnection, type NatsMessage } from './client.js'

/** An answer of the server that is an error. */
export class JetStreamError extends Error {
  /** As in HTTP: 404 if there is no such stream or message. */
  readonly status: number
  /** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
  readonly errCode: number

  constructor (message: string, status: number, errCode: number) {
    super(message)
    this.status = status
    this.errCode = errCode
  }
}

/** A message in a stream. */
export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  /** Milliseconds since 1970, by the server's clock. */
  readonly time: number
  /** `''` if it was stored without one. */
  readonly id: string
  readonly data: Buffer
}

export interface StreamInfo {
  readonly created: string
  readonly state: { readonly first_seq: number, readonly last_seq: number, readonly subjects?: Readonly<Record<string, number>> | undefined }
}

interface PubAck { readonly seq: number, readonly duplicate?: boolean | undefined }

/** The parts of JetStream that the broker uses (https://docs.nats.io/reference/reference-protocols/nats_api_reference). */
export class JetStream {
  private readonly connection: NatsConnection
  private readonly timeout: number

  constructor (connection: NatsConnection, timeout: number) {
    this.connection = connection
    this.timeout = timeout
  }

  /** Creates a stream, or changes it to this. */
  async ensureStream (config: { readonly name: string } & Readonly<Record<string, unknown>>): Promise<void> {
    try {
      await this.call(`STREAM.CREATE.${config.name}`, config)
    } catch (error) {
      // It exists, with another configuration.
      if (!(error instanceof JetStreamError) || error.errCode !== 10058) throw error
      await this.call(`STREAM.UPDATE.${config.name}`, config)
    }
  }

  /** @param subjects counts the messages of subjects that match */
  async info (stream: string, subjects?: string): Promise<StreamInfo> {
    return await this.call(`STREAM.INFO.${stream}`, subjects === undefined ? {} : { subjects_filter: subjects }) as unknown as StreamInfo
  }

  /** @returns the names of streams that may have messages of this subject */
  async streamsOf (subject: string): Promise<string[]> {
    const { streams } = await this.call('STREAM.NAMES', { subject })
    return (streams as string[] | null | undefined) ?? []
  }

  /** Removes messages of a subject. @param below only those with lower sequences @returns how many these were */
  async purge (stream: string, subject: string, below?: number): Promise<number> {
    const { purged } = await this.call(`STREAM.PURGE.${stream}`, { filter: subject, ...(below !== undefined && { seq: below }) })
    return purged as number
  }

  /** @throws {JetStreamError} if the server does not store it */
  async publish (subject: string, data: Uint8Array, headers: Readonly<Record<string, string>>): Promise<PubAck> {
    const { data: reply } = await this.connection.request(subject, data, { timeout: this.timeout, headers: encodeHeaders(headers) }) as NatsMessage
    return parse(reply) as unknown as PubAck
  }

  /** @returns the last message of a subject without wildcards, or `null` */
  last (stream: string, subject: string): Promise<StoredMessage | null> {
    return this.get(stream, { last_by_subj: subject })
  }

  /** @returns the first message from a sequence on of the subject, which may have wildcards, or `null` */
  next (stream: string, subject: string, sequence: number): Promise<StoredMessage | null> {
    return this.get(stream, { seq: sequence, next_by_subj: subject })
  }

  /** All messages of a subject, from a sequence on. */
  async * all (stream: string, subject: string, sequence = 1): AsyncGenerator<StoredMessage> {
    for (let message = await this.next(stream, subject, sequence); message !== null; message = await this.next(stream, subject, message.sequence + 1)) yield message
  }

  /** @returns the message with this sequence, or `null` */
  at (stream: string, sequence: number): Promise<StoredMessage | null> {
    return this.get(stream, { seq: sequence })
  }

  private async get (stream: string, request: object): Promise<StoredMessage | null> {
    const message = await this.connection.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(request), { timeout: this.timeout }) as NatsMessage
    const { headers, data } = message
    const sequence = headers?.get('Nats-Sequence')
    if (sequence === undefined || sequence === '') {
      // The status of an answer without a message is in its first line.
      const status = Number(Reflect.get(Object(headers), 'code') ?? 404)
      if (status === 404) return null
      throw new JetStreamError(String(Reflect.get(Object(headers), 'description') ?? `stream ${stream} cannot be read`), status, 0)
    }
    return {
      subject: headers!.get('Nats-Subject'),
      sequence: Number(sequence),
      time: Date.parse(headers!.get('Nats-Time-Stamp')),
      id: headers!.get('Nats-Msg-Id'),
      data: Buffer.from(data)
    }
  }

  private async call (name: string, request: object): Promise<Record<string, unknown>> {
    const { data } = await this.connection.request(`$JS.API.${name}`, JSON.stringify(request), { timeout: this.timeout }) as NatsMessage
    return parse(data)
  }
}

function parse (data: Uint8Array): Record<string, unknown> {
  const answer = JSON.parse(Buffer.from(data).toString()) as Record<string, unknown> & { error?: { code: number, err_code: number, description: string } }
  if (answer.error !== undefined) throw new JetStreamError(answer.error.description, answer.error.code, answer.error.err_code)
  return answer
}
