import type { SharedMessage } from '../connection/shared-message.js'
import type { Delivery } from '../topics/delivery.js'
import type { LocalTopic } from '../topics/local-topic.js'
import { formatPosition } from '../topics/position.js'
import { writeMessage } from './server-message.js'

/** A message of a topic as all clients of this process get it: written and framed once, replays included. */
export function frameDelivery ({ name, settings }: LocalTopic, delivery: Delivery): SharedMessage {
  return delivery.toText(({ position, message: { id }, payload, isBinary }) => {
    const json = settings.isDeclared && !isBinary ? payload : Buffer.from(JSON.stringify(payload.toString(isBinary ? 'base64' : 'utf8')))
    return writeMessage(name, position === null ? null : formatPosition(position), id, json)
  })
}
