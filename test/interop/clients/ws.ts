import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { WebSocket, type ClientOptions } from 'ws'
import { Inbox, Refused, type Client, type OpenClient, type OpenOptions } from './client.js'

/** The client of `ws`. */
export const wsClient: Client = {
  name: 'ws',
  canPing: true,
  isLikeBrowsers: false,
  canCloseWithoutCode: true,
  readsRefusals: true,

  async open (url: string, options: OpenOptions = {}): Promise<OpenClient> {
    const clientOptions: ClientOptions = { maxPayload: 64 * 1024 * 1024 }
    if (options.headers !== undefined) clientOptions.headers = options.headers
    if (options.ca !== undefined) clientOptions.ca = options.ca.cert
    const target = options.socketPath === undefined ? url : `ws+unix:${options.socketPath}:${new URL(url).pathname}${new URL(url).search}`
    const socket = new WebSocket(target, options.protocols ?? [], clientOptions)
    const inbox = new Inbox()
    socket.on('message', (data: Buffer, isBinary) => inbox.push(isBinary ? data : data.toString()))
    socket.on('close', (code, reason) => inbox.end(code, reason.toString()))
    await new Promise<void>((resolve, reject) => {
      socket.on('open', resolve)
      socket.on('error', reject)
      socket.on('unexpected-response', (_, response: IncomingMessage) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => { body += chunk })
        response.on('end', () => reject(new Refused(response.statusCode!, body)))
        response.on('error', reject)
      })
    })
    return {
      protocol: socket.protocol,
      send: data => socket.send(data),
      next: () => inbox.next(),
      close: (code, reason) => socket.close(code, reason),
      closed: inbox.closed,
      async ping (data) {
        socket.ping(data)
        const [payload] = await once(socket, 'pong') as [Buffer]
        return payload.toString()
      }
    }
  }
}
