import type { AsyncApiSchemaKind, AsyncApiTransform } from '../../types/asyncapi.js'
import { unwrap } from '../http/message-schemas.js'
import { isJsonSchema, isObject, type JsonSchema } from './json-schema.js'

/** https://standardschema.dev/json-schema: what schemas of Zod, ArkType and others have as `~standard`. */
interface StandardProperties {
  readonly vendor?: unknown
  readonly jsonSchema?: {
    readonly input: StandardConverter
    readonly output: StandardConverter
  }
}

type StandardConverter = (options: { target: string, libraryOptions?: Record<string, unknown> }) => unknown

// That of AsyncAPI's own schemas.
const TARGET = 'draft-07'

/** What is described, and for which route. */
export interface SchemaContext {
  readonly url: string
  readonly kind: AsyncApiSchemaKind
}

/** The JSON Schema of a route's schema. One that there is none of may be anything, and says why. */
export function toJsonSchema (declared: unknown, context: SchemaContext, transform: AsyncApiTransform | null): JsonSchema {
  const schema = unwrap(transform?.(declared, context) ?? declared)
  if (typeof schema === 'boolean') return schema
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) return undescribed(`is no schema but ${String(schema)}`)
  if ('~standard' in schema) return convert(schema['~standard'] as StandardProperties, context)
  return isJsonSchema(schema) && isPlain(schema) ? schema : undescribed('is of a library that does not convert it to JSON Schema')
}

/** Whether it is an object as literals make it, in this realm or another; those of Joi, for one, are not. */
function isPlain (schema: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(schema)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function convert ({ vendor, jsonSchema }: StandardProperties, { kind }: SchemaContext): JsonSchema {
  const name = typeof vendor === 'string' ? vendor : 'a library'
  if (jsonSchema === undefined) return undescribed(`is of ${name}, which does not convert it to JSON Schema by itself`)
  const { input, output } = jsonSchema
  // What clients send is not parsed yet. What they get is; but where a codec has made something of it that JSON has no
  // word for, the way back has to be the right one.
  const attempts = kind === 'send' ? [() => output({ target: TARGET }), () => input({ target: TARGET })] : [() => input({ target: TARGET })]
  // Parts that JSON has no words for need not take the others with them.
  if (vendor === 'zod') attempts.push(() => input({ target: TARGET, libraryOptions: { unrepresentable: 'any' } }))
  let reason = 'what it converts it to is no object'
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
