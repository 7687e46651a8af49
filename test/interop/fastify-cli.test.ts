import autoload from '@fastify/autoload'
import Fastify from 'fastify'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import t from 'tap'
import { WebSocket } from 'ws'
import type { Teardown } from '../support/app.js'
import { startProgram, stopProgram, type ProcessTest } from '../support/child-process.js'
import { ROOT } from '../support/examples.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'

// examples/fastify-cli as a project of its own, in which the package is installed as it was built last.

const CLI = join(ROOT, 'examples/node_modules/fastify-cli/cli.js')

async function createProject (t: Teardown): Promise<string> {
  const owner = join(ROOT, 'examples/.tap')
  await mkdir(owner, { recursive: true })
  const project = await mkdtemp(join(owner, 'fastify-cli-'))
  t.teardown(() => rm(project, { recursive: true, force: true }))
  await cp(join(ROOT, 'examples/fastify-cli'), project, { recursive: true })
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  await mkdir(join(project, 'node_modules'))
  await symlink(ROOT, join(project, 'node_modules/fastify-ws-routes'))
  return project
}

/** `fastify start`, and the server that it has started: with `-w` a process of its own, one after the other. */
async function startCli (t: ProcessTest, project: string, ...args: string[]): Promise<{ program: ReturnType<typeof startProgram>, port: number }> {
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const program = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, CLI, 'start', '-l', 'info', '-a', '127.0.0.1', ...args, 'app.js'], {
    cwd: project,
    env: { ...process.env, PORT: '0' }
  })
  return { program, port: await nextPort(t, program) }
}

/** The port of the next server that says that it listens. The process that it is ends with the test. */
async function nextPort (t: Teardown, program: ReturnType<typeof startProgram>): Promise<number> {
  for await (const line of createInterface({ input: program.stdout! })) {
    const port = /listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1]
    if (port === undefined) continue
    const { pid } = JSON.parse(line) as { pid: number }
    if (pid !== program.pid) {
      t.teardown(() => {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has ended.
        }
      })
    }
    return Number(port)
  }
  throw new Error('fastify start ended without listening')
}

async function enter (t: Teardown, port: number, user: string): Promise<{ client: WebSocket, welcome: string }> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/rooms/engine?user=${user}`)
  t.teardown(() => client.terminate())
  return { client, welcome: String((await once(client, 'message'))[0]) }
}

t.test('fastify start: plugins, routes with prefixes, hooks and schemas from files; 1001 when it is stopped', async t => {
  const { program, port } = await startCli(t as ProcessTest, await createProject(t))
  const ada = await enter(t, port, 'Ada')
  t.equal(ada.welcome, 'welcome to engine, Ada')
  const charles = await enter(t, port, 'Charles')
  const heard = once(ada.client, 'message')
  charles.client.send('hello')
  t.equal(String((await heard)[0]), 'Charles: hello')

  for (const [path, status] of [['/rooms/engine', 401], ['/rooms/42?user=Ada', 400], ['/rooms?user=Ada', 404], ['/nowhere', 404]] as const) {
    const refused = await RawClient.connect(port)
    refused.write(upgradeRequest(path))
    t.equal((await refused.response()).status, status, path)
    refused.destroy()
  }

  const closed = Promise.all([once(ada.client, 'close'), once(charles.client, 'close')])
  await stopProgram(program, 'SIGTERM')
  t.strictSame((await closed).map(([code]) => code), [1001, 1001])
  t.equal(program.exitCode, 0)
})

t.test('fastify start -w: a file is changed, and clients are told to come back', async t => {
  const project = await createProject(t)
  const { program, port } = await startCli(t as ProcessTest, project, '-w')
  const { client, welcome } = await enter(t, port, 'Ada')
  t.equal(welcome, 'welcome to engine, Ada')
  const file = join(project, 'routes/rooms/index.js')
  const source = await readFile(file, 'utf8')
  const closed = once(client, 'close')
  const restarted = nextPort(t, program)
  // It may not be watching yet.
  const timer = setInterval(() => { writeFile(file, source.replace('welcome to', 'once more in')) }, 500)
  const [code] = await closed.finally(() => clearInterval(timer))
  t.equal(code, 1001)
  t.equal((await enter(t, await restarted, 'Ada')).welcome, 'once more in engine, Ada')
  await stopProgram(program, 'SIGTERM')
})

t.test('the tests of the app, with fastify-cli/helper and injectWS', async t => {
  const project = await createProject(t)
  const { stdout } = await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, '--test', '--test-reporter=tap', 'test/rooms.test.js'], { cwd: project })
  t.match(stdout, /^# pass 1$/m)
  t.match(stdout, /^# fail 0$/m)
})

t.test('@fastify/autoload: in a file without fastify-plugin, ours is for nobody, and the error says so', async t => {
  const project = await createProject(t)
  await writeFile(join(project, 'plugins/websocket.js'), `
    import websocket from 'fastify-ws-routes'
    export default async fastify => { await fastify.register(websocket) }
  `)
  const app = Fastify()
  t.teardown(() => app.close())
  for (const dir of ['plugins', 'routes']) app.register(autoload, { dir: join(project, dir) })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_WS_ERR_UNSEEN_ROUTE', message: /\/rooms\/:room/ })
})

t.test('@fastify/autoload: a file that is nothing but our plugin, with its options in autoConfig', async t => {
  const project = await createProject(t)
  await writeFile(join(project, 'plugins/websocket.js'), `
    export { default } from 'fastify-ws-routes'
    export const autoConfig = { maxPayload: 5 }
  `)
  const app = Fastify()
  t.teardown(() => app.close())
  for (const dir of ['plugins', 'routes']) app.register(autoload, { dir: join(project, dir) })
  await app.ready()
  const ada = await app.injectWS('/rooms/engine?user=Ada')
  await once(ada, 'message')
  ada.send('too long')
  t.equal((await once(ada, 'close'))[0], 1009)
})
