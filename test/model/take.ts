import type { BadApp } from './bad-app.js'
import type { Message } from './delivery.js'

/** A message came to the app: it has to be the next, and is kept. @param data in whatever form */
export function take (app: BadApp, data: unknown, isBinary: boolean, by: string, delivery = app.log.delivery): void {
  const { log } = app
  const { run } = log
  const got = by.startsWith('json') ? Buffer.from(JSON.stringify(data)) : bytesOf(data)
  const length = got instanceof Blob ? got.size : got.length
  const isIt = ({ bytes, isBinary: isSentBinary }: Message): boolean =>
    bytes.length === length && isBinary === isSentBinary && (got instanceof Blob || got.equals(bytes))
  const { place } = delivery
  const messages = delivery.take(isIt)
  const words = `${isBinary ? 'binary' : 'text'} of ${length} bytes by ${by}`
  if (messages.length === 0) return log.fault(`got ${words}, ${got instanceof Blob ? 'a Blob' : JSON.stringify(got.subarray(0, 40).toString('latin1'))}, instead of message ${place} of ${log.sent.length}`)
  log.tell(`app: got message ${place}, ${words}`)
  const kept = typeof data === 'object' && !by.startsWith('json') ? data as Buffer | Buffer[] : null
  if (kept !== null) run.kept.push({ data: Array.isArray(kept) ? kept[0]! : kept, expected: messages.map(message => message.bytes), what: `${log.name}: ${words}` })
}

function bytesOf (data: unknown): Buffer | Blob {
  if (typeof data === 'string') return Buffer.from(data)
  if (data instanceof ArrayBuffer) return Buffer.from(data)
  if (Array.isArray(data)) return Buffer.concat(data as Buffer[])
  return data as Buffer | Blob
}
