// A chat with rooms. PORT and HOST say where it listens; with HOST=0.0.0.0 a phone in the same network gets in.
//
//   npm start

import cookie from '@fastify/cookie'
import files from '@fastify/static'
import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import websocket, { type WebSocketConnection } from 'fastify-ws-routes'
import { createHash, randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { freeColour, visibleName } from './people.js'

const LONGEST_HISTORY = 100 // messages of a room that are kept
const MOST_ROOMS = 200 // with nobody in them; those with somebody in them, maxConnections bounds
const HEARTBEAT = 2_000 // ms

const Person = Type.Object({ id: Type.String(), name: Type.String(), colour: Type.Integer() })
type Person = Static<typeof Person>

const Message = Type.Object({ id: Type.String(), from: Person, text: Type.String(), time: Type.Integer() })
type Message = Static<typeof Message>

const ClientMessage = Type.Union([
  // The page makes the id. What it sends once more, because it never saw it come back, has the same.
  Type.Object({ type: Type.Literal('say'), id: Type.String({ pattern: '^[0-9a-f]{32}$' }), text: Type.String({ maxLength: 2000, pattern: '\\S' }) }),
  Type.Object({ type: Type.Literal('typing') })
])

type ClientMessage = Static<typeof ClientMessage>

const ServerMessage = Type.Union([
  Type.Object({ type: Type.Literal('welcome'), you: Type.String(), people: Type.Array(Person), messages: Type.Array(Message), isGap: Type.Boolean() }),
  Type.Object({ type: Type.Literal('joined'), person: Person }),
  Type.Object({ type: Type.Literal('left'), person: Person }),
  Type.Object({ type: Type.Literal('typing'), person: Person }),
  Type.Object({ type: Type.Literal('said'), message: Message }),
  Type.Object({ type: Type.Literal('rooms'), rooms: Type.Array(Type.Object({ name: Type.String(), people: Type.Integer() })) }),
  Type.Object({ type: Type.Literal('alive'), latency: Type.Optional(Type.Number()) })
])
type ServerMessage = Static<typeof ServerMessage>

interface Room {
  /** By connection: somebody with two tabs has two, which have the same object. */
  readonly people: Map<WebSocketConnection<ClientMessage, ServerMessage>, Person>
  /** The latest messages, for those who come, or come back. */
  readonly messages: Message[]
}

const rooms = new Map<string, Room>()

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'info' } }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(cookie)
await app.register(websocket, { maxConnections: 1000 })
await app.register(files, { root: fileURLToPath(new URL('public', import.meta.url)) })

// Whoever comes gets a cookie, with the page or with the handshake, and is known again by it: in a second tab, and
// after a restart. The others see only a hash of it. In place of this hook stands your login.
app.decorateRequest('guest', '')
app.addHook('onRequest', async (request, reply) => {
  const secret = request.cookies.guest ?? randomUUID()
  reply.setCookie('guest', secret, { path: '/', httpOnly: true, sameSite: 'strict', secure: 'auto', maxAge: 365 * 24 * 3600 })
  reply.header('content-security-policy', "default-src 'self'")
  request.setDecorator('guest', createHash('sha256').update(secret).digest('base64url').slice(0, 12))
})

