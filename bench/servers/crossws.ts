import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { announce, MAX_PAYLOAD, perMessageDeflate, task } from './task.js'

// Its types are there only where it is installed.
interface Peer {
  send (data: unknown): void
  subscribe (topic: string): void
}

interface Adapter {
  handleUpgrade: Parameters<Server['on']>[1]
  publish (topic: string, data: unknown): void
}

const { default: crossws } = await import('crossws/adapters/node' as string) as { default: (options: object) => Adapter }

const adapter = crossws({
  serverOptions: { maxPayload: MAX_PAYLOAD, perMessageDeflate },
  hooks: {
    open (peer: Peer) {
      if (task.handler === 'broadcast') peer.subscribe('all')
    },
    // A string for text; bytes for binary.
    message (peer: Peer, { rawData }: { rawData: unknown }) {
      if (task.handler === 'broadcast') adapter.publish('all', rawData)
      else peer.send(rawData)
    }
  }
})
const server = createServer((_request, response) => response.end('ok'))
server.on('upgrade', adapter.handleUpgrade)
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
