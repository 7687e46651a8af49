import type { AsyncApiMessage, AsyncApiSchema } from '../../types/asyncapi.js'
import { asObject, isJsonSchema, isObject, type JsonSchema, type SchemaObject } from './json-schema.js'
import { toComponentName } from './names.js'
import { toObjectSchema, type SchemaComponents } from './schema-components.js'
import { idOf, type SchemaPlace } from './schema-scope.js'

/** One of the schemas that a message may have. */
interface Alternative {
  /** The schema as written in the union, which may be a reference. */
  readonly written: SchemaPlace
  /** The schema with its reference resolved. */
  readonly meant: SchemaPlace
  /** The schemas that the enclosing unions require in addition. */
  readonly besides: readonly SchemaPlace[]
}

/** Keywords that do not restrict a message. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  '$id', '$anchor', '$schema', '$defs', 'definitions', '$comment', 'title', 'description', 'examples', 'default', 'deprecated', 'discriminator'
])

/** The schema of messages about which the route says nothing. */
export const ANY_MESSAGE: AsyncApiMessage = {
  name: 'any',
  title: 'Any message',
  summary: 'Text or binary. The route does not say what is in it.',
  payload: {}
}

/** The schema of messages of a topic that says nothing about them: JSON, whatever is in it. */
export const ANY_VALUE: AsyncApiMessage = {
  name: 'anyValue',
  title: 'Any value',
  summary: 'JSON. The topic does not say what is in it.',
  contentType: 'application/json',
  payload: {}
}

/**
 * The messages of one direction of a route or topic: one for each member of a union, if each has a name, by a tag that differs from
 * member to member, or by its own title or id.
 *
 * @param fallback the name of a message that has none
 */
export function messagesOf (root: SchemaPlace, fallback: string, components: SchemaComponents): AsyncApiMessage[] {
  const whole: Alternative = { written: root, meant: follow(root), besides: [] }
  const alternatives = alternativesOf(whole, [])
  const names = alternatives.length > 1 ? namesOf(alternatives, discriminatorOf(whole.meant)) : null
  if (names !== null) return alternatives.map((alternative, i) => describe(alternative, names[i]!, components))
  const only = alternatives.length === 1 ? alternatives[0]! : whole
  return [describe(only, ownNameOf(only) ?? onlyTagOf(only.meant) ?? fallback, components)]
}

function describe ({ written, meant, besides }: Alternative, name: string, components: SchemaComponents): AsyncApiMessage {
  const payload = [...besides, written].map(place => components.describe(place)).reduceRight((all, one) => both(one, all))
  const { title, description, deprecated } = { ...asObject(meant.schema), ...asObject(written.schema) }
  return {
    name,
    ...(typeof title === 'string' && { title }),
    ...(typeof description === 'string' && { description }),
    contentType: 'application/json',
    ...(deprecated === true && { deprecated }),
    payload: toObjectSchema(payload)
  }
}

/** The schema of messages that satisfy both: a merged one, if their keywords do not conflict. */
function both (common: AsyncApiSchema, own: AsyncApiSchema): AsyncApiSchema {
  if (!isObject(common) || !isObject(own)) return { allOf: [common, own] }
  const isEasy = !('$ref' in common) && !('$ref' in own) && Object.keys(common).every(keyword =>
    !(keyword in own) || (keyword === 'type' && common.type === own.type) || keyword === 'required')
  if (!isEasy) return { allOf: [common, own] }
  const required = new Set([common.required, own.required].flatMap(names => Array.isArray(names) ? names as unknown[] : []))
  return { ...common, ...own, ...(required.size > 0 && { required: [...required] }) }
}

/** Whether no message is valid. */
export function isNever (place: SchemaPlace): boolean {
  const { schema } = follow(place)
  if (!isObject(schema)) return !schema
  return schema.not === true || (isObject(schema.not) && Object.keys(schema.not).length === 0)
}

/** Resolves a schema that consists of a reference only. */
export function follow (place: SchemaPlace): SchemaPlace {
  const seen = new Set<JsonSchema>()
  let followed = place
  while (isObject(followed.schema) && typeof followed.schema.$ref === 'string' && !seen.has(followed.schema)) {
    const { schema, scope } = followed
    if (Object.keys(schema).some(keyword => keyword !== '$ref' && !ANNOTATIONS.has(keyword))) break
    seen.add(schema)
    followed = scope.resolve(schema.$ref as string, scope.locate(followed).base)
  }
  return followed
}

