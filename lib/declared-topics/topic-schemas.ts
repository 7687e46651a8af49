import type { FastifyInstance } from 'fastify'
import type { TopicSchema } from '../../types/declared-topics.js'
import { createError, describe } from '../errors.js'
import { isOfLibrary, SchemaCompilers, unwrap, type Serializer, type Validate } from '../routes/schema-compilers.js'

/** How errors name what is validated, as those of Fastify do. */
const CONTEXTS = { params: 'params', publish: 'message', message: 'message', member: 'member' } as const

type Name = keyof typeof CONTEXTS

/** Compiles a value to JSON that matches a schema. */
interface Writer {
  readonly serialize: Serializer
  /** `null` where the serializer itself validates. */
  readonly validate: Validate | null
}

/** The schemas of a declared topic, compiled once, when the app gets ready. */
export class TopicSchemas {
  /** `null` where there is no such schema, and until the app gets ready. */
  params: Validate | null = null
  publish: Validate | null = null
  private readonly compilers: SchemaCompilers
  private readonly schemas: Partial<Record<Name, unknown>>
  private readonly title: string
  private readonly writers = new Map<Name, Writer>()
  private isCompiled = false

  /** @param title names the topic in errors: `topic 'rooms/:room'` */
  constructor (instance: FastifyInstance, declared: TopicSchema, pattern: string) {
    this.title = `topic '${pattern}'`
    this.compilers = new SchemaCompilers({ instance, title: this.title, url: pattern, own: {} })
    this.schemas = Object.fromEntries(Object.keys(CONTEXTS).flatMap(name => {
      const schema = unwrap(declared[name as Name])
      return schema === undefined ? [] : [[name, schema]]
    }))
  }

  /** @throws {MessageSchemaError} if a schema cannot be compiled, or there are no compilers */
  compile (): void {
    const { compilers, schemas, title } = this
    const all = Object.entries(schemas) as Array<[Name, unknown]>
    const validated = all.filter(([name, schema]) => name === 'params' || name === 'publish' || !isOfLibrary(schema))
    const serialized = all.filter(([name]) => name === 'message' || name === 'member')
    compilers.prepare([
      ...validated.map(([name, schema]) => ({ name, schema, kind: 'validator' as const })),
      ...serialized.map(([name, schema]) => ({ name, schema, kind: 'serializer' as const }))
    ])
    if ((validated.length > 0 && !compilers.has('validator')) || (serialized.length > 0 && !compilers.has('serializer'))) {
      throw createError('FST_WS_ERR_MESSAGE_SCHEMA', `Fastify has no compilers for the schemas of ${title}: set them with app.setValidatorCompiler() and app.setSerializerCompiler()`)
    }
    const validators = new Map(validated.map(([name, schema]) => [name, compilers.compileValidator(name, schema, name === 'params' ? 'params' : 'body', CONTEXTS[name])]))
    this.params = validators.get('params') ?? null
    this.publish = validators.get('publish') ?? null
    for (const [name, schema] of serialized) {
      this.writers.set(name, { serialize: compilers.compileSerializer(name, schema), validate: validators.get(name) ?? null })
    }
    this.isCompiled = true
  }

  /**
   * Writes a value as JSON. The text is what is validated: validators may change the value that they get, and that is the app's.
   *
   * @throws {TypeError} if the value has no form in JSON, or does not match the schema
   */
  write (name: 'message' | 'member', value: unknown): string {
    const writer = this.writers.get(name)
    if (writer === undefined) {
      if (this.schemas[name] !== undefined && !this.isCompiled) {
        throw createError('FST_WS_ERR_MESSAGE_SCHEMA', `the schemas of ${this.title} are compiled when the app gets ready: await app.ready() before you publish`)
      }
      return this.toText(name, JSON.stringify(value), value)
    }
    const text = this.toText(name, this.serialize(name, writer, value), value)
    const validation = writer.validate?.(JSON.parse(text))
    if (validation !== undefined && 'error' in validation) throw this.mismatch(name, validation.error)
    return text
  }

  private serialize (name: Name, { serialize }: Writer, value: unknown): unknown {
    try {
      return serialize(value)
    } catch (error) {
      throw this.mismatch(name, error)
    }
  }

  private toText (name: Name, text: unknown, value: unknown): string {
    if (typeof text === 'string') return text
    throw createError('FST_WS_ERR_NOT_SERIALIZABLE', `a ${name} of ${this.title} must be a value with a form in JSON, not ${describe(value)}`)
  }

  private mismatch (name: Name, cause: unknown): TypeError {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return createError('FST_WS_ERR_TOPIC_MESSAGE', `a ${name} of ${this.title} does not match its schema: ${reason}`, { cause })
  }
}
