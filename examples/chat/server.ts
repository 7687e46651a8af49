// A chat with rooms. `npm start` runs it; PORT and HOST say where it listens (HOST=0.0.0.0 lets a phone in).

import Fastify from 'fastify'
import websocket, { type WebSocketConnection } from 'fastify-ws-routes'
import { readFile } from 'node:fs/promises'

/** Who is in a room, by connection: somebody with two tabs is there twice. */
type Room = Map<WebSocketConnection, string>

/** What the page gets, as JSON. What it sends is nothing but the text of a message. */
type ChatEvent =
  | { type: 'joined' | 'left', name: string, people: string[] }
  | { type: 'said', name: string, text: string }

interface ChatRoute {
  Params: { room: string }
  Querystring: { name: string }
}

const page = await readFile(new URL('index.html', import.meta.url))
const rooms = new Map<string, Room>()

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket)

app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(page))

app.get<ChatRoute>('/chat/:room', {
  // Nobody types more than that; a longer message closes the connection with 1009.
  websocket: { maxPayload: 4096 },
  // Checked before the handshake is accepted: who comes without a name gets a 400 over HTTP.
  schema: {
    params: {
      type: 'object',
      properties: { room: { type: 'string', pattern: '^[a-z0-9-]{1,32}$' } }
    },
    querystring: {
      type: 'object',
      required: ['name'],
      properties: { name: { type: 'string', maxLength: 24, pattern: '\\S' } }
    }
  }
}, (connection, request) => {
  const name = request.query.name.trim()
  const room = rooms.get(request.params.room) ?? new Map<WebSocketConnection, string>()
  rooms.set(request.params.room, room)
  room.set(connection, name)
  tell({ type: 'joined', name, people: people() })

  connection.on('message', (data, isBinary) => {
    if (isBinary) return connection.close(1003, 'text only')
    const text = data.toString().trim()
    if (text !== '') tell({ type: 'said', name, text })
  })

  connection.on('close', () => {
    room.delete(connection)
    if (room.size === 0) rooms.delete(request.params.room)
    else tell({ type: 'left', name, people: people() })
  })

  function people (): string[] {
    return [...new Set(room.values())].sort()
  }

  /** The route has the connections of all rooms; the filter keeps those of this one. */
  function tell (event: ChatEvent): void {
    connection.route!.broadcast(JSON.stringify(event), { filter: other => room.has(other) })
  }
})

// Everybody gets a Close frame with 1001, and the page tries again until the server is back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`The chat is at ${address}`)
