import { SharedMessage } from '../connection/shared-message.js'
import { Opcode } from '../protocol/opcodes.js'
import type { Delivery } from '../topics/delivery.js'
import type { LocalTopic } from '../topics/local-topic.js'
import type { MemberNotice } from '../topics/member-view.js'
import { formatPosition } from '../topics/position.js'
import { writeMessage, writeNotice } from './server-message.js'

/** A message of a topic as all clients of this process get it: written and framed once, replays included. */
export function frameDelivery ({ name, settings }: LocalTopic, delivery: Delivery): SharedMessage {
  return delivery.toText(({ position, message: { id }, payload, isBinary }) => {
    const json = settings.isDeclared && !isBinary ? payload : Buffer.from(JSON.stringify(payload.toString(isBinary ? 'base64' : 'utf8')))
    return writeMessage(name, position === null ? null : formatPosition(position), id, json)
  })
}

const notices = new WeakMap<MemberNotice, SharedMessage>()

/** A change of members, which is one object for all receivers, written and framed once. */
export function frameNotice ({ name }: LocalTopic, notice: MemberNotice): SharedMessage {
  let framed = notices.get(notice)
  if (framed === undefined) notices.set(notice, framed = new SharedMessage(Opcode.TEXT, Buffer.from(writeNotice(name, notice)), true))
  return framed
}
