import t from 'tap'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
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
