const STATUS_LINE = 'HTTP/1.1 101 Switching Protocols\r\n'

/** Names that this package sets, and Fastify for cookies: they need no check. */
const KNOWN = new Set(['upgrade', 'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions', 'set-cookie'])

/** Fields with which Node does more than to write them. */
const SPECIAL = new Set(['connection', 'content-length', 'cookie', 'date', 'expect', 'keep-alive', 'te', 'trailer', 'transfer-encoding'])

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/

/** RFC 9110 §5.5. */
const NOT_IN_VALUE = /[^\t\u0020-\u007e\u0080-\u00ff]/

/**
 * The header section of a 101 as `ServerResponse` would write it.
 *
 * @param headers as Fastify has them: names in lower case
 * @returns `null` if one of them is not for this function
 */
export function formatAcceptance (headers: object): string | null {
  let text = STATUS_LINE
  let hasConnection = false
  // Fastify's object has the names that were set, and no others.
  for (const name in headers) {
    if (name === 'connection') hasConnection = true
    else if (!KNOWN.has(name) && (!TOKEN.test(name) || SPECIAL.has(name.toLowerCase()))) return null
    const value: unknown = headers[name as never]
    if (Array.isArray(value)) {
      for (const one of value as unknown[]) {
        if (!isValue(one)) return null
        text += `${name}: ${one}\r\n`
      }
    } else if (isValue(value)) {
      text += `${name}: ${value}\r\n`
    } else {
      return null
    }
  }
  return hasConnection ? `${text}Date: ${currentDate()}\r\n\r\n` : null
}

function isValue (value: unknown): value is string | number {
  return typeof value === 'string' ? !NOT_IN_VALUE.test(value) : typeof value === 'number'
}

let second = 0
let date = ''

/** RFC 9110 §6.6.1. */
function currentDate (): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    date = new Date(now * 1000).toUTCString()
  }
  return date
}
