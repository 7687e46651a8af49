import { createInterface } from 'node:readline'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

// A server with faults that are known, to be put in place of `fuzz/server.ts`: `ws` finds text that is not UTF-8 only
// when the message is whole, and this one ends when it is told to.

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 64 * 1024, perMessageDeflate: true })
server.on('connection', socket => {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => {
    if (String(data as Buffer) === 'die') throw new Error('told to die')
    socket.send(data as Buffer, { binary: isBinary })
  })
})

const commands: Record<string, () => unknown> = {
  port: () => (server.address() as AddressInfo).port,
  clients: () => server.clients.size,
  state: () => ({ clients: server.clients.size, descriptors: 0, memory: 0 })
}

for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(commands[line]!())}\n`)
}
process.exit()
