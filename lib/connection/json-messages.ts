import sjson from 'secure-json-parse'
import { createError, describe, type InvalidMessageError } from '../errors.js'
import { decodeText } from '../protocol/text.js'

/** The result of a validation: the final form of the value, or what is wrong with it. */
export type Validation = { readonly value: unknown } | { readonly error: InvalidMessageError }

/** Decides what `secure-json-parse` does about keys that could become prototypes, as the app has configured Fastify. */
export interface ParsePolicy {
  readonly protoAction: 'error' | 'remove' | 'ignore'
  readonly constructorAction: 'error' | 'remove' | 'ignore'
}

const SAFE: ParsePolicy = { protoAction: 'error', constructorAction: 'error' }

/** How the JSON messages of a route are read and written. */
export class JsonMessages {
  private readonly policy: ParsePolicy
  /** Set where the route has a schema for them. */
  validate: ((value: unknown) => Validation) | null = null
  serialize: ((value: unknown) => string) | null = null

  constructor (policy: ParsePolicy = SAFE) {
    this.policy = policy
  }

  /** Parses and validates a message. It throws only if the validator itself fails. */
  read (data: Buffer, isBinary: boolean): Validation {
    const parsed = this.parse(data, isBinary)
    return this.validate === null || 'error' in parsed ? parsed : this.validate(parsed.value)
  }

  /** Parses a message. */
  parse (data: Buffer, isBinary: boolean): Validation {
    // RFC 6455 §7.4.1: "an endpoint that understands only text data MAY send this".
    if (isBinary) return { error: createError('FST_WS_ERR_BINARY_MESSAGE') }
    try {
      return { value: sjson.parse(decodeText(data), this.policy) as unknown }
    } catch (cause) {
      return { error: createError('FST_WS_ERR_INVALID_JSON', undefined, { cause }) }
    }
  }

  /** @throws {TypeError} if the value has no form in JSON; and what the serializer throws if it does not fit the schema */
  write (value: unknown): string {
    const text: unknown = this.serialize === null ? JSON.stringify(value) : this.serialize(value)
    if (typeof text !== 'string') throw createError('FST_WS_ERR_NOT_SERIALIZABLE', `${describe(value)} cannot be serialized to JSON`)
    return text
  }
}

/** For connections that belong to no route. */
export const plainJson = new JsonMessages()
