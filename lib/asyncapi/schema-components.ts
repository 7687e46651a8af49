import type { AsyncApiSchema } from '../../types/asyncapi.js'
import { idOf, type SchemaPlace } from './schema-scope.js'
import { asObject, isObject, mapSubschemas, type JsonSchema, type SchemaObject } from './json-schema.js'
import { toComponentName, UniqueNames } from './names.js'

interface Component {
  readonly name: string
  readonly place: SchemaPlace
  schema: AsyncApiSchema
}

/** The types of JSON Schema. */
const TYPES = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']

/** Keywords that identify a schema and do not restrict values. */
const IDENTIFIERS: ReadonlySet<string> = new Set(['$id', '$anchor', '$schema', '$defs', 'definitions'])

/**
 * Converts the schemas of routes to those of AsyncAPI, which are of draft-07. A schema that has an id, or is referred to, is
 * added to the components of the document once.
 */
export class SchemaComponents {
  private readonly byName = new Map<string, Component[]>()
  private readonly names = new UniqueNames()

  /** The schema, or a reference to it if it is among the components. */
  describe (place: SchemaPlace): AsyncApiSchema {
    if (idOf(place.schema) !== null) return this.refer(place.scope.locate(place))
    const schema = this.describeHere(place)
    const { root } = place.scope
    // A schema that contains itself has been added meanwhile.
    const component = place.schema === root.schema ? this.findComponent(root) : undefined
    return component === undefined ? schema : referenceTo(component)
  }

  /** The schema itself, also if it has an id. */
  describeHere (place: SchemaPlace): AsyncApiSchema {
    const { schema } = place
    if (!isObject(schema)) return schema
    const located = place.scope.locate(place)
    const keywords = new Map<string, unknown>()
    for (const [keyword, value] of Object.entries(modernize(schema))) {
      if (IDENTIFIERS.has(keyword) || keyword === '$ref') continue
      const mapped = mapSubschemas(keyword, value, subschema => this.describe({ ...located, schema: subschema }))
      if (mapped !== undefined) keywords.set(keyword, mapped)
    }
    if (typeof schema.$ref !== 'string') return Object.fromEntries(keywords)
    const reference = this.refer(place.scope.resolve(schema.$ref, located.base))
    if (keywords.size === 0) return reference
    // Draft-07 ignores all keywords next to a reference.
    const allOf = keywords.get('allOf')
    return Object.fromEntries(keywords.set('allOf', [reference, ...(Array.isArray(allOf) ? allOf : [])]))
  }

  /** All schemas that were referred to, by name. */
  toObject (): Record<string, AsyncApiSchema> {
    return Object.fromEntries([...this.byName.values()].flat().map(({ name, schema }) => [name, schema]))
  }

  private refer (place: SchemaPlace): AsyncApiSchema & object {
    const known = this.findComponent(place)
    if (known !== undefined) return referenceTo(known)
    const name = toComponentName(place.name)
    const component: Component = { name: this.names.take(name), place, schema: true }
    // Added before its subschemas are converted, since they may refer to it.
    this.byName.set(name, [...(this.byName.get(name) ?? []), component])
    component.schema = toObjectSchema(this.describeHere(place))
    return referenceTo(component)
  }

  /** Contexts may have different schemas of the same name, and routes copies of the same. */
  private findComponent (place: SchemaPlace): Component | undefined {
    return this.byName.get(toComponentName(place.name))?.find(component => isSamePlace(component.place, place, new Map()))
  }
}

/** Payloads and components must not be booleans. */
export function toObjectSchema (schema: AsyncApiSchema): AsyncApiSchema & object {
  return typeof schema === 'boolean' ? schema ? {} : { not: {} } : schema
}

function referenceTo ({ name }: Component): { $ref: string } {
  return { $ref: `#/components/schemas/${name}` }
}

/** Whether two schemas, and the schemas they refer to, are written alike. @param compared pairs whose comparison has begun */
function isSamePlace (a: SchemaPlace, b: SchemaPlace, compared: Map<JsonSchema, Set<JsonSchema>>): boolean {
  if (a.schema === b.schema && (a.scope === b.scope || typeof a.schema === 'boolean')) return true
  const others = compared.get(a.schema) ?? new Set()
  if (others.has(b.schema)) return true
  compared.set(a.schema, others.add(b.schema))
  return isSame(a.schema, b.schema, a, b, compared)
}

function isSame (x: unknown, y: unknown, a: SchemaPlace, b: SchemaPlace, compared: Map<JsonSchema, Set<JsonSchema>>): boolean {
  if (typeof x !== 'object' || x === null || typeof y !== 'object' || y === null) return x === y
  const inA = isObject(x) ? a.scope.locate({ ...a, schema: x }) : a
  const inB = isObject(y) ? b.scope.locate({ ...b, schema: y }) : b
  const keys = Object.keys(x)
  return Array.isArray(x) === Array.isArray(y) && keys.length === Object.keys(y).length && keys.every(key => {
    const [one, other] = [(x as SchemaObject)[key], (y as SchemaObject)[key]]
    if (key === '$ref' && typeof one === 'string' && typeof other === 'string') {
      const [target, otherTarget] = [inA.scope.find(one, inA.base), inB.scope.find(other, inB.base)]
      if (target !== null && otherTarget !== null) return isSamePlace(target, otherTarget, compared)
    }
    return isSame(one, other, inA, inB, compared)
  })
}

/** Replaces keywords of later drafts, OpenAPI and Ajv by those of draft-07. */
function modernize (schema: SchemaObject): SchemaObject {
  const { nullable, prefixItems, dependentRequired, dependentSchemas, discriminator, ...changed } = schema as Record<string, unknown>
  if (Array.isArray(prefixItems) && prefixItems.length > 0) {
    if (changed.items !== undefined) changed.additionalItems = changed.items
    changed.items = prefixItems
  }
  // AsyncAPI has no empty tuples.
  if (Array.isArray(changed.items) && changed.items.length === 0) changed.items = changed.additionalItems ?? true
  if (isObject(dependentRequired) || isObject(dependentSchemas)) {
    changed.dependencies = { ...asObject(changed.dependencies), ...asObject(dependentRequired), ...asObject(dependentSchemas) }
  }
  if (typeof discriminator === 'string') changed.discriminator = discriminator
  else if (isObject(discriminator) && typeof discriminator.propertyName === 'string') changed.discriminator = discriminator.propertyName
  if (changed.type !== undefined) {
    const types = [changed.type].flat().filter(type => TYPES.includes(type as string))
    if (nullable === true && !types.includes('null')) types.push('null')
    if (types.length === 0) delete changed.type
    else changed.type = types.length === 1 ? types[0] : types
  }
  return changed
}
