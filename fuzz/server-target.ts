import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { constants, inflateRawSync } from 'node:zlib'
import { startHttp2Bridge, type Http2Bridge } from '../test/support/http2-bridge.js'
import { pong, RawClient, text, upgradeRequest } from '../test/support/raw-client.js'
import { predict } from './decoder-target.js'
import { FuzzFailure, type Input } from './input.js'
import { hashOf, Random } from './random.js'
import type { ReferenceEvent } from './reference-decoder.js'
import { CLIENT_WINDOW_BITS, MAX_PAYLOAD } from './server-settings.js'
import type { ServerState } from './server.js'

const SERVER: Program = { file: fileURLToPath(new URL('server.ts', import.meta.url)), loader: ['--import=tsx'] }

/** Milliseconds: only what hangs takes that long. */
const HANG_GUARD = 20_000

/** Bytes that the server may have in use more than at its start, and file descriptors. */
const MEMORY_BOUND = 24 * 1024 * 1024
const DESCRIPTOR_BOUND = 4

/** The server's socket may be full once its answers have at least this many bytes. */
const MUCH = 8 * 1024

/** How a conversation ends, if the server does not end it. */
const ENDINGS = ['fin', 'reset', 'wait'] as const
type Ending = typeof ENDINGS[number]

/** A program, and the arguments of Node that load it. */
interface Program {
  file: string
  loader: string[]
}

/** A server in a process of its own, and honest clients that have to go on getting their echoes. */
export class ServerTarget {
  readonly isHttp2: boolean
  private readonly child: ChildProcess
  private readonly lines: Interface
  private stderr = ''
  private port = 0
  private bridge: Http2Bridge | null = null
  private isStopping = false
  private honest: RawClient[] = []
  private atStart: ServerState | null = null
  private asking: Promise<unknown> = Promise.resolve()
  private onDeath: (error: Error) => void = () => {}
  private readonly death: Promise<never>

  private constructor ({ file, loader }: Program, isHttp2: boolean) {
    this.isHttp2 = isHttp2
    const args = ['--expose-gc', ...loader, file, isHttp2 ? 'http2' : 'http1']
    // A test runner's loaders are not for the server.
    const { NODE_OPTIONS: _, ...env } = process.env
    this.child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
    this.lines = createInterface(this.child.stdout!)
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.stderr = (this.stderr + text).slice(-8192) })
    this.child.stdin!.on('error', () => {})
    this.death = new Promise((_resolve, reject) => { this.onDeath = reject })
    this.death.catch(() => {})
    this.child.on('exit', (code, signal) => {
      if (!this.isStopping) this.onDeath(new Error(`the server ended with ${code ?? signal}: ${this.stderr}`))
    })
  }

  /** @param isHttp2 whether all connections are streams of few sessions */
  static async start (server = SERVER, isHttp2 = false): Promise<ServerTarget> {
    const target = new ServerTarget(server, isHttp2)
    const port = await target.ask<number>('port')
    if (isHttp2) target.bridge = await startHttp2Bridge(port)
    target.port = target.bridge?.port ?? port
    for (const path of ['/plain', '/deflate']) target.honest.push(await RawClient.open(target.port, path))
    // A first round creates everything that is created only once, before memory is measured.
    await target.checkHonest()
    await target.ask<ServerState>('state')
    return target
  }

  async stop (): Promise<void> {
    this.isStopping = true
    for (const client of this.honest) client.destroy()
    this.bridge?.close()
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }

  private async ask<T> (command: string): Promise<T> {
    const answer = this.asking.then(async () => {
      const line = once(this.lines, 'line')
      this.child.stdin!.write(`${command}\n`)
      const [json] = await this.orDeath(line)
      return JSON.parse(json as string) as T
    })
    this.asking = answer.catch(() => {})
    return answer
  }

  private async orDeath<T> (promise: Promise<T>): Promise<T> {
    let guard: NodeJS.Timeout | undefined
    const hangs = new Promise<never>((_resolve, reject) => {
      guard = setTimeout(() => reject(new Error('the server hangs')), HANG_GUARD)
    })
    try {
      return await Promise.race([promise, this.death, hangs])
    } finally {
      clearTimeout(guard)
    }
  }

  /**
   * @param ending by default one that the bytes decide on
   * @throws {FuzzFailure} if the server does not answer what it should, or does not end in time
   */
  async check (input: Input, ending = ENDINGS[hashOf(input.bytes) % ENDINGS.length]!): Promise<void> {
    try {
      await this.orDeath(new Conversation(input, this.port, ending).run())
    } catch (error) {
      // A server that has died answers wrongly too.
      const death = await this.ask('clients').then(() => null, (reason: unknown) => reason)
      const reason = (death ?? error) as Error
      throw reason instanceof FuzzFailure ? reason : new FuzzFailure(reason.message, input, { cause: reason })
    }
  }

  /** With each ending. */
  async checkAll (input: Input): Promise<void> {
    for (const ending of ENDINGS) await this.check(input, ending)
  }

  /** The others have changed nothing: honest clients get their echoes, and the server has forgotten everybody else. */
  async checkHonest (): Promise<void> {
    for (const client of this.honest) {
      const message = `honest ${Math.random()}`
      client.write(text(message))
      let { opcode, payload } = await this.orDeath(client.frame())
      // The client answers the Pings of the heartbeat.
      for (; opcode === 0x9; { opcode, payload } = await this.orDeath(client.frame())) client.write(pong(payload))
      if (payload.toString() !== message) throw new Error(`an honest client got ${JSON.stringify(payload.toString())} for ${JSON.stringify(message)}`)
    }
    const forgotten = async (): Promise<void> => {
      while (await this.ask<number>('clients') > this.honest.length) await nextTurn()
    }
    await this.orDeath(forgotten())
  }

  /** @returns what the server uses, in words */
  async checkMemory (): Promise<string> {
    const state = await this.ask<ServerState>('state')
    // Node and V8 take a while until they have all that they keep for ever.
    const start = this.atStart ??= state
    if (state.memory - start.memory > MEMORY_BOUND) throw new Error(`the server uses ${state.memory} bytes, ${start.memory} at the start`)
    if (state.descriptors - start.descriptors > DESCRIPTOR_BOUND) {
      throw new Error(`the server has ${state.descriptors} file descriptors, ${start.descriptors} at the start`)
    }
    return `${(state.memory / 1024 / 1024).toFixed(1)} MiB, ${state.descriptors} file descriptors`
  }
}

