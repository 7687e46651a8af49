import type { FastifyInstance } from 'fastify'
import { connect as connectTls } from 'node:tls'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { certificate } from './certificate.js'
import { RawClient } from './raw-client.js'

/** The TCP sockets of a server: what must not leak, whatever the client does. */
export class ServerSockets {
  readonly open = new Set<Socket>()
  private waiting: (() => void)[] = []

  constructor (server: FastifyInstance['server']) {
    server.on('connection', (socket: Socket) => {
      // A request that is handed back to the server comes here a second time.
      if (this.open.has(socket)) return
      this.open.add(socket)
      socket.on('close', () => {
        this.open.delete(socket)
        if (this.open.size === 0) for (const resolve of this.waiting.splice(0)) resolve()
      })
    })
  }

  /** Resolves when the server has no socket left. */
  async allClosed (): Promise<void> {
    if (this.open.size > 0) await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  /** The only socket there is. */
  get only (): Socket {
    if (this.open.size !== 1) throw new Error(`${this.open.size} sockets`)
    return [...this.open][0]!
  }
}

export interface Gate {
  /** Resolves when `open` is called. */
  readonly passed: Promise<void>
  open (): void
}

/** Creates a gate that a hook waits for until the test opens it. */
export function gate (): Gate {
  let open!: () => void
  const passed = new Promise<void>(resolve => { open = resolve })
  return { passed, open }
}

/** Lets everything that is ready happen. */
export async function turns (count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}

export async function connectSecure (port: number): Promise<RawClient> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: certificate.cert, servername: 'localhost' })
  await once(socket, 'secureConnect')
  return new RawClient(socket)
}
