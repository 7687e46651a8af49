import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { createInterface } from 'node:readline'
import { getDefaultHighWaterMark } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { WebSocketPluginOptions } from '../../../lib/index.js'
import { startProgram } from '../../support/child-process.js'
import { pong, RawClient, text, upgradeRequest } from '../../support/raw-client.js'
import { connectHttp2, extendedConnect, openHttp2 } from '../../support/http2-client.js'
import { connectSecure } from '../../support/server-sockets.js'
import type { Transport, Usage } from './flood-server.js'

export const KiB = 1024
export const MiB = 1024 * KiB

/** Milliseconds until an honest client has to have its echo, whatever others do. Far more than it takes on any machine. */
const ECHO_BOUND = 10_000

/** Milliseconds between two messages of the honest client. */
const PACE = 5

type Command = 'port' | 'usage' | 'read' | 'forgotten' | 'queued' | 'broadcast' | 'release'

/** A server in a process of its own, and an honest client that expects its echo all the time. */
export class FloodServer {
  readonly port: number
  private readonly t: Test
  readonly transport: Transport
  private readonly ask: (command: Command) => Promise<unknown>
  private honest!: RawClient
  private longest = 0
  private echoes = 0
  private lastEcho = Promise.resolve()

  private constructor (t: Test, transport: Transport, port: number, ask: (command: Command) => Promise<unknown>) {
    this.t = t
    this.transport = transport
    this.port = port
    this.ask = ask
  }

  static async start (t: Test, options: WebSocketPluginOptions = {}, transport: Transport = 'tcp'): Promise<FloodServer> {
    const file = fileURLToPath(new URL('flood-server.ts', import.meta.url))
    // Without the loaders of the test runner, whose source maps would be measured too.
    const { NODE_OPTIONS: _, ...env } = process.env
    const child = startProgram(t, process.execPath, ['--import=tsx', '--expose-gc', file, JSON.stringify(options), transport], { env })
    const lines = createInterface(child.stdout!)
    let last: Promise<unknown> = Promise.resolve()
    const ask = (command: Command): Promise<unknown> => {
      last = last.then(async () => {
        const answer = once(lines, 'line')
        child.stdin!.write(`${command}\n`)
        return JSON.parse((await answer)[0] as string) as unknown
      })
      return last
    }
    const server = new FloodServer(t, transport, await ask('port') as number, ask)
    server.honest = await server.open('/')
    t.teardown(() => server.honest.destroy())
    await server.echo()
    return server
  }

  /** Opens a connection of WebSocket, on a connection of TCP of its own. */
  async open (path: string, headers: Record<string, string> = {}): Promise<RawClient> {
    if (this.transport === 'http2') return ownSession(await openHttp2(await this.session(), path, headers))
    const client = await this.connect()
    await client.upgrade(path, headers)
    return client
  }

  /** Begins a handshake. */
  async begin (path: string, headers: Record<string, string> = {}): Promise<RawClient> {
    if (this.transport === 'http2') return ownSession(new RawClient(extendedConnect(await this.session(), path, headers)))
    const client = await this.connect()
    client.write(upgradeRequest(path, headers))
    return client
  }

  private async connect (): Promise<RawClient> {
    return this.transport === 'tls' ? connectSecure(this.port) : RawClient.connect(this.port)
  }

  private async session (): Promise<ClientHttp2Session> {
    return connectHttp2(this.t, `http://127.0.0.1:${this.port}`)
  }

  /** Sends a message for the honest client, and waits for its echo. */
  echo (): Promise<void> {
    const echo = this.lastEcho.then(() => this.echoOnce())
    this.lastEcho = echo
    return echo
  }

  private async echoOnce (): Promise<void> {
    const message = `honest ${this.echoes++}`
    const before = performance.now()
    const guard = setTimeout(() => {
      this.t.fail(`an honest client has no echo after ${ECHO_BOUND} ms`)
      this.honest.destroy()
    }, ECHO_BOUND)
    this.honest.write(text(message))
    let { opcode, payload } = await this.honest.frame()
    // An honest client answers pings.
    for (; opcode === 0x9; { opcode, payload } = await this.honest.frame()) this.honest.write(pong(payload))
    clearTimeout(guard)
    if (payload.toString() !== message) throw new Error(`an honest client got ${payload.toString()} for ${message}`)
    this.longest = Math.max(this.longest, performance.now() - before)
  }

  /** Does something bad while the honest client gets one echo after the other. */
  async during (flood: () => Promise<unknown>): Promise<void> {
    const over = new AbortController()
    const { echoes } = this
    this.longest = 0
    const flooding = flood().finally(() => over.abort())
    const echoing = (async () => {
      do {
        await this.echo()
        // The machine is for the flood.
        await sleep(PACE)
      } while (!over.signal.aborted)
    })()
    await Promise.all([flooding, echoing])
    this.t.comment(`${this.echoes - echoes} echoes meanwhile, the slowest after ${Math.ceil(this.longest)} ms`)
  }

  async usage (): Promise<Usage> {
    return await this.ask('usage') as Usage
  }

  /** Whether no file descriptors are left that were not there before. Node's own come and go, for files that it reads. */
  async hasNoMoreDescriptors (before: Usage): Promise<boolean> {
    for (let i = 0; i < 50; i++) {
      if ((await this.usage()).descriptors <= before.descriptors) return true
      await sleep(PACE)
    }
    return false
  }

  /** How many connections have more than 64 KiB queued. */
  async queued (): Promise<number> {
    return await this.ask('queued') as number
  }