/** @param unions those that it is in, which it may refer to */
function alternativesOf (alternative: Alternative, unions: readonly SchemaObject[]): Alternative[] {
  const { meant: { schema }, besides } = alternative
  const keyword = isObject(schema) ? ['oneOf', 'anyOf'].find(keyword => Array.isArray(schema[keyword])) : undefined
  if (!isObject(schema) || keyword === undefined || unions.includes(schema)) return [alternative]
  const { [keyword]: members, ...others } = schema
  const located = alternative.meant.scope.locate(alternative.meant)
  const isMore = Object.keys(others).some(keyword => !ANNOTATIONS.has(keyword))
  const common = { ...located, schema: Object.fromEntries(Object.entries(others).filter(([keyword]) => !ANNOTATIONS.has(keyword))) }
  return (members as unknown[]).filter(isJsonSchema).flatMap(member => {
    const written = { ...located, schema: member }
    return alternativesOf({ written, meant: follow(written), besides: isMore ? [...besides, common] : besides }, [...unions, schema])
  })
}

/** The property that the union names as its discriminator. */
function discriminatorOf ({ schema }: SchemaPlace): string[] {
  const { discriminator } = asObject(schema)
  const name = isObject(discriminator) ? discriminator.propertyName : discriminator
  return typeof name === 'string' ? [name] : []
}

/** @returns a name for each, all different, or `null` if there are none */
function namesOf (alternatives: readonly Alternative[], discriminator: readonly string[]): string[] | null {
  const ownNames = alternatives.map(ownNameOf)
  for (const property of new Set([...discriminator, ...alternatives.flatMap(({ meant }) => [...propertiesOf(meant).keys()])])) {
    const tags = alternatives.map(({ meant }) => tagOf(meant, property))
    if (tags.every(tag => tag === null)) continue
    const names = tags.map((tag, i) => tag ?? ownNames[i]!)
    if (areDistinct(names)) return names
  }
  return areDistinct(ownNames) ? ownNames : null
}

function areDistinct (names: ReadonlyArray<string | null>): names is string[] {
  return !names.includes(null) && new Set(names.map(name => toComponentName(name!))).size === names.length
}

function ownNameOf ({ written, meant }: Alternative): string | null {
  if (idOf(meant.schema) !== null) return meant.scope.locate(meant).name
  if (written !== meant) return meant.name
  const { title } = asObject(meant.schema)
  return typeof title === 'string' && title !== '' ? toComponentName(title) : null
}

function onlyTagOf (place: SchemaPlace): string | null {
  const tags = [...propertiesOf(place).keys()].map(property => tagOf(place, property)).filter(tag => tag !== null)
  return tags.length === 1 ? tags[0]! : null
}

/** The only valid value of this property, if there is exactly one. */
function tagOf (place: SchemaPlace, property: string): string | null {
  const found = propertiesOf(place).get(property)
  const { schema } = found === undefined ? { schema: {} } : follow(found)
  const { const: constant, enum: values } = asObject(schema)
  const value: unknown = constant ?? (Array.isArray(values) && values.length === 1 ? values[0] : undefined)
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? `${property}-${value}` : null
}

/** The properties that a schema names, including those of the schemas it is composed of. */
export function propertiesOf (place: SchemaPlace): Map<string, SchemaPlace> {
  const found = new Map<string, SchemaPlace>()
  collectProperties(place, found, new Set())
  return found
}

function collectProperties (place: SchemaPlace, found: Map<string, SchemaPlace>, seen: Set<JsonSchema>): void {
  const { schema } = place
  if (!isObject(schema) || seen.has(schema)) return
  seen.add(schema)
  const located = place.scope.locate(place)
  for (const [name, property] of isObject(schema.properties) ? Object.entries(schema.properties) : []) {
    if (isJsonSchema(property) && !found.has(name)) found.set(name, { ...located, schema: property })
  }
  if (typeof schema.$ref === 'string') collectProperties(place.scope.resolve(schema.$ref, located.base), found, seen)
  for (const part of Array.isArray(schema.allOf) ? schema.allOf : []) {
    if (isJsonSchema(part)) collectProperties({ ...located, schema: part }, found, seen)
  }
}
