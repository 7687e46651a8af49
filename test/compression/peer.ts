import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from 'node:zlib'

// The other side of a connection as other implementations have it: one zlib stream per direction that is kept from
// message to message. It shares nothing with the code under test but zlib.

export const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff])

export interface PeerSettings {
  windowBits: number
  contextTakeover: boolean
}

/** A stream that is written to and flushed, message by message. */
class KeptStream<S extends DeflateRaw | InflateRaw> {
  private readonly create: () => S
  private readonly contextTakeover: boolean
  private stream: S | null = null
  private chunks: Buffer[] = []
  private failure: (error: Error) => void = () => {}

  constructor (create: () => S, contextTakeover: boolean) {
    this.create = create
    this.contextTakeover = contextTakeover
  }

  protected async through (...inputs: Buffer[]): Promise<Buffer> {
    const stream = this.stream ??= this.open()
    await new Promise<void>((resolve, reject) => {
      this.failure = reject
      for (const input of inputs) stream.write(input)
      stream.flush(constants.Z_SYNC_FLUSH, () => resolve())
    })
    const output = Buffer.concat(this.chunks)
    this.chunks = []
    if (!this.contextTakeover) this.close()
    return output
  }

  private open (): S {
    const stream = this.create()
    stream.on('data', (chunk: Buffer) => this.chunks.push(chunk))
    stream.on('error', error => this.failure(error))
    return stream
  }

  close (): void {
    this.stream?.close()
    this.stream = null
  }
}

/** RFC 7692 §7.2.1, with a context that is kept. zlib makes a window of 9 of 8. */
export class KeptDeflater extends KeptStream<DeflateRaw> {
  constructor ({ windowBits, contextTakeover }: PeerSettings) {
    super(() => createDeflateRaw({ windowBits }), contextTakeover)
  }

  async deflate (message: Buffer): Promise<Buffer> {
    if (message.length === 0) return Buffer.of(0)
    const deflated = await this.through(message)
    return deflated.subarray(0, -TAIL.length)
  }
}

/** RFC 7692 §7.2.2, with a context that is kept: its window is no larger than was agreed on. */
export class KeptInflater extends KeptStream<InflateRaw> {
  constructor ({ windowBits, contextTakeover }: PeerSettings) {
    super(() => createInflateRaw({ windowBits }), contextTakeover)
  }

  async inflate (payload: Buffer): Promise<Buffer> {
    return await this.through(payload, TAIL)
  }
}

// --- deflate by the book

class BitWriter {
  private readonly bytes: number[] = []
  private bit = 0

  /** Least significant bit first (RFC 1951 §3.1.1). */
  write (value: number, count: number): this {
    for (let i = 0; i < count; i++) {
      if (this.bit === 0) this.bytes.push(0)
      this.bytes[this.bytes.length - 1]! |= ((value >>> i) & 1) << this.bit
      this.bit = (this.bit + 1) & 7
    }
    return this
  }

  /** Huffman codes go the other way round. */
  writeCode (code: number, count: number): this {
    for (let i = count - 1; i >= 0; i--) this.write(code >>> i, 1)
    return this
  }

  toBuffer (): Buffer {
    return Buffer.from(this.bytes)
  }
}

/** A byte, or a copy of what was `distance` bytes before: three bytes always. */
export type Token = number | { distance: number }

/** The length of all copies: the one length without extra bits that is enough for a test. */
export const COPY_LENGTH = 3

/**
 * The payload of a compressed message: one block with the fixed Huffman codes (RFC 1951 §3.2.6) and the header of the
 * empty one whose rest is the tail that is left out (RFC 7692 §7.2.1). Unlike zlib it copies from any distance that it is told.
 */
export function encodeTokens (tokens: readonly Token[], isFinal = false): Buffer {
  const writer = new BitWriter().write(isFinal ? 1 : 0, 1).write(1, 2)
  for (const token of tokens) {
    if (typeof token === 'number') {
      if (token < 144) writer.writeCode(0x30 + token, 8)
      else writer.writeCode(0x190 + token - 144, 9)
    } else {
      writer.writeCode(1, 7)
      const { code, extra, extraBits } = distanceCode(token.distance)
      writer.writeCode(code, 5).write(extra, extraBits)
    }
  }
  return writer.writeCode(0, 7).write(0, 3).toBuffer()
}

/** RFC 1951 §3.2.5. */
function distanceCode (distance: number): { code: number, extra: number, extraBits: number } {
  let start = 1
  for (let code = 0; ; code++) {
    const extraBits = Math.max(0, (code >> 1) - 1)
    if (distance < start + (1 << extraBits)) return { code, extra: distance - start, extraBits }
    start += 1 << extraBits
  }
}

/** What the tokens mean, behind what was before. */
export function expandTokens (before: Buffer, tokens: readonly Token[]): Buffer {
  const bytes = Buffer.alloc(before.length + tokens.length * COPY_LENGTH)
  let end = before.copy(bytes)
  for (const token of tokens) {
    if (typeof token === 'number') bytes[end++] = token
    else for (let i = 0; i < COPY_LENGTH; i++, end++) bytes[end] = bytes[end - token.distance]!
  }
  return bytes.subarray(before.length, end)
}

/** A block that is stored (RFC 1951 §3.2.4), in whole bytes. */
export function storedBlock (content: Uint8Array, isFinal = false): Buffer {
  const header = Buffer.alloc(5)
  header[0] = isFinal ? 1 : 0
  header.writeUInt16LE(content.length, 1)
  header.writeUInt16LE(0xffff - content.length, 3)
  return Buffer.concat([header, content])
}

// --- messages

/** A source of numbers that gives the same ones for the same seed. */
export function randomFrom (seed: number): (below: number) => number {
  let state = seed | 1
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return Math.floor((state >>> 0) / 0x100000000 * below)
  }
}

const WORDS = ['price', 'symbol', 'ACME', 'bid', 'ask', 'größe', '値段', '\u{1f4c8}', 'timestamp', 'sequence', '{"a":', '}', ',', '0.25', 'null']

/** Text that shrinks, as JSON does, of exactly so many bytes. */
export function textOf (length: number, random: (below: number) => number): Buffer {
  const bytes = Buffer.alloc(length, '.')
  let end = 0
  while (end < length) {
    const word = `${WORDS[random(WORDS.length)]!}${random(1000)} `
    if (end + Buffer.byteLength(word) > length) break
    end += bytes.write(word, end)
  }
  return bytes
}

/** Bytes that do not shrink. */
export function noiseOf (length: number, random: (below: number) => number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) bytes[i] = random(256)
  return bytes
}

/** Messages of all kinds and sizes; long ones are rare. */
export function messageOf (random: (below: number) => number): Buffer {
  const sizes = [16, 64, 300, 2000, 9000, 45_000]
  const size = random(sizes[Math.min(random(sizes.length + 4), random(sizes.length))]!)
  switch (random(6)) {
    case 0: return noiseOf(size, random)
    case 1: return Buffer.alloc(size, random(256))
    default: return textOf(size, random)
  }
}
