import { noiseOf, randomFrom, textOf } from '../compression/peer.js'

/** Shorter ones have no room for a number. */
const NUMBERED_FROM = 24

/** The bytes of a message: the same for the same `id`, and others for any other that is not tiny. */
export function contentOf (id: number, size: number, isBinary: boolean, isJson = false): Buffer {
  const random = randomFrom(id * 7919)
  if (isJson) return Buffer.from(JSON.stringify({ id, fill: textOf(size, random).toString() }))
  if (size < NUMBERED_FROM) return Buffer.alloc(size, 33 + id % 90)
  const number = Buffer.from(`${id} `)
  const rest = size - number.length
  return Buffer.concat([number, isBinary && id % 2 === 0 ? noiseOf(rest, random) : textOf(rest, random)])
}

/** The payload of a control frame: that of the app is like no other, and no answer to it like an answer to the client. */
export function controlOf (side: 'app' | 'client', id: number, size: number): Buffer {
  return Buffer.from(`${side} ${id} `.padEnd(size, '.'))
}

/** The response of a hook that takes over the socket. */
export const HIJACKED = 'the hook has taken the socket'
