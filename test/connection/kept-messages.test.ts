import t from 'tap'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { binary, close, continuation, frame, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure } from '../support/server-sockets.js'

// Connections share the buffer that sockets read into, the memory of WebAssembly, and slabs for small copies. So
// everything that a user gets is kept here until nothing more comes, and only then compared with what was sent.

const CONNECTIONS = 3
const ROUNDS = 25

/** Said by one client, and kept by its listeners: payloads, in order. */
type Said = Buffer[]

let state = 99

function random (below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return Math.floor((state >>> 0) / 2 ** 32 * below)
}

function bytesOf (length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let i = 0; i < length; i++) bytes[i] = random(256)
  return bytes
}

/** What is sent at once by one client: the payloads, and the bytes, in which there is more than one way of framing. */
function createRound (): { said: Said, bytes: Buffer } {
  const said: Said = []
  const frames: Buffer[] = []
  const options = { mask: random(2 ** 32) }
  const say = (payload: Buffer, ...as: Buffer[]): void => {
    said.push(payload)
    frames.push(...as)
  }
  const kind = random(6)
  for (let left = kind === 0 ? 200 : kind === 1 ? 1 : 1 + random(12); left > 0; left--) {
    const length = kind === 1 ? random(random(2) === 0 ? 60_000 : 150_000) : kind === 2 ? random(5000) : random(90)
    const payload = random(3) === 0 ? Buffer.from('aé€😀'.repeat(length / 10)) : bytesOf(length)
    const isText = payload.toString('latin1').startsWith('a\xc3')
    const cut = random(payload.length + 1)
    const control = bytesOf(random(126))
    const isFragmented = random(8) === 0
    if (isFragmented) frames.push(frame(isText ? 0x1 : 0x2, payload.subarray(0, cut), { ...options, fin: false }))
    if (isFragmented || random(8) === 0) say(control, ping(control, options))
    say(payload, isFragmented ? continuation(payload.subarray(cut), options) : isText ? text(payload, options) : binary(payload, options))
  }
  return { said, bytes: Buffer.concat(frames) }
}

/** Keeps what comes, as it came. Now and then it pauses, for what waits goes other ways. */
function keep (connection: WebSocketConnection, kept: Said): void {
  const add = (data: Buffer): void => {
    kept.push(data)
    if (kept.length % 97 !== 0) return
    connection.pause()
    setTimeout(() => connection.resume(), 1)
  }
  connection.on('message', data => add(data))
  connection.on('ping', data => add(data))
}

interface Transport {
  name: string
  https: boolean
  where: object
  open: (app: FastifyInstance) => Promise<RawClient>
}

async function createTransports (t: Teardown): Promise<Transport[]> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-kept-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'socket')
  const host = '127.0.0.1'
  const portOf = (app: FastifyInstance): number => (app.server.address() as AddressInfo).port
  return [
    { name: 'TCP', https: false, where: { port: 0, host }, open: app => RawClient.connect(portOf(app)) },
    { name: 'TLS', https: true, where: { port: 0, host }, open: app => connectSecure(portOf(app)) },
    {
      name: 'Unix',
      https: false,
      where: { path },
      open: async () => {
        const socket = connect({ path, allowHalfOpen: true })
        await once(socket, 'connect')
        return new RawClient(socket)
      }
    }
  ]
}

t.test('nothing that was handed out is ever overwritten: kept from several connections at once, and compared at the end', async t => {
  const peers: { name: string, client: RawClient, kept: Said, said: Said, over: Promise<unknown> }[] = []
  for (const { name, https, where, open } of await createTransports(t)) {
    const app = (https ? Fastify({ https: certificate }) : Fastify()) as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket)
    const opened: { kept: Said, over: Promise<unknown> }[] = []
    app.get('/', { websocket: true }, connection => {
      const kept: Said = []
      opened.push({ kept, over: once(connection, 'close') })
      keep(connection, kept)
    })
    await app.listen(where)
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = await open(app)
      t.teardown(() => client.destroy())
      client.write(upgradeRequest())
      await client.head()
      // Pongs are not of interest here.
      client.socket.removeAllListeners('data').resume()
      peers.push({ name: `${name} ${i}`, client, said: [], ...opened[i]! })
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { client, said } of peers) {
      const { said: payloads, bytes } = createRound()
      said.push(...payloads)
      // Half of them in two writes, so that frames and headers are cut somewhere.
      const cut = random(2) === 0 ? 0 : random(bytes.length)
      client.write(bytes.subarray(0, cut))
      if (random(2) === 0) await new Promise(resolve => setImmediate(resolve))
      client.write(bytes.subarray(cut))
    }
  }
  for (const { client } of peers) {
    client.write(close(1000))
    client.end()
  }
  await Promise.all(peers.map(({ over }) => over))

  for (const { name, kept, said } of peers) {
    const wrong = said.findIndex((payload, index) => kept[index]?.equals(payload) !== true)
    t.equal(wrong, -1, `${name}: ${said.length} payloads, all as they were sent`)
    t.equal(kept.length, said.length)
    t.ok(said.length > 10 * ROUNDS, 'many')
  }
  // What was handed out is the user's: written over by one of them, it does not change for another.
  for (const { kept } of peers) {
    const copies = kept.map(data => Buffer.from(data))
    for (let i = 0; i < kept.length; i += 2) kept[i]!.fill(0)
    t.ok(kept.every((data, index) => index % 2 === 0 || data.equals(copies[index]!)))
  }
})

t.test('what was given to send may be changed at once if it is below 16 KiB, else when its callback was called; what was heard is not changed by that', async t => {
  const SIZES = [1, 125, 126, 300, 4096, 16 * 1024 - 1, 16 * 1024, 65_536, 300_000]
  let heard: Buffer[] = []
  for (const { name, https, where, open } of await createTransports(t)) {
    const app = (https ? Fastify({ https: certificate }) : Fastify()) as FastifyInstance
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => {
        heard.push(Buffer.from(data))
        const isSmall = data.length < 16 * 1024
        connection.send(data, isSmall ? undefined : () => data.fill(0xdd))
        if (isSmall) data.fill(0xee)
      })
    })
    await app.listen(where)
    const client = await open(app)
    t.teardown(() => client.destroy())
    client.write(upgradeRequest())
    await client.head()
    const sent = [...SIZES, ...SIZES].map(bytesOf)
    client.write(Buffer.concat(sent.map(payload => binary(payload))))
    for (const payload of sent) t.ok((await client.frame()).payload.equals(payload), `${name}: ${payload.length} bytes came back`)
    t.ok(heard.every((data, index) => data.equals(sent[index]!)))
    heard = []
  }
})
