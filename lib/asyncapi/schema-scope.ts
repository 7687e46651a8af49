import { createError } from '../errors.js'
import { isJsonSchema, isObject, mapSubschemas, type JsonSchema } from './json-schema.js'

/** A schema and its place. */
export interface SchemaPlace {
  readonly schema: JsonSchema
  /** The URI that references in it are relative to. */
  readonly base: string
  readonly scope: SchemaScope
  /** Its name as a component. */
  readonly name: string
}

// Ids of Fastify's schemas, like `user`, may be relative without a base.
const ROOT = 'http://schemas.invalid/'

/** A schema of a route with the schemas that its references can resolve to: those shared in the route's context, and their parts. */
export class SchemaScope {
  readonly root: SchemaPlace
  private readonly owner: string
  private readonly places = new Map<string, SchemaPlace>()

  /**
   * @param name of the schema if it has no id
   * @param owner names the schema in errors
   */
  constructor (schema: JsonSchema, shared: SchemaObjects, name: string, owner: string) {
    this.owner = owner
    for (const one of Object.values(shared)) {
      if (isJsonSchema(one)) this.index({ schema: one, base: ROOT, scope: this, name: 'schema' })
    }
    this.root = this.locate({ schema, base: ROOT, scope: this, name })
    this.places.set(ROOT, this.root)
    this.index({ schema, base: ROOT, scope: this, name })
  }

  /** @returns the schema that the reference resolves to, or `null` if there is none */
  find (reference: string, base: string): SchemaPlace | null {
    const [resource, fragment] = split(toAbsolute(reference, base))
    if (fragment !== '' && !fragment.startsWith('/')) return this.places.get(`${resource}#${fragment}`) ?? null
    const place = this.places.get(resource)
    return place === undefined ? null : walk(place, fragment)
  }

  /** @throws {AsyncApiError} if the reference cannot be resolved */
  resolve (reference: string, base: string): SchemaPlace {
    const place = this.find(reference, base)
    if (place !== null) return place
    throw createError('FST_WS_ERR_ASYNCAPI', `${this.owner} refers to '${reference}', which is neither part of it nor a shared schema: add it with app.addSchema()`)
  }

  /** The place with the base that the schema's own id makes. */
  locate (place: SchemaPlace): SchemaPlace {
    const id = idOf(place.schema)
    if (id === null) return place
    const base = toAbsolute(id, place.base)
    return { ...place, base, name: nameOf(base) }
  }

  /** Collects all ids and anchors. */
  private index (place: SchemaPlace): void {
    const { schema } = place
    if (!isObject(schema)) return
    const located = this.locate(place)
    if (located !== place) this.places.set(located.base, located)
    for (const anchor of anchorsOf(schema)) this.places.set(`${located.base}#${anchor}`, { ...located, name: anchor })
    for (const [keyword, value] of Object.entries(schema)) {
      mapSubschemas(keyword, value, subschema => this.index({ ...located, schema: subschema }))
    }
  }
}

export type SchemaObjects = Readonly<Record<string, unknown>>

/** The id of a schema, unless it is only an anchor. */
export function idOf (schema: unknown): string | null {
  const id = isObject(schema) ? schema.$id : undefined
  return typeof id === 'string' && id !== '' && !id.startsWith('#') ? id : null
}

function anchorsOf ({ $id, $anchor }: { readonly $id?: unknown, readonly $anchor?: unknown }): string[] {
  const anchors: string[] = []
  if (typeof $id === 'string' && $id.startsWith('#') && $id !== '#') anchors.push($id.slice(1))
  if (typeof $anchor === 'string') anchors.push($anchor)
  return anchors
}

function walk (start: SchemaPlace, pointer: string): SchemaPlace | null {
  let place = start
  let value: unknown = start.schema
  const tokens = pointer.split('/').slice(1).map(token => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  for (const token of tokens) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return null
    value = (value as Record<string, unknown>)[token]
    if (isJsonSchema(value)) place = place.scope.locate({ ...place, schema: value })
  }
  if (!isJsonSchema(value)) return null
  if (tokens.length === 0 || idOf(value) !== null) return { ...place, schema: value }
  const isDefinition = ['definitions', '$defs'].includes(tokens.at(-2) ?? '')
  return { ...place, schema: value, name: isDefinition ? tokens.at(-1)! : [start.name, ...tokens].join('.') }
}

function toAbsolute (reference: string, base: string): string {
  try {
    return new URL(reference, base).href.replace(/#$/, '')
  } catch {
    return reference
  }
}

function split (uri: string): [resource: string, fragment: string] {
  const hash = uri.indexOf('#')
  return hash === -1 ? [uri, ''] : [uri.slice(0, hash), decode(uri.slice(hash + 1))]
}

function decode (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `https://example.com/schemas/user.json` → `user`. */
function nameOf (uri: string): string {
  return decode(split(uri)[0].split('/').filter(part => part !== '').at(-1) ?? '').replace(/(\.schema)?\.json$/, '')
}
