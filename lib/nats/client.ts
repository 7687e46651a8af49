// The parts of `@nats-io/transport-node` that the broker uses, so that nothing of it is loaded here.

/** Header fields of a message. */
export interface NatsHeaders {
  /** The first value of a field, or an empty string. */
  get (name: string): string
}

/** A message of `@nats-io/transport-node`. */
export interface NatsMessage {
  /** The subject that it was published to. */
  readonly subject: string
  /** The payload. */
  readonly data: Uint8Array
  /** Header fields, if it has some. */
  readonly headers?: NatsHeaders | undefined
}

/** A subscription of `@nats-io/transport-node`. */
export interface NatsSubscription {
  /** Ends it. */
  unsubscribe (): void
}

/** A change of the state of a connection. */
export interface NatsStatus {
  /** Its name. */
  readonly type: string
}

/** A connection of `@nats-io/transport-node` (`connect()`), version 3. */
export interface NatsConnection {
  /** The server that it is connected to. */
  readonly info?: {
    /** The version of the server. */
    readonly version: string
    /** Whether it carries header fields. */
    readonly headers?: boolean | undefined
    /** Whether JetStream is enabled. */
    readonly jetstream?: boolean | undefined
  } | undefined
  /** Publishes a message. */
  publish (subject: string, payload?: Uint8Array | string, options?: { headers?: never }): void
  /** Subscribes to a subject. */
  subscribe (subject: string, options: { callback: (error: Error | null, message: NatsMessage) => void }): NatsSubscription
  /** Publishes a message and waits for the answer. Rejects after `timeout` milliseconds. */
  request (subject: string, payload?: Uint8Array | string, options?: { timeout: number, headers?: never }): Promise<unknown>
  /** Resolves when the server has everything that was published. */
  flush (): Promise<void>
  /** Measures the time to the server and back, in milliseconds. */
  rtt (): Promise<number>
  /** Ends the connection to the server and connects again. */
  reconnect (): Promise<void>
  /** Whether the connection is closed for good. */
  isClosed (): boolean
  /** Yields changes of the state of the connection. */
  status (): AsyncIterable<NatsStatus>
}

/** Header fields in the form of the protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol#hpub), as the client asks its own for it. */
export function encodeHeaders (fields: Readonly<Record<string, string>>): never {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const encoded = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`)
  return { encode: () => encoded } as never
}
