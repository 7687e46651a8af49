import Fastify, { type FastifyInstance } from 'fastify'
import { spawn, type ChildProcess } from 'node:child_process'
import diagnosticsChannel from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { register } from 'tsx/esm/api'
import { WebSocket, type ClientOptions, type RawData } from 'ws'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import { createProject, examplesOf, ROOT, toProgram, type Example } from '../support/examples.js'
import '../support/any-port.js'

// Every example in the documentation is run as it is printed, and has to do what the text around it says.

// The examples are TypeScript, and what `npm test` compiles beforehand are the tests only.
register()

export const project = await createProject(t)

/** The folders that examples run in, by their names: those of most documents are in `project`. */
const projects = new Map<string, string>()

export interface Running {
  app: FastifyInstance
  /** `ws://127.0.0.1:port` */
  url: string
}

export interface Refusal {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

/** A client whose messages wait until they are asked for. */
export class Client {
  readonly socket: WebSocket
  readonly closed: Promise<{ code: number, reason: string }>
  headers: NodeJS.Dict<string | string[]> = {}
  private readonly messages: { data: Buffer, isBinary: boolean }[] = []
  private wake: () => void = () => {}

  private constructor (socket: WebSocket) {
    this.socket = socket
    socket.on('upgrade', ({ headers }) => { this.headers = headers })
    socket.on('message', (data: RawData, isBinary) => {
      this.messages.push({ data: data as Buffer, isBinary })
      this.wake()
    })
    this.closed = new Promise(resolve => {
      socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() })
        this.wake()
      })
    })
  }

  static async open (t: Test, url: string, protocols: string[] = [], options: ClientOptions = {}): Promise<Client> {
    const client = new Client(new WebSocket(url, protocols, options))
    t.teardown(() => client.socket.terminate())
    await once(client.socket, 'open')
    return client
  }

  async message (): Promise<{ data: Buffer, isBinary: boolean }> {
    while (this.messages.length === 0) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('closed before the message came')
      await new Promise<void>(resolve => { this.wake = resolve })
    }
    return this.messages.shift()!
  }

  async text (): Promise<string> {
    return (await this.message()).data.toString()
  }
}

/** The answer to an upgrade that is refused. */
export async function refusal (url: string, options: ClientOptions = {}): Promise<Refusal> {
  const socket = new WebSocket(url, options)
  socket.on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  let body = ''
  for await (const chunk of response) body += chunk
  socket.terminate()
  return { status: response.statusCode, headers: response.headers, body }
}

/** Runs an example in this process; it listens when it is started, or else now. */
export async function start (t: Test, example: Example, prepare: (app: FastifyInstance) => unknown = () => {}): Promise<Running> {
  const app = await load(t, example)
  await prepare(app)
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}

/** Apps that examples have made in this process. */
const running = new Set<FastifyInstance>()
let loads = 0

export async function load (t: Test, example: Example): Promise<FastifyInstance> {
  const apps: FastifyInstance[] = []
  const onApp = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance }
    apps.push(fastify)
    running.add(fastify)
  }
  diagnosticsChannel.subscribe('fastify.initialization', onApp)
  // The same example may be run again, as a new module.
  await import(`${pathToFileURL(fileOf(example)).href}?${++loads}`)
  diagnosticsChannel.unsubscribe('fastify.initialization', onApp)
  t.equal(apps.length, 1, 'it makes one app')
  return apps[0]!
}

async function closeAll (): Promise<void> {
  await Promise.all([...running].map(app => app.close()))
  running.clear()
}

/** Runs an example as a program of its own. */
export async function startProcess (t: Test, file: string): Promise<{ child: ChildProcess, url: string, lines: string[] }> {
  const anyPort = pathToFileURL(join(ROOT, 'test/support/any-port.ts')).href
  // without tap's loader, which it adds to NODE_OPTIONS of every child process
  const args = ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', `--import=${anyPort}`, file]
  const child = spawn('env', args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TELL_PORT: '1' } })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines: string[] = []
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', line => {
      const found = /^port (\d+)$/.exec(line)
      if (found === null) lines.push(line)
      else resolve(found[1]!)
    })
    exited.then(([code]) => reject(new Error(`${file} ended with ${code} before it listened`)))
  })
  return { child, url: `ws://localhost:${port}`, lines }
}

export function fileOf ({ name, language }: Example): string {
  return join(projects.get(name) ?? project, `${name.replaceAll(' ', '-')}.${language}`)
}

