import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { constants, deflateRawSync } from 'node:zlib'
import { makeJsonMessages, makeOrderMessages } from './json-messages.js'
import { encodeAnyFrame } from '../test/support/encode-frame.js'
import { Opcode, RSV1 } from '../lib/protocol/opcodes.js'

export interface Payload {
  kind: 'ascii' | 'text' | 'binary' | 'json' | 'orders'
  bytes: number
}

function makePayloads ({ kind, bytes }: Payload): Buffer[] {
  switch (kind) {
    case 'binary': return [randomBytes(bytes)]
    case 'ascii': return [Buffer.alloc(bytes, 'The quick brown fox jumps over the lazy dog. ')]
    // Whole characters of two and three bytes.
    case 'text': return [Buffer.alloc(bytes - bytes % 15, 'äöü€漢字')]
    case 'json': return makeJsonMessages(bytes)
    case 'orders': return makeOrderMessages(bytes)
  }
}

/**
 * The frames that a client sends, masked.
 *
 * @param windowBits of permessage-deflate as agreed on, each message being compressed by itself; `null` without it
 */
export function makeFrames (payload: Payload, windowBits: number | null): Buffer[] {
  const opcode = payload.kind === 'binary' ? Opcode.BINARY : Opcode.TEXT
  return makePayloads(payload).map(message => {
    if (windowBits === null) return encodeAnyFrame(opcode, message, { masked: true })
    const compressed = deflateRawSync(message, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    return encodeAnyFrame(opcode | RSV1, compressed, { masked: true })
  })
}

/** As both generators read them: their number, their lengths, their bytes. */
export function packFrames (frames: readonly Buffer[]): Buffer {
  const index = Buffer.alloc(4 + 4 * frames.length)
  index.writeUInt32LE(frames.length, 0)
  frames.forEach((frame, i) => index.writeUInt32LE(frame.length, 4 + 4 * i))
  return Buffer.concat([index, ...frames])
}

export function makeRequest (extensions: string | undefined, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\n` +
    'Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    (extensions === undefined ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
}

/** The window that a server leaves to its clients, of all that it answers to an offer. */
export async function askWindowBits (port: number, request: string, takeover: boolean): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(request)
  const [head] = (await once(socket.setEncoding('latin1'), 'data')) as [string]
  socket.destroy()
  if (!/permessage-deflate/.test(head)) throw new Error('Error: the server has not agreed on permessage-deflate')
  if (/server_no_context_takeover/.test(head) === takeover) throw new Error(`the server ${takeover ? 'refuses' : 'insists on'} context takeover`)
  return Number(/client_max_window_bits=(\d+)/.exec(head)?.[1] ?? 15)
}
