import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from './app.js'

type Handler = (connection: WebSocketConnection) => void

/** Starts a server whose connections the handler gets. @returns its port */
export type Serve = (t: Teardown, handler: Handler) => Promise<number>

export const serveWithWs: Serve = async (t, handler) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  server.on('connection', socket => handler(socket as unknown as WebSocketConnection))
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

export const serveWithOurs: Serve = async (t, handler) => {
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, handler)
  })
  return port
}
