import type {
  AsyncApiChannel, AsyncApiDocument, AsyncApiMessage, AsyncApiOperation, AsyncApiReference, AsyncApiSchemaKind, AsyncApiSecurityScheme, AsyncApiTag
} from '../../types/asyncapi.js'
import type { AsyncApiSettings } from '../options/settings.js'
import { addressesOf, type Address } from './address.js'
import { createError } from '../errors.js'
import { bindingOf, parametersOf } from './handshake.js'
import { isObject, type SchemaObject } from './json-schema.js'
import { DIRECTIONS, MessageComponents, type Direction, type NamedMessage } from './message-components.js'
import { ANY_MESSAGE, isNever, messagesOf } from './messages.js'
import { capitalize, toCamelCase, UniqueNames } from './names.js'
import { SchemaComponents } from './schema-components.js'
import { SchemaScope, type SchemaPlace } from './schema-scope.js'
import { toJsonSchema } from './to-json-schema.js'

/** A WebSocket route, as it was declared. */
export interface DescribedRoute {
  /** The URL with the prefix. */
  readonly url: string
  readonly schema: SchemaObject
  /** Shared schemas by id, which the route's schemas can refer to. */
  readonly sharedSchemas: SchemaObject
  /** Subprotocols, best first; `'any'` if a function chooses. */
  readonly subprotocols: readonly string[] | 'any'
  readonly constraints: SchemaObject
}

/** A channel in the making. */
interface Channel {
  readonly key: string
  readonly route: DescribedRoute
  readonly address: Address
  readonly params: SchemaPlace | null
  readonly querystring: SchemaPlace | null
  readonly headers: SchemaPlace | null
  readonly messages: Readonly<Record<Direction, readonly AsyncApiMessage[]>>
}

const SUMMARIES: Record<Direction, string> = {
  receive: 'From clients to the server',
  send: 'From the server to clients'
}

/**
 * Describes routes as an AsyncAPI document: a channel for each address, an operation for each direction.
 *
 * @throws {AsyncApiError} if a schema refers to a missing schema, or a route to a missing security scheme
 */
export function describe (routes: readonly DescribedRoute[], settings: AsyncApiSettings): AsyncApiDocument {
  const components = new SchemaComponents()
  const keys = new UniqueNames()
  const channels = routes
    .filter(({ schema }) => schema.hide !== true)
    .flatMap(route => addressesOf(route.url).map(address => prepare(route, address, keys, components, settings)))
  const messages = new MessageComponents(new Map(channels.map(channel => [channel.key, channel.messages])))
  const operations: Array<[string, AsyncApiOperation]> = []
  const described = channels.map((channel): [string, AsyncApiChannel] => {
    const named = { receive: messages.nameAll(channel.key, 'receive'), send: messages.nameAll(channel.key, 'send') }
    for (const direction of DIRECTIONS) {
      if (named[direction].length === 0) continue
      operations.push([`${direction}${capitalize(channel.key)}`, describeOperation(channel, direction, named[direction], settings)])
    }
    return [channel.key, describeChannel(channel, [...named.receive, ...named.send], components)]
  })
  const schemas = components.toObject()
  // The caller may change the document.
  return structuredClone<AsyncApiDocument>({
    asyncapi: '3.0.0',
    ...(settings.id !== null && { id: settings.id }),
    info: settings.info,
    ...(settings.servers !== null && { servers: settings.servers }),
    ...(settings.defaultContentType !== null && { defaultContentType: settings.defaultContentType }),
    channels: Object.fromEntries(described),
    operations: Object.fromEntries(operations),
    components: {
      ...(channels.length > 0 && { messages: messages.toObject() }),
      ...(Object.keys(schemas).length > 0 && { schemas }),
      ...(settings.securitySchemes !== null && { securitySchemes: settings.securitySchemes })
    }
  })
}

