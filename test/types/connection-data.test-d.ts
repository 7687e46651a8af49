import Fastify from 'fastify'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import websocket, { type WebSocketClosure, type WebSocketConnection, type WebSocketHandler } from '../../lib/index.js'
import { expectType } from './expect.js'

// `connection.data`, by the generics of a route; and what else a connection tells of itself.

interface User { name: string }

const app = Fastify()
await app.register(websocket)

app.get<{ Data: { user: User } }>('/', {
  websocket: true,
  onRequest: async request => {
    request.connectionData.user = { name: 'ada' }
    // @ts-expect-error there is no such member
    request.connectionData.room = 'tea'
  }
}, connection => {
  expectType<User>()(connection.data.user)
  connection.data = { user: { name: 'bob' } }
  // @ts-expect-error a user has a name
  connection.data = { user: {} }
  expectType<string>()(connection.id)
  expectType<Promise<WebSocketClosure>>()(connection.closed)
  expectType<Promise<void>>()(connection.drained())
  expectType<Promise<void>>()(connection.flush())
  connection.on('text', text => expectType<string>()(text))
  expectType<Promise<number>>()(connection.route.close(4001, 'logged out', { filter: other => other.data.user.name === 'ada' }))
  const users = new Set<WebSocketConnection<unknown, unknown, { user: User }>>([connection])
  connection.route.broadcast('x', { to: users, filter: other => users.has(other) })
  // @ts-expect-error read-only
  connection.id = 'x'
})

const schema = { receive: Type.Object({ text: Type.String() }) }
const handler: WebSocketHandler<{ typeProvider: TypeBoxTypeProvider, schema: typeof schema, Data: { user: User } }> = connection => {
  expectType<User>()(connection.data.user)
  connection.on('json', message => expectType<{ text: string }>()(message))
}
// With a type provider, the types of the route come from its handler: generics would replace those of the schema.
app.withTypeProvider<TypeBoxTypeProvider>().get('/typebox', { websocket: true, schema }, handler)

app.get('/none', { websocket: true }, connection => {
  // @ts-expect-error no route and no declaration says so
  console.log(connection.data.user)
})
