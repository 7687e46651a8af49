import type { Socket, SocketConstructor } from '../../types/client.js'

/** A WebSocket whose other end is the test. */
export class ScriptedSocket implements Socket {
  readyState = 0
  onopen: Socket['onopen'] = null
  onmessage: Socket['onmessage'] = null
  onerror: Socket['onerror'] = null
  onclose: Socket['onclose'] = null
  readonly url: string
  readonly protocols: readonly string[]
  readonly sent: unknown[] = []
  closedWith: [code?: number, reason?: string] | null = null

  constructor (url: string, protocols: string[] = []) {
    this.url = url
    this.protocols = protocols
  }

  send (text: string): void {
    if (this.readyState !== 1) throw new Error('not open')
    this.sent.push(JSON.parse(text))
  }

  close (code?: number, reason?: string): void {
    this.closedWith = [code, reason]
    this.readyState = 2
  }

  // --- what the server does

  open (...messages: unknown[]): void {
    this.readyState = 1
    this.onopen?.({} as never)
    for (const message of messages) this.receive(message)
  }

  receive (message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never)
  }

  end (code = 1006, reason = ''): void {
    this.readyState = 3
    this.onerror?.({} as never)
    this.onclose?.({ code, reason } as never)
  }
}

/** @returns a constructor, and the sockets that it has made */
export function scriptedSockets (): { WebSocket: SocketConstructor, sockets: ScriptedSocket[], last (): ScriptedSocket } {
  const sockets: ScriptedSocket[] = []
  const WebSocket = function (url: string, protocols?: string[]) {
    const socket = new ScriptedSocket(url, protocols)
    sockets.push(socket)
    return socket
  } as unknown as SocketConstructor
  return { WebSocket, sockets, last: () => sockets.at(-1)! }
}
