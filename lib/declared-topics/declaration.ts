import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { TopicHistory } from '../../types/broker.js'
import type { TopicSchema } from '../../types/declared-topics.js'
import type { WebSocketConnection } from '../../types/connection.js'
import { createError } from '../errors.js'
import { isThenable, toPromise, whenSettled } from '../thenable.js'
import type { TopicPolicy } from '../topics-protocol/policies.js'
import type { PresenceSettings, TopicSettings } from '../topics/settings.js'
import type { Declared, PresenceDeclaration } from './options.js'
import type { Params, TopicPattern } from './pattern.js'
import { failure, isRefusal } from './refusals.js'
import { TopicSchemas } from './topic-schemas.js'

const PRESENCE_DEFAULTS: PresenceSettings = { grace: 10_000, max: 1_000 }

/** A declared topic: how all topics whose names match its pattern are kept, and who may use them. */
export class Declaration implements TopicSettings {
  readonly isDeclared = true
  readonly history: TopicHistory | null
  readonly presence: PresenceSettings | null
  readonly pattern: TopicPattern
  readonly instance: FastifyInstance
  readonly schema: TopicSchema
  readonly schemas: TopicSchemas
  private readonly declared: Declared

  constructor (instance: FastifyInstance, pattern: TopicPattern, declared: Declared) {
    const { history, presence } = declared
    this.instance = instance
    this.pattern = pattern
    this.declared = declared
    this.schema = declared.schema ?? {}
    this.schemas = new TopicSchemas(instance, this.schema, pattern.text)
    this.history = history === undefined || history === false ? null : { ...history }
    this.presence = presence === undefined || presence === false
      ? null
      : { grace: presence.grace ?? PRESENCE_DEFAULTS.grace, max: presence.max ?? PRESENCE_DEFAULTS.max }
  }

  get mayPublish (): boolean {
    return this.declared.onPublish !== undefined || this.schema.publish !== undefined
  }

  write (message: unknown): string {
    return this.schemas.write('message', message)
  }

  /**
   * The parameters of a name, as callbacks get them. One topic has one name: values that a schema has converted have to be
   * written as the name has them, so that `rooms/07` is not a second room 7.
   *
   * @param parts of the name
   * @returns the parameters, or why it is not the name of a topic
   */
  readParams (parts: readonly string[]): { readonly params: Params } | { readonly problem: string } {
    const written = this.pattern.paramsOf(parts)
    const { params: validate } = this.schemas
    if (validate === null) return { params: written }
    const validation = validate({ ...written })
    if ('error' in validation) return { problem: validation.error.message }
    const params = validation.value as Params
    const other = Object.keys(written).find(name => isPrimitive(params[name]) && String(params[name]) !== written[name])
    if (other !== undefined) return { problem: `params/${other} must be written '${String(params[other])}'` }
    return { params }
  }

  policyOf (name: string, parts: readonly string[]): TopicPolicy {
    return new Policy(this, this.declared, name, parts)
  }
}

function isPrimitive (value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
}

/** Decides what the clients of one topic may do, by the callbacks of its declaration. */
class Policy implements TopicPolicy {
  readonly snapshot: (() => unknown) | null
  readonly member: TopicPolicy['member']
  private readonly declaration: Declaration
  private readonly declared: Declared
  private readonly name: string
  private readonly parts: readonly string[]

  constructor (declaration: Declaration, declared: Declared, name: string, parts: readonly string[]) {
    this.declaration = declaration
    this.declared = declared
    this.name = name
    this.parts = parts
    const { snapshot, presence } = declared
    this.member = presence === undefined || presence === false ? null : (connection, request) => this.describeMember(presence, connection, request)
    this.snapshot = snapshot === undefined ? null : () => this.guard('snapshot', () => snapshot.call(declaration.instance, this.readParams()))
  }

  authorizeSubscribe (connection: WebSocketConnection, request: FastifyRequest): unknown {
    const { declared: { onSubscribe }, declaration: { instance } } = this
    const params = this.readParams()
    if (onSubscribe === undefined) return undefined
    return whenSettled(this.guard('onSubscribe', () => onSubscribe.call(instance, connection, params, request)), result => {
      // Nothing says that `false` refuses, and yet it cannot mean that the client may.
      if (result === false) throw createError('FST_WS_ERR_REFUSED', `topic '${this.name}' may not be subscribed`)
    })
  }

  acceptPublish (connection: WebSocketConnection, message: unknown, request: FastifyRequest): unknown {
    const { declared: { onPublish }, declaration: { instance, mayPublish, schemas } } = this
    const params = this.readParams()
    if (!mayPublish) throw createError('FST_WS_ERR_NO_PUBLISH', `clients may not publish to topic '${this.name}'`)
    const value = schemas.publish === null ? message : this.validate(schemas.publish, message)
    if (onPublish !== undefined) {
      return whenSettled(this.guard('onPublish', () => onPublish.call(instance, connection, value, params, request)), result => {
        if (result === undefined) throw failure(this.title('onPublish'), 'it returned undefined, and not the message to publish, or null')
        return result
      })
    }
    // The message is published as it is: if the topic's schema forbids it, that is the client's mistake.
    this.requireMessage(value)
    // Without a decision of its own, those may publish who may subscribe.
    if (connection.isSubscribed(this.name)) return value
    return whenSettled(this.authorizeSubscribe(connection, request), () => value)
  }

  private describeMember ({ info }: PresenceDeclaration, connection: WebSocketConnection, request: FastifyRequest): string | Promise<string> {
    const { declaration: { instance, schemas } } = this
    const made = info === undefined ? null : this.guard('presence.info', () => info.call(instance, connection, request, this.readParams()))
    return whenSettled(made, value => this.guardSync('presence.info', () => schemas.write('member', value)))
  }

  /** @throws {RefusedError} if there is no such topic */
  private readParams (): Params {
    const read = this.guardSync("the schema 'params'", () => this.declaration.readParams(this.parts))
    if ('params' in read) return read.params
    throw createError('FST_WS_ERR_TOPIC_PARAMS', `there is no topic '${this.name}': ${read.problem}`)
  }

  private validate (validate: NonNullable<TopicSchemas['publish']>, message: unknown): unknown {
    const validation = this.guardSync("the schema 'publish'", () => {
      try {
        return validate(message)
      } catch (error) {
        // A client can nest arrays more deeply than the stack reaches.
        if (error instanceof RangeError) return { error: createError('FST_WS_ERR_INVALID_MESSAGE', 'the message is nested too deeply') }
        throw error
      }
    })
    if ('error' in validation) throw validation.error
    return validation.value
  }

  private requireMessage (value: unknown): void {
    try {
      this.declaration.write(value)
    } catch (cause) {
      throw createError('FST_WS_ERR_INVALID_MESSAGE', cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }

  /** Calls a callback of the app. Throws, or rejects with, what the client may get to know, or a failure. */
  private guard (callback: string, call: () => unknown): unknown {
    const result = this.guardSync(callback, call)
    return isThenable(result) ? toPromise(result).catch((error: unknown) => { throw this.toThrow(callback, error) }) : result
  }

  private guardSync<T> (callback: string, call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw this.toThrow(callback, error)
    }
  }

  private toThrow (callback: string, error: unknown): unknown {
    return isRefusal(error) ? error : failure(this.title(callback), error)
  }

  private title (callback: string): string {
    return `${callback} of topic '${this.declaration.pattern.text}'`
  }
}
