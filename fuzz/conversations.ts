import { constants, deflateRawSync } from 'node:zlib'
import { frame, upgradeRequest } from '../test/support/raw-client.js'
import type { Input, Mode } from './input.js'
import type { Random } from './random.js'

/** Lengths at which the length field changes, or the way in which bytes are kept, or limits are. */
const LENGTHS = [0, 1, 2, 3, 4, 15, 63, 100, 101, 124, 125, 126, 127, 128, 255, 256, 1000, 1001, 1023, 1024, 2047, 2048, 4095, 4096, 8191, 16383, 16384, 65535, 65536]

const CHARACTERS = ['a', 'é', '€', '😀', '\0', '"', '\uFEFF']

/** Something that a peer may well send: the bytes of a whole conversation. */
export function generate (random: Random, mode: Mode): Input {
  if (mode === 'http') return { mode, bytes: generateRequest(random) }
  const bytes: Buffer[] = []
  const talk = new Talk(random, mode)
  for (let i = random.below(5); i >= 0; i--) bytes.push(...talk.message())
  if (random.chance(0.5)) bytes.push(talk.close())
  return { mode, bytes: Buffer.concat(bytes) }
}

class Talk {
  private readonly random: Random
  private readonly mode: Mode
  /** The content sent before, to which a compressed message may refer. */
  private window = Buffer.alloc(0)

  constructor (random: Random, mode: Mode) {
    this.random = random
    this.mode = mode
  }

  message (): Buffer[] {
    const { random } = this
    const isText = random.chance(0.5)
    const content = isText ? this.text() : this.content()
    const isCompressed = this.mode === 'deflate' && random.chance(0.7)
    const payload = isCompressed ? this.compress(content) : content
    const frames: Buffer[] = []
    const count = random.chance(0.6) ? 1 : 1 + random.below(6)
    let start = 0
    for (let i = 0; i < count; i++) {
      const end = i === count - 1 ? payload.length : start + random.below(payload.length - start + 1)
      frames.push(this.frame(i > 0 ? 0x0 : isText ? 0x1 : 0x2, payload.subarray(start, end), i === count - 1, isCompressed && i === 0 ? 0x40 : 0))
      if (random.chance(0.2)) frames.push(this.frame(random.pick([0x9, 0xa]), random.bytes(random.pick([0, 1, 4, 125]))))
      start = end
    }
    return frames
  }

  close (): Buffer {
    const { random } = this
    if (random.chance(0.2)) return this.frame(0x8, Buffer.alloc(0))
    const code = random.pick([1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
    return this.frame(0x8, Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(random.chance(0.5) ? '' : 'gone – 再见')]))
  }

  private frame (opcode: number, payload: Uint8Array, fin = true, rsv = 0): Buffer {
    // Behind a mask of zeros a changed byte is a changed character, and not a random one.
    const mask = this.mode === 'client' ? null : this.random.chance(0.5) ? 0 : this.random.next()
    return frame(opcode, payload, { fin, rsv, mask })
  }

  private length (): number {
    const { random } = this
    // Long messages take long, and are no more likely to show something.
    return random.chance(0.8) ? random.below(40) : LENGTHS[Math.min(random.below(LENGTHS.length), random.below(LENGTHS.length))]!
  }

  private content (): Buffer {
    const length = this.length()
    return this.random.chance(0.3) ? this.random.bytes(length) : Buffer.alloc(length, `${this.random.next()} and so on, `)
  }

  private text (): Buffer {
    const { random } = this
    const unit = Array.from({ length: 1 + random.below(4) }, () => random.pick(CHARACTERS)).join('')
    return Buffer.from(unit.repeat(Math.ceil(this.length() / unit.length)))
  }

  /** RFC 7692 §7.2.1, now and then with what it leaves to the sender. */
  private compress (content: Buffer): Buffer {
    const { random } = this
    const options = { level: random.pick([0, 1, 6, 9]), windowBits: random.pick([9, 12, 15]), dictionary: this.window.subarray(-512) }
    this.window = Buffer.concat([this.window, content]).subarray(-32768)
    if (content.length === 0) return Buffer.of(0)
    const isFinal = random.chance(0.1)
    const { dictionary, ...rest } = options
    const deflated = deflateRawSync(content, {
      ...rest,
      ...(dictionary.length > 0 && !isFinal ? { dictionary } : {}),
      finishFlush: isFinal ? constants.Z_FINISH : constants.Z_SYNC_FLUSH
    })
    return isFinal ? Buffer.concat([deflated, Buffer.of(0)]) : deflated.subarray(0, -4)
  }
}

function generateRequest (random: Random): Buffer {
  const headers: Record<string, string | null> = {}
  if (random.chance(0.3)) headers['Sec-WebSocket-Extensions'] = random.pick(['permessage-deflate', 'permessage-deflate; client_max_window_bits, x; y="z"', 'permessage-deflate; server_max_window_bits=12'])
  if (random.chance(0.3)) headers['Sec-WebSocket-Protocol'] = random.pick(['chat', 'chat, superchat', 'constructor, __proto__'])
  if (random.chance(0.2)) headers.Connection = random.pick(['keep-alive, Upgrade', 'upgrade', 'close, Upgrade'])
  if (random.chance(0.1)) headers.Upgrade = random.pick(['WebSocket', 'websocket, h2c', 'h2c'])
  if (random.chance(0.1)) headers.Origin = 'http://localhost'
  const path = random.pick(['/plain', '/deflate', '/http', '/hook', '/nothing', '/plain?a=b', '//plain', '/%70lain'])
  const request = Buffer.from(upgradeRequest(path, headers), 'latin1')
  const before = random.chance(0.1) ? Buffer.from('GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n') : Buffer.alloc(0)
  return Buffer.concat([before, request, generate(random, 'plain').bytes])
}