/** Names the channel and its messages; components get what these refer to. */
function prepare (route: DescribedRoute, address: Address, keys: UniqueNames, components: SchemaComponents, settings: AsyncApiSettings): Channel {
  const { operationId, querystring, query } = route.schema
  const key = keys.take(toCamelCase(typeof operationId === 'string' ? operationId : address.text) || (address.text === '/' ? 'root' : 'channel'))
  return {
    key,
    route,
    address,
    params: placeOf('params', route.schema.params),
    querystring: placeOf('querystring', querystring ?? query),
    headers: placeOf('headers', route.schema.headers),
    messages: { receive: messagesFor('receive', 'FromClient'), send: messagesFor('send', 'FromServer') }
  }

  function placeOf (kind: AsyncApiSchemaKind, declared: unknown): SchemaPlace | null {
    if (declared === undefined || declared === null) return null
    const schema = toJsonSchema(declared, { url: route.url, kind }, settings.transform)
    return new SchemaScope(schema, route.sharedSchemas, `${key}${capitalize(kind)}`, `${route.url}: schema.${kind}`).root
  }

  function messagesFor (kind: Direction, suffix: string): AsyncApiMessage[] {
    const place = placeOf(kind, route.schema[kind])
    // No message is valid in this direction.
    if (place !== null && isNever(place)) return []
    const messages = place === null ? [ANY_MESSAGE] : messagesOf(place, `${key}${suffix}`, components)
    return route.schema.deprecated === true ? messages.map(message => ({ ...message, deprecated: true })) : messages
  }
}

function describeChannel (
  { route, address, params, querystring, headers }: Channel,
  messages: readonly NamedMessage[],
  components: SchemaComponents
): AsyncApiChannel {
  const { summary, description, externalDocs } = route.schema
  const constraints = Object.entries(route.constraints).map(([name, value]) => [name, String(value)])
  return {
    address: address.text,
    ...(typeof summary === 'string' && { summary }),
    ...(typeof description === 'string' && { description }),
    messages: Object.fromEntries(messages.map(({ inChannel, inComponents }) => [inChannel, { $ref: `#/components/messages/${inComponents}` }])),
    ...(address.parameters.length > 0 && { parameters: parametersOf(address.parameters, params, components) }),
    ...tagsOf(route),
    ...(isObject(externalDocs) && typeof externalDocs.url === 'string' && { externalDocs: { ...externalDocs, url: externalDocs.url } }),
    bindings: { ws: bindingOf(querystring, headers, route.subprotocols, components) },
    ...(constraints.length > 0 && { 'x-constraints': Object.fromEntries(constraints) })
  }
}

function describeOperation ({ key, route }: Channel, action: Direction, messages: readonly NamedMessage[], settings: AsyncApiSettings): AsyncApiOperation {
  const security = securityOf(route, settings)
  return {
    action,
    channel: { $ref: `#/channels/${key}` },
    summary: SUMMARIES[action],
    ...tagsOf(route),
    ...(security.length > 0 && { security }),
    messages: messages.map(({ inChannel }) => ({ $ref: `#/channels/${key}/messages/${inChannel}` }))
  }
}

function tagsOf ({ schema: { tags } }: DescribedRoute): { tags?: AsyncApiTag[] } {
  if (!Array.isArray(tags) || tags.length === 0) return {}
  return { tags: [...new Set(tags)].map(tag => ({ name: String(tag) })) }
}

/**
 * `schema.security` in OpenAPI's form. AsyncAPI requires one of the schemes listed, and cannot require several together.
 */
function securityOf ({ url, schema: { security } }: DescribedRoute, { securitySchemes }: AsyncApiSettings): Array<AsyncApiReference | AsyncApiSecurityScheme> {
  const requirements = Array.isArray(security) ? security.filter(isObject).flatMap(Object.entries) : []
  return requirements.map(([name, scopes]) => {
    const scheme = securitySchemes !== null && Object.hasOwn(securitySchemes, name) ? securitySchemes[name] : undefined
    if (scheme === undefined) {
      throw createError('FST_WS_ERR_ASYNCAPI', `${url}: schema.security names '${name}', which is not in the option asyncapi.securitySchemes`)
    }
    return Array.isArray(scopes) && scopes.length > 0 ? { ...scheme, scopes: scopes.map(String) } : { $ref: `#/components/securitySchemes/${name}` }
  })
}
