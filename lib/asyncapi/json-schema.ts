export type SchemaObject = Readonly<Record<string, unknown>>

export type JsonSchema = boolean | SchemaObject

// Keywords of draft-07 and later drafts whose values are schemas. The values of all others are data.

const SCHEMA_MAPS: ReadonlySet<string> = new Set([
  'properties', 'patternProperties', 'dependencies', 'dependentSchemas', 'definitions', '$defs'
])

const SCHEMAS: ReadonlySet<string> = new Set([
  'items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'contains', 'additionalProperties', 'unevaluatedProperties',
  'propertyNames', 'not', 'if', 'then', 'else', 'allOf', 'anyOf', 'oneOf', 'contentSchema'
])

export function isObject (value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function asObject (value: unknown): SchemaObject {
  return isObject(value) ? value : {}
}

export function isJsonSchema (value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || isObject(value)
}

/**
 * Copies the value of a keyword, with its subschemas replaced.
 */
export function mapSubschemas (keyword: string, value: unknown, replace: (subschema: JsonSchema) => unknown): unknown {
  const replaceIfSchema = (one: unknown): unknown => isJsonSchema(one) ? replace(one) : toData(one)
  if (SCHEMA_MAPS.has(keyword) && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, replaceIfSchema(one)]))
  }
  if (SCHEMAS.has(keyword)) return Array.isArray(value) ? value.map(replaceIfSchema) : replaceIfSchema(value)
  return toData(value)
}

/** The part of a value that JSON can express. */
function toData (value: unknown): unknown {
  const json = JSON.stringify(value, (_key, one: unknown) => typeof one === 'bigint' ? Number(one) : one)
  return json === undefined ? undefined : JSON.parse(json)
}
