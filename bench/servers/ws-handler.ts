import type { WebSocket, WebSocketServer } from 'ws'
import { task } from './task.js'

type WatchedSocket = WebSocket & { isAlive?: boolean }

/** The heartbeat that the documentation of `ws` shows. */
export function watch (server: WebSocketServer): void {
  if (typeof task.heartbeat !== 'number') return
  setInterval(() => {
    server.clients.forEach(client => {
      const watched = client as WatchedSocket
      if (watched.isAlive === false) return watched.terminate()
      watched.isAlive = false
      watched.ping()
    })
  }, task.heartbeat)
}

/** Serves a connection of `ws` or `@fastify/websocket` in the way that their documentation shows. */
export function handle (socket: WebSocket, server: WebSocketServer): void {
  switch (task.handler) {
    case 'echo':
      socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary }))
      break
    case 'echo-string':
      socket.addEventListener('message', ({ data }) => socket.send(data as string))
      break
    case 'echo-to-string':
      socket.on('message', (data: Buffer) => socket.send(data.toString()))
      break
    case 'echo-json':
      socket.on('message', (data: Buffer) => socket.send(JSON.stringify(JSON.parse(data.toString()))))
      break
    case 'broadcast':
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        server.clients.forEach(client => {
          if (client.readyState === socket.OPEN) client.send(data, { binary: isBinary })
        })
      })
  }
  socket.on('error', () => {})
  if (typeof task.heartbeat === 'number') socket.on('pong', alive)
}

function alive (this: WatchedSocket): void {
  this.isAlive = true
}
