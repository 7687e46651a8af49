import Fastify from 'fastify'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import websocket, {
  once, type AnyWebSocketConnection, type BroadcastOptions, type InjectedWebSocket, type WebSocketConnection, type WebSocketHandler, type WebSocketRouteConnections
} from '../../lib/index.js'
import { expectAssignable, expectNotAssignable, expectType } from './expect.js'
import { z } from 'zod'

// Connections outside of the handler that got them: in sets, in handlers declared elsewhere, at the client's end.

interface Say { type: 'say', text: string }
interface Ack { type: 'ack', id: number }
interface Nak { type: 'nak' }

// --- variance: what is received is an output, what is sent an input

declare const typed: WebSocketConnection<Say, Ack>
expectAssignable<WebSocketConnection<unknown, Ack>>(typed)
expectAssignable<WebSocketConnection<Say | Ack, Ack>>(typed)
expectAssignable<WebSocketConnection<Say, Ack & { id: 1 }>>(typed)
expectAssignable<WebSocketConnection<Say, never>>(typed)
expectAssignable<AnyWebSocketConnection>(typed)
expectAssignable<WebSocketConnection<Say, Ack>>({} as WebSocketConnection<Say, Ack | Nak>)
expectAssignable<WebSocketConnection<Say, Ack>>({} as WebSocketConnection<Say>)
expectNotAssignable<WebSocketConnection>()(typed)
expectNotAssignable<WebSocketConnection<Say, Ack | Nak>>()(typed)
expectNotAssignable<WebSocketConnection<Ack, Ack>>()(typed)
expectNotAssignable<WebSocketConnection<Say, Ack>>()({} as WebSocketConnection<unknown, Ack>)
expectAssignable<WebSocketRouteConnections<Ack>>({} as WebSocketRouteConnections<Ack, Say>)
expectAssignable<WebSocketRouteConnections<Ack>>({} as WebSocketRouteConnections<Ack | Nak>)
expectNotAssignable<WebSocketRouteConnections<Ack | Nak>>()({} as WebSocketRouteConnections<Ack>)
// Where any connection will do, each does.
const greet = (connection: AnyWebSocketConnection): boolean => connection.send(connection.url)
greet(typed)
greet({} as WebSocketConnection)
// @ts-expect-error nothing is known of what its route sends
;({} as AnyWebSocketConnection).sendJson({ whatever: 1 })

// --- sets and filters

const app = Fastify()
await app.register(websocket)
const room = new Set<WebSocketConnection<Say, Ack>>()
const untyped = new Set<WebSocketConnection>()
const any = new Set<AnyWebSocketConnection>()

app.get<{ Params: { room: string }, Receive: Say, Send: Ack }>('/:room', { websocket: true }, (connection, request) => {
  expectType<WebSocketConnection<Say, Ack>>()(connection)
  room.add(connection)
  any.add(connection)
  // @ts-expect-error it would forget what may be sent
  untyped.add(connection)
  for (const other of room) {
    other.sendJson({ type: 'ack', id: 1 })
    // @ts-expect-error not what is sent
    other.sendJson({ whatever: 1 })
  }
  connection.route.broadcastJson({ type: 'ack', id: 1 }, { filter: other => room.has(other), except: connection })
  connection.route.broadcast('x', { filter: other => room.has(other) && any.has(other), except: room })
  connection.route.broadcast('x', { except: any })
  for (const other of connection.route.clients) expectType<WebSocketConnection<Say, Ack>>()(other)
  const options: BroadcastOptions = { except: connection, filter: other => other.protocol === request.params.room }
  connection.route.broadcast('x', options)
  // @ts-expect-error another type of messages
  connection.route.broadcast('x', { filter: (other: WebSocketConnection<Ack, Ack>) => other.isPaused })
})
app.get('/plain', { websocket: true }, connection => {
  untyped.add(connection)
  room.add(connection as WebSocketConnection<Say, Ack>)
  connection.sendJson({ whatever: 1 })
  for (const other of untyped) other.sendJson({ whatever: 1 })
  connection.route.broadcast('x', { filter: other => untyped.has(other) })
})
expectType<WebSocketRouteConnections<Ack>>()(app.websocketServer.route<Ack>('/:room'))
expectType<WebSocketConnection<Say, Ack>>()([...app.websocketServer.route<Ack, Say>('/:room').clients][0]!)

