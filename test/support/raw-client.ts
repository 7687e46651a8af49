import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** The key of RFC 6455 §1.3, and what it is answered with. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

export interface FrameOptions {
  /** Default `true`. */
  fin?: boolean
  /** RSV bits, as they stand in the first byte: 0x40, 0x20, 0x10. */
  rsv?: number
  /** Default `0x12345678`; `null` sends an unmasked frame. */
  mask?: number | null
  /** The length that the header announces, if not that of the payload. */
  announce?: number | bigint
  /** Bytes of the length field (0, 2, 8), if not the shortest form. */
  lengthBytes?: 0 | 2 | 8
}

/** A frame as a client sends it, written from the RFC and not with the code under test. */
export function frame (opcode: number, payload: string | Uint8Array = '', options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, mask = 0x12345678 } = options
  const content = typeof payload === 'string' ? Buffer.from(payload) : payload
  const length = options.announce ?? content.length
  const lengthBytes = options.lengthBytes ?? (length < 126 ? 0 : length < 65536 ? 2 : 8)
  const start = 2 + lengthBytes + (mask === null ? 0 : 4)
  const bytes = Buffer.alloc(start + content.length)
  bytes[0] = (fin ? 0x80 : 0) | rsv | opcode
  bytes[1] = (mask === null ? 0 : 0x80) | (lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) bytes.writeUInt16BE(Number(length), 2)
  if (lengthBytes === 8) bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(length)), 2)
  bytes.set(content, start)
  if (mask !== null) {
    bytes.writeUInt32BE(mask, start - 4)
    // Octet i with octet i modulo 4 of the key (RFC 6455 §5.3).
    for (let i = 0; i < content.length; i++) bytes[start + i]! ^= mask >>> (24 - 8 * (i & 3))
  }
  return bytes
}

export const text = (payload: string | Uint8Array, options?: FrameOptions): Buffer => frame(0x1, payload, options)
export const binary = (payload: string | Uint8Array, options?: FrameOptions): Buffer => frame(0x2, payload, options)
export const continuation = (payload: string | Uint8Array, options?: FrameOptions): Buffer => frame(0x0, payload, options)
export const ping = (payload: string | Uint8Array = '', options?: FrameOptions): Buffer => frame(0x9, payload, options)
export const pong = (payload: string | Uint8Array = '', options?: FrameOptions): Buffer => frame(0xa, payload, options)

/** A Close frame; without a code its payload is empty. */
export function close (code?: number, reason: string | Uint8Array = '', options?: FrameOptions): Buffer {
  if (code === undefined) return frame(0x8, '', options)
  const payload = Buffer.alloc(2)
  payload.writeUInt16BE(code)
  return frame(0x8, Buffer.concat([payload, Buffer.from(reason as string)]), options)
}

/** The exact bytes of a frame from the server: unmasked, no RSV bit, the length in its shortest form. */
export function serverFrame (opcode: number, payload: string | Uint8Array): Buffer {
  return frame(opcode, payload, { mask: null })
}

/** A frame that the server sent. */
export interface ReceivedFrame {
  fin: boolean
  rsv: number
  opcode: number
  masked: boolean
  payload: Buffer
}

/** The head of a response, and what came behind it as its body (all bytes until the end). */
export interface RawResponse {
  head: string
  status: number
  headers: Record<string, string>
  body: string
}

export function parseHead (head: string): Omit<RawResponse, 'body'> {
  const lines = head.split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { head, status: Number(lines[0]!.split(' ')[1]), headers }
}

