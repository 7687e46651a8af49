import { announce, MAX_PAYLOAD, task } from './task.js'

interface Socket {
  send (data: string | Uint8Array, compress: boolean): void
  subscribe (topic: string): void
}

interface Server {
  port: number
  upgrade (request: unknown): boolean
  publish (topic: string, data: string | Uint8Array, compress: boolean): void
}

declare const Bun: { serve (options: object): Server }

// It has no setting of zlib's level, which is 6.
const isCompressing = task.deflate !== 'off'
const contexts = task.takeover ? '256KB' : 'shared'

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch (request: { url: string }) {
    if (request.url.endsWith('/http')) return new Response('ok')
    return server.upgrade(request) ? undefined : new Response('not a WebSocket', { status: 400 })
  },
  websocket: {
    maxPayloadLength: MAX_PAYLOAD,
    backpressureLimit: MAX_PAYLOAD,
    perMessageDeflate: isCompressing && { compress: contexts, decompress: task.takeover ? '32KB' : 'shared' },
    open (socket: Socket) {
      if (task.handler === 'broadcast') socket.subscribe('all')
    },
    // A string for text; bytes for binary.
    message (socket: Socket, data: string | Uint8Array) {
      if (task.handler === 'broadcast') server.publish('all', data, isCompressing)
      else socket.send(data, isCompressing)
    }
  }
})
announce(server.port)
