import type { BrokerAnchor } from '../../types/broker.js'

// A client holds a position as one opaque string: `<epoch>.<offset in base 36>.<id>`. Epochs have no dots, ids may have some.

const POSITION = /^([\w-]{1,64})\.(0|[1-9a-z][0-9a-z]{0,10})\.([!-~]{0,64})$/

const ID = /^[!-~]{1,64}$/

/** @returns whether an app or a client may give a message this id: 1–64 printable ASCII characters, no space */
export function isId (id: unknown): id is string {
  return typeof id === 'string' && ID.test(id)
}

export function formatPosition ({ epoch, offset, id }: BrokerAnchor): string {
  return `${epoch}.${offset.toString(36)}.${id}`
}

/** @returns `null` for anything that `formatPosition` does not return */
export function parsePosition (text: string): BrokerAnchor | null {
  const match = POSITION.exec(text)
  if (match === null) return null
  const offset = parseInt(match[2]!, 36)
  const id = match[3]!
  if (!Number.isSafeInteger(offset) || (offset === 0) !== (id === '')) return null
  return { epoch: match[1]!, offset, id }
}

/** @returns whether two places are the same one, with the same message */
export function isSamePlace (a: BrokerAnchor, b: BrokerAnchor): boolean {
  return a.offset === b.offset && a.epoch === b.epoch && a.id === b.id
}
