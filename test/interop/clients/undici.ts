import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent, ping, WebSocket } from 'undici'
import { Inbox, Refused, type Client, type OpenClient, type OpenOptions } from './client.js'

type WebSocketClass = typeof WebSocket

const PONG = 'undici:websocket:pong'

async function pingAndWait (socket: WebSocket, data: string): Promise<string> {
  return new Promise(resolve => {
    const onPong = (message: unknown): void => {
      const { payload, websocket } = message as { payload: Uint8Array, websocket: WebSocket }
      if (websocket !== socket) return
      unsubscribe(PONG, onPong)
      resolve(Buffer.from(payload).toString())
    }
    subscribe(PONG, onPong)
    ping(socket, Buffer.from(data))
  })
}

/** The client of a class with the interface of browsers. */
function createClient (name: string, Class: WebSocketClass, isUndici: boolean, allowH2 = false): Client {
  return {
    name,
    canPing: isUndici,
    isLikeBrowsers: true,
    canCloseWithoutCode: true,
    readsRefusals: false,
    ...(allowH2 ? { missesRefusals: 'undici waits for ever for an extended CONNECT that is refused' } : {}),

    async open (url: string, options: OpenOptions = {}): Promise<OpenClient> {
      const connect = {
        ...(options.ca === undefined ? {} : { ca: options.ca.cert }),
        ...(options.socketPath === undefined ? {} : { socketPath: options.socketPath })
      }
      const agent = isUndici ? new Agent({ connect, allowH2 }) : null
      const socket = new Class(url, {
        protocols: options.protocols ?? [],
        ...(options.headers === undefined ? {} : { headers: options.headers }),
        ...(agent === null ? {} : { dispatcher: agent })
      })
      socket.binaryType = 'arraybuffer'
      const inbox = new Inbox()
      const release = (): void => { agent?.destroy().catch(() => {}) }
      socket.addEventListener('message', ({ data }: { data: string | ArrayBuffer }) => {
        inbox.push(typeof data === 'string' ? data : Buffer.from(data))
      })
      socket.addEventListener('close', ({ code, reason }) => {
        inbox.end(code, reason)
        release()
      })
      await new Promise<void>((resolve, reject) => {
        socket.addEventListener('open', () => resolve())
        // As in browsers, the event does not contain the server's response.
        socket.addEventListener('error', () => {
          release()
          reject(new Refused(null, null))
        })
      })
      return {
        protocol: socket.protocol,
        send: data => socket.send(data as string),
        next: () => inbox.next(),
        close: (code, reason) => socket.close(code, reason),
        closed: inbox.closed,
        ...(isUndici ? { ping: (data: string) => pingAndWait(socket, data) } : {})
      }
    }
  }
}

export const undiciClient = createClient('undici', WebSocket, true)

/** Over HTTP/2, where the server has that. */
export const undiciHttp2Client = createClient('undici over HTTP/2', WebSocket, true, true)

/** Node's own, from Node 22 on; `null` where there is none. */
export const globalClient: Client | null = 'WebSocket' in globalThis
  ? createClient('the global WebSocket', globalThis.WebSocket as WebSocketClass, false)
  : null
