import type { AsyncApiParameter, AsyncApiSchema, AsyncApiWebSocketBinding } from '../../types/asyncapi.js'
import type { PathParameter } from './address.js'
import { asObject, isObject } from './json-schema.js'
import { follow, propertiesOf } from './messages.js'
import type { SchemaComponents } from './schema-components.js'
import type { SchemaPlace } from './schema-scope.js'

const SUBPROTOCOL_HEADER = 'Sec-WebSocket-Protocol'

/** Keywords that AsyncAPI's parameters can express, or that do not restrict the value. */
const OF_PARAMETERS: ReadonlySet<string> = new Set(['title', 'description', 'default', 'examples'])

/** The parameters of an address, from the route's schema for them. */
export function parametersOf (parameters: readonly PathParameter[], params: SchemaPlace | null, components: SchemaComponents): Record<string, AsyncApiParameter> {
  const properties = params === null ? new Map<string, SchemaPlace>() : propertiesOf(params)
  return Object.fromEntries(parameters.map(({ name, key, pattern }) => {
    const property = properties.get(key)
    return [name, { ...(pattern !== null && { 'x-pattern': pattern }), ...(property !== undefined && describeParameter(property, components)) }]
  }))
}

function describeParameter (place: SchemaPlace, components: SchemaComponents): AsyncApiParameter {
  const { description, default: preset, examples } = asObject(follow(place).schema)
  const values = valuesOf(place)
  const schema = components.describe(place)
  return {
    ...(typeof description === 'string' && { description }),
    ...(values !== null && { enum: values.map(String) }),
    ...(preset !== undefined && { default: String(preset) }),
    ...(Array.isArray(examples) && { examples: examples.map(String) }),
    ...(saysMore(values, schema) && { 'x-schema': withoutAnnotations(schema) })
  }
}

/** Whether the schema restricts the parameter further than to a string, or to one of some strings. */
function saysMore (values: readonly unknown[] | null, schema: AsyncApiSchema): boolean {
  if (!isObject(schema)) return schema === false
  const keywords = Object.keys(withoutAnnotations(schema)).filter(keyword => !(keyword === 'type' && schema.type === 'string'))
  const isListed = values !== null && values.every(value => typeof value === 'string')
  return keywords.some(keyword => !(isListed && ['const', 'enum', 'anyOf', 'oneOf'].includes(keyword)))
}

function withoutAnnotations (schema: AsyncApiSchema): AsyncApiSchema & object {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !OF_PARAMETERS.has(keyword)))
}

/** The values that a schema lists, by `enum`, `const` or a union. */
function valuesOf (place: SchemaPlace): unknown[] | null {
  const { schema } = follow(place)
  const { const: constant, enum: values, anyOf, oneOf, type } = asObject(schema)
  if (constant !== undefined) return [constant]
  if (Array.isArray(values)) return values
  if (type === 'boolean') return [true, false]
  const members: unknown = anyOf ?? oneOf
  if (!Array.isArray(members) || !members.every(isObject)) return null
  const each = members.map(member => valuesOf({ ...place, schema: member }))
  return each.includes(null) ? null : each.flat()
}

/** The handshake of a route. @param subprotocols best first; `'any'` if a function chooses among those that are offered */
export function bindingOf (
  querystring: SchemaPlace | null,
  headers: SchemaPlace | null,
  subprotocols: readonly string[] | 'any',
  components: SchemaComponents
): AsyncApiWebSocketBinding {
  const declared = headers === null ? null : describeObject(headers, components)
  const isDeclared = headers !== null && [...propertiesOf(headers).keys()].some(name => name.toLowerCase() === SUBPROTOCOL_HEADER.toLowerCase())
  const offered = isDeclared ? null : subprotocolHeader(subprotocols)
  return {
    method: 'GET',
    ...(querystring !== null && { query: describeObject(querystring, components) }),
    ...((declared !== null || offered !== null) && {
      headers: {
        type: 'object',
        ...declared,
        properties: { ...asObject(declared?.properties), ...(offered !== null && { [SUBPROTOCOL_HEADER]: offered }) }
      }
    }),
    ...(subprotocols !== 'any' && subprotocols.length > 0 && { 'x-subprotocols': [...subprotocols] }),
    bindingVersion: '0.1.0'
  }
}

function subprotocolHeader (subprotocols: readonly string[] | 'any'): AsyncApiSchema | null {
  if (subprotocols === 'any') {
    return { type: 'string', description: 'The subprotocols that the client speaks, separated by commas. The server chooses one of them, or none.' }
  }
  if (subprotocols.length === 0) return null
  return {
    type: 'string',
    description: 'The subprotocol that the client speaks; or several, separated by commas, of which the server chooses the first of these.',
    enum: [...subprotocols]
  }
}

/** The bindings require the schema of an object with `properties`, and no reference to it. */
function describeObject (place: SchemaPlace, components: SchemaComponents): { [keyword: string]: unknown } {
  const schema = components.describeHere(follow(place))
  return isObject(schema) && !('$ref' in schema) ? { properties: {}, ...schema, type: 'object' } : { type: 'object', properties: {}, allOf: [schema] }
}
