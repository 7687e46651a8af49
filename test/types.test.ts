import t from 'tap'
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Teardown } from './support/app.js'
import { runCompiler } from './support/compiler.js'

// What test/types cannot say about the types: that those of Fastify are as before, and that code compiles just as it
// is printed. Both are for the compiler to say, run as a program.

const root = fileURLToPath(new URL('..', import.meta.url))
const fastifyTests = join(root, 'node_modules/fastify/test/types')
const stubs = join(root, 'test/support/fastify-types')

const compilerOptions = {
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
  typeRoots: [join(root, 'node_modules/@types')],
  paths: {
    fastify: [join(root, 'node_modules/fastify/fastify.d.ts')],
    'fastify-ws-routes': [join(root, 'lib/index.ts')],
    tstyche: [join(stubs, 'tstyche.d.ts')],
    'json-schema-to-ts': [join(stubs, 'json-schema-to-ts.d.ts')]
  }
}

async function makeFolder (t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-types-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const quickStart = `import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'

const app = Fastify({ logger: true })
await app.register(websocket, { maxPayload: 64 * 1024 })

app.get('/echo', { websocket: true }, (connection, request) => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})

app.route({
  method: 'GET',
  url: '/feed',
  handler: (request, reply) => reply.send({ hello: 'http' }),   // plain HTTP
  wsHandler: (connection, request) => connection.send('hello'),  // WebSocket, same URL
  websocket: { maxPayload: 1024, protocols: ['feed.v2', 'feed.v1'] } // per-route options
})

await app.listen({ port: 3000 })
`

/** Compiles files. @returns the places of the errors that are in them; the messages name the overloads, which differ */
async function compile (folder: string, name: string, files: string[]): Promise<string[]> {
  const config = join(folder, `${name}.json`)
  await writeFile(config, JSON.stringify({ compilerOptions, files }))
  const { output } = await runCompiler(['-p', config])
  const errors = output.match(/^\S.*error TS\d+.*$/gm) ?? []
  const elsewhere = errors.filter(error => !/^.*?\(\d+,\d+\): error/.test(error))
  if (elsewhere.length > 0) throw new Error(elsewhere.join('\n'))
  return errors.map(error => error.replace(/\): error.*$/, ')').replace(/^.*\//, '')).sort()
}

// Compilers on a busy machine take their time; this is only against hanging.
t.setTimeout(300_000)

t.test('Fastify\'s own tests of its types say the same with our declarations and without; the quick start compiles', async t => {
  const folder = await makeFolder(t)
  const tests = (await readdir(fastifyTests)).filter(name => name.endsWith('.tst.ts')).map(name => join(fastifyTests, name))
  t.ok(tests.length >= 10, 'Fastify ships its tests')

  const ours = join(folder, 'quick-start.mts')
  await writeFile(ours, quickStart)
  // An overload that takes HTTP handlers away from Fastify's, to see that it would be noticed.
  const greedy = join(folder, 'greedy.mts')
  await writeFile(greedy, `
    import 'fastify'
    declare module 'fastify' {
      interface RouteShorthandMethod<
        RawServer extends RawServerBase = RawServerDefault,
        RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
        RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
        TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
        Logger extends FastifyBaseLogger = FastifyBaseLogger
      > {
        (path: string, options: object, handler: (request: FastifyRequest, reply: FastifyReply) => unknown): unknown
      }
    }
  `)

  const without = await compile(folder, 'without', tests)
  t.strictSame(await compile(folder, 'with', [...tests, ours]), without)
  const routeTests = 'route.tst.ts'
  t.notSame(
    await compile(folder, 'greedy', [join(fastifyTests, routeTests), greedy]),
    without.filter(place => place.startsWith(routeTests))
  )
})

// --- what the compiler has to do

const budgetOf = {
  http: `
    app.get('/a', { schema: { params: Type.Object({ room: Type.String() }), querystring: ClientMessage, response: { 200: ServerMessage } } }, async request => {
      if (request.query.type === 'say') console.log(request.query.text)
      return { type: 'ack' as const, id: 1 }
    })
  `,
  websocket: `
    const schema = { receive: ClientMessage, send: ServerMessage }
    app.get('/a', { websocket: true, schema: { params: Type.Object({ room: Type.String() }), receive: ClientMessage, send: ServerMessage } }, connection => {
      connection.on('json', message => {
        if (message.type === 'say') connection.sendJson({ type: 'ack', id: message.text.length })
      })
    })
    const annotated = async (connection: WebSocketConnection<Static<typeof ClientMessage>, Static<typeof ServerMessage>>): Promise<void> => {
      for await (const message of connection.json()) if (message.type === 'say') connection.sendJson({ type: 'ack', id: 1 })
    }
    app.get('/b', { websocket: true, schema }, annotated)
    app.get('/c', { websocket: true, schema }, (connection: AnyWebSocketConnection) => connection.close())
    const declared: WebSocketHandler<{ app: typeof app, schema: typeof schema }> = connection => {
      connection.sendJson({ type: 'ack', id: 1 })
      room.add(connection)
    }
    app.route({ method: 'GET', url: '/d', websocket: true, schema, handler: declared })
    const room = new Set<WebSocketConnection<Static<typeof ClientMessage>, Static<typeof ServerMessage>>>()
    app.get('/e', { websocket: { onInvalidMessage: (error, connection) => { connection.sendJson({ type: 'ack', id: error.closeCode }) } }, schema }, connection => {
      connection.route.broadcastJson({ type: 'ack', id: 1 }, { filter: other => room.has(other) })
    })
    const client = await app.injectWS<{ schema: typeof schema }>('/a')
    client.sendJson({ type: 'typing', on: true })
  `,
  topics: `
    const rooms = app.topic('rooms/:room', {
      schema: { params: Type.Object({ room: Type.String() }), publish: ClientMessage, message: ServerMessage },
      onSubscribe: async (connection, { room }) => { if (room === '') connection.close() },
      onPublish: (connection, message) => message.type === 'say' ? { type: 'ack', id: message.text.length } : null,
      history: { messages: 1000, seconds: 3600 },
      presence: { info: (connection, request) => ({ name: request.ip }) },
      snapshot: ({ room }) => room
    })
    await rooms.publish({ room: '7' }, { type: 'ack', id: 1 })
    const { messages } = await rooms.at({ room: '7' }).history()
    console.log(messages[0]?.message.id)
    const others = app.topic('others/:room', { schema: { publish: ClientMessage, message: ServerMessage } })
    await others.publish({ room: '7' }, { type: 'ack', id: 1 })
  `
}

function programOf (routes: string): string {
  return `
    import Fastify from 'fastify'
    import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
    import websocket, { type AnyWebSocketConnection, type WebSocketConnection, type WebSocketHandler } from 'fastify-ws-routes'

    export type Imported = [Static<typeof ClientMessage>, AnyWebSocketConnection, WebSocketConnection, WebSocketHandler]
    const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
    await app.register(websocket)
    const ClientMessage = Type.Union([
      Type.Object({ type: Type.Literal('say'), text: Type.String() }),
      Type.Object({ type: Type.Literal('typing'), on: Type.Boolean() })
    ])
    const ServerMessage = Type.Object({ type: Type.Literal('ack'), id: Type.Integer() })
    ${routes}
  `
}

async function instantiationsOf (folder: string, name: string, routes: string): Promise<number> {
  const config = join(folder, `${name}.json`)
  const file = join(folder, `${name}.mts`)
  await writeFile(file, programOf(routes))
  const paths = { 'fastify-ws-routes': compilerOptions.paths['fastify-ws-routes'] }
  await writeFile(config, JSON.stringify({ compilerOptions: { ...compilerOptions, paths }, files: [file] }))
  const { succeeded, output } = await runCompiler(['-p', config, '--extendedDiagnostics'])
  if (!succeeded) throw new Error(output)
  return Number(/^Instantiations:\s+(\d+)/m.exec(output)![1])
}

t.test('routes with TypeBox schemas cost the compiler little more than they do for HTTP', async t => {
  const folder = await makeFolder(t)
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const http = await instantiationsOf(folder, 'http', budgetOf.http)
  const webSocket = await instantiationsOf(folder, 'websocket', budgetOf.websocket)
  t.comment(`${http} instantiations for HTTP, ${webSocket} for WebSockets`)
  // Where a schema's type is worked out while the compiler still infers, TypeBox alone takes 1.2 million.
  t.ok(webSocket - http < 100_000, `${webSocket - http} instantiations more`)
  const topics = await instantiationsOf(folder, 'topics', budgetOf.topics)
  t.comment(`${topics} for topics`)
  t.ok(topics - http < 50_000, `${topics - http} instantiations more`)
})
