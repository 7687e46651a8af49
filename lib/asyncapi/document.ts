import type {
  AsyncApiChannel, AsyncApiDocument, AsyncApiMessage, AsyncApiOperation, AsyncApiReference, AsyncApiSchemaKind, AsyncApiSecurityScheme, AsyncApiTag
} from '../../types/asyncapi.js'
import type { AsyncApiSettings } from '../options/settings.js'
import type { TopicHistory } from '../../types/broker.js'
import { SUBPROTOCOL } from '../topics-protocol/protocol.js'
import { addressesOf, type Address } from './address.js'
import { createError } from '../errors.js'
import { bindingOf, parametersOf } from './handshake.js'
import { isObject, type SchemaObject } from './json-schema.js'
import { DIRECTIONS, MessageComponents, type Direction, type NamedMessage } from './message-components.js'
import { ANY_MESSAGE, ANY_VALUE, isNever, messagesOf } from './messages.js'
import { capitalize, toCamelCase, UniqueNames } from './names.js'
import { PROTOCOL_MESSAGES, wrapped } from './protocol-messages.js'
import { SchemaComponents } from './schema-components.js'
import { SchemaScope, type SchemaPlace } from './schema-scope.js'
import { toJsonSchema } from './to-json-schema.js'

/** A route or topic: it has a channel. */
interface Described {
  /** The URL, or the pattern of a topic, with the prefix. */
  readonly url: string
  readonly schema: SchemaObject
  /** Shared schemas by id, which these schemas can refer to. */
  readonly sharedSchemas: SchemaObject
}

/** A WebSocket route, as it was declared. */
export interface DescribedRoute extends Described {
  /** Subprotocols, best first; `'any'` if a function chooses. */
  readonly subprotocols: readonly string[] | 'any'
  readonly constraints: SchemaObject
  /** Whether it speaks the topics protocol: alone, or beside messages of its own. */
  readonly topics: 'none' | 'alone' | 'besides'
}

/** A declared topic. */
export interface DescribedTopic extends Described {
  readonly address: Address
  readonly mayPublish: boolean
  readonly history: TopicHistory | null
  readonly hasPresence: boolean
}

/** A channel in the making. */
interface Channel {
  readonly key: string
  readonly described: Described
  readonly address: Address
  readonly params: SchemaPlace | null
  readonly messages: Readonly<Record<Direction, readonly AsyncApiMessage[]>>
  readonly summaries: Readonly<Record<Direction, string>>
  /** Members that only a channel of its kind has. */
  readonly rest: Pick<AsyncApiChannel, 'bindings' | 'x-constraints' | 'x-topic'>
}

const OF_ROUTES: Record<Direction, string> = {
  receive: 'From clients to the server',
  send: 'From the server to clients'
}

const OF_TOPICS: Record<Direction, string> = {
  receive: 'Published by clients',
  send: 'From the topic to its subscribers'
}

/**
 * Describes routes and topics as an AsyncAPI document: a channel for each address, an operation for each direction.
 *
 * @throws {AsyncApiError} if a schema refers to a missing schema, or a route to a missing security scheme
 */