class Conversation {
  private readonly input: Input
  private readonly port: number
  private readonly ending: Ending
  private readonly random: Random
  private received: Buffer[] = []

  constructor (input: Input, port: number, ending: Ending) {
    this.input = input
    this.port = port
    this.ending = ending
    this.random = new Random(hashOf(input.bytes))
  }

  async run (): Promise<void> {
    const { input, random, ending } = this
    const socket = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true })
    let error: Error | null = null
    socket.on('error', thrown => { error = thrown })
    socket.on('data', (chunk: Buffer) => { this.received.push(chunk) })
    const closed = once(socket, 'close').catch(() => once(socket, 'close'))
    const ended = new Promise<void>(resolve => {
      socket.on('end', resolve)
      socket.on('close', () => resolve())
    })
    socket.setNoDelay(true)
    const request = this.request()
    // Sometimes the frames come with the request.
    const isSeparate = request.length > 0 && random.chance(0.7)
    if (isSeparate) {
      socket.write(request)
      await this.until(socket, () => this.bytes().includes('\r\n\r\n'))
      await this.write(socket, input.bytes)
    } else {
      await this.write(socket, Buffer.concat([request, input.bytes]))
    }

    if (ending === 'reset') {
      socket.resetAndDestroy()
      await closed
      return
    }
    const predicted = input.mode === 'http' ? null : await this.predict()
    const closesByItself = predicted?.some(({ type }) => type === 'close' || type === 'error') === true
    if (ending === 'wait' && closesByItself) await ended
    socket.end()
    await closed
    if (predicted === null) this.checkHttp()
    else this.checkFrames(predicted, error !== null)
  }

  private request (): Buffer {
    const { mode } = this.input
    if (mode === 'http') return Buffer.alloc(0)
    const offer = mode === 'deflate' ? 'permessage-deflate; client_max_window_bits' : null
    return Buffer.from(upgradeRequest(`/${mode}`, { 'Sec-WebSocket-Extensions': offer }), 'latin1')
  }

  private async write (socket: Socket, bytes: Buffer): Promise<void> {
    const { random } = this
    const pieces = random.chance(0.5) ? 1 : 1 + random.below(12)
    for (let i = 0, at = 0; i < pieces; i++) {
      const end = i === pieces - 1 ? bytes.length : Math.min(at + random.below(random.chance(0.5) ? 20 : bytes.length + 1), bytes.length)
      if (socket.writable) socket.write(bytes.subarray(at, end))
      at = end
      await nextTurn()
    }
  }

  private async until (socket: Socket, condition: () => boolean): Promise<void> {
    while (!condition() && !socket.destroyed && !socket.readableEnded) {
      await new Promise<void>(resolve => {
        const go = (): void => {
          for (const event of ['data', 'end', 'close']) socket.off(event, go)
          resolve()
        }
        for (const event of ['data', 'end', 'close']) socket.on(event, go)
      })
    }
  }

  private bytes (): Buffer {
    if (this.received.length > 1) this.received = [Buffer.concat(this.received)]
    return this.received[0] ?? Buffer.alloc(0)
  }

  private async predict (): Promise<ReferenceEvent[]> {
    const isCompressionAgreed = this.input.mode === 'deflate'
    return predict(this.input.bytes, { role: 'server', maxPayload: MAX_PAYLOAD, isCompressionAgreed }, CLIENT_WINDOW_BITS)
  }

  /** Whoever gets a 101 has asked for it. */
  private checkHttp (): void {
    const answer = this.bytes().toString('latin1')
    if (answer !== '' && !answer.startsWith('HTTP/1.1 ')) throw this.failure(`answered ${JSON.stringify(answer.slice(0, 100))}`)
    for (const [, accept] of answer.matchAll(/Sec-WebSocket-Accept: (\S+)/gi)) {
      const keys = [...this.input.bytes.toString('latin1').matchAll(/Sec-WebSocket-Key\s*:[ \t]*([^\r\n]*?)[ \t]*\r?\n/gi)].map(([, key]) => key!)
      const answers = keys.map(key => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64'))
      if (!answers.includes(accept!)) throw this.failure(`accepted with ${accept} what has the keys ${JSON.stringify(keys)}`)
    }
  }

  /** @param isBroken whether the connection broke off, which may have cost the end of what was answered */
  private checkFrames (predicted: readonly ReferenceEvent[], isBroken: boolean): void {
    const answer = this.bytes()
    const head = answer.indexOf('\r\n\r\n')
    if (!answer.subarray(0, 13).equals(Buffer.from('HTTP/1.1 101 '))) throw this.failure(`refused: ${JSON.stringify(answer.subarray(0, 100).toString('latin1'))}`)
    const answered = this.parse(answer.subarray(head + 4))
    const expected: string[] = []
    const pings = new Set<string>()
    // RFC 6455 §5.5.3: not each Ping needs an answer, if there is much else to send.
    const bytes = predicted.reduce((sum, event) => sum + ('data' in event ? event.data.length : 0), 0)
    const isShort = bytes < MUCH
    for (const event of predicted) {
      if (event.type === 'ping') {
        const pong = `pong ${event.data.toString('latin1')}`
        if (isShort) expected.push(pong)
        else pings.add(pong)
      } else if (event.type === 'message') {
        expected.push(`${event.isBinary ? 'binary' : 'text'} ${event.data.toString('latin1')}`)
      } else if (event.type === 'close' || event.type === 'error') {
        expected.push(`close ${event.type === 'error' ? event.closeCode : event.code === 1005 ? '' : event.code}`)
        break
      }
    }
    const messages = isShort ? answered : answered.filter(frame => !frame.startsWith('pong '))
    const wrongPong = isShort ? undefined : answered.find(frame => frame.startsWith('pong ') && !pings.has(frame))
    if (wrongPong !== undefined) throw this.failure(`${JSON.stringify(wrongPong)} to a Ping that was not`)
    for (let i = 0; i < Math.max(messages.length, isBroken ? 0 : expected.length); i++) {
      if (messages[i] !== expected[i]) throw this.failure(`answer ${i} is ${brief(messages[i])} and not ${brief(expected[i])}`)
    }
  }

  private parse (bytes: Buffer): string[] {
    const answered: string[] = []
    let window = Buffer.alloc(0)
    for (let at = 0; at < bytes.length;) {
      const first = bytes[at]!
      const second = bytes[at + 1]!
      if (answered.at(-1)?.startsWith('close') === true) throw this.failure('something comes behind the Close frame')
      if ((first & 0xb0) !== 0x80 || second === undefined || second > 127) throw this.failure(`a frame begins with ${bytes.subarray(at, at + 2).toString('hex')}`)
      const lengthBytes = second === 126 ? 2 : second === 127 ? 8 : 0
      const length = lengthBytes === 0 ? second : Number(`0x${bytes.toString('hex', at + 2, at + 2 + lengthBytes)}`)
      const start = at + 2 + lengthBytes
      let payload = bytes.subarray(start, start + length)
      if (payload.length < length) break
      const opcode = first & 0xf
      if ((first & 0x40) !== 0) {
        if (this.input.mode !== 'deflate' || opcode > 2) throw this.failure('a frame is compressed that must not be')
        payload = inflateRawSync(Buffer.concat([payload, Buffer.of(0, 0, 0xff, 0xff)]), {
          finishFlush: constants.Z_SYNC_FLUSH,
          ...(window.length > 0 ? { dictionary: window } : {})
        })
        window = Buffer.concat([window, payload]).subarray(-32768)
      }
      if (opcode === 1 || opcode === 2) answered.push(`${opcode === 1 ? 'text' : 'binary'} ${payload.toString('latin1')}`)
      else if (opcode === 8) answered.push(`close ${payload.length === 0 ? '' : payload.readUInt16BE(0)}`)
      else if (opcode === 10) answered.push(`pong ${payload.toString('latin1')}`)
      else throw this.failure(`a frame has opcode ${opcode}`)
      at = start + length
    }
    return answered
  }

  private failure (message: string): FuzzFailure {
    return new FuzzFailure(message, this.input)
  }
}

function brief (answer: string | undefined): string {
  return answer === undefined ? 'missing' : JSON.stringify(answer.length > 80 ? `${answer.slice(0, 80)}… (${answer.length})` : answer)
}