  /** Lets handlers that are waiting go on, so that those who have left are noticed. */
  async release (): Promise<void> {
    await this.ask('release')
  }

  /** Sends 10,000 broadcasts to all connections of `/pushes`, one after the other. */
  async broadcast (): Promise<void> {
    await this.ask('broadcast')
  }

  /** Resolves when the server has read all that it will: all there is, or until it reads no more. */
  async settled (): Promise<void> {
    let before = -1
    for (let unchanged = 0; unchanged < 8;) {
      await this.echo()
      const now = await this.ask('read') as number
      unchanged = now === before ? unchanged + 1 : 0
      before = now
    }
  }

  /** Resolves when the server has forgotten everybody but the honest client, with their sockets. */
  async forgotten (): Promise<void> {
    const clients = await this.ask('forgotten')
    if (clients !== 1) throw new Error(`${clients} clients on one socket`)
  }
}

/** A client whose session ends with its stream. */
function ownSession (client: RawClient): RawClient {
  const { session } = client.socket as ClientHttp2Stream
  client.socket.once('close', () => session!.destroy())
  return client
}

/** What a flood is. */
export interface Flood {
  connections: number
  path?: string
  headers?: Record<string, string>
  /** What each does before, one after the other. */
  prepare? (client: RawClient): Promise<unknown>
  /** What each connection does. */
  flood (client: RawClient): Promise<unknown> | void
  /** What happens behind all that. */
  during? (): Promise<unknown>
  /** Bytes that each may cost, beside what an idle connection does. */
  bound: number
  /** What is expected of each afterwards. */
  after? (client: RawClient): Promise<unknown> | void
}

/**
 * What an idle connection costs: Node's socket and ours; and what a socket takes before it says that it is full, each way:
 * four times as much in newer versions of Node.
 */
const IDLE = 16 * KiB + 2 * (getDefaultHighWaterMark(false) - 16 * KiB)

/** What a session of HTTP/2 costs beside, what its stream has read before it says that it is full, and what it has been given to send. */
const SESSION = 192 * KiB

/** What all of them together may cost: buffers that all connections share. */
const SHARED = 256 * KiB

/** What may be left of all of them: caches, code, and statistics of V8. */
export const LEFT = 2 * MiB

/** Runs a flood on connections, and checks what it costs while it lasts, what it leaves, and that an honest client notices nothing. */
export async function runFlood (t: Test, server: FloodServer, flood: Flood): Promise<void> {
  const { path = '/', headers = {} } = flood
  return run(t, server, flood, () => server.open(path, headers))
}

/** The same with what is not yet a connection: each begins with nothing sent. */
export async function runHandshakes (t: Test, server: FloodServer, flood: Omit<Flood, 'path' | 'headers'>): Promise<void> {
  return run(t, server, flood, () => RawClient.connect(server.port))
}

/** The same with handshakes that are begun. */
export async function runPendingHandshakes (t: Test, server: FloodServer, flood: Flood): Promise<void> {
  const { path = '/', headers = {} } = flood
  return run(t, server, flood, () => server.begin(path, headers))
}

async function run (t: Test, server: FloodServer, { connections, prepare, flood, during, bound, after }: Flood, connect: () => Promise<RawClient>): Promise<void> {
  const open = async (count: number): Promise<RawClient[]> => Promise.all(Array.from({ length: count }, connect))
  // What is made once, with the first of its kind, is made by one that is not counted.
  const [first] = await open(1)
  await prepare?.(first!)
  await flood(first!)
  await server.settled()
  first!.destroy()
  await server.release()
  await server.forgotten()

  const before = await server.usage()
  const clients = await open(connections)
  await server.during(async () => {
    for (const client of clients) await prepare?.(client)
    await Promise.all(clients.map(flood))
    await during?.()
    await server.settled()
  })
  const each = ((await server.usage()).memory - before.memory - SHARED) / connections
  const most = IDLE + bound + (server.transport === 'http2' ? SESSION : 0)
  t.ok(each < most, `each costs ${Math.round(each)} bytes, less than ${most}`)
  if (after !== undefined) await server.during(() => Promise.all(clients.map(after)))
  for (const client of clients) client.destroy()
  await server.release()
  await server.during(() => server.forgotten())
  const left = await server.usage()
  t.ok(left.memory - before.memory < LEFT, `${left.memory - before.memory} bytes are left`)
  t.ok(await server.hasNoMoreDescriptors(before), `there were ${before.descriptors} file descriptors before`)
}

/** Writes as fast as the socket takes it, and lets others have their turn. */
export async function pour (client: RawClient, bytes: Buffer): Promise<void> {
  const PIECE = 64 * KiB
  for (let at = 0; at < bytes.length && !client.socket.destroyed; at += PIECE) {
    if (!client.write(bytes.subarray(at, at + PIECE))) await Promise.race([once(client.socket, 'drain').catch(() => {}), client.closed])
    await nextTurn()
  }
}

/** Writes piece by piece, each in a segment of its own. */
export async function drip (client: RawClient, bytes: Buffer, size: number): Promise<void> {
  await client.writeSliced(bytes, size)
}

const counts = new WeakMap<RawClient, number>()

/** From now on only counts what comes, for what is too much to be kept. */
export function countReceived (client: RawClient): void {
  client.socket.removeAllListeners('data')
  counts.set(client, 0)
  client.socket.on('data', (chunk: Buffer) => { counts.set(client, counts.get(client)! + chunk.length) })
}

/** Bytes. */
export function received (client: RawClient): number {
  return counts.get(client)!
}
