// Changes of members, as they go through the broker to all processes that watch a topic: the payload of an envelope, as JSON.

/** A member, with the app's information about it as JSON. */
export interface Member {
  readonly id: string
  readonly info: string
}

/** Changes of members of a topic, as one process announces them. */
export interface PresenceChange {
  /** The process that says so, and to which those who have joined belong. */
  readonly by: string
  readonly joined: readonly Member[]
  /** Ids. */
  readonly left: readonly string[]
  /** The process whose lease has ended, if those who have left were its members. */
  readonly swept: string | null
}

/** Members in one message: brokers limit its size. */
const MAX_MEMBERS = 200

/** @returns one payload for each message */
export function encodeChange ({ by, joined, left, swept }: PresenceChange): Buffer[] {
  const payloads: Buffer[] = []
  for (let start = 0; start < Math.max(joined.length, left.length); start += MAX_MEMBERS) {
    const some = joined.slice(start, start + MAX_MEMBERS).map(({ id, info }) => `{"id":${JSON.stringify(id)},"info":${info}}`)
    const rest = { by, left: left.slice(start, start + MAX_MEMBERS), swept: swept ?? undefined }
    payloads.push(Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"joined":[${some.join(',')}]}`))
  }
  return payloads
}

/** @returns `null` if it is not one */
export function decodeChange (payload: Buffer): PresenceChange | null {
  let value: Record<string, unknown>
  try {
    value = Object(JSON.parse(payload.toString())) as Record<string, unknown>
  } catch {
    return null
  }
  const { by, joined, left, swept } = value
  if (typeof by !== 'string' || !Array.isArray(joined) || !Array.isArray(left)) return null
  const members = (joined as unknown[]).map(readMember)
  if (!members.every(member => member !== null) || !left.every(id => typeof id === 'string')) return null
  return { by, joined: members as Member[], left: left as string[], swept: typeof swept === 'string' ? swept : null }
}

function readMember (value: unknown): Member | null {
  const { id, info } = Object(value) as { id?: unknown, info?: unknown }
  return typeof id === 'string' && info !== undefined ? { id, info: JSON.stringify(info) } : null
}