/** What the apps that were made for examples have logged as a warning or an error, since the last call. */
async function takeLogged (name: string): Promise<string[]> {
  const { logged } = await import(pathToFileURL(join(projects.get(name) ?? project, 'logger.ts')).href) as { logged: string[] }
  return logged.splice(0)
}

/** Puts what a test has in the place of what a printed configuration says, which has to be there. */
export function replaceAll (text: string, replacements: Record<string, string>): string {
  for (const [printed, ours] of Object.entries(replacements)) {
    if (!text.includes(printed)) throw new Error(`${printed} is not in\n${text}`)
    text = text.replaceAll(printed, ours)
  }
  return text
}

/** The examples by name, to be used by others. */
export const byName = new Map<string, Example>()

/** The names that an error message knows. */
export function namesIn (message: string): string[] {
  return /there are (.+)$/.exec(message)![1]!.split(', ')
}

/** The names of options of the plugin, at the place where an unknown one is put. */
export async function namesOf (place: (unknown: object) => object): Promise<string[]> {
  const options = place({ unknown: 1 }) as WebSocketPluginOptions
  return namesIn(await Fastify().register(websocket, options).then(() => '', (error: Error) => error.message))
}

/** Folders of docs/ that hold no documents: the site's. */
const NO_DOCUMENTS = /^(?:node_modules|\.vitepress|api|project)\//

const docs = (await readdir(join(ROOT, 'docs'), { recursive: true }))
  .filter(name => name.endsWith('.md') && !NO_DOCUMENTS.test(name)).sort().map(name => `docs/${name}`)

/** The documents with examples, and all others that have links. */
export const documents = ['README.md', ...docs]
export const linked = [...documents, 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md']

/** Documents whose examples need packages of other folders, and the tests there that run them. */
const ELSEWHERE: Record<string, string> = {
  'docs/authentication.md': 'test/interop/authentication.test.ts',
  'docs/client.md': 'test/interop/client.test.ts',
  'docs/nats.md': 'test/brokers/nats-docs.test.ts',
  'docs/redis.md': 'test/brokers/redis-docs.test.ts'
}

/** The tests that check examples: those of this folder, and the others. */
export const testsOfDocuments = [
  ...(await readdir(import.meta.dirname)).filter(name => name.endsWith('.test.ts')).map(name => `test/docs/${name}`),
  ...Object.values(ELSEWHERE),
  'test/compat/migration.test.ts'
].map(name => join(ROOT, name))

export const examples = await prepareExamples(documents.filter(name => !(name in ELSEWHERE)))

/** Reads the examples of documents, and writes those that are programs into the folder that they run in. */
export async function prepareExamples (documents: readonly string[], folder = project): Promise<Example[]> {
  const examples = (await Promise.all(documents.map(examplesOf))).flat()
  for (const example of examples) {
    byName.set(example.name, example)
    await writeExample(example, folder)
  }
  return examples
}

export async function writeExample (example: Example, folder: string): Promise<void> {
  projects.set(example.name, folder)
  if (example.language === 'ts') await writeFile(fileOf(example), toProgram(example.text))
  else if (example.language === 'cjs') await writeFile(fileOf(example), example.text)
}

/** Checks that each example has a check in one of these files, and that no two have the same name. */
export async function testCoverage (t: Test, examples: readonly Example[], files: readonly string[]): Promise<void> {
  const checked = new Set<string>()
  for (const file of files) {
    const text = await readFile(file, 'utf8')
    for (const [, quoted, plain] of text.matchAll(/^ {2}async (?:'([^']+)'|(\w+)) \(/gm)) checked.add(quoted ?? plain!)
    for (const [, name] of text.matchAll(/\bexampleNamed\('[^']+', '([^']+)'\)/g)) checked.add(name!)
  }
  for (const { name, place } of examples) t.ok(checked.has(name), `${place} has a check: '${name}'`)
  t.equal(new Set(examples.map(({ name }) => name)).size, examples.length, 'no two have one name')
}

export type Check = (t: Test, example: Example) => Promise<void>

/** Runs examples, each with what the text around it says about it. `examples.test.ts` finds those that have no check. */
export function runChecks (checks: Record<string, Check>): void {
  for (const [name, check] of Object.entries(checks)) {
    const example = byName.get(name)
    if (example === undefined) throw new Error(`no document has an example with the name '${name}'`)
    t.test(`${example.place} ${name}`, async t => {
      t.teardown(closeAll)
      await check(t, example)
      await closeAll()
      t.strictSame(await takeLogged(name), [], 'nothing was logged as a warning or an error')
    })
  }
}