app.get('/rooms/:room', {
  websocket: {
    maxPayload: 16 * 1024, // a longer message closes the connection with 1009
    rateLimit: { messages: 40, window: 2_000 }, // more close it with 1008
    heartbeat: { interval: HEARTBEAT, timeout: 2 * HEARTBEAT }
  },
  // Names that nobody can see are as good as none.
  preValidation: async ({ query }) => {
    if (typeof query.name === 'string') query.name = visibleName(query.name)
  },
  // Checked before the handshake is accepted: who comes without a name gets a 400 over HTTP.
  schema: {
    params: Type.Object({ room: Type.String({ pattern: '^(?:(?!\\p{Default_Ignorable_Code_Point})[\\p{L}\\p{M}\\p{N}_-]){1,32}$' }) }),
    querystring: Type.Object({
      name: Type.String({ maxLength: 24, pattern: '\\S' }),
      /** The id of the last message that the page has, if it comes back. */
      after: Type.Optional(Type.String())
    }),
    // Checked whenever somebody sends one: what is not as it says closes the connection with 1007 or 1008.
    receive: ClientMessage,
    send: ServerMessage
  }
}, (connection, request) => {
  const name = request.params.room.normalize().toLowerCase()
  const room = enter(name)
  const id = request.getDecorator<string>('guest')
  const me = [...room.people.values()].find(person => person.id === id) ?? { id, name: '', colour: freeColour(id, coloursIn(room)) }
  const isNews = me.name !== request.query.name
  me.name = request.query.name
  room.people.set(connection, me)
  request.log.info({ room: name, person: me }, 'joined')

  const after = room.messages.findIndex(({ id }) => id === request.query.after)
  connection.sendJson({
    type: 'welcome',
    you: me.id,
    people: [...new Set(room.people.values())],
    messages: room.messages.slice(after + 1),
    isGap: request.query.after !== undefined && after === -1 && room.messages.length > 0
  })
  if (isNews) tell({ type: 'joined', person: me }, isOther)
  tellRooms()

  connection.on('json', message => {
    if (message.type === 'typing') return tell({ type: 'typing', person: me }, isOther)

    // It was received already, but the connection was lost before the page knew.
    const known = room.messages.find(({ id, from }) => id === message.id && from.id === me.id)
    if (known !== undefined) return connection.sendJson({ type: 'said', message: known })

    const said = { id: message.id, from: { ...me }, text: message.text.trim(), time: Date.now() }
    room.messages.push(said)
    if (room.messages.length > LONGEST_HISTORY) room.messages.shift()
    tell({ type: 'said', message: said })
  })

  connection.on('close', () => {
    room.people.delete(connection)
    request.log.info({ room: name, person: me }, 'left')
    if (![...room.people.values()].includes(me)) tell({ type: 'left', person: me })
    tellRooms()
  })

  function isOther (person: Person): boolean {
    return person !== me
  }

  /** The route has the connections of all rooms; these are some of this one. */
  function tell (message: ServerMessage, isMeant: (person: Person) => boolean = () => true): void {
    const to = [...room.people].filter(([, person]) => isMeant(person)).map(([other]) => other)
    connection.route.broadcastJson(message, { to })
  }
})

const everybody = app.websocketServer.route<ServerMessage>('/rooms/:room')

function tellRooms (): void {
  const list = [...rooms].map(([name, { people }]) => ({ name, people: new Set(people.values()).size }))
  everybody.broadcastJson({ type: 'rooms', rooms: list.filter(({ people }) => people > 0) })
}

// Pages cannot see the Pings of the heartbeat: we tell how long the last took. A page that hears nothing for some seconds
// knows that the connection is lost.
const clock = setInterval(() => {
  for (const connection of everybody.clients) {
    connection.sendJson({ type: 'alive', ...(connection.latency !== undefined && { latency: connection.latency }) })
  }
}, HEARTBEAT)
app.addHook('onClose', async () => clearInterval(clock))

// Everybody gets a Close frame with 1001, and the page tries again until the server is back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`The chat is at ${address}`)

function enter (name: string): Room {
  const room = rooms.get(name) ?? { people: new Map(), messages: [] }
  // The room that was entered last stands last; the empty ones that nobody has entered for longest are forgotten.
  rooms.delete(name)
  for (const [other, { people }] of rooms) {
    if (rooms.size < MOST_ROOMS) break
    if (people.size === 0) rooms.delete(other)
  }
  rooms.set(name, room)
  return room
}

function coloursIn (room: Room): Set<number> {
  return new Set([...room.people.values()].map(({ colour }) => colour))
}
