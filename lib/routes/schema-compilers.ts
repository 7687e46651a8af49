import type { FastifyInstance, FastifySchema, FastifySchemaValidationError, RouteOptions } from 'fastify'
import type { Validation } from '../connection/json-messages.js'
import { createError, type InvalidMessageError } from '../errors.js'
import { createCompilers, findErrorFormatter, hasDefaultCompiler, type ErrorFormatter } from '../fastify-internals.js'
import { withinUnions } from './union-errors.js'

export type Validator = ((value: unknown) => unknown) & { errors?: FastifySchemaValidationError[] | null }
export type Serializer = (value: unknown) => string
export type Validate = (value: unknown) => Validation

type Kind = 'validator' | 'serializer'

/** A place where schemas are declared. */
export interface SchemaSource {
  readonly instance: FastifyInstance
  /** Names it in errors: `WebSocket route /feed`. */
  readonly title: string
  readonly url: string
  /** Compilers and the formatter of a route, which come before those of its instance. */
  readonly own: Pick<RouteOptions, 'validatorCompiler' | 'serializerCompiler' | 'schemaErrorFormatter'>
}

const SETTERS: Record<Kind, string> = { validator: 'setValidatorCompiler', serializer: 'setSerializerCompiler' }

/** Compiles schemas of messages as Fastify compiles those of requests: with the compilers of the route or instance. */
export class SchemaCompilers {
  private readonly source: SchemaSource

  constructor (source: SchemaSource) {
    this.source = source
  }

  /**
   * Lets Fastify create those compilers that are needed.
   *
   * @param schemas by name, and what each is compiled to
   * @throws {MessageSchemaError} if one of them is no JSON schema, and no compiler for it is set
   */
  prepare (schemas: ReadonlyArray<{ readonly name: string, readonly schema: unknown, readonly kind: Kind }>): void {
    const { instance, own } = this.source
    const needed = { validator: false, serializer: false }
    for (const { name, schema, kind } of schemas) {
      if (own[`${kind}Compiler`] !== undefined) continue
      // Ajv would take the properties of such a schema for keywords of JSON schema, or fail in words that do not help.
      if (isOfLibrary(schema) && hasDefaultCompiler(instance, kind)) throw this.withoutCompiler(name, schema, kind)
      needed[kind] = true
    }
    createCompilers(instance, needed)
  }

  /** Whether there is such a compiler. Without `early-compilers`, there may be none before the first request. */
  has (kind: Kind): boolean {
    return this.find(kind) !== undefined
  }

  /** @param httpPart the part of a request that is validated alike */
  compileValidator (name: string, schema: unknown, httpPart: 'body' | 'params', context: string): Validate {
    const compiler = this.find('validator')!
    return this.toValidate(name, schema, context, () => compiler({ schema: schema as FastifySchema, method: 'GET', url: this.source.url, httpPart }) as Validator)
  }

  compileSerializer (name: string, schema: unknown): Serializer {
    const compiler = this.find('serializer')!
    return this.named(name, () => compiler({ schema: schema as FastifySchema, method: 'GET', url: this.source.url, httpStatus: '101' }))
  }

  /** @param context how errors name what is validated */
  toValidate (name: string, schema: unknown, context: string, compile: () => Validator): Validate {
    const { instance, own } = this.source
    const format = own.schemaErrorFormatter as ErrorFormatter | undefined ?? findErrorFormatter(instance)
    return toValidation(this.named(name, compile), schema, format, context)
  }

  /** @throws {MessageSchemaError} that names the schema, if it cannot be compiled */
  named<T> (name: string, compile: () => T): T {
    try {
      return compile()
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw createError('FST_WS_ERR_MESSAGE_SCHEMA', `the schema '${name}' of ${this.source.title} cannot be compiled: ${reason}`, { cause })
    }
  }

  private find<K extends Kind> (kind: K): FastifyInstance[`${K}Compiler`] {
    const { instance, own } = this.source
    return (own[`${kind}Compiler`] ?? instance[`${kind}Compiler`]) as FastifyInstance[`${K}Compiler`]
  }

  private withoutCompiler (name: string, schema: unknown, kind: Kind): Error {
    const vendor = vendorOf(schema)
    return createError(
      'FST_WS_ERR_MESSAGE_SCHEMA',
      `the schema '${name}' of ${this.source.title} is no JSON schema${vendor === null ? '' : ` but one of ${vendor}`}: ` +
      `set the compiler of its type provider with app.${SETTERS[kind]}()`
    )
  }
}

/** As Fastify does it for the other schemas of a route. */
export function unwrap (schema: unknown): unknown {
  const isFluent = typeof schema === 'object' && schema !== null && ('isFluentSchema' in schema || Symbol.for('fluent-schema-object') in schema)
  return isFluent ? (schema as { valueOf (): unknown }).valueOf() : schema
}

/** Whether the schema is an object of a library for validation, such as Zod (https://standardschema.dev), and no JSON schema. */
export function isOfLibrary (schema: unknown): boolean {
  return (typeof schema === 'object' || typeof schema === 'function') && schema !== null &&
    ('~standard' in schema || ('_def' in schema && 'safeParse' in schema))
}

function vendorOf (schema: unknown): string | null {
  const vendor: unknown = Reflect.get(Object(Reflect.get(Object(schema), '~standard')), 'vendor')
  return typeof vendor === 'string' ? vendor : null
}

/** Fastify documents what validators may return at `setValidatorCompiler`. */
function toValidation (validator: Validator, schema: unknown, format: ErrorFormatter | null, context: string): Validate {
  return value => {
    const result = validator(value)
    if (result === false) return { error: invalid(validator.errors ?? [], format, schema, value, context) }
    if (typeof result !== 'object' || result === null) return { value }
    if ('then' in result) throw createError('FST_WS_ERR_MESSAGE_SCHEMA', 'a validator of messages must not be asynchronous: they would get out of order')
    if ('error' in result && Boolean(result.error)) return { error: invalid(result.error, format, schema, value, context) }
    return { value: 'value' in result ? result.value : value }
  }
}

function invalid (found: unknown, format: ErrorFormatter | null, schema: unknown, value: unknown, context: string): InvalidMessageError {
  if (!Array.isArray(found)) {
    const message = found instanceof Error ? found.message : String(found)
    const validation: unknown = Reflect.get(Object(found), 'validation')
    return invalidMessage(message, found, Array.isArray(validation) ? validation as FastifySchemaValidationError[] : undefined)
  }
  const validation = found as FastifySchemaValidationError[]
  if (format === null) return invalidMessage(describe(withinUnions(validation, schema, value), context), undefined, validation)
  const error = format(validation, context)
  return invalidMessage(error.message, error, validation)
}

function invalidMessage (message: string, cause: unknown, validation: FastifySchemaValidationError[] | undefined): InvalidMessageError {
  return createError('FST_WS_ERR_INVALID_MESSAGE', message, { ...(cause !== undefined && { cause }), validation })
}

/** As Fastify does it by default. */
function describe (errors: FastifySchemaValidationError[], context: string): string {
  return errors.map(({ instancePath = '', message = '' }) => `${context}${instancePath} ${message}`).join(', ')
}
