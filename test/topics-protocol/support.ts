import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { InjectWSContext, InjectedWebSocket, WebSocketPluginOptions } from '../../lib/index.js'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import { startApp, type Teardown, type TestApp } from '../support/app.js'

/** A message of the server; each test looks at the members that it expects. */
export type Message = Record<string, unknown>

/** A client that sends and gets single messages of the protocol. */
export class ProtocolClient {
  readonly socket: InjectedWebSocket
  /** All messages but beats that nobody has asked for yet. */
  readonly got: Message[] = []
  readonly closed: Promise<{ code: number, reason: string }>
  beats = 0
  private wake: () => void = () => {}

  private constructor (socket: InjectedWebSocket) {
    this.socket = socket
    this.closed = socket.closed
    socket.on('message', data => {
      const message = JSON.parse(String(data)) as Message
      if (Object.keys(message).length === 0) this.beats++
      else this.got.push(message)
      this.wake()
    })
    socket.on('close', () => this.wake())
  }

  /** Connects, and reads `hello`. */
  static async open (t: Teardown, app: FastifyInstance, path = '/live', context: InjectWSContext = { protocols: ['topics.v1'] }): Promise<ProtocolClient> {
    let client: ProtocolClient
    const socket = await app.injectWS(path, context, { onInit: socket => { client = new ProtocolClient(socket) } })
    t.teardown(() => socket.terminate())
    const hello = await client!.next()
    if (!('hello' in hello)) throw new Error(`the first message was ${JSON.stringify(hello)}`)
    return client!
  }

  send (message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  async next (): Promise<Message> {
    while (this.got.length === 0) {
      if (this.socket.readyState === this.socket.CLOSED) throw new Error('closed before the message came')
      await new Promise<void>(resolve => { this.wake = resolve })
    }
    return this.got.shift()!
  }

  async take (count: number): Promise<Message[]> {
    const messages: Message[] = []
    while (messages.length < count) messages.push(await this.next())
    return messages
  }

  async beat (): Promise<void> {
    const before = this.beats
    while (this.beats === before) await new Promise<void>(resolve => { this.wake = resolve })
  }

  /** Sends, and reads the answer. */
  async ask (message: unknown): Promise<Message> {
    this.send(message)
    return await this.next()
  }

  /** Everything that was sent here has arrived: the answer to a Ping comes behind it. @returns all that came */
  async settle (): Promise<Message[]> {
    this.socket.ping()
    await once(this.socket, 'pong')
    return this.got.splice(0)
  }
}

/** Apps that share nothing but a broker, as processes do. */
export async function startProcesses (
  t: Teardown, count: number, configure: (app: FastifyInstance) => unknown, options: WebSocketPluginOptions = {}
): Promise<{ bus: MemoryBus, processes: TestApp[] }> {
  const bus = new MemoryBus()
  const processes = await Promise.all(Array.from({ length: count }, () => startApp(t, configure, { ...options, broker: new MemoryBroker(bus) })))
  return { bus, processes }
}
