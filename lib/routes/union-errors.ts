import type { FastifySchemaValidationError } from 'fastify'

/** One property tells the branches of a union apart, and has another constant in each. */
interface Tags {
  readonly property: string
  /** One for each branch. */
  readonly values: readonly unknown[]
}

/**
 * Replaces the errors of each union in which a tag tells the branches apart, where Ajv reports why every single branch does
 * not match: by those of the branch that the message's tag names; if it names none, by one error that lists the tags.
 *
 * @param schema the JSON schema, without those that it refers to
 * @param value the message
 */
export function withinUnions (errors: FastifySchemaValidationError[], schema: unknown, value: unknown): FastifySchemaValidationError[] {
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
  return unions.reduce((left, union) => withinUnion(left, union, schema, value), errors)
}

function withinUnion (
  errors: FastifySchemaValidationError[], union: FastifySchemaValidationError, schema: unknown, value: unknown
): FastifySchemaValidationError[] {
  const { schemaPath, instancePath } = union
  const tags = findTags(resolve(schema, schemaPath.replace(/^#/, '')))
  const tagged = resolve(value, instancePath)
  if (tags === null) return errors
  const others = errors.filter(error => error !== union && !error.schemaPath.startsWith(`${schemaPath}/`))
  if (typeof tagged !== 'object' || tagged === null || Array.isArray(tagged)) return [...others, { ...union, message: 'must be object' }]
  const branch = tags.values.indexOf(Reflect.get(tagged, tags.property))
  if (branch === -1) {
    const message = `must be one of ${tags.values.map(tag => JSON.stringify(tag)).join(', ')}`
    return [...others, { ...union, instancePath: `${instancePath}/${escape(tags.property)}`, message }]
  }
  const ofBranch = errors.filter(error => error.schemaPath.startsWith(`${schemaPath}/${branch}/`))
  // A branch that only refers to another schema has errors with that one's path.
  return ofBranch.length === 0 ? errors : [...others, ...ofBranch]
}

function findTags (branches: unknown): Tags | null {
  if (!Array.isArray(branches) || branches.length < 2) return null
  for (const property of Object.keys(propertiesOf(branches[0]))) {
    const values = branches.map(branch => constantOf(Reflect.get(propertiesOf(branch), property)))
    if (values.every(value => value !== undefined) && new Set(values).size === values.length) return { property, values }
  }
  return null
}

function propertiesOf (schema: unknown): object {
  const properties: unknown = Reflect.get(Object(schema), 'properties')
  return typeof properties === 'object' && properties !== null ? properties : {}
}

/** `{ const: 'a' }`, or the same as `{ enum: ['a'] }`. */
function constantOf (schema: unknown): unknown {
  const { const: constant, enum: list } = Object(schema) as { const?: unknown, enum?: unknown }
  if (constant !== undefined) return constant
  return Array.isArray(list) && list.length === 1 ? list[0] : undefined
}

/** The value at a JSON pointer (RFC 6901); `undefined` if there is none. */
function resolve (value: unknown, pointer: string): unknown {
  return pointer.split('/').slice(1).reduce((parent, part) => {
    const key = decode(part)
    return typeof parent === 'object' && parent !== null && Object.hasOwn(parent, key) ? Reflect.get(parent, key) as unknown : undefined
  }, value)
}

/** Ajv writes a path of a schema as the fragment of a URI, and a path of a value as it is. */
function decode (part: string): string {
  const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}

function escape (key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}