export function describe (routes: readonly DescribedRoute[], topics: readonly DescribedTopic[], settings: AsyncApiSettings): AsyncApiDocument {
  const components = new SchemaComponents()
  const keys = new UniqueNames()
  const ofRoutes = routes
    .filter(({ schema }) => schema.hide !== true)
    .flatMap(route => addressesOf(route.url).map(address => ({ route, channel: prepareRoute(route, address, keys, components, settings) })))
  const reachedBy = ofRoutes.filter(({ route }) => route.topics !== 'none').map(({ channel }) => channel.key)
  const ofTopics = topics
    .filter(({ schema }) => schema.hide !== true)
    .map(topic => prepareTopic(topic, reachedBy, keys, components, settings))
  const channels = [...ofRoutes.map(({ channel }) => channel), ...ofTopics]
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
function prepareRoute (route: DescribedRoute, address: Address, keys: UniqueNames, components: SchemaComponents, settings: AsyncApiSettings): Channel {
  const { schema, topics } = route
  const key = takeKey(keys, route, address.text, address.text === '/' ? 'root' : 'channel')
  const querystring = placeOf(route, key, 'querystring', schema.querystring ?? schema.query, settings)
  const headers = placeOf(route, key, 'headers', schema.headers, settings)
  const constraints = Object.entries(route.constraints).map(([name, value]) => [name, String(value)])
  const messagesFor = (kind: Direction, name: string): AsyncApiMessage[] => {
    if (topics === 'alone') return [...PROTOCOL_MESSAGES[kind]]
    const own = describeMessages(route, key, kind, name, components, settings)
    return topics === 'none' ? own : [...PROTOCOL_MESSAGES[kind], ...own.map(wrapped)]
  }
  return {
    key,
    described: route,
    address,
    params: placeOf(route, key, 'params', schema.params, settings),
    messages: { receive: messagesFor('receive', 'FromClient'), send: messagesFor('send', 'FromServer') },
    summaries: OF_ROUTES,
    rest: {
      bindings: { ws: bindingOf(querystring, headers, route.subprotocols, components) },
      ...(constraints.length > 0 && { 'x-constraints': Object.fromEntries(constraints) as Record<string, string> })
    }
  }
}

/** @param reachedBy the channels of the routes over which clients reach topics */
function prepareTopic (
  topic: DescribedTopic, reachedBy: readonly string[], keys: UniqueNames, components: SchemaComponents, settings: AsyncApiSettings
): Channel {
  const { schema, address, mayPublish, history, hasPresence } = topic
  const key = takeKey(keys, topic, `${address.text} topic`, 'topic')
  const member = placeOf(topic, key, 'member', schema.member, settings)
  return {
    key,
    described: topic,
    address,
    params: placeOf(topic, key, 'params', schema.params, settings),
    messages: {
      receive: mayPublish ? describeMessages(topic, key, 'publish', 'FromClient', components, settings) : [],
      send: describeMessages(topic, key, 'message', 'Message', components, settings)
    },
    summaries: OF_TOPICS,
    rest: {
      'x-topic': {
        pattern: topic.url,
        protocol: SUBPROTOCOL,
        channels: [...reachedBy],
        history: history === null ? null : { messages: history.messages, seconds: history.seconds },
        presence: hasPresence,
        ...(member !== null && { member: components.describe(member) })
      }
    }
  }
}

function takeKey (keys: UniqueNames, { schema: { operationId } }: Described, text: string, fallback: string): string {
  return keys.take(toCamelCase(typeof operationId === 'string' ? operationId : text) || fallback)
}

function placeOf ({ url, sharedSchemas }: Described, key: string, kind: AsyncApiSchemaKind, declared: unknown, settings: AsyncApiSettings): SchemaPlace | null {
  if (declared === undefined || declared === null) return null
  const schema = toJsonSchema(declared, { url, kind }, settings.transform)
  return new SchemaScope(schema, sharedSchemas, `${key}${capitalize(kind)}`, `${url}: schema.${kind}`).root
}

function describeMessages (
  described: Described, key: string, kind: AsyncApiSchemaKind, suffix: string, components: SchemaComponents, settings: AsyncApiSettings
): AsyncApiMessage[] {
  const { schema } = described
  const place = placeOf(described, key, kind, schema[kind], settings)
  // No message is valid in this direction.
  if (place !== null && isNever(place)) return []
  const anything = kind === 'publish' || kind === 'message' ? ANY_VALUE : ANY_MESSAGE
  const messages = place === null ? [anything] : messagesOf(place, `${key}${suffix}`, components)
  return schema.deprecated === true ? messages.map(message => ({ ...message, deprecated: true })) : messages
}

function describeChannel ({ described, address, params, rest }: Channel, messages: readonly NamedMessage[], components: SchemaComponents): AsyncApiChannel {
  const { summary, description, externalDocs } = described.schema
  return {
    address: address.text,
    ...(typeof summary === 'string' && { summary }),
    ...(typeof description === 'string' && { description }),
    messages: Object.fromEntries(messages.map(({ inChannel, inComponents }) => [inChannel, { $ref: `#/components/messages/${inComponents}` }])),
    ...(address.parameters.length > 0 && { parameters: parametersOf(address.parameters, params, components) }),
    ...tagsOf(described),
    ...(isObject(externalDocs) && typeof externalDocs.url === 'string' && { externalDocs: { ...externalDocs, url: externalDocs.url } }),
    ...rest
  }
}

function describeOperation ({ key, described, summaries }: Channel, action: Direction, messages: readonly NamedMessage[], settings: AsyncApiSettings): AsyncApiOperation {
  const security = securityOf(described, settings)
  return {
    action,
    channel: { $ref: `#/channels/${key}` },
    summary: summaries[action],
    ...tagsOf(described),
    ...(security.length > 0 && { security }),
    messages: messages.map(({ inChannel }) => ({ $ref: `#/channels/${key}/messages/${inChannel}` }))
  }
}

function tagsOf ({ schema: { tags } }: Described): { tags?: AsyncApiTag[] } {
  if (!Array.isArray(tags) || tags.length === 0) return {}
  return { tags: [...new Set(tags)].map(tag => ({ name: String(tag) })) }
}

/**
 * `schema.security` in OpenAPI's form. AsyncAPI requires one of the schemes listed, and cannot require several together.
 */
function securityOf ({ url, schema: { security } }: Described, { securitySchemes }: AsyncApiSettings): Array<AsyncApiReference | AsyncApiSecurityScheme> {
  const requirements = Array.isArray(security) ? security.filter(isObject).flatMap(Object.entries) : []
  return requirements.map(([name, scopes]) => {
    const scheme = securitySchemes !== null && Object.hasOwn(securitySchemes, name) ? securitySchemes[name] : undefined
    if (scheme === undefined) {
      throw createError('FST_WS_ERR_ASYNCAPI', `${url}: schema.security names '${name}', which is not in the option asyncapi.securitySchemes`)
    }
    return Array.isArray(scopes) && scopes.length > 0 ? { ...scheme, scopes: scopes.map(String) } : { $ref: `#/components/securitySchemes/${name}` }
  })
}
