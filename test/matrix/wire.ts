import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { RawClient, type ReceivedFrame } from '../support/raw-client.js'

/** One direction of a connection: the head of the request or answer, and the frames behind it. */
export interface Direction {
  head: string
  frames: ReceivedFrame[]
}

export interface Conversation {
  path: string
  status: number
  fromClient: Direction
  fromServer: Direction
}

export interface Wire {
  port: number
  /** All connections so far, in their order. */
  read (): Promise<Conversation[]>
  close (): Promise<void>
}

/** Fewer bytes than a head: a connection on which nothing was asked, or that broke off. */
const NOTHING: Direction = { head: '', frames: [] }

async function readDirection (chunks: Buffer[]): Promise<Direction> {
  const stream = new PassThrough()
  const reader = new RawClient(stream)
  stream.end(Buffer.concat(chunks))
  try {
    const { head } = await reader.head()
    const frames: ReceivedFrame[] = []
    // A body of a refusal is no frame.
    const isUpgrade = head.startsWith('GET ') || head.startsWith('HTTP/1.1 101')
    for (;;) {
      const frame = isUpgrade ? await reader.frame().catch(() => null) : null
      if (frame === null) return { head, frames }
      frames.push(frame)
    }
  } catch {
    return NOTHING
  }
}

/** Copies all bytes between clients and the server on `target`, and keeps them: the facts that no API tells. */
export async function startWire (target: number): Promise<Wire> {
  const recorded: { fromClient: Buffer[], fromServer: Buffer[] }[] = []
  const sockets = new Set<Socket>()
  const copy = (from: Socket, to: Socket, chunks: Buffer[]): void => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk: Buffer) => chunks.push(chunk))
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => {
      sockets.delete(from)
      if (!from.readableEnded) to.destroy()
    })
  }
  const server = createServer({ allowHalfOpen: true }, client => {
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const conversation = { fromClient: [], fromServer: [] }
    recorded.push(conversation)
    copy(client, upstream, conversation.fromClient)
    copy(upstream, client, conversation.fromServer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async read () {
      const conversations: Conversation[] = []
      for (const { fromClient, fromServer } of recorded) {
        const [asked, answered] = await Promise.all([readDirection(fromClient), readDirection(fromServer)])
        const path = /^GET (?:[a-z]+:\/\/[^/ ]+)?\/(\S*) /.exec(asked.head)?.[1] ?? ''
        conversations.push({ path, status: Number(answered.head.split(' ')[1] ?? 0), fromClient: asked, fromServer: answered })
      }
      return conversations
    },
    async close () {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