// --- handlers declared elsewhere: by generics

const plain: WebSocketHandler<{ Params: { room: string }, Receive: Say, Send: Ack }> = function (connection, request) {
  expectType<WebSocketConnection<Say, Ack>>()(connection)
  expectType<{ room: string }>()(request.params)
  this.websocketServer.broadcast(request.params.room)
}
app.get('/a', { websocket: true }, plain)
app.get<{ Params: { room: string }, Receive: Say, Send: Ack }>('/a', { websocket: true }, plain)
app.route({ method: 'GET', url: '/a', websocket: true, handler: plain })
app.get('/a', { wsHandler: plain }, async () => 'http')
const less: WebSocketHandler<{ Receive: Say, Send: Ack }> = async connection => { connection.sendJson({ type: 'ack', id: 1 }) }
app.get<{ Params: { room: string }, Receive: Say, Send: Ack }>('/a', { websocket: true }, less)
const untypedHandler: WebSocketHandler = connection => { expectType<WebSocketConnection>()(connection) }
app.get('/a', { websocket: true }, untypedHandler)
// @ts-expect-error the route sends something else
app.get<{ Receive: Say, Send: Nak }>('/a', { websocket: true }, less)
// @ts-expect-error such a handler could send anything
app.get<{ Receive: Say, Send: Ack }>('/a', { websocket: true }, untypedHandler)

// --- by a schema

const schema = {
  params: Type.Object({ room: Type.String() }),
  receive: Type.Object({ type: Type.Literal('say'), text: Type.String() }),
  send: Type.Object({ type: Type.Literal('ack'), id: Type.Integer() })
}
const typebox = app.withTypeProvider<TypeBoxTypeProvider>()
const byApp: WebSocketHandler<{ app: typeof typebox, schema: typeof schema }> = function (connection, request) {
  expectType<typeof typebox>()(this)
  expectType<WebSocketConnection<Say, Ack>>()(connection)
  expectType<{ room: string }>()(request.params)
}
const byProvider: WebSocketHandler<{ typeProvider: TypeBoxTypeProvider, schema: typeof schema, Querystring: { since: number } }> = async (connection, request) => {
  expectType<WebSocketConnection<Say, Ack>>()(connection)
  expectType<{ room: string }>()(request.params)
  expectType<number>()(request.query.since)
  connection.on('json', message => expectType<Say>()(message))
}
typebox.get('/b', { websocket: true, schema }, byApp)
typebox.get('/b', { websocket: true, schema }, byProvider)
typebox.route({ method: 'GET', url: '/b', websocket: true, schema, handler: byApp })
typebox.get('/b', { schema, wsHandler: byApp }, async () => 'http')
typebox.get('/b', { websocket: true, schema }, less)
typebox.get('/b', { websocket: true, schema }, (connection: WebSocketConnection<Say, Ack>) => room.add(connection))
typebox.get('/b', { websocket: true, schema }, (connection: AnyWebSocketConnection) => any.add(connection))
// @ts-expect-error the schema of the route is another
typebox.get('/b', { websocket: true, schema: { send: Type.Object({ type: Type.Literal('nak') }) } }, byApp)

const zodSchema = { receive: z.object({ type: z.literal('say'), text: z.string().default('') }), send: z.object({ type: z.literal('ack'), id: z.number() }) }
const byZod: WebSocketHandler<{ typeProvider: ZodTypeProvider, schema: typeof zodSchema }> = connection => {
  expectType<WebSocketConnection<Say, Ack>>()(connection)
}
app.withTypeProvider<ZodTypeProvider>().get('/c', { websocket: true, schema: zodSchema }, byZod)

const jsonSchema = {
  receive: { type: 'object', properties: { type: { const: 'say' }, text: { type: 'string' } }, required: ['type', 'text'], additionalProperties: false },
  send: { type: 'object', properties: { type: { const: 'ack' }, id: { type: 'integer' } }, required: ['type', 'id'], additionalProperties: false }
} as const
const byJsonSchema: WebSocketHandler<{ typeProvider: JsonSchemaToTsProvider, schema: typeof jsonSchema }> = connection => {
  connection.on('json', message => expectType<string>()(message.text))
  connection.sendJson({ type: 'ack', id: 1 })
  // @ts-expect-error a string
  connection.sendJson({ type: 'ack', id: 'one' })
}
app.withTypeProvider<JsonSchemaToTsProvider>().get('/d', { websocket: true, schema: jsonSchema }, byJsonSchema)

