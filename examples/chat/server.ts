// A chat with rooms. PORT and HOST say where it listens; with HOST=0.0.0.0 a phone in the same network gets in. With REDIS_URL,
// as redis://127.0.0.1:6379, several processes have the same rooms.
//
//   npm start

import cookie from '@fastify/cookie'
import files from '@fastify/static'
import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import websocket from 'fastify-ws-routes'
import { createHash, randomUUID } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createBroker } from './broker.js'
import { freeColour, visibleName } from './people.js'

const LONGEST_HISTORY = 100 // messages of a room that are kept
const HEARTBEAT = 2_000 // ms
const GRACE = 1_000 // ms in which somebody who was cut off may come back before the others see it

const Person = Type.Object({ id: Type.String(), name: Type.String(), colour: Type.Integer() })
type Person = Static<typeof Person>

const Room = Type.String({ pattern: '^(?:(?!\\p{Default_Ignorable_Code_Point})[\\p{L}\\p{M}\\p{N}_-]){1,32}$' })

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'info' } }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(cookie)
const { broker, close } = createBroker()
await app.register(websocket, { maxConnections: 1000, broker })
app.addHook('onClose', close)
await app.register(files, { root: fileURLToPath(new URL('public', import.meta.url)) })

// The client that the page uses is one module.
const client = fileURLToPath(import.meta.resolve('fastify-ws-routes/client'))
app.get('/fastify-ws-routes-client.js', (_request, reply) => reply.sendFile(basename(client), dirname(client)))

// Whoever comes gets a cookie, with the page or with the handshake, and is known again by it: in a second tab, and
// after a restart. The others see only a hash of it. In place of this hook stands your login.
app.decorateRequest('guest', '')
app.decorateRequest('person', null)
app.addHook('onRequest', async (request, reply) => {
  const secret = request.cookies.guest ?? randomUUID()
  reply.setCookie('guest', secret, { path: '/', httpOnly: true, sameSite: 'strict', secure: 'auto', maxAge: 365 * 24 * 3600 })
  reply.header('content-security-policy', "default-src 'self'")
  request.setDecorator('guest', createHash('sha256').update(secret).digest('base64url').slice(0, 12))
})

/** The messages of a room. The server adds their authors and times. */
app.topic('rooms/:room', {
  schema: {
    params: Type.Object({ room: Room }),
    publish: Type.Object({ text: Type.String({ maxLength: 2000, pattern: '\\S' }) }),
    message: Type.Object({ from: Person, text: Type.String(), time: Type.Integer() }),
    member: Person
  },
  history: { messages: LONGEST_HISTORY, seconds: 24 * 3600 },
  presence: { info: (_connection, request) => personOf(request), grace: GRACE },
  onSubscribe: (_connection, { room }, request) => requireRoom(room, request),
  onPublish: (_connection, { text }, { room }, request) => {
    requireRoom(room, request)
    return { from: personOf(request), text: text.trim(), time: Date.now() }
  },
  // For those who come, and for those who come back too late.
  snapshot: async ({ room }) => {
    const { messages } = await app.websocketServer.topic(`rooms/${room}`).history({ limit: LONGEST_HISTORY })
    return messages.map(({ message, position }) => ({ id: position.id, ...message as object }))
  }
})

app.topic('typing/:room', {
  schema: { params: Type.Object({ room: Room }), publish: Type.Null(), message: Person },
  onSubscribe: (_connection, { room }, request) => requireRoom(room, request),
  onPublish: (_connection, _message, { room }, request) => {
    requireRoom(room, request)
    return personOf(request)
  }
})

/** Everybody, and in which room: the list of rooms is made of it. */
app.topic('lobby', {
  schema: { member: Type.Object({ id: Type.String(), room: Type.String() }) },
  presence: { info: (_connection, request) => ({ id: personOf(request).id, room: roomOf(request) }), grace: GRACE }
})

app.get('/rooms/:room', {
  websocket: {
    topics: { beat: HEARTBEAT },
    maxPayload: 16 * 1024, // a longer message closes the connection with 1009
    rateLimit: { messages: 100, window: 2_000 }, // more close it with 1008
    heartbeat: { interval: HEARTBEAT, timeout: 2 * HEARTBEAT }
  },
  // Names that nobody can see are as good as none.
  preValidation: async ({ query }) => {
    if (typeof query.name === 'string') query.name = visibleName(query.name)
  },
  // Checked before the handshake is accepted: who comes without a name gets a 400 over HTTP.
  schema: {
    params: Type.Object({ room: Room }),
    querystring: Type.Object({ name: Type.String({ maxLength: 24, pattern: '\\S' }) }),
    // The page gets these besides the topics, and sends none.
    send: Type.Union([
      Type.Object({ type: Type.Literal('welcome'), you: Person }),
      Type.Object({ type: Type.Literal('alive'), latency: Type.Optional(Type.Number()) })
    ])
  },
  // Somebody with two tabs has one colour in both, and in a room no two have the same as long as there are enough.
  preHandler: async request => {
    const id = request.getDecorator<string>('guest')
    const members = await app.websocketServer.topic(`rooms/${roomOf(request)}`).presence.list()
    const others = members.map(({ info }) => info as Person)
    const colour = others.find(other => other.id === id)?.colour ?? freeColour(id, new Set(others.map(({ colour }) => colour)))
    request.setDecorator('person', { id, name: request.query.name, colour } satisfies Person)
  }
}, (connection, request) => {
  connection.sendJson({ type: 'welcome', you: personOf(request) })
  request.log.info({ room: roomOf(request), person: personOf(request) }, 'joined')
  connection.on('close', () => request.log.info({ room: roomOf(request), person: personOf(request) }, 'left'))
})

// Pages cannot see the Pings of the heartbeat: we tell how long the last took.
const everybody = app.websocketServer.route<{ type: 'alive', latency?: number }>('/rooms/:room')
const clock = setInterval(() => {
  for (const connection of everybody.clients) {
    if (connection.latency !== undefined) connection.sendJson({ type: 'alive', latency: connection.latency })
  }
}, HEARTBEAT)
app.addHook('onClose', async () => clearInterval(clock))

// Everybody gets a Close frame, and the page tries again until the server is back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`The chat is at ${address}`)

function personOf (request: FastifyRequest): Person {
  return request.getDecorator<Person>('person')
}

/** A connection is in one room, which its URL names. */
function roomOf (request: FastifyRequest): string {
  return (request.params as { room: string }).room.normalize().toLowerCase()
}

function requireRoom (room: string, request: FastifyRequest): void {
  if (room !== roomOf(request)) throw Object.assign(new Error('that is another room'), { code: 'OTHER_ROOM' })
}
