import { KeptDeflater, KeptInflater } from '../compression/peer.js'
import { frame, RawClient, upgradeRequest } from './raw-client.js'

/** A received message, and how it was framed. */
export interface ReceivedMessage {
  data: Buffer
  isBinary: boolean
  isCompressed: boolean
  /** Bytes of its payload on the wire. */
  wireLength: number
}

/** An event as it came: a message, or a control frame's opcode and payload. */
export type Received = ReceivedMessage | { opcode: number, data: Buffer }

/** Opens the streams for the negotiated parameters. @param extensions the `Sec-WebSocket-Extensions` of the 101 */
export function openStreams (extensions: string): { deflater: KeptDeflater, inflater: KeptInflater } {
  const has = (name: string): boolean => extensions.includes(name)
  const bits = (name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(extensions)?.[1] ?? 15)
  return {
    deflater: new KeptDeflater({ windowBits: bits('client_max_window_bits'), contextTakeover: !has('client_no_context_takeover') }),
    inflater: new KeptInflater({ windowBits: bits('server_max_window_bits'), contextTakeover: !has('server_no_context_takeover') })
  }
}

/** A client of bytes that knows permessage-deflate, with kept zlib streams in both directions. */
export class DeflateClient {
  readonly raw: RawClient
  /** The `Sec-WebSocket-Extensions` of the 101, or `''`. */
  readonly extensions: string
  private readonly deflater: KeptDeflater
  private readonly inflater: KeptInflater

  private constructor (raw: RawClient, extensions: string) {
    this.raw = raw
    this.extensions = extensions
    ;({ deflater: this.deflater, inflater: this.inflater } = openStreams(extensions))
  }

  static async open (t: { teardown (clean: () => unknown): void }, port: number, path = '/', offer: string | null = 'permessage-deflate; client_max_window_bits'): Promise<DeflateClient> {
    const raw = await RawClient.connect(port)
    raw.write(upgradeRequest(path, { 'Sec-WebSocket-Extensions': offer }))
    const { status, head, headers } = await raw.head()
    if (status !== 101) throw new Error(`not upgraded:\n${head}`)
    const client = new DeflateClient(raw, headers['sec-websocket-extensions'] ?? '')
    // Only what hangs takes that long.
    const guard = setTimeout(() => raw.destroy(), 25_000)
    t.teardown(() => {
      clearTimeout(guard)
      client.close()
    })
    return client
  }

  /** The frames of a message, compressed, in so many fragments. */
  async encode (data: Buffer | string, fragments = 1): Promise<Buffer> {
    const payload = await this.deflater.deflate(Buffer.from(data as string))
    const frames: Buffer[] = []
    const size = Math.max(1, Math.ceil(payload.length / fragments))
    for (let i = 0; i < fragments; i++) {
      const opcode = i > 0 ? 0x0 : typeof data === 'string' ? 0x1 : 0x2
      frames.push(frame(opcode, payload.subarray(i * size, (i + 1) * size), { rsv: i === 0 ? 0x40 : 0, fin: i === fragments - 1 }))
    }
    return Buffer.concat(frames)
  }

  async send (data: Buffer | string, fragments = 1): Promise<void> {
    this.raw.write(await this.encode(data, fragments))
  }

  /** The next message or control frame. */
  async next (): Promise<Received> {
    const { opcode, rsv, fin, payload } = await this.raw.frame()
    if (opcode >= 0x8) return { opcode, data: payload }
    if (!fin) throw new Error('the server sent a fragment')
    if ((rsv & ~0x40) !== 0) throw new Error(`RSV bits ${rsv}`)
    const isCompressed = rsv === 0x40
    return { data: isCompressed ? await this.inflater.inflate(payload) : payload, isBinary: opcode === 0x2, isCompressed, wireLength: payload.length }
  }

  async message (): Promise<ReceivedMessage> {
    const next = await this.next()
    if ('opcode' in next) throw new Error(`opcode ${next.opcode} instead of a message: ${next.data.toString('latin1')}`)
    return next
  }

  close (): void {
    this.raw.destroy()
    this.deflater.close()
    this.inflater.close()
  }
}
