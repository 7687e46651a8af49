// The floor, without this package and without Socket.IO: ioredis, and a loop that writes one frame to sockets of node:net. There
// is no real handshake, no limit and no guarantee. Everything that a server takes above it is its own.
import { Redis } from 'ioredis'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { announce, task } from './task.js'

let received = 0

const client = new Redis(task.redis)
const subscriber = client.duplicate()
const topics = new Map<string, Set<Socket>>()

/** Unmasked text of 126 to 65,535 bytes (RFC 6455 §5.2). */
function frame (payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(4 + payload.length)
  bytes[0] = 0x81
  bytes[1] = 126
  bytes.writeUInt16BE(payload.length, 2)
  bytes.set(payload, 4)
  return bytes
}

subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
  received++
  const bytes = frame(message)
  for (const socket of topics.get(channel.toString()) ?? []) socket.write(bytes)
})

async function join (topic: string, socket: Socket): Promise<void> {
  let sockets = topics.get(topic)
  if (sockets === undefined) {
    topics.set(topic, sockets = new Set())
    await subscriber.subscribe(topic)
  }
  sockets.add(socket)
  socket.on('close', () => { sockets.delete(socket) })
}

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {})
  socket.once('data', head => {
    const topic = /^GET \S*[?&]topic=([^ &]+)/.exec(head.toString('latin1'))?.[1]
    const joined = topic === undefined ? Promise.resolve() : join(decodeURIComponent(topic), socket)
    joined.then(() => { socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n') }, error => { socket.destroy(error as Error) })
  })
})
await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })

announce({
  port: (server.address() as AddressInfo).port,
  publish: (topic, message) => client.publish(topic, JSON.stringify(message)),
  received: () => received
})
