// The parts of `@nats-io/transport-node` that the broker uses, so that nothing of it is loaded here.

export interface NatsHeaders { get (name: string): string }

export interface NatsMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers?: NatsHeaders | undefined
}

export interface NatsSubscription { unsubscribe (): void }

export interface NatsStatus { readonly type: string }

/** A connection of `@nats-io/transport-node` (`connect()`), version 3. */
export interface NatsConnection {
  readonly info?: { readonly version: string, readonly headers?: boolean | undefined, readonly jetstream?: boolean | undefined } | undefined
  publish (subject: string, payload?: Uint8Array | string, options?: { headers?: never }): void
  subscribe (subject: string, options: { callback: (error: Error | null, message: NatsMessage) => void }): NatsSubscription
  request (subject: string, payload?: Uint8Array | string, options?: { timeout: number, headers?: never }): Promise<unknown>
  flush (): Promise<void>
  rtt (): Promise<number>
  reconnect (): Promise<void>
  isClosed (): boolean
  status (): AsyncIterable<NatsStatus>
}

/** Header fields in the form of the protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol#hpub), as the client asks its own for it. */
export function encodeHeaders (fields: Readonly<Record<string, string>>): never {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const encoded = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`)
  return { encode: () => encoded } as never
}
