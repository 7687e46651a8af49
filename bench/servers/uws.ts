import { createRequire } from 'node:module'
import { announce, MAX_PAYLOAD, task } from './task.js'

interface Socket {
  send (data: ArrayBuffer, isBinary: boolean, compress: boolean): void
  subscribe (topic: string): void
}

interface App {
  ws (pattern: string, behaviour: object): App
  get (pattern: string, handler: (response: { end (body: string): void }) => void): App
  listen (host: string, port: number, callback: (socket: object | false) => void): App
  publish (topic: string, data: ArrayBuffer, isBinary: boolean, compress: boolean): void
}

interface MicroWebSockets {
  App (): App
  us_socket_local_port (socket: object): number
  DISABLED: number
  SHARED_COMPRESSOR: number
  SHARED_DECOMPRESSOR: number
  DEDICATED_COMPRESSOR_256KB: number
  DEDICATED_DECOMPRESSOR: number
}

// The binary itself: where there is none for this Node, the package would put something slow in its place.
const uws = createRequire(import.meta.url)(
  `@trufflesuite/uws-js-unofficial/binaries/uws_${process.platform}_${process.arch}_${process.versions.modules}.node`
) as MicroWebSockets

// zlib's level cannot be set: with takeover it is lower than the others', as the bytes of its messages show.
const isCompressing = task.deflate !== 'off'
const compression = !isCompressing
  ? uws.DISABLED
  : task.takeover ? uws.DEDICATED_COMPRESSOR_256KB | uws.DEDICATED_DECOMPRESSOR : uws.SHARED_COMPRESSOR | uws.SHARED_DECOMPRESSOR

const app = uws.App()
app.ws('/', {
  maxPayloadLength: MAX_PAYLOAD,
  maxBackpressure: MAX_PAYLOAD,
  compression,
  open (socket: Socket) {
    if (task.handler === 'broadcast') socket.subscribe('all')
  },
  message (socket: Socket, data: ArrayBuffer, isBinary: boolean) {
    if (task.handler === 'broadcast') app.publish('all', data, isBinary, isCompressing)
    else socket.send(data, isBinary, isCompressing)
  }
})
app.get('/http', response => response.end('ok'))
app.listen('127.0.0.1', 0, socket => announce(uws.us_socket_local_port(socket as object)))
