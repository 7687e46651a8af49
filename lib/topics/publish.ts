import type { PublishOptions, TopicPosition } from '../../types/topics.js'
import { findSession } from '../connection/connection.js'
import { checkMessageOptions } from '../connection/message-options.js'
import { toBytes } from '../connection/payload.js'
import { createError, describe } from '../errors.js'
import { EnvelopeKind } from './envelope.js'
import type { Hub } from './hub.js'
import type { Receiver } from './local-topic.js'
import { checkMessageId, checkTopicName } from './names.js'
import { nextMessageId } from './publisher.js'

/**
 * Publishes a message of the app: text or bytes in a raw topic, a value in a declared one.
 *
 * @param sender does not get the message, besides the connection that the options except
 * @throws {TypeError} if an argument is not what it may be; what the serializer of a declared topic throws
 */
export function publish (hub: Hub, name: unknown, message: unknown, options: unknown, sender: Receiver | null): Promise<TopicPosition | null> {
  const topic = checkTopicName(name)
  const { id, binary, compress, except }: PublishOptions = options === undefined ? {} : checkPublishOptions(options)
  const messageId = id === undefined ? nextMessageId() : checkMessageId(id)
  const excepted = except === undefined ? sender : receiverOf(hub, except)
  const settings = hub.settingsOf(topic)
  if (settings.isDeclared) {
    if (binary !== undefined) throw createError('FST_WS_ERR_INVALID_ARGUMENT', "'binary' is for raw topics only: messages of a declared topic are JSON")
    return hub.publish(topic, messageId, EnvelopeKind.TEXT, Buffer.from(settings.write(message)), compress !== false, excepted)
  }
  const kind = binary ?? typeof message !== 'string' ? EnvelopeKind.BINARY : EnvelopeKind.TEXT
  return hub.publish(topic, messageId, kind, toBytes(message), compress !== false, excepted)
}

/**
 * @param names of the options that there are
 * @throws {TypeError} if they are no object, or have another option
 */
export function checkOptions (method: string, names: readonly string[], options: unknown): object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw createError('FST_WS_ERR_INVALID_ARGUMENT', `the options of ${method} must be an object, not ${describe(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    throw createError('FST_WS_ERR_INVALID_ARGUMENT', `${method} has no option '${name}'; it has ${names.map(name => `'${name}'`).join(', ')}`)
  }
  return options
}

const PUBLISH_OPTIONS = ['id', 'binary', 'compress', 'except']

function checkPublishOptions (options: unknown): PublishOptions {
  checkOptions('publish', PUBLISH_OPTIONS, options)
  checkMessageOptions('publish', options)
  return options as PublishOptions
}

function receiverOf (hub: Hub, connection: unknown): Receiver | null {
  const session = findSession(connection)
  if (session === null) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `'except' must be a connection, not ${describe(connection)}`)
  return hub.receivers.get(session) ?? null
}
