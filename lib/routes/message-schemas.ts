import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, FastifySchemaValidationError, RouteOptions } from 'fastify'
import type { JsonMessages, ParsePolicy, Validation } from '../connection/json-messages.js'
import { createError, type InvalidMessageError } from '../errors.js'
import { createCompilers, findErrorFormatter, hasDefaultCompiler, type ErrorFormatter } from '../fastify-internals.js'
import { withinUnions } from './union-errors.js'

/** Returns how the app has configured Fastify for the JSON of request bodies. */
export function parsePolicyOf ({ initialConfig: { onProtoPoisoning, onConstructorPoisoning } }: FastifyInstance): ParsePolicy {
  return { protoAction: onProtoPoisoning ?? 'error', constructorAction: onConstructorPoisoning ?? 'error' }
}

type Validator = ((value: unknown) => unknown) & { errors?: FastifySchemaValidationError[] | null }
type Serializer = (value: unknown) => string

/** How errors name what was validated. */
const CONTEXT = 'message'

/** The `receive` and `send` schemas of a route, compiled as Fastify compiles the others: once, when the app gets ready. */
export class MessageSchemas {
  private readonly instance: FastifyInstance
  private readonly route: RouteOptions
  private readonly json: JsonMessages
  private readonly receive: unknown
  private readonly send: unknown
  private isCompiled = false

  /** @param json gets what the schemas become */
  constructor (instance: FastifyInstance, route: RouteOptions, json: JsonMessages) {
    this.instance = instance
    this.route = route
    this.json = json
    this.receive = unwrap(route.schema?.receive)
    this.send = unwrap(route.schema?.send)
  }

  /**
   * Compiles them, unless no compilers are to be had before there is a request.
   *
   * @throws {MessageSchemaError} if a schema cannot be compiled
   */
  compile (): void {
    const { instance, route, receive, send } = this
    this.requireCompilers()
    createCompilers(instance, {
      validator: receive !== undefined && route.validatorCompiler === undefined,
      serializer: send !== undefined && route.serializerCompiler === undefined
    })
    const validatorCompiler = route.validatorCompiler ?? instance.validatorCompiler
    const serializerCompiler = route.serializerCompiler ?? instance.serializerCompiler
    if ((receive !== undefined && validatorCompiler === undefined) || (send !== undefined && serializerCompiler === undefined)) return
    const { url } = route
    this.compileWith(
      schema => validatorCompiler!({ schema: schema as FastifySchema, method: 'GET', url, httpPart: 'body' }) as Validator,
      schema => serializerCompiler!({ schema: schema as FastifySchema, method: 'GET', url, httpStatus: '101' })
    )
  }

  /** Compiles them with what a request has, if that was not possible before. Throws as `compile` does. */
  compileFor (request: FastifyRequest, reply: FastifyReply): void {
    if (this.isCompiled) return
    this.compileWith(
      schema => request.compileValidationSchema(schema as Record<string, unknown>, 'body') as Validator,
      schema => reply.compileSerializationSchema(schema as Record<string, unknown>) as Serializer
    )
  }

  /** Ajv would take the properties of such a schema for keywords of JSON schema, or fail in words that do not help. */
  private requireCompilers (): void {
    const { instance, route, receive, send } = this
    const isMissing = (schema: unknown, own: unknown, kind: 'validator' | 'serializer'): boolean =>
      isOfLibrary(schema) && own === undefined && hasDefaultCompiler(instance, kind)
    if (isMissing(receive, route.validatorCompiler, 'validator')) throw this.withoutCompiler('receive', receive, 'setValidatorCompiler')
    if (isMissing(send, route.serializerCompiler, 'serializer')) throw this.withoutCompiler('send', send, 'setSerializerCompiler')
  }

  private withoutCompiler (name: string, schema: unknown, setter: string): Error {
    const vendor = vendorOf(schema)
    return createError(
      'FST_WS_ERR_MESSAGE_SCHEMA',
      `the schema '${name}' of WebSocket route ${this.route.url} is no JSON schema${vendor === null ? '' : ` but one of ${vendor}`}: ` +
      `set the compiler of its type provider with app.${setter}()`
    )
  }

  private compileWith (compileReceive: (schema: unknown) => Validator, compileSend: (schema: unknown) => Serializer): void {
    this.isCompiled = true
    if (this.receive !== undefined) {
      const validator = this.named('receive', () => compileReceive(this.receive))
      this.json.validate = toValidation(validator, this.receive, this.route.schemaErrorFormatter as ErrorFormatter | undefined ?? findErrorFormatter(this.instance))
    }
    if (this.send !== undefined) this.json.serialize = this.named('send', () => compileSend(this.send))
  }

  private named<T> (name: string, compile: () => T): T {
    try {
      return compile()
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw createError('FST_WS_ERR_MESSAGE_SCHEMA', `the schema '${name}' of WebSocket route ${this.route.url} cannot be compiled: ${reason}`, { cause })
    }
  }
}

/** As Fastify does it for the other schemas of a route. */
export function unwrap (schema: unknown): unknown {
  const isFluent = typeof schema === 'object' && schema !== null && ('isFluentSchema' in schema || Symbol.for('fluent-schema-object') in schema)
  return isFluent ? (schema as { valueOf (): unknown }).valueOf() : schema
}

/** Whether the schema is an object of a library for validation, such as Zod (https://standardschema.dev), and no JSON schema. */
function isOfLibrary (schema: unknown): boolean {
  return (typeof schema === 'object' || typeof schema === 'function') && schema !== null &&
    ('~standard' in schema || ('_def' in schema && 'safeParse' in schema))
}

function vendorOf (schema: unknown): string | null {
  const vendor: unknown = Reflect.get(Object(Reflect.get(Object(schema), '~standard')), 'vendor')
  return typeof vendor === 'string' ? vendor : null
}

/** Fastify documents what validators may return at `setValidatorCompiler`. */
function toValidation (validator: Validator, schema: unknown, format: ErrorFormatter | null): (value: unknown) => Validation {
  return value => {
    const result = validator(value)
    if (result === false) return { error: invalid(validator.errors ?? [], format, schema, value) }
    if (typeof result !== 'object' || result === null) return { value }
    if ('then' in result) throw createError('FST_WS_ERR_MESSAGE_SCHEMA', 'a validator of messages must not be asynchronous: they would get out of order')
    if ('error' in result && Boolean(result.error)) return { error: invalid(result.error, format, schema, value) }
    return { value: 'value' in result ? result.value : value }
  }
}

function invalid (found: unknown, format: ErrorFormatter | null, schema: unknown, value: unknown): InvalidMessageError {
  if (!Array.isArray(found)) {
    const message = found instanceof Error ? found.message : String(found)
    const validation: unknown = Reflect.get(Object(found), 'validation')
    return invalidMessage(message, found, Array.isArray(validation) ? validation as FastifySchemaValidationError[] : undefined)
  }
  const validation = found as FastifySchemaValidationError[]
  if (format === null) return invalidMessage(describe(withinUnions(validation, schema, value)), undefined, validation)
  const error = format(validation, CONTEXT)
  return invalidMessage(error.message, error, validation)
}

function invalidMessage (message: string, cause: unknown, validation: FastifySchemaValidationError[] | undefined): InvalidMessageError {
  return createError('FST_WS_ERR_INVALID_MESSAGE', message, { ...(cause !== undefined && { cause }), validation })
}

/** As Fastify does it by default. */
function describe (errors: FastifySchemaValidationError[]): string {
  return errors.map(({ instancePath = '', message = '' }) => `${CONTEXT}${instancePath} ${message}`).join(', ')
}
