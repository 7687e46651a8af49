import Fastify from 'fastify'
import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import websocket from '../../lib/index.js'
import { byName, prepareExamples, replaceAll, runChecks, start, testCoverage, type Running } from '../docs/support.js'
import { cellsOf, createProject, typeCheck } from '../support/examples.js'

// The examples of docs/client.md, which need the types of React, Vue and Svelte.

const project = await createProject(t, import.meta.dirname)
const examples = await prepareExamples(['docs/client.md'], project)
const FRAMEWORKS = { 'client in react': 'tsx', 'client in vue': 'ts', 'client in svelte': 'ts' } as const

let pages = 0

/** Runs the part of an example that is for a page, against a server, up to its loop; `client` is the name of what it connects. */
async function runPage (name: string, { url }: Running, client: string): Promise<AnyClient> {
  const script = byName.get(name)!.text
    .replace(/^import type .*$/gm, '')
    .replace(/^import \{ (\w+) \} from '(.*)'$/gm, "const { $1 } = await import('$2')")
    .replace(/wss:\/\/example\.com/g, url)
    .replace(/^for await [\s\S]*/m, '')
    .replace(/^await room\.publish.*$/m, '')
  const file = `page-${++pages}.ts`
  await writeFile(join(project, file), `// @ts-nocheck\nglobalThis.WebSocket ??= (await import('ws')).WebSocket as never\n${script}\nexport default ${client}\n`)
  return ((await import(join(project, file))) as { default: AnyClient }).default
}

interface AnyClient {
  on (event: string, listener: (...args: unknown[]) => void): () => void
  topic (name: string): { on (event: string, listener: (message: { text: string }) => void): void, publish (message: object): Promise<string | null>, subscribe (): Promise<void>, count: number }
  close (): void
}

/** Starts the server of the page, and the page. */
async function startPage (t: Test): Promise<AnyClient> {
  const page = await runPage('client page', await start(t, byName.get('client server')!), 'live')
  t.teardown(() => page.close())
  return page
}

let compiling: Promise<void> | null = null

/** Compiles all examples, as a page's project would: those for frameworks have `live` in a module beside them. */
function compile (): Promise<void> {
  compiling ??= (async () => {
    for (const [name, extension] of Object.entries(FRAMEWORKS)) {
      await writeFile(join(project, `${name.replaceAll(' ', '-')}.${extension}`), byName.get(name)!.text)
    }
    await writeFile(join(project, 'live.ts'), "import { connect } from 'fastify-ws-routes/client'\nimport type { Live } from './client-server.js'\nexport const live = connect<Live>('/live')\n")
    await typeCheck(project, { jsx: 'react-jsx', moduleResolution: 'bundler', module: 'esnext', lib: ['es2023', 'dom'] })
  })()
  return compiling
}

/** Breaks an example, and @returns what the compiler says. */
async function compileBroken (name: keyof typeof FRAMEWORKS, printed: string, broken: string): Promise<string> {
  await compile()
  const file = join(project, `${name.replaceAll(' ', '-')}.${FRAMEWORKS[name]}`)
  const { text } = byName.get(name)!
  await writeFile(file, replaceAll(text, { [printed]: broken }))
  const said = await typeCheck(project, { jsx: 'react-jsx', moduleResolution: 'bundler', module: 'esnext', lib: ['es2023', 'dom'] }).then(() => '', (error: Error) => error.message)
  await writeFile(file, text)
  return said
}

runChecks({
  async 'client server' (t) {
    const page = await startPage(t)
    const room = page.topic('rooms/7')
    await room.subscribe()
    t.equal(room.count, 1, 'its only member')
    await t.rejects(room.publish({ text: 'x'.repeat(2001) }), { code: 'FST_WS_ERR_INVALID_MESSAGE' })
  },

  async 'client page' (t) {
    const page = await startPage(t)
    const room = page.topic('rooms/7')
    const got: string[] = []
    room.on('message', ({ text }) => got.push(text))
    await room.subscribe()
    t.type(await room.publish({ text: 'hello' }), 'string')
    await room.publish({ text: 'again' })
    t.ok(got.includes('hello'))
  },

  async 'client json' (t) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/prices', { websocket: true }, connection => {
      connection.on('json', message => connection.sendJson({ symbol: (message as { watch: string[] }).watch[0], price: 7 }))
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const prices = await runPage('client json', { app, url: `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}` }, 'prices')
    t.teardown(() => prices.close())
    t.same(await new Promise(resolve => prices.on('message', resolve)), { symbol: 'ACME', price: 7 })
  },

  async 'client on node 20' (t, { text }) {
    const { url } = await start(t, byName.get('client server')!)
    await writeFile(join(project, 'node-20.ts'), `${replaceAll(text, { 'ws://127.0.0.1:3000': url })}\nexport default live\n`)
    const { default: live } = await import(join(project, 'node-20.ts')) as { default: AnyClient }
    t.teardown(() => live.close())
    await live.topic('rooms/7').subscribe()
  },

  async 'client options' (t, { text }) {
    const types = await readFile(new URL('../../types/client.ts', import.meta.url), 'utf8')
    const declared = ['ConnectOptions', 'ConnectJsonOptions'].flatMap(name => {
      const [, body] = new RegExp(`export interface ${name}(?: extends \\w+)? \\{\\n(.*?)\\n\\}`, 's').exec(types)!
      return [...body!.matchAll(/^ {2}(\w+)\?:/gm)].map(([, option]) => option!)
    })
    t.same(cellsOf(text).map(([option]) => option!.replaceAll('`', '')).toSorted(), declared.toSorted())
  },

  async 'client in react' (t) {
    t.match(await compileBroken('client in react', '{by}: {text}', '{author}: {text}'), /author/)
  },

  async 'client in vue' (t) {
    t.match(await compileBroken('client in vue', 'rooms/', 'room/'), /not assignable/)
  },

  async 'client in svelte' (t) {
    t.match(await compileBroken('client in svelte', 'rooms/', 'room/'), /not assignable/)
  }
})

t.test('every example has a check, and is typed', async t => {
  await testCoverage(t, examples, [import.meta.filename])
  await compile()
})