// @ts-expect-error there is no such key
export type Wrong = WebSocketHandler<{ schemas: typeof schema }>

// --- the client's end

const client = await app.injectWS<{ Receive: Say, Send: Ack }>('/a', {}, {
  onInit: client => { client.on('json', message => expectType<Ack>()(message)) }
})
expectType<InjectedWebSocket<Ack, Say>>()(client)
client.sendJson({ type: 'say', text: '' })
// @ts-expect-error that is what the server sends
client.sendJson({ type: 'ack', id: 1 })
for await (const message of client.json()) expectType<Ack>()(message)
expectType<InjectedWebSocket<Ack, Say>>()(await typebox.injectWS<{ schema: typeof schema }>('/b'))
expectType<InjectedWebSocket<Ack, Say>>()(await app.injectWS<{ schema: typeof schema, typeProvider: TypeBoxTypeProvider }>('/b'))
expectType<InjectedWebSocket>()(await app.injectWS('/a'))
const collect = (connection: AnyWebSocketConnection): string => connection.protocol
collect(client)
expectType<never>()(client.route)

// --- once

const [message] = await once(client, 'json')
expectType<Ack>()(message)
const [data, isBinary] = await once(typed, 'message', { signal: typed.signal })
expectType<Buffer>()(data)
expectType<boolean>()(isBinary)
expectType<[code: number, reason: Buffer]>()(await once(typed, 'close'))
typebox.get('/b', { websocket: true, schema }, async connection => expectType<[Say]>()(await once(connection, 'json')))
// @ts-expect-error there is no such event
once(client, 'messages')

// --- a handler may take more and send less than its route

const wider: WebSocketHandler<{ Receive: Say | Nak, Send: Ack }> = () => {}
app.get<{ Receive: Say, Send: Ack | Nak }>('/e', { websocket: true }, wider)
const narrower: WebSocketHandler<{ Receive: Say, Send: Ack | Nak }> = () => {}
// @ts-expect-error it would get what it does not know
app.get<{ Receive: Say | Nak, Send: Ack | Nak }>('/e', { websocket: true }, narrower)
// @ts-expect-error it would send what the route does not
app.get<{ Receive: Say, Send: Ack }>('/e', { websocket: true }, narrower)

// --- `to`: JSON goes to connections that may be sent it

declare const others: Set<WebSocketConnection<Say, Ack | Nak>>
declare const wrong: Set<WebSocketConnection<Say, Nak>>
app.get<{ Receive: Say, Send: Ack, Data: { user: string } }>('/f', { websocket: true }, connection => {
  connection.route.broadcast('x', { to: room, except: connection, binary: true })
  connection.route.broadcast('x', { to: [connection] })
  connection.route.broadcast('x', { to: any })
  connection.route.broadcastJson({ type: 'ack', id: 1 }, { to: room, filter: other => other.isPaused })
  connection.route.broadcastJson({ type: 'ack', id: 1 }, { to: others })
  // @ts-expect-error they are not sent that
  connection.route.broadcastJson({ type: 'ack', id: 1 }, { to: wrong })
  // @ts-expect-error nothing is known of what they are sent
  connection.route.broadcastJson({ type: 'ack', id: 1 }, { to: any })
  // @ts-expect-error one is no iterable
  connection.route.broadcast('x', { to: connection })
  // @ts-expect-error strings are no connections
  connection.route.broadcast('x', { to: ['a'] })
})
app.websocketServer.broadcastJson({ type: 'ack', id: 1 }, { to: room })
app.websocketServer.broadcastJson({ type: 'ack', id: 1 }, { to: [...room, ...others] })
app.websocketServer.broadcastJson({ whatever: 1 }, { to: untyped })
app.websocketServer.broadcastJson({ whatever: 1 }, { filter: other => other.protocol === '' })
// @ts-expect-error one of them is not sent that
app.websocketServer.broadcastJson({ type: 'ack', id: 1 }, { to: [...room, ...wrong] })
// @ts-expect-error not what they are sent
app.websocketServer.broadcastJson({ type: 'nak' }, { to: room })
