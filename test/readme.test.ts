import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance } from 'fastify'
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import diagnosticsChannel from 'node:diagnostics_channel'
import { once } from 'node:events'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { WebSocket, type ClientOptions, type RawData } from 'ws'
import { ERRORS } from '../lib/errors.js'
import websocket, { type InjectWSError, type PerMessageDeflateOptions, type WebSocketPluginOptions } from '../lib/index.js'
import { resolvePluginOptions } from '../lib/options.js'
import './support/any-port.js'
import { certificate } from './support/certificate.js'
import { startProgram } from './support/child-process.js'
import { DeflateClient } from './support/deflate-client.js'
import { renderErrorTable } from './support/error-table.js'
import { cellsOf, createProject, examplesOf, ROOT, toProgram, typeCheck, type Example } from './support/examples.js'
import { connectHttp2, openHttp2 } from './support/http2-client.js'
import { frame, RawClient, upgradeRequest } from './support/raw-client.js'
import { findProgram, needs } from './support/system-packages.js'

// Every example in the documentation is run as it is printed, and has to do what the text around it says.

const project = await createProject(t)

interface Running {
  app: FastifyInstance
  /** `ws://127.0.0.1:port` */
  url: string
}

interface Refusal {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

/** A client whose messages wait until they are asked for. */
class Client {
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
async function refusal (url: string, options: ClientOptions = {}): Promise<Refusal> {
  const socket = new WebSocket(url, options)
  socket.on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  let body = ''
  for await (const chunk of response) body += chunk
  socket.terminate()
  return { status: response.statusCode, headers: response.headers, body }
}

/** Runs an example in this process; it listens when it is started, or else now. */
async function start (t: Test, example: Example, prepare: (app: FastifyInstance) => unknown = () => {}): Promise<Running> {
  const app = await load(t, example)
  await prepare(app)
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}

/** Apps that examples have made in this process. */
const running = new Set<FastifyInstance>()
let loads = 0

async function load (t: Test, example: Example): Promise<FastifyInstance> {
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
async function startProcess (t: Test, file: string): Promise<{ child: ChildProcess, url: string, lines: string[] }> {
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

function fileOf ({ name, language }: Example): string {
  return join(project, `${name.replaceAll(' ', '-')}.${language}`)
}

/** What the apps that were made for examples have logged as a warning or an error, since the last call. */
async function takeLogged (): Promise<string[]> {
  const { logged } = await import(pathToFileURL(join(project, 'logger.ts')).href) as { logged: string[] }
  return logged.splice(0)
}

/** An address of this machine where nobody listens: a loopback address that hardly anybody else has. */
async function freeAddress (): Promise<string> {
  const server = createServer().listen(0, `127.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`)
  await once(server, 'listening')
  const { address, port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `${address}:${port}`
}

/** Resolves when the program says on its standard error that it listens. */
async function said (child: ChildProcess, what: RegExp): Promise<void> {
  let text = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (piece: string) => {
      text += piece
      if (what.test(text)) resolve()
    })
    child.on('exit', () => reject(new Error(`it ended with\n${text}`)))
  })
}

/** Puts what a test has in the place of what a printed configuration says, which has to be there. */
function replaceAll (text: string, replacements: Record<string, string>): string {
  for (const [printed, ours] of Object.entries(replacements)) {
    if (!text.includes(printed)) throw new Error(`${printed} is not in\n${text}`)
    text = text.replaceAll(printed, ours)
  }
  return text
}

/** Puts a certificate where a printed program reads one. */
async function useCertificate (example: Example): Promise<void> {
  const file = fileOf(example)
  const files = { 'key.pem': certificate.key, 'cert.pem': certificate.cert }
  for (const [name, text] of Object.entries(files)) await writeFile(join(project, name), text)
  const paths = Object.fromEntries(Object.keys(files).map(name => [`'${name}'`, `'${join(project, name)}'`]))
  await writeFile(file, replaceAll(await readFile(file, 'utf8'), paths))
}

/** What a browser on a page of the site gets through a proxy, and one on another page. */
async function checkProxy (t: Test, address: string): Promise<void> {
  const options = { rejectUnauthorized: false, headers: { Host: 'example.com' } }
  const client = await Client.open(t, `wss://${address}/where`, [], { ...options, origin: 'https://example.com' })
  t.equal(await client.text(), '127.0.0.1 is at wss://example.com/where')
  t.match(await refusal(`wss://${address}/where`, { ...options, origin: 'https://evil.example' }), { status: 403 })
  const forged = { ...options.headers, 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http' }
  t.match(await refusal(`wss://${address}/where`, { ...options, headers: forged, origin: 'https://evil.example' }), { status: 403 })
  const liar = await Client.open(t, `wss://${address}/where`, [], { ...options, headers: forged })
  t.equal(await liar.text(), '127.0.0.1 is at wss://example.com/where', 'the client cannot say otherwise')
}

/** The examples by name, to be used by others. */
const byName = new Map<string, Example>()

async function startBehindProxy (t: Test): Promise<string> {
  const { url } = await start(t, byName.get('trust proxy')!)
  return new URL(url).host
}

async function temporaryFolder (t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-readme-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await Promise.all([
    writeFile(join(folder, 'cert.pem'), certificate.cert),
    writeFile(join(folder, 'key.pem'), certificate.key),
    writeFile(join(folder, 'both.pem'), certificate.cert + certificate.key)
  ])
  return folder
}

/** The names that an error message knows. */
function namesIn (message: string): string[] {
  return /there are (.+)$/.exec(message)![1]!.split(', ')
}

/** The names of options of the plugin, at the place where an unknown one is put. */
async function namesOf (place: (unknown: object) => object): Promise<string[]> {
  const options = place({ unknown: 1 }) as WebSocketPluginOptions
  return namesIn(await Fastify().register(websocket, options).then(() => '', (error: Error) => error.message))
}

/** What the README says of a SIGTERM under load: the same program, with an echo, a hook that hangs, and less time. */
async function checkDrain (t: Test, { text }: Example): Promise<void> {
  const program = replaceAll(text, {
    'closeTimeout: 5000': 'closeTimeout: 500',
    'await app.listen': `app.get('/echo', { websocket: true }, connection => {
  connection.on('message', data => connection.send(data))
  connection.on('close', code => console.log('code', code, connection.signal.aborted))
})
app.get('/hangs', { websocket: true, preHandler: () => new Promise(() => {}) }, () => {})
await app.listen`
  })
  const file = join(project, 'drain.ts')
  await writeFile(file, program)
  const { child, url, lines } = await startProcess(t, file)
  const port = Number(new URL(url).port)
  const host = '127.0.0.1'

  // Those who talk all the time, and answer a Close frame.
  const talkers = await Promise.all(Array.from({ length: 20 }, () => Client.open(t, `${url}/echo`)))
  for (const talker of talkers) {
    const say = (): void => { if (talker.socket.readyState === WebSocket.OPEN) talker.socket.send('x'.repeat(1000)) }
    for (let i = 0; i < 10; i++) say()
    talker.socket.on('message', say)
  }
  // Those who talk, and do not answer it.
  const deaf = await Promise.all(Array.from({ length: 5 }, () => RawClient.open(port, '/echo')))
  const message = frame(2, 'y'.repeat(1000))
  const babble = setInterval(() => { for (const one of deaf) one.write(message) }, 5)
  t.teardown(() => clearInterval(babble))
  // And who is still in a hook, or has not said what he wants.
  const hanging = await RawClient.connect(port, host)
  hanging.write(upgradeRequest('/hangs'))
  const late = await RawClient.connect(port, host)
  late.write(upgradeRequest('/echo').slice(0, 40))
  await Promise.all(talkers.map(talker => talker.message()))

  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  for (const talker of talkers) {
    t.equal((await talker.closed).code, 1001)
  }
  t.equal((await hanging.head()).status, 503)
  // The others are still waited for: refused, unless this machine is so slow that all is over by now.
  late.write(upgradeRequest('/echo').slice(40))
  for (const client of [late, await RawClient.connect(port, host).catch(() => null)]) {
    if (client !== late) client?.write(upgradeRequest('/echo'))
    const status = await client?.head().then(head => head.status, () => null)
    t.ok(status === 503 || status === null || status === undefined, `${status}`)
    client?.destroy()
  }
  await Promise.all(deaf.map(one => one.closed))
  t.strictSame(await exited, [0, null])
  const ends = lines.filter(line => line.startsWith('code '))
  t.equal(ends.filter(line => line === 'code 1001 true').length, 20)
  t.equal(ends.filter(line => line === 'code 1006 true').length, 5)
}

type Check = (t: Test, example: Example) => Promise<void>

const checks: Record<string, Check> = {
  async install (t, { text }) {
    const { name, peerDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    t.strictSame(text.trim().split(' '), ['npm', 'install', ...Object.keys(peerDependencies), name])
  },

  async contribute (t, { text }) {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    for (const line of text.trim().split('\n')) {
      const [, script] = /^npm ci && npm (start|test)$/.exec(line) ?? []
      t.type(scripts[script!], 'string', line)
    }
    const [, example] = /^node scripts\/example\.js (\w+)$/.exec(scripts.start)!
    const { scripts: examples } = JSON.parse(await readFile(join(ROOT, 'examples/package.json'), 'utf8'))
    await access(join(ROOT, 'examples', examples[example!].split(' ').at(-1)))
  },

  async 'quick start' (t, example) {
    const { url, lines } = await startProcess(t, fileOf(example))
    const client = await Client.open(t, `${url}/echo`)
    for (const [data, isBinary] of [['hello', false], [Buffer.from([0, 255]), true]] as const) {
      client.socket.send(data)
      t.strictSame(await client.message(), { data: Buffer.from(data), isBinary })
    }
    client.socket.send(Buffer.alloc(64 * 1024))
    t.equal((await client.message()).data.length, 64 * 1024)
    client.socket.send(Buffer.alloc(64 * 1024 + 1))
    t.equal((await client.closed).code, 1009)
    t.match(lines.map(line => JSON.parse(line).msg), /Server listening/)
    t.ok(lines.some(line => JSON.parse(line).msg === 'hello'))
  },

  async commonjs (t, example) {
    const { url } = await startProcess(t, fileOf(example))
    t.equal(await (await Client.open(t, `${url}/hello`)).text(), 'hello')
  },

  async routes (t, example) {
    const { app, url } = await start(t, example)
    t.equal(await (await Client.open(t, `${url}/hello`)).text(), 'hello')
    t.equal((await app.inject('/hello')).statusCode, 426)

    t.strictSame((await app.inject('/feed')).json(), { from: '/feed' })
    const feed = await Client.open(t, `${url}/feed`, ['feed.v1', 'feed.v2'])
    t.equal(await feed.text(), 'you speak feed.v2', 'the best that both speak')
    feed.socket.send('x'.repeat(1025))
    t.equal((await feed.closed).code, 1009)

    t.equal(await (await Client.open(t, `${url}/v1/rooms/tea`)).text(), 'good morning, tea')
  },

  async schema (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/ticks?limit=3`)
    t.strictSame([await client.text(), await client.text(), await client.text()], ['1', '2', '3'])
    t.equal((await client.closed).code, 1000)
    t.equal((await refusal(`${url}/ticks`)).status, 400)
    t.equal((await refusal(`${url}/ticks?limit=101`)).status, 400)
  },

  // The table has all options that there are, and says rightly which of them a route may have.
  async options (t, { text }) {
    const cells = cellsOf(text)
    const rows = cells.map(([option]) => /^(● )?`(\w+)`$/.exec(option!)!)
    t.strictSame(new Set(rows.map(row => row[2])), new Set(await namesOf(unknown => unknown)))
    const [, , compatibility] = cells.find(([option]) => option === '`options`')!
    const [, nested] = /: (`.+`), as in `ws`/.exec(compatibility!)!
    t.strictSame(nested!.replaceAll('`', '').split(', '), await namesOf(unknown => ({ options: unknown })))
    const app = Fastify()
    await app.register(websocket)
    let ofRoutes = ''
    try {
      app.get('/', { websocket: { unknown: 1 } as object }, () => {})
    } catch (error) {
      ofRoutes = (error as Error).message
    }
    t.strictSame(new Set(rows.filter(row => row[1] !== undefined).map(row => row[2])), new Set(namesIn(ofRoutes)))
  },

  async json (t, example) {
    const { url } = await start(t, example)
    const [one, other] = [await Client.open(t, `${url}/talk`), await Client.open(t, `${url}/talk`)]
    one.socket.send('{"type":"say","id":7,"text":"hello"}')
    t.strictSame(JSON.parse(await one.text()), { type: 'ack', id: 7 })
    t.strictSame(JSON.parse(await other.text()), { type: 'said', text: 'hello' })
    other.socket.send('{"type":"typing","on":true,"secret":"x"}')
    t.strictSame(JSON.parse(await one.text()), { type: 'typing', on: true })
    other.socket.send('{"type":"say","id":"x","text":""}')
    t.match(await other.closed, { code: 1008, reason: /^message\/id must be integer/ })
    one.socket.send('hello')
    t.strictSame(await one.closed, { code: 1007, reason: 'the message is not JSON' })
  },

  async 'json loop' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/total`)
    for (const [message, answer] of [
      ['{"n":1}', { total: 1 }],
      ['{"n":"2.5"}', { total: 3.5 }],
      ['{}', { error: "message must have required property 'n'", validation: 1 }],
      ['?', { error: 'the message is not JSON' }]
    ] as const) {
      client.socket.send(message)
      t.strictSame(JSON.parse(await client.text()), answer)
    }
    client.socket.send(JSON.stringify('x'.repeat(100)))
    t.equal((await client.closed).code, 1008)
  },

  async limits (t, example) {
    const { url } = await start(t, example)
    const talker = await Client.open(t, `${url}/chat`)
    for (let i = 0; i < 5; i++) {
      talker.socket.send(`${i}`)
      t.equal(await talker.text(), `${i}`)
    }
    const flooder = await Client.open(t, `${url}/chat`)
    for (let i = 0; i < 100; i++) flooder.socket.send('me')
    t.equal((await flooder.closed).code, 1008)
    const uploader = await Client.open(t, `${url}/upload`)
    for (let i = 0; i < 100; i++) uploader.socket.send('x'.repeat(i))
    for (let i = 0; i < 100; i++) t.equal(await uploader.text(), `${i} bytes`)
  },

  async heartbeat (t, example) {
    const log = t.capture(console, 'log')
    const { app, url } = await start(t, example)
    const player = await Client.open(t, `${url}/game`)
    player.socket.send('?')
    t.equal(await player.text(), '? ms')
    await once(player.socket, 'ping')
    while ([...app.websocketServer.clients][0]!.latency === undefined) await new Promise(resolve => setImmediate(resolve))
    player.socket.send('?')
    t.match(await player.text(), /^\d+\.\d ms$/)

    const customer = await Client.open(t, `${url}/support`)
    customer.socket.send('hello')
    t.equal(await customer.text(), 'hello')

    const sensor = await Client.open(t, `${url}/sensor`)
    const [connection] = app.websocketServer.route('/sensor').clients
    sensor.socket.close(1000, '')
    await once(connection!, 'close')
    t.equal(connection!.latency, undefined)
    t.strictSame(log(), [])
  },

  async compression (t, example) {
    const { url } = await start(t, example)
    const port = Number(new URL(url).port)

    const client = await DeflateClient.open(t, port, '/prices')
    t.equal(client.extensions, 'permessage-deflate; client_max_window_bits=12')
    const [hello, prices, packed] = [await client.message(), await client.message(), await client.message()]
    t.strictSame([hello.data.toString(), hello.isCompressed], ['deflated', false])
    t.ok(prices.isCompressed && prices.wireLength < prices.data.length / 5, `${prices.data.length} bytes in ${prices.wireLength}`)
    t.equal(packed.isCompressed, false)
    t.ok(gunzipSync(packed.data).equals(prices.data))

    const plain = await DeflateClient.open(t, port, '/prices', null)
    t.equal(plain.extensions, '')
    t.equal((await plain.message()).data.toString(), 'as it is')
    t.strictSame(await plain.message(), { ...prices, isCompressed: false, wireLength: prices.data.length })

    const listeners = [await DeflateClient.open(t, port, '/changes'), await DeflateClient.open(t, port, '/changes', null)] as const
    for (const [length, isCompressed] of [[63, false], [64, true]] as const) {
      await listeners[0].send('x'.repeat(length))
      t.match(await listeners[0].message(), { isCompressed }, `${length} bytes`)
      t.match(await listeners[1].message(), { isCompressed: false })
    }

    const photos = await DeflateClient.open(t, port, '/photos')
    t.equal(photos.extensions, '')
    for (const one of [client, plain, ...listeners, photos]) one.close()
  },

  // The table has all options that there are, their defaults, and the numbers they may be.
  async 'compression options' (t, { text }) {
    const rows = cellsOf(text).map(([option, fallback, meaning]) => ({ name: option!.replaceAll('`', ''), fallback: JSON.parse(fallback!.replaceAll('`', '')), meaning: meaning! }))
    const { perMessageDeflate } = resolvePluginOptions({ perMessageDeflate: true }).route
    t.strictSame(Object.fromEntries(rows.map(({ name, fallback }) => [name, fallback])), { ...perMessageDeflate })
    t.strictSame(rows.map(({ name }) => name).sort(), (await namesOf(unknown => ({ perMessageDeflate: unknown }))).sort())
    for (const { name, fallback, meaning } of rows) {
      if (typeof fallback !== 'number') continue
      const [, min, max] = /^(\d+)(?:–(\d+)| or more):?/.exec(meaning)!
      const resolve = (value: number): unknown => resolvePluginOptions({ perMessageDeflate: { [name]: value } as PerMessageDeflateOptions })
      resolve(Number(min))
      t.throws(() => resolve(Number(min) - 1), `${name} from ${min}`)
      resolve(Number(max ?? Number.MAX_SAFE_INTEGER))
      if (max !== undefined) t.throws(() => resolve(Number(max) + 1), `${name} up to ${max}`)
    }
  },

  async 'for await' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/sum`)
    for (const number of ['1', '20', '300']) client.socket.send(number)
    t.strictSame([await client.text(), await client.text(), await client.text()], ['1', '21', '321'])
    client.socket.close(1000)
    await client.closed
  },

  async backpressure (t, example) {
    let mostBuffered = 0
    const { app, url } = await start(t, example, app => {
      app.websocketServer.on('connection', connection => {
        const { send } = connection
        connection.send = (...args: unknown[]) => {
          const mayGoOn: boolean = Reflect.apply(send, connection, args)
          mostBuffered = Math.max(mostBuffered, connection.bufferedAmount)
          return mayGoOn
        }
      })
    })
    const client = await Client.open(t, `${url}/numbers`)
    for (let number = 1; number <= 30_000; number++) {
      const text = await client.text()
      if (text !== `${number}`) throw new Error(`${text} instead of ${number}`)
    }
    t.equal((await client.closed).code, 1000)
    t.ok(mostBuffered > 0 && mostBuffered < 100_000, `${mostBuffered} bytes were buffered of some 200000`)

    const leaver = await Client.open(t, `${url}/numbers`)
    const [connection] = app.websocketServer.clients
    leaver.socket.terminate()
    await once(connection!, 'close')
  },

  async signal (t, example) {
    const { app, url } = await start(t, example)
    const client = await Client.open(t, `${url}/clock`)
    t.match(await client.text(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const [connection] = app.websocketServer.clients
    client.socket.terminate()
    await once(connection!, 'close')
    t.ok(connection!.signal.aborted)
  },

  async stream (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/gunzip`)
    const plain = 'as long as it is broad, '.repeat(5000)
    const packed = gzipSync(plain)
    client.socket.send(packed.subarray(0, 100))
    client.socket.send(packed.subarray(100))
    let unpacked = ''
    while (unpacked.length < plain.length) {
      const { data, isBinary } = await client.message()
      t.ok(isBinary)
      unpacked += data.toString()
    }
    t.ok(unpacked === plain)
  },

  async browser (t, example) {
    const { app, url } = await start(t, example)
    const log = t.capture(console, 'log')
    const client = await Client.open(t, `${url}/shout`)
    client.socket.send('hello')
    t.equal(await client.text(), 'HELLO')
    const [connection] = app.websocketServer.clients
    const closed = once(connection!, 'close')
    client.socket.close(1000)
    await closed
    t.strictSame(log().map(({ args }) => args), [[1000, true]])
  },

  async broadcasting (t, example) {
    const { app, url } = await start(t, example)
    const clients = [await Client.open(t, `${url}/chat`), await Client.open(t, `${url}/chat`)] as const
    clients[0].socket.send('hello')
    t.equal(await clients[1].text(), 'somebody says hello')
    t.strictSame((await app.inject({ method: 'POST', url: '/news' })).json(), { everybody: 2 })
    t.equal(await clients[0].text(), 'there is news', 'nobody hears himself')
    t.equal(await clients[1].text(), 'there is news')
    t.strictSame((await app.inject('/here')).json(), { inChat: 2 })
  },

  async rooms (t, example) {
    const { url } = await start(t, example)
    const [ada, bob, eve] = await Promise.all(['tea', 'tea', 'coffee'].map(room => Client.open(t, `${url}/rooms/${room}`)))
    ada!.socket.send('to tea')
    eve!.socket.send('to coffee')
    t.equal(await ada!.text(), 'to tea')
    t.equal(await bob!.text(), 'to tea')
    t.equal(await eve!.text(), 'to coffee')
  },

  async authentication (t, example) {
    const { app, url } = await start(t, example)
    t.match(await refusal(`${url}/private`), { status: 401, body: '{"error":"log in first"}' })
    t.match(await refusal(`${url}/private`, { headers: { cookie: 'user=ada' } }), { status: 401 }, 'anybody can write that')
    const signed = encodeURIComponent(app.signCookie('ada'))
    const client = await Client.open(t, `${url}/private`, [], { headers: { cookie: `user=${signed}` } })
    t.equal(await client.text(), 'welcome, ada')
    t.match(client.headers, { 'set-cookie': [`user=${signed}; Max-Age=604800; HttpOnly; SameSite=Lax`] })
    t.equal(typeof cookie, 'function')
  },

  async 'async context' (t, example) {
    const { url } = await start(t, example)
    const clients = [await Client.open(t, `${url}/whoami`), await Client.open(t, `${url}/whoami`)]
    for (const client of clients) client.socket.send('?')
    const answers = await Promise.all(clients.map(client => client.text()))
    t.match(answers, [/^you came with req-\d+$/, /^you came with req-\d+$/])
    t.not(answers[0], answers[1])
  },

  async origins (t, example) {
    const { url } = await start(t, example)
    t.equal(await (await Client.open(t, `${url}/public`, [], { origin: 'https://evil.example' })).text(), 'hello, world')
    for (const origin of [url.replace('ws:', 'http:'), 'https://app.example.com', 'https://team.example.org', undefined]) {
      const client = await Client.open(t, `${url}/partners`, [], origin === undefined ? {} : { origin })
      t.equal(await client.text(), 'hello, partner', origin ?? 'no page')
    }
    for (const origin of ['https://evil.example', 'http://127.0.0.1:1', 'http://team.example.org', 'https://team.example.org.evil.example', 'null']) {
      t.equal((await refusal(`${url}/partners`, { origin })).status, 403, origin)
    }
  },

  async errors (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/parse`)
    client.socket.send('{"x":1,"y":2}')
    t.equal(await client.text(), '3')
    client.socket.send('no JSON')
    t.strictSame(await client.closed, { code: 1011, reason: 'our fault' })
    t.equal(await (async () => {
      const next = await Client.open(t, `${url}/parse`)
      next.socket.send('{"x":2,"y":2}')
      return next.text()
    })(), '4', 'the process lives')
  },

  // The table is generated from the catalogue, and the catalogue has every code that is in the sources, and no other.
  async codes (t, { text }) {
    t.equal(text.trim(), renderErrorTable())
    const sources = (await readdir(join(ROOT, 'lib'), { recursive: true })).filter(name => name.endsWith('.ts'))
    const used = new Set<string>()
    for (const name of sources) {
      const source = await readFile(join(ROOT, 'lib', name), 'utf8')
      for (const [, code] of source.matchAll(/'(FST_WS_ERR_\w+)'/g)) used.add(code!)
    }
    t.strictSame([...used].sort(), Object.keys(ERRORS).sort())
  },

  async logs (t, { text }) {
    const lines: string[] = []
    const app = Fastify({ logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(data))
    })
    const client = await app.injectWS('/')
    client.send('hello')
    await once(client, 'message')
    client.close(1000)
    await once(client, 'close')
    await app.close()

    const printed = text.trim().split('\n').map(line => JSON.parse(line))
    const written = lines.map(line => JSON.parse(line)).filter(line => printed.some(({ msg }) => msg === line.msg))
    t.strictSame(written.map(shape), printed.map(shape))

    /** What does not change from one time to the next, and the names of what does. */
    function shape (line: Record<string, unknown>): unknown {
      const { time, pid, hostname, responseTime, duration, ...rest } = line
      return { rest, kinds: [time, pid, hostname, responseTime, duration].map(value => typeof value), names: Object.keys(line) }
    }
  },

  async metrics (t, example) {
    const log = t.capture(console, 'log')
    const { app, url } = await start(t, example)
    const client = await Client.open(t, `${url}/echo`)
    client.socket.send('hello')
    await client.text()
    t.match(await refusal(`${url}/echo`, { origin: 'https://evil.example' }), { status: 403 })
    await refusal(`${url}/nowhere`)
    t.strictSame((await app.inject('/stats')).json(), {
      open: 1,
      pending: 0,
      opened: 1,
      refused: { FST_WS_ERR_ORIGIN: 1, 404: 1 },
      received: { messages: 1, bytes: 5 },
      sent: { messages: 1, bytes: 5 },
      queued: 0
    })
    t.strictSame(log().map(({ args }) => args[0]), ['127.0.0.1 was refused with 403: FST_WS_ERR_ORIGIN', '127.0.0.1 was refused with 404: 404'])
  },

  // The table has every channel that there is in the sources, with a type that is exported.
  async channels (t, { text }) {
    const rows = cellsOf(text).map(([name, type]) => ({ name: name!.replaceAll('`', ''), type: type!.replaceAll('`', '') }))
    const source = await readFile(join(ROOT, 'lib/server/diagnostics.ts'), 'utf8')
    t.strictSame(rows.map(({ name }) => name).sort(), [...source.matchAll(/channel\('(.+)'\)/g)].map(([, name]) => name).sort())
    const types = await readFile(join(ROOT, 'types/diagnostics.ts'), 'utf8')
    for (const { name, type } of rows) t.ok(types.includes(`On \`${name}\``) && types.includes(`export interface ${type} {`), type)
  },

  // The example has its own assertions. It is over when its module has been loaded, and has closed the app.
  async testing (t, example) {
    const app = await load(t, example)
    const { statusCode } = await app.injectWS('/echo').then(() => ({ statusCode: 101 }), (error: InjectWSError) => error)
    t.equal(statusCode, 503)
  },

  async http2 (t, example) {
    await useCertificate(example)
    const { app } = await start(t, example)
    const { port } = app.server.address() as AddressInfo
    const options = { ca: certificate.cert, servername: 'localhost' }
    const client = await Client.open(t, `wss://127.0.0.1:${port}/version`, [], options)
    t.equal(await client.text(), 'HTTP/1.1')
    const session = await connectHttp2(t, `https://127.0.0.1:${port}`, options)
    t.equal((await (await openHttp2(session, '/version')).frame()).payload.toString(), 'HTTP/2.0')
    session.destroy()
    client.socket.terminate()
  },

  async 'http2 windows' (t, example) {
    await useCertificate(example)
    const { app } = await start(t, example)
    const session = await connectHttp2(t, `https://127.0.0.1:${(app.server.address() as AddressInfo).port}`, { ca: certificate.cert, servername: 'localhost' })
    t.match(session.remoteSettings, { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 200, enableConnectProtocol: true })
    const client = await openHttp2(session, '/upload')
    client.write(frame(0x2, Buffer.alloc(5_000_000)))
    t.equal((await client.frame()).payload.toString(), '5000000 bytes')
    session.destroy()
  },

  async closing (t, example) {
    const { child, url } = await startProcess(t, fileOf(example))
    const client = await Client.open(t, url)
    t.equal(await client.text(), 'hello')
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    t.equal(await client.text(), 'we are back in a minute')
    t.equal((await client.closed).code, 1001)
    t.strictSame(await exited, [0, null])
    await checkDrain(t, example)
  },

  async nginx (t, { text }) {
    await t.test('passes WebSockets on', needs('nginx'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      const address = await freeAddress()
      const printed = replaceAll(text, {
        'listen 443': `listen ${address}`,
        '127.0.0.1:3000': upstream,
        '/etc/ssl/example.com.pem': join(folder, 'cert.pem'),
        '/etc/ssl/example.com.key': join(folder, 'key.pem')
      })
      const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
      await writeFile(join(folder, 'nginx.conf'), `
        daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
        events {}
        http { access_log off; ${folders.join(' ')}
        ${printed} }`)
      const nginx = startProgram(t, findProgram('nginx')!, ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'])
      await said(nginx, /event method/)
      await checkProxy(t, address)
    })
  },

  async haproxy (t, { text }) {
    await t.test('passes WebSockets on', needs('haproxy'), async t => {
      const upstream = await startBehindProxy(t)
      const folder = await temporaryFolder(t)
      // HAProxy gets a socket that listens already, and nobody need wait for it.
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const { fd } = (server as Server & { _handle: { fd: number } })._handle
      await writeFile(join(folder, 'haproxy.cfg'), replaceAll(text, {
        ':443': 'fd@3',
        '127.0.0.1:3000': upstream,
        '/etc/ssl/example.com.pem': join(folder, 'both.pem')
      }))
      startProgram(t, findProgram('haproxy')!, ['-db', '-f', join(folder, 'haproxy.cfg')], { inherit: [fd] })
      server.close()
      await checkProxy(t, `127.0.0.1:${port}`)
    })
  },

  async 'trust proxy' (t, example) {
    const { url } = await start(t, example)
    const headers = { 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Host': 'example.com', 'X-Forwarded-Proto': 'https' }
    const client = await Client.open(t, `${url}/where`, [], { headers, origin: 'https://example.com' })
    t.equal(await client.text(), '192.0.2.1 is at wss://example.com/where')
  },

  async 'type provider' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/repeat/3`)
    client.socket.send('ab')
    t.equal(await client.text(), 'ababab')
    t.equal((await refusal(`${url}/repeat/11`)).status, 400)
    t.equal(await (await Client.open(t, `${url}/greet`)).text(), 'hello')
  },

  // Both sides of the difference run, and the same client cannot tell them apart.
  async moving (t, { text }) {
    for (const [side, origin] of [['-', 'https://app.example.com'], ['+', 'https://app.example.com']] as const) {
      const lines = text.split('\n').filter(line => line.startsWith(' ') || line.startsWith(side)).map(line => line.slice(1))
      const program = `import Fastify from 'fastify'\n${lines.join('\n')}\n`
      const example: Example = { name: `moving ${side === '-' ? 'from' : 'to'}`, language: 'mjs', text: program, place: '' }
      await writeFile(fileOf(example), program)
      const { url } = await start(t, example)
      const clients = [await Client.open(t, `${url}/chat`, ['chat.v1'], { origin }), await Client.open(t, `${url}/chat`)] as const
      t.equal(clients[0].socket.protocol, 'chat.v1')
      t.match(clients[0].socket.extensions, /^permessage-deflate/)
      clients[1].socket.send('hello')
      for (const client of clients) t.equal(await client.text(), 'hello', example.name)
      clients[0].socket.send(Buffer.alloc(1048577))
      t.equal((await clients[0].closed).code, 1009)
    }
  },

  async asyncapi (t, example) {
    const { app, url } = await start(t, example)
    const printed: unknown = JSON.parse(byName.get('asyncapi document')!.text)
    t.strictSame(app.asyncapi(), printed)
    t.strictSame((await app.inject('/asyncapi.json')).json(), printed)
    const client = await Client.open(t, `${url}/rooms/a`, ['chat.v1'])
    client.socket.send('{"type":"typing","on":true}')
    client.socket.send('{"type":"say","text":"hello"}')
    t.strictSame(JSON.parse(await client.text()), { type: 'said', by: { name: 'somebody' }, text: 'hello' })
  },

  // That it is valid, test/asyncapi says.
  async 'asyncapi document' (t, { text }) {
    t.match(JSON.parse(text), { asyncapi: '3.0.0' })
  },

  async 'asyncapi options' (t, { text }) {
    t.strictSame(cellsOf(text).map(([option]) => option!.replaceAll('`', '')).sort(), (await namesOf(unknown => ({ asyncapi: unknown }))).sort())
  },

  async 'asyncapi transform' (t, example) {
    const { app, url } = await start(t, example)
    const { properties } = app.asyncapi().components.messages!.bid!.payload as { properties: object }
    t.strictSame(properties, { type: { const: 'bid' }, cents: { type: 'integer' } })
    const client = await Client.open(t, `${url}/bids`)
    client.socket.send('{"type":"bid","cents":100}')
    t.strictSame(JSON.parse(await client.text()), { type: 'bid', cents: 100 })
    client.socket.send('{"type":"bid","cents":0.5}')
    t.equal((await client.closed).code, 1008)
  },

  async 'asyncapi swagger' (t, example) {
    const { app, url } = await start(t, example)
    const { swagger } = app as unknown as { swagger (): { paths: object } }
    t.strictSame(swagger.call(app).paths, {
      '/news': { get: { summary: 'News, as they come', responses: { 101: { description: 'Switching Protocols' } } } }
    })
    t.strictSame(Object.keys(app.asyncapi().operations), ['sendNews'])
    t.strictSame(JSON.parse(await (await Client.open(t, `${url}/news`)).text()), { headline: 'It works' })
  },

  // The folders and files that the map names are there, and it forgets none.
  async house (t, { text }) {
    for (const [, folder] of text.matchAll(/^(\w+)\//gm)) await access(join(ROOT, folder!))
    const listed = [...text.matchAll(/^ {2}(\S+?)\/? {2,}\S/gm)].map(([, name]) => name!).sort()
    t.strictSame(listed, (await readdir(join(ROOT, 'lib'))).sort())
  },

  // No module imports from a layer above its own.
  async arrows (t, { text }) {
    const layers = text.trim().split(/\s+→\s+/)
    const names = (await readdir(join(ROOT, 'lib'), { recursive: true })).filter(name => name.endsWith('.ts'))
    for (const name of names) {
      const own = layers.indexOf(layerOf(name))
      if (own === -1) continue
      const source = await readFile(join(ROOT, 'lib', name), 'utf8')
      for (const [, from] of source.matchAll(/ from '\.\.\/(\w+)\/[^']+'/g)) {
        if (from !== 'types') t.ok(layers.indexOf(from!) >= own, `${name} imports from ${from}`)
      }
      if (layerOf(name) === 'protocol') {
        t.notMatch(source, /from '(node:(net|tls|http|https|zlib|timers|stream)|fastify)/, `${name} does no I/O`)
      }
    }

    function layerOf (name: string): string {
      return name.split('/')[0]!.replace('.ts', '')
    }
  }
}

const docs = (await readdir(join(ROOT, 'docs')).catch(() => [])).filter(name => name.endsWith('.md')).sort()
// What docs/migration.md says is seen on both packages: test/compat.
const files = ['README.md', ...docs.filter(name => name !== 'migration.md').map(name => `docs/${name}`)]
const examples = (await Promise.all(files.map(examplesOf))).flat()
for (const example of examples) {
  byName.set(example.name, example)
  if (example.language === 'ts') await writeFile(fileOf(example), toProgram(example.text))
  else if (example.language === 'cjs') await writeFile(fileOf(example), example.text)
}

t.test('every example has a check, and every check an example', async t => {
  for (const { name, place } of examples) t.ok(Object.hasOwn(checks, name), `${place} has a check: '${name}'`)
  t.strictSame(examples.map(({ name }) => name).sort(), Object.keys(checks).sort())
})

t.test('every link inside of the documentation leads somewhere', async t => {
  for (const file of ['README.md', ...docs.map(name => `docs/${name}`)]) {
    const text = await readFile(join(ROOT, file), 'utf8')
    const anchors = new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')))
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue
      const [path, anchor] = target!.split('#') as [string, string | undefined]
      if (path !== '') await access(new URL(path, pathToFileURL(join(ROOT, file))))
      else t.ok(anchors.has(anchor!), `${file}: #${anchor}`)
    }
  }
})

t.test('every example in TypeScript is typed', async () => {
  await typeCheck(project)
})

for (const example of examples) {
  const check = checks[example.name]
  if (check === undefined) continue
  t.test(`${example.place} ${example.name}`, async t => {
    t.teardown(closeAll)
    await check(t, example)
    await closeAll()
    t.strictSame(await takeLogged(), [], 'nothing was logged as a warning or an error')
  })
}
