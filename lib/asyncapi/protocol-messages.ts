import type { AsyncApiMessage, AsyncApiSchema } from '../../types/asyncapi.js'
import type { Direction } from './message-components.js'

// The messages of the topics protocol, as docs/topics-protocol.md has them.

const TOPIC = { type: 'string', minLength: 1, maxLength: 255, description: 'The name of a topic.' }
const POSITION = { type: ['string', 'null'], description: 'A position in the history of the topic; null if it has none.' }
const ID = { type: 'string', pattern: '^[!-~]{1,64}$' }
const ANY = { description: "Any value. The topic's own channel describes it." }
const CODE = { type: 'string', description: 'A stable name of the reason, for programs.' }
const TEXT = { type: 'string', description: 'The reason, for people.' }
const RETRY = { type: 'boolean', description: 'Whether the same request may succeed later.' }
const TOPICS = { type: 'array', minItems: 1, items: TOPIC }
const COUNT = { type: 'integer', minimum: 0, description: 'The number of members.' }
const INFO = { description: 'Information about the member. The channel of the topic describes it.' }
const MEMBER = { type: 'object', required: ['id', 'info'], properties: { id: { type: 'string' }, info: INFO } }
const MEMBERS = { type: 'array', items: MEMBER, description: 'Missing if there are more than the bound of the topic.' }
const SNAPSHOT = { description: 'The state of the topic, if the app provides one.' }

/** @param required the member that the message is known by comes first */
function message (name: string, summary: string, properties: Record<string, AsyncApiSchema>, ...optional: string[]): AsyncApiMessage {
  const required = Object.keys(properties).filter(property => !optional.includes(property))
  return {
    name: `topics.v1.${name}`,
    title: name,
    summary,
    contentType: 'application/json',
    payload: { type: 'object', ...(required.length > 0 && { required }), properties }
  }
}

const BEAT: AsyncApiMessage = {
  name: 'topics.v1.beat',
  title: 'beat',
  summary: 'Says that the connection is alive.',
  contentType: 'application/json',
  payload: { type: 'object', maxProperties: 0 }
}

export const PROTOCOL_MESSAGES: Readonly<Record<Direction, readonly AsyncApiMessage[]>> = {
  receive: [
    message('subscribe', 'Subscribes to topics, from now on or behind a position.', {
      subscribe: { type: 'object', minProperties: 1, propertyNames: TOPIC, additionalProperties: POSITION },
      client: { type: 'string', pattern: '^[!-~]{16,64}$', description: 'Known to this client only, and the same over its reconnects.' }
    }, 'client'),
    message('unsubscribe', 'Unsubscribes from topics.', { unsubscribe: TOPICS }),
    message('publish', 'Publishes a message to a topic.', { publish: TOPIC, message: ANY, id: { ...ID, description: 'Unique: the same id is stored once.' } }, 'id'),
    message('membersWanted', 'Asks for the members of a topic.', { presence: TOPIC }),
    BEAT
  ],
  send: [
    message('hello', 'The first message.', {
      hello: {
        type: 'object',
        required: ['version', 'id', 'beat', 'maxSubscriptions', 'maxMessage'],
        properties: {
          version: { type: 'integer', const: 1 },
          id: { type: 'string', description: 'The id of the connection.' },
          beat: { type: 'integer', description: 'Milliseconds from one beat to the next.' },
          maxSubscriptions: { type: 'integer' },
          maxMessage: { type: ['integer', 'null'], description: 'Bytes of a message; null without a limit.' }
        }
      }
    }),
    message('subscribed', 'A topic is live.', {
      subscribed: TOPIC,
      at: POSITION,
      recovered: { type: ['boolean', 'null'], description: 'Whether everything behind the position of the client follows; null if it gave none.' },
      missed: { type: 'integer', minimum: 0, description: 'The number of messages of the history that follow.' },
      snapshot: SNAPSHOT,
      members: MEMBERS,
      count: COUNT
    }, 'snapshot', 'members', 'count'),
    message('message', 'A message of a topic.', { topic: TOPIC, at: POSITION, id: ID, message: ANY }),
    message('published', 'A message of the client is taken.', { published: ID, topic: TOPIC, at: POSITION }),
    message('unsubscribed', 'A topic is not subscribed any more.', { unsubscribed: TOPIC, code: CODE, message: TEXT, retry: RETRY }, 'code', 'message', 'retry'),
    message('refused', 'A request of the client is not done.', {
      refused: { type: 'string', enum: ['subscribe', 'unsubscribe', 'publish', 'presence', 'message'] }, topic: TOPIC, id: ID, code: CODE, message: TEXT, retry: RETRY
    }, 'topic', 'id'),
    message('gap', 'Messages of a topic without history were missed.', { gap: TOPIC }),
    message('lost', 'Messages of a topic with history are gone.', { lost: TOPIC, at: POSITION, snapshot: SNAPSHOT }, 'snapshot'),
    message('joined', 'A member has come.', { joined: TOPIC, member: MEMBER }),
    message('left', 'A member has left.', { left: TOPIC, member: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } } }),
    message('members', 'The members of a topic, or their number.', { presence: TOPIC, members: MEMBERS, count: COUNT }, 'members'),
    BEAT
  ]
}

/** A message of the route's own, beside those of the protocol. */
export function wrapped ({ payload, ...message }: AsyncApiMessage): AsyncApiMessage {
  return { ...message, contentType: 'application/json', payload: { type: 'object', required: ['message'], properties: { message: payload } } }
}
