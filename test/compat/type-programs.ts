// Programs that docs/migration.md says something about: whether they compile.

const OURS = `
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'
`

/** What the declarations of `@fastify/websocket` know nothing of. */
const USE = `
export const app = Fastify()
await app.register(websocket)
app.get('/', { websocket: true }, connection => { connection.signal.throwIfAborted() })
app.route({ method: 'GET', url: '/route', websocket: true, handler: connection => { connection.signal.throwIfAborted() } })
app.route({ method: 'GET', url: '/both', handler: async () => 'http', wsHandler: connection => { connection.signal.throwIfAborted() } })
`

/** What it has otherwise. */
const USE_OF_MEMBERS = `
app.get('/limited', { websocket: { maxPayload: 5 } }, connection => { connection.signal.throwIfAborted() })
app.websocketServer.broadcast('to all')
const client = await app.injectWS('/', { protocols: 'chat' })
client.signal.throwIfAborted()
`

const GRAPHQL = `
import { GraphQLSchema } from 'graphql'
import { makeHandler } from 'graphql-ws/use/@fastify/websocket'
`

const USE_OF_GRAPHQL = `
app.get('/graphql', { websocket: true }, makeHandler({ schema: new GraphQLSchema({}) }))
`

/** The names that code for `@fastify/websocket` imports. */
const names = (register: string): string => `
import Fastify from 'fastify'
import websocket, { fastifyWebsocket, type WebSocket, type WebsocketHandler, type WebsocketPluginOptions, type RouteOptions } from 'fastify-ws-routes'
const options: WebsocketPluginOptions = { options: { maxPayload: 5, perMessageDeflate: true, verifyClient: info => info.secure } }
const app = Fastify()
${register} app.register(websocket, options)
${register} app.register(fastifyWebsocket)
const send = (socket: WebSocket): void => { socket.send('text') }
const handler: WebsocketHandler = (socket, request) => { if (request.ws) send(socket) }
app.get('/', { websocket: true }, handler)
const route: RouteOptions = { method: 'GET', url: '/route', handler: () => {}, wsHandler: send }
app.route(route)
`

/** Compile as they are. */
export const CLEAN: Record<string, string> = {
  'names.mts': names('await'),
  'names.cts': names('void'),
  'required.cts': `
    import Fastify = require('fastify')
    import websocket = require('fastify-ws-routes')
    Fastify().register(websocket).register(websocket.default).register(websocket.fastifyWebsocket)
  `,
  'others.mts': `
    import proxy from '@fastify/http-proxy'
    import { initTRPC } from '@trpc/server'
    import { fastifyTRPCPlugin } from '@trpc/server/adapters/fastify'
    import mercurius from 'mercurius'
    ${OURS}${USE}${USE_OF_MEMBERS}
    await app.register(mercurius, { schema: 'type Query { hello: String }', subscription: true })
    await app.register(proxy, { upstream: 'http://127.0.0.1', websocket: true })
    await app.register(fastifyTRPCPlugin, { prefix: '/trpc', useWSS: true, trpcOptions: { router: initTRPC.create().router({}) } })
  `
}

/** Ours, and then what imports the other declarations. */
export const OURS_FIRST: Record<string, string> = { 'ours-first.mts': OURS + GRAPHQL + USE + USE_OF_MEMBERS + USE_OF_GRAPHQL }

/** What of it compiles in the other order. */
export const OURS_BEHIND: Record<string, string> = { 'ours-behind.mts': GRAPHQL + OURS + USE + USE_OF_GRAPHQL }

/** What of it does not. */
export const MEMBERS_BEHIND: Record<string, string> = { 'members-behind.mts': GRAPHQL + OURS + USE + USE_OF_MEMBERS }

/** What the documentation tells to put into tsconfig.json. */
export const PATHS = { '@fastify/websocket': ['../node_modules/fastify-ws-routes/dist/lib/index.d.ts'] }
