import Fastify, { type FastifyInstance } from 'fastify'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import websocket from '../../lib/index.js'
import { createProject } from '../support/examples.js'
import { FaultProxy } from './fault-proxy.js'

// One conversation for all runtimes: programs/conversation.js on one side, and on the other a server behind a proxy that does
// something to the line at certain messages. A program that runs it needs to be told nothing while it runs.

const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url))

/** What the program publishes. */
const PUBLISHED = Array.from({ length: 30 }, (_, n) => n)

/** What the server publishes while the client is away. */
const MISSED = [1000, 1001, 1002]

const TOTAL = PUBLISHED.length + MISSED.length

export interface Conversation {
  readonly app: FastifyInstance
  readonly proxy: FaultProxy
  /** The built module of the client. */
  readonly client: string
  /** Compares what the program saw with what happened. */
  check (t: Test, seen: Seen): Promise<void>
  /** What a page of `/` has seen: it says it when it is done. */
  readonly report: Promise<Seen>
}

/** What programs/conversation.js returns. */
export interface Seen {
  got: number[]
  places: unknown[]
  resets: number
  opened: number
  errors: string[]
  state: string
  listenersBefore: number
  timers: number
  listeners: string[]
}

const PAGE = `<!doctype html><title>conversation</title><link rel=icon href=data:,><script type=module>
import { connect } from '/client.mjs'
import { converse } from '/conversation.js'
window.connect = connect
if (location.hash === '') {
  const seen = await converse(connect, '/live', {}, ${TOTAL}).catch(error => ({ errors: [String(error)] }))
  await fetch('/report', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(seen) })
}
window.isReady = true
</script>`

/** @param beat milliseconds between heartbeats of the server: short, so that a frozen line is noticed soon; long, where the line has to live on a busy machine */
export async function startConversation (t: Test, beat = 60): Promise<Conversation> {
  const client = join(await createProject(t), 'node_modules/fastify-ws-routes/dist/lib/client/index.mjs')
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(websocket, { closeTimeout: 200 })

  const seen = new Set<number>()
  /** Messages that have come already have done what they do. */
  const isFirst = (n: number): boolean => !seen.has(n) && seen.add(n).size > 0
  app.topic('rooms/:room', {
    schema: { publish: { type: 'integer' }, message: { type: 'integer' } },
    history: { messages: 1_000, seconds: 60 },
    onPublish: async (_connection, message) => {
      const n = message as number
      const fault = isFirst(n) ? FAULTS[n] : undefined
      if (fault !== undefined) await fault(proxy, app)
      return n
    }
  })
  app.get('/live', { websocket: { topics: { beat } } })

  // Each on a connection of its own: the proxy resets those that wait, too.
  app.addHook('onSend', async (request, reply) => { if (request.ws !== true) reply.header('connection', 'close') })
  app.get('/', (_request, reply) => { reply.type('text/html').send(PAGE) })
  app.get('/client.mjs', async (_request, reply) => reply.type('text/javascript').send(await readFile(client)))
  app.get('/conversation.js', async (_request, reply) => reply.type('text/javascript').send(await readFile(join(PROGRAMS, 'conversation.js'))))
  const report = new Promise<Seen>(resolve => {
    app.post('/report', async request => {
      resolve(request.body as Seen)
      return {}
    })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const proxy = await FaultProxy.start(t, (app.server.address() as AddressInfo).port)

  return {
    app,
    proxy,
    client,
    report,
    async check (t, seen) {
      t.same(seen.errors, [])
      const kept = await app.websocketServer.topic('rooms/7').history({ limit: 1_000 })
      t.same(seen.got, kept.messages.map(({ message }) => message), 'each message once, in the order in which it is stored')
      t.same(seen.got.filter(n => n < 1000), PUBLISHED, 'those that it published in its own order')
      t.same(seen.got.filter(n => n >= 1000), MISSED)
      t.equal(new Set(seen.places).size, PUBLISHED.length)
      t.ok(seen.opened > Object.keys(FAULTS).length, `the line was lost at each fault: ${seen.opened} connections`)
      t.match(seen, { resets: 0, state: 'closed', timers: 0, listeners: [] })
    }
  }
}

/** What happens when a message comes, before it is stored: its answer cannot arrive, and the client sends it again. */
const FAULTS: Record<number, (proxy: FaultProxy, app: FastifyInstance) => unknown> = {
  5: proxy => proxy.cut(),
  10: proxy => proxy.halfClose(),
  15: proxy => proxy.freeze(),
  20: async (proxy, app) => {
    proxy.answer = 'refuse'
    proxy.cut()
    for (const n of MISSED) await app.websocketServer.publish('rooms/7', n)
    setTimeout(() => { proxy.answer = null }, 50)
  },
  25: proxy => {
    proxy.answer = { status: '503 Service Unavailable', headers: 'retry-after: 1\r\n' }
    proxy.cut()
    setTimeout(() => { proxy.answer = null }, 50)
  }
}

export interface Program {
  command: string
  /** Before the script. */
  args?: readonly string[]
  /** For `run.js`. */
  how?: 'ws' | 'react-native'
}

/** Runs the conversation in a program of its own, to its end. */
export async function converseIn (t: Test, { command, args = [], how }: Program): Promise<Seen> {
  const conversation = await startConversation(t)
  const { client, proxy } = conversation
  // Without what tap has in them for Node.
  const env = { ...process.env, NODE_OPTIONS: '', DENO_NO_UPDATE_CHECK: '1' }
  const all = [...args, join(PROGRAMS, 'run.js'), client, `${proxy.url}/live`, String(TOTAL), ...how === undefined ? [] : [how]]
  const { stdout } = await promisify(execFile)(command, all, { env, timeout: 60_000 })
  const seen = JSON.parse(stdout) as Seen
  await conversation.check(t, seen)
  return seen
}
