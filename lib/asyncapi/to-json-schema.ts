import type { AsyncApiSchemaKind, AsyncApiTransform } from '../../types/asyncapi.js'
import { unwrap } from '../routes/schema-compilers.js'
import { isJsonSchema, isObject, type JsonSchema } from './json-schema.js'

/** https://standardschema.dev/json-schema: the `~standard` property of schemas of Zod, ArkType and others. */
interface StandardProperties {
  readonly vendor?: unknown
  readonly jsonSchema?: {
    readonly input: StandardConverter
    readonly output: StandardConverter
  }
}

type StandardConverter = (options: { target: string, libraryOptions?: Record<string, unknown> }) => unknown

// The draft of AsyncAPI's own schemas.
const TARGET = 'draft-07'

/** The part of a route that a schema describes. */
export interface SchemaContext {
  readonly url: string
  readonly kind: AsyncApiSchemaKind
}

/** Converts a route's schema to JSON Schema. One that cannot be converted allows any value, with the reason as its description. */
export function toJsonSchema (declared: unknown, context: SchemaContext, transform: AsyncApiTransform | null): JsonSchema {
  const schema = unwrap(transform?.(declared, context) ?? declared)
  if (typeof schema === 'boolean') return schema
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) return undescribed(`is no schema but ${String(schema)}`)
  if ('~standard' in schema) return convert(schema['~standard'] as StandardProperties, context)
  return isJsonSchema(schema) && isPlain(schema) ? schema : undescribed('is of a library that does not convert it to JSON Schema')
}

/** Whether it is an object as literals make it, in this realm or another; Joi's schemas are not. */
function isPlain (schema: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(schema)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Kinds of values that the server sends. */
const FROM_SERVER: readonly AsyncApiSchemaKind[] = ['send', 'message', 'member']

function convert ({ vendor, jsonSchema }: StandardProperties, { kind }: SchemaContext): JsonSchema {
  const name = typeof vendor === 'string' ? vendor : 'a library'
  if (jsonSchema === undefined) return undescribed(`is of ${name}, which does not convert it to JSON Schema by itself`)
  const { input, output } = jsonSchema
  // Clients send the input form of a schema and receive its output form. A codec's output may be a value that JSON cannot
  // express, such as a Date: then the input form describes it.
  const attempts = FROM_SERVER.includes(kind) ? [() => output({ target: TARGET }), () => input({ target: TARGET })] : [() => input({ target: TARGET })]
  // A part that JSON Schema cannot express allows any value; the other parts are kept.
  if (vendor === 'zod') attempts.push(() => input({ target: TARGET, libraryOptions: { unrepresentable: 'any' } }))
  let reason = 'the result of the conversion is not an object'
  for (const attempt of attempts) {
    try {
      const schema = attempt()
      if (isObject(schema)) return schema
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error)
    }
  }
  return undescribed(`is of ${name}, which does not convert it to JSON Schema: ${reason}`)
}

function undescribed (why: string): JsonSchema {
  return { description: `Not described: the schema ${why}. The option asyncapi.transform can.` }
}
