import { describe, OptionError } from '../errors.js'
import type { NatsConnection } from './client.js'

/** The options of `nats()`. */
export interface NatsBrokerOptions {
  /** A connection of `@nats-io/transport-node`, version 3. The app opens and closes it. Let it reconnect for ever: `maxReconnectAttempts: -1`. */
  connection: NatsConnection
  /** The first part of subjects and streams: letters, digits, `-` and `_`. Apps that share it share their topics. Default `'fastify-ws'`. */
  prefix?: string | undefined
  /** Copies of each stream in a cluster of NATS, an integer from 1 to 5. Default 1. */
  replicas?: number | undefined
  /** Where histories and members are kept. Default `'file'`. */
  storage?: 'file' | 'memory' | undefined
  /** Milliseconds for each request. An integer from 1. Default 5 s. */
  timeout?: number | undefined
}

export type NatsSettings = Readonly<Required<{ [Name in keyof NatsBrokerOptions]: NonNullable<NatsBrokerOptions[Name]> }>>

const METHODS = ['publish', 'subscribe', 'request', 'flush', 'rtt', 'reconnect', 'isClosed', 'status'] as const

const CHECKS: { [Name in keyof NatsSettings]: [expected: string, isValid: (value: unknown) => boolean] } = {
  connection: [
    "a connection of @nats-io/transport-node 3: await connect({ servers: '…' })",
    value => typeof value === 'object' && value !== null && METHODS.every(name => typeof Reflect.get(value, name) === 'function')
  ],
  prefix: ['a string of letters, digits, - and _', value => typeof value === 'string' && /^[\w-]{1,64}$/.test(value)],
  replicas: ['an integer from 1 to 5', value => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 5],
  storage: ["'file' or 'memory'", value => value === 'file' || value === 'memory'],
  timeout: ['a number of milliseconds, an integer from 1', value => Number.isSafeInteger(value) && (value as number) >= 1]
}

/** @throws {OptionError} naming the option and what it accepts */
export function checkOptions (options: NatsBrokerOptions): NatsSettings {
  if (typeof options !== 'object' || options === null) throw new OptionError(`nats() takes an object of options, not ${describe(options)}`)
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(CHECKS, name)) throw new OptionError(`nats(): unknown option '${name}'; there are ${Object.keys(CHECKS).join(', ')}`)
  }
  const settings = { prefix: 'fastify-ws', replicas: 1, storage: 'file', timeout: 5_000, ...withoutUndefined(options) } as NatsSettings
  for (const [name, [expected, isValid]] of Object.entries(CHECKS)) {
    const value: unknown = Reflect.get(settings, name)
    if (!isValid(value)) throw new OptionError(`nats(): option '${name}' must be ${expected}, not ${describe(value)}`)
  }
  return settings
}

function withoutUndefined (options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
