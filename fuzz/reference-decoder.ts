// RFC 6455 §5, written down as it stands there, over all bytes at once and without a thought for speed: what the
// decoder says has to agree with it.

export type ReferenceEvent =
  | { type: 'message' | 'compressed', isBinary: boolean, data: Buffer }
  | { type: 'ping' | 'pong', data: Buffer }
  | { type: 'close', code: number, reason: Buffer }
  | { type: 'error', closeCode: number }

export interface ReferenceOptions {
  role: 'server' | 'client'
  maxPayload: number
  isCompressionAgreed: boolean
}

export function decodeByTheBook (bytes: Buffer, options: ReferenceOptions): ReferenceEvent[] {
  const events: ReferenceEvent[] = []
  // Payloads of the current message, and what its first frame said of it.
  let message: { isText: boolean, isCompressed: boolean, data: Buffer } | null = null
  let isTooBig = false

  const error = (closeCode: number): ReferenceEvent[] => {
    // Only the first error counts. After a message that is too big, nothing matters but the Close frame.
    return isTooBig ? events : [...events, { type: 'error', closeCode }]
  }

  let at = 0
  while (at + 2 <= bytes.length) {
    const fin = bytes[at]! >= 0x80
    const rsv = (bytes[at]! >> 4) & 0x7
    const opcode = bytes[at]! & 0xf
    const isMasked = bytes[at + 1]! >= 0x80
    const length7 = bytes[at + 1]! & 0x7f
    const lengthBytes = length7 === 126 ? 2 : length7 === 127 ? 8 : 0
    const payloadAt = at + 2 + lengthBytes + (isMasked ? 4 : 0)
    if (payloadAt > bytes.length) break
    const length = lengthBytes === 0 ? BigInt(length7) : BigInt(`0x${bytes.toString('hex', at + 2, at + 2 + lengthBytes)}`)
    const key = bytes.subarray(payloadAt - 4, payloadAt)
    const isControl = opcode >= 8

    // §5.2; RFC 7692 §6: RSV1 on the first frame of a data message.
    const mayBeCompressed = options.isCompressionAgreed && (opcode === 1 || opcode === 2)
    if (rsv !== 0 && !(rsv === 4 && mayBeCompressed)) return error(1002)
    // §5.1
    if (isMasked !== (options.role === 'server')) return error(1002)
    // §5.2: 3-7 and 0xB-0xF are reserved.
    if ((opcode > 2 && opcode < 8) || opcode > 10) return error(1002)
    // §5.5
    if (isControl && (!fin || length > 125n || lengthBytes > 0)) return error(1002)
    // §5.2: the shortest form, and the most significant bit is 0.
    if (lengthBytes === 2 && length < 126n) return error(1002)
    if (lengthBytes === 8 && (length < 65536n || length >= 2n ** 63n)) return error(1002)
    // §5.4
    if (!isControl && (opcode === 0) !== (message !== null)) return error(1002)

    if (!isControl) {
      message ??= { isText: opcode === 1, isCompressed: rsv === 4, data: Buffer.alloc(0) }
      // §10.4. A compressed message may be somewhat longer than what it contains.
      const limit = message.isCompressed ? options.maxPayload + Math.floor(options.maxPayload / 8) + 125 : options.maxPayload
      if (!isTooBig && BigInt(message.data.length) + length > BigInt(limit)) {
        events.push({ type: 'error', closeCode: 1009 })
        isTooBig = true
      }
    }

    const end = BigInt(payloadAt) + length > BigInt(bytes.length) ? bytes.length : payloadAt + Number(length)
    const isWhole = BigInt(end - payloadAt) === length
    const payload = Buffer.from(bytes.subarray(payloadAt, end))
    // §5.3
    if (isMasked) for (let i = 0; i < payload.length; i++) payload[i]! ^= key[i % 4]!
    at = end

    if (isControl) {
      if (!isWhole) break
      if (opcode === 8) {
        // §5.5.1, §7.4
        if (payload.length === 0) return [...events, { type: 'close', code: 1005, reason: payload }]
        if (payload.length === 1) return error(1002)
        const code = payload.readUInt16BE(0)
        if (!((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999))) return error(1002)
        if (utf8State(payload.subarray(2)) !== 'complete') return error(1007)
        return [...events, { type: 'close', code, reason: payload.subarray(2) }]
      }
      if (!isTooBig) events.push({ type: opcode === 9 ? 'ping' : 'pong', data: payload })
      continue
    }

    if (!isTooBig) {
      message!.data = Buffer.concat([message!.data, payload])
      // §8.1, as soon as it can be known.
      if (message!.isText && !message!.isCompressed) {
        const state = utf8State(message!.data)
        if (state === 'invalid' || (state === 'incomplete' && isWhole && fin)) return error(1007)
      }
    }
    if (!isWhole) break
    if (fin) {
      const { isText, isCompressed, data } = message!
      if (!isTooBig) events.push({ type: isCompressed ? 'compressed' : 'message', isBinary: !isText, data })
      message = null
    }
  }
  return events
}

/** RFC 3629 §4, as its grammar has it. */
export function utf8State (bytes: Uint8Array): 'complete' | 'incomplete' | 'invalid' {
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i]!
    const tails: [number, number][] = []
    if (first >= 0xc2 && first <= 0xdf) tails.push([0x80, 0xbf])
    else if (first >= 0xe0 && first <= 0xef) tails.push([first === 0xe0 ? 0xa0 : 0x80, first === 0xed ? 0x9f : 0xbf], [0x80, 0xbf])
    else if (first >= 0xf0 && first <= 0xf4) tails.push([first === 0xf0 ? 0x90 : 0x80, first === 0xf4 ? 0x8f : 0xbf], [0x80, 0xbf], [0x80, 0xbf])
    else if (first >= 0x80) return 'invalid'
    i++
    for (const [lowest, highest] of tails) {
      if (i === bytes.length) return 'incomplete'
      if (bytes[i]! < lowest || bytes[i]! > highest) return 'invalid'
      i++
    }
  }
  return 'complete'
}