/** The text of a valid upgrade request. `headers` are added, or replace those of the same name; `null` leaves one out. */
export function upgradeRequest (path = '/', headers: Record<string, string | null> = {}, requestLine?: string): string {
  const all: Record<string, string | null> = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...headers
  }
  const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${requestLine ?? `GET ${path} HTTP/1.1`}\r\n${lines.join('')}\r\n`
}

/** A client of bytes: knows HTTP and frames just enough to tell what came. */
export class RawClient {
  readonly socket: Duplex
  /** Resolves when the server's FIN came; `false`: the socket was reset. */
  readonly ended: Promise<boolean>
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>
  error: Error | null = null
  private chunks: Buffer[] = []
  private receivedLength = 0
  /** Fewer bytes are not what is waited for. */
  private wanted = 0
  private wake: () => void = () => {}
  private isOver = false

  constructor (socket: Duplex) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk)
      this.receivedLength += chunk.length
      if (this.receivedLength >= this.wanted) this.wake()
    })
    this.ended = new Promise(resolve => {
      const over = (isClean: boolean): void => {
        this.isOver = true
        resolve(isClean)
        this.wake()
      }
      socket.on('end', () => over(true))
      socket.on('error', error => { this.error = error })
      socket.on('close', () => over(false))
    })
    this.closed = new Promise(resolve => socket.on('close', () => resolve()))
  }

  /** The bytes that were received and not yet taken. */
  get received (): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]!
  }

  /** A TCP connection on which nothing was sent yet. */
  static async connect (port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket: Socket = connectTcp({ port, host, allowHalfOpen: true })
    socket.setNoDelay(true)
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** A connection whose handshake is done. Throws if the answer is not a 101. */
  static async open (port: number, path = '/', headers: Record<string, string | null> = {}, behind: Uint8Array = Buffer.alloc(0)): Promise<RawClient> {
    const client = await RawClient.connect(port)
    await client.upgrade(path, headers, behind)
    return client
  }

  /** Does the handshake. Throws if the answer is not a 101. */
  async upgrade (path = '/', headers: Record<string, string | null> = {}, behind: Uint8Array = Buffer.alloc(0)): Promise<void> {
    this.write(Buffer.concat([Buffer.from(upgradeRequest(path, headers), 'latin1'), behind]))
    const response = await this.head()
    if (response.status !== 101) throw new Error(`not upgraded:\n${response.head}`)
  }

  write (bytes: string | Uint8Array): boolean {
    return this.socket.write(bytes)
  }

  /** Writes piece by piece, each in its own segment as far as the kernel has it so. */
  async writeSliced (bytes: Buffer, size: number): Promise<void> {
    for (let i = 0; i < bytes.length; i += size) {
      this.socket.write(bytes.subarray(i, i + size))
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** The head of the next response: all up to the empty line. */
  async head (): Promise<Omit<RawResponse, 'body'>> {
    const end = await this.until(() => {
      const index = this.received.indexOf('\r\n\r\n')
      return index === -1 ? undefined : index
    })
    return parseHead(this.take(end + 4).subarray(0, end).toString('latin1'))
  }

  /** A whole response whose end is the end of the connection or given by its `Content-Length`. */
  async response (): Promise<RawResponse> {
    const head = await this.head()
    const length = head.headers['content-length']
    if (length !== undefined) return { ...head, body: (await this.bytes(Number(length))).toString() }
    await this.ended
    return { ...head, body: this.take(this.received.length).toString() }
  }

  /** The next `length` bytes. */
  async bytes (length: number): Promise<Buffer> {
    return await this.until(() => this.takeIfThere(length))
  }

  /** The next frame. Throws if the connection ends before. */
  async frame (): Promise<ReceivedFrame> {
    return await this.until(() => this.takeFrame())
  }

  private takeFrame (): ReceivedFrame | undefined {
    const { received } = this
    if (received.length < 2) return undefined
    const masked = (received[1]! & 0x80) !== 0
    const length7 = received[1]! & 0x7f
    const lengthBytes = length7 === 126 ? 2 : length7 === 127 ? 8 : 0
    if (received.length < 2 + lengthBytes) return undefined
    const length = lengthBytes === 0 ? length7 : lengthBytes === 2 ? received.readUInt16BE(2) : Number(received.readBigUInt64BE(2))
    const frameBytes = this.takeIfThere(2 + lengthBytes + (masked ? 4 : 0) + length)
    return frameBytes && {
      fin: (frameBytes[0]! & 0x80) !== 0,
      rsv: frameBytes[0]! & 0x70,
      opcode: frameBytes[0]! & 0x0f,
      masked,
      payload: frameBytes.subarray(frameBytes.length - length)
    }
  }

  /** The next frame, which has to be a Close frame: its code, 1005 for none, and its reason. */
  async closeFrame (): Promise<{ code: number, reason: string }> {
    const { opcode, payload } = await this.frame()
    if (opcode !== 0x8) throw new Error(`opcode ${opcode} instead of a Close frame: ${payload.toString('latin1')}`)
    return payload.length === 0 ? { code: 1005, reason: '' } : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
  }

  end (): void {
    this.socket.end()
  }

  destroy (): void {
    this.socket.destroy()
  }

  private takeIfThere (length: number): Buffer | undefined {
    if (this.receivedLength >= length) return this.take(length)
    this.wanted = length
    return undefined
  }

  private take (length: number): Buffer {
    const { received } = this
    this.chunks = received.length > length ? [received.subarray(length)] : []
    this.receivedLength = Math.max(0, received.length - length)
    return received.subarray(0, length)
  }

  private async until<T> (condition: () => T | undefined): Promise<T> {
    for (;;) {
      this.wanted = 0
      const value = condition()
      if (value !== undefined) return value
      if (this.isOver) {
        const left = this.received.subarray(0, 200).toString('latin1')
        throw new Error(`the connection ended${this.error === null ? '' : ` (${this.error.message})`} with ${JSON.stringify(left)} unread`)
      }
      await new Promise<void>(resolve => { this.wake = resolve })
    }
  }
}
