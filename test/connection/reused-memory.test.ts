import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { KeptInflater, randomFrom, textOf } from '../compression/peer.js'
import { startApp, type TestApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, extendedConnect, responseHeaders } from '../support/http2-client.js'
import { DeflateClient } from '../support/deflate-client.js'
import { binary, ping, RawClient, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'
import { many } from '../support/thorough.js'

// An app that uses its memory again: right after the call where that is allowed, else in the callback. Every receiver
// compares every byte, with compression that refers to earlier messages, so that one wrong history is seen too.

/** A frame or message in few bytes: the opcode of the message or control frame, and its content. */
function note (opcode: number, data: Uint8Array): string {
  return `${opcode} ${data.length} ${createHash('sha1').update(data).digest('hex')}`
}

/** A receiver of exact bytes. */
interface Receiver {
  readonly name: string
  next (): Promise<string>
  /** Stops reading, so that the server's socket fills up. */
  pause (): void
  resume (): void
}

class RawReceiver implements Receiver {
  readonly name: string
  private readonly raw: RawClient
  private readonly inflater: KeptInflater

  constructor (t: Test, name: string, raw: RawClient, extensions: string) {
    this.name = `${name}, ${extensions === '' ? 'not compressed' : extensions}`
    this.raw = raw
    this.inflater = new KeptInflater({
      windowBits: Number(/server_max_window_bits=(\d+)/.exec(extensions)?.[1] ?? 15),
      contextTakeover: !extensions.includes('server_no_context_takeover')
    })
    t.teardown(() => {
      raw.destroy()
      this.inflater.close()
    })
  }

  async next (): Promise<string> {
    const first = await this.raw.frame()
    const parts = [first.payload]
    for (let { fin } = first; !fin;) {
      const fragment = await this.raw.frame()
      parts.push(fragment.payload)
      fin = fragment.fin
    }
    const payload = Buffer.concat(parts)
    return note(first.opcode, first.rsv === 0x40 ? await this.inflater.inflate(payload) : payload)
  }

  pause (): void { this.raw.socket.pause() }
  resume (): void { this.raw.socket.resume() }
}

/** The client of `injectWS`, which keeps what it gets: nobody may change that later. */
class InjectedReceiver implements Receiver {
  readonly name: string
  readonly kept: [noted: string, opcode: number, data: Buffer][] = []
  private readonly client: WebSocketConnection
  private read = 0
  private wake: () => void = () => {}

  constructor (name: string, client: WebSocketConnection) {
    this.name = name
    this.client = client
    const keep = (opcode: number, data: Buffer): void => {
      this.kept.push([note(opcode, data), opcode, data])
      this.wake()
    }
    client.on('message', (data, isBinary) => keep(isBinary ? 2 : 1, data))
    client.on('ping', data => keep(9, data))
    client.on('pong', data => keep(10, data))
    client.on('close', (code, reason) => {
      const payload = Buffer.alloc(2)
      payload.writeUInt16BE(code)
      keep(8, Buffer.concat([payload, reason]))
    })
  }

  async next (): Promise<string> {
    while (this.read === this.kept.length) await new Promise<void>(resolve => { this.wake = resolve })
    return this.kept[this.read++]![0]
  }

  pause (): void { this.client.pause() }
  resume (): void { this.client.resume() }
}

const OFFERS = [
  null, 'permessage-deflate', 'permessage-deflate; server_max_window_bits=9',
  'permessage-deflate; server_no_context_takeover', null, 'permessage-deflate'
]

interface Opened extends TestApp {
  connections: WebSocketConnection[]
  receivers: Receiver[]
}

type Transport = 'TCP' | 'TLS' | 'HTTP/2' | 'injectWS' | 'injectWS, HTTP/2'
const TRANSPORTS: Transport[] = ['TCP', 'TLS', 'HTTP/2', 'injectWS', 'injectWS, HTTP/2']

async function open (t: Test, transport: Transport): Promise<Opened> {
  const connections: WebSocketConnection[] = []
  const server = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connections.push(connection) })
  }, { perMessageDeflate: { threshold: 64 }, maxBufferedAmount: Infinity, heartbeat: false }, {
    ...(transport.endsWith('HTTP/2') && { http2: true }),
    ...(transport === 'TLS' && { https: certificate })
  })
  const receivers: Receiver[] = []
  const session = transport === 'HTTP/2' ? await connectHttp2(t, `http://127.0.0.1:${server.port}`) : null
  for (const offer of OFFERS) {
    if (transport.startsWith('injectWS')) {
      receivers.push(new InjectedReceiver(transport, await server.app.injectWS('/')))
    } else if (session !== null) {
      const stream = extendedConnect(session, '/', offer === null ? {} : { 'sec-websocket-extensions': offer })
      const { headers } = await responseHeaders(stream)
      receivers.push(new RawReceiver(t, transport, new RawClient(stream), String(headers['sec-websocket-extensions'] ?? '')))
    } else {
      const raw = transport === 'TLS' ? await connectSecure(server.port) : await RawClient.connect(server.port)
      raw.write(upgradeRequest('/', { 'Sec-WebSocket-Extensions': offer }))
      receivers.push(new RawReceiver(t, transport, raw, (await raw.head()).headers['sec-websocket-extensions'] ?? ''))
    }
    while (connections.length < receivers.length) await turns(1)
  }
  return { ...server, connections, receivers }
}

const KiB16 = 16 * 1024
/** `send` copies these: the memory is the app's again when it returns. */
const SMALL = [1, 63, 64, 125, 126, 700, 2000, 5000, 9000, KiB16 - 1]
/** `broadcast` copies these too; 32 KiB and more is compressed on another thread. */
const ALL = [...SMALL, ...SMALL, KiB16, 20_000, 40_000, 120_000]

const SCRIBBLE = 0xee
const BINARY = 2

/** An app with one piece of memory for all that it sends, and what each receiver has to get of that. */
class Scribbler {
  readonly expected: string[][]
  private readonly app: TestApp['app']
  private readonly connections: WebSocketConnection[]
  private readonly memory = Buffer.alloc(200_000)
  private readonly random: (below: number) => number
  /** Whether all callbacks were called that had to be waited for. */
  pendingCallbacks = 0

  constructor ({ app, connections }: Opened, seed: number) {
    this.app = app
    this.connections = connections
    this.expected = connections.map(() => [])
    this.random = randomFrom(seed)
  }

  /** Puts something into the memory. */
  private write (sizes: readonly number[]): { view: Buffer | Uint8Array | DataView, content: Buffer } {
    const size = sizes[this.random(sizes.length)]!
    const start = this.random(100)
    const content = textOf(size, this.random)
    content.copy(this.memory, start)
    const { buffer, byteOffset } = this.memory
    const views = [this.memory.subarray(start, start + size), new Uint8Array(buffer, byteOffset + start, size), new DataView(buffer, byteOffset + start, size)]
    return { view: views[this.random(3)]!, content }
  }

  /** What every call is followed by, in the same tick. */
  private scribble (): void {
    this.memory.fill(SCRIBBLE)
  }

  private readonly toOne: Array<(connection: WebSocketConnection, expect: (opcode: number, content: Uint8Array) => void) => void> = [
    (connection, expect) => {
      const { view, content } = this.write(SMALL)
      connection.send(view)
      expect(BINARY, content)
    },
    (connection, expect) => {
      const parts = Array.from({ length: 3 }, (_, index) => {
        const { view, content } = this.write(SMALL)
        connection.send(view, { fin: index === 2 })
        this.scribble()
        return content
      })
      expect(BINARY, Buffer.concat(parts))
    },
    (connection, expect) => {
      const { view, content } = this.write([0, 1, 60, 125])
      connection.ping(view)
      expect(9, content)
    },
    (connection, expect) => {
      const { view, content } = this.write([0, 1, 60, 125])
      connection.pong(view)
      expect(10, content)
    },
    (connection, expect) => {
      const message = { values: [1, 2, 3] }
      connection.sendJson(message)
      message.values[0] = SCRIBBLE
      expect(1, Buffer.from('{"values":[1,2,3]}'))
    },
    (connection, expect) => {
      // By reference: this memory is the app's again in the callback.
      const content = textOf([KiB16, 20_000, 40_000, 120_000][this.random(4)]!, this.random)
      const own = Buffer.from(content)
      this.pendingCallbacks++
      connection.send(own, error => {
        if (error != null) throw error
        own.fill(SCRIBBLE)
        this.pendingCallbacks--
      })
      expect(BINARY, content)
    },
    (connection, expect) => {
      // What follows waits until the Blob is read.
      const content = textOf([100, 5000, 40_000][this.random(3)]!, this.random)
      connection.send(new Blob([content]))
      expect(BINARY, content)
    },
    (connection, expect) => {
      // What follows waits behind this one, where it is compressed on another thread.
      const content = textOf(120_000, this.random)
      connection.send(content.toString())
      expect(1, content)
    }
  ]

  step (): void {
    if (this.random(3) > 0) {
      const index = this.random(this.connections.length)
      const call = this.toOne[this.random(this.toOne.length)]!
      call(this.connections[index]!, (opcode, content) => { this.expected[index]!.push(note(opcode, content)) })
    } else {
      const except = this.random(this.connections.length)
      const { view, content } = this.write(ALL)
      const set = this.random(2) === 0 ? this.app.websocketServer : this.app.websocketServer.route('/')
      if (this.random(5) === 0) {
        const message = { values: ['a'.repeat(100)] }
        set.broadcastJson(message, { except: this.connections[except]! })
        message.values[0] = ''
        this.expectOfAll(except, 1, Buffer.from(JSON.stringify({ values: ['a'.repeat(100)] })))
      } else {
        set.broadcast(view, { except: this.connections[except]!, compress: this.random(4) > 0 })
        this.expectOfAll(except, BINARY, content)
      }
    }
    this.scribble()
  }

  private expectOfAll (except: number, opcode: number, content: Uint8Array): void {
    for (const [index, lines] of this.expected.entries()) if (index !== except) lines.push(note(opcode, content))
  }

  close (): void {
    for (const [index, connection] of this.connections.entries()) {
      const content = textOf(123, this.random)
      content.copy(this.memory)
      connection.close(3000, this.memory.subarray(0, 123))
      this.scribble()
      this.expected[index]!.push(note(8, Buffer.concat([Buffer.from([3000 >>> 8, 3000 & 0xff]), content])))
    }
  }
}

const STEPS = many(60, 600)

for (const transport of TRANSPORTS) {
  for (const isFull of [false, true]) {
    t.test(`${transport}${isFull ? ', to clients that do not read yet' : ''}: memory that is used again right after the call changes nothing that was sent`, async t => {
      const opened = await open(t, transport)
      const { receivers } = opened
      const scribbler = new Scribbler(opened, TRANSPORTS.indexOf(transport) * 2 + Number(isFull) + 1)
      if (isFull) for (const receiver of receivers) receiver.pause()
      for (let i = 0; i < STEPS; i++) {
        scribbler.step()
        // In the same tick, the next, or the next turn of the event loop: during a compression, and behind one.
        if (i % 3 === 1) await Promise.resolve()
        if (i % 7 === 5) await turns(1 + i % 3)
      }
      scribbler.close()
      for (const receiver of receivers) receiver.resume()
      for (const [index, receiver] of receivers.entries()) {
        for (const [number, line] of scribbler.expected[index]!.entries()) {
          const received = await receiver.next()
          if (received !== line) {
            t.equal(received, line, `${receiver.name}: number ${number} of ${scribbler.expected[index]!.length}`)
            break
          }
        }
      }
      while (scribbler.pendingCallbacks > 0) await turns(1)
      for (const receiver of receivers) {
        if (!(receiver instanceof InjectedReceiver)) continue
        t.ok(receiver.kept.every(([noted, opcode, data]) => note(opcode, data) === noted), 'what was received stays as it was')
      }
    })
  }
}

t.test('injectWS: each side has its own memory, as over a network', async t => {
  const { app, connections, receivers } = await open(t, 'injectWS')
  const content = textOf(20_000, randomFrom(1))
  app.websocketServer.broadcast(content)
  for (const receiver of receivers as InjectedReceiver[]) {
    t.equal(await receiver.next(), note(BINARY, content))
    // The test may change what it got: the others get their own.
    receiver.kept[0]![2].fill(SCRIBBLE)
  }
  const own = Buffer.from(content)
  connections[0]!.send(own)
  t.equal(await receivers[0]!.next(), note(BINARY, content))
  ;(receivers[0] as InjectedReceiver).kept[1]![2].fill(SCRIBBLE)
  t.ok(own.equals(content))

  const client = await app.injectWS('/')
  const heard: Buffer[] = []
  connections.at(-1)!.on('message', data => heard.push(data))
  const memory = Buffer.alloc(40_000)
  const sent: Buffer[] = []
  for (const size of [10, 5000, KiB16 - 1, KiB16, 40_000]) {
    sent.push(textOf(size, randomFrom(size)))
    sent.at(-1)!.copy(memory)
    client.send(memory.subarray(0, size))
    // A client masks, and so copies.
    memory.fill(SCRIBBLE)
  }
  while (heard.length < sent.length) await turns(1)
  await turns()
  for (const [index, data] of heard.entries()) t.ok(data.equals(sent[index]!), `${data.length} bytes`)
})

t.test('received messages are the app\'s: changing them changes neither what comes next nor what was sent back', async t => {
  for (const offer of ['permessage-deflate', 'permessage-deflate; client_no_context_takeover', null]) {
    const { port } = await startApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('message', (data, isBinary) => {
          // From 16 KiB on the copy is the app's business.
          connection.send(data.length < KiB16 ? data : Buffer.from(data), { binary: isBinary })
          data.fill(SCRIBBLE)
        })
        connection.on('ping', data => { data.fill(SCRIBBLE) })
      })
    }, { perMessageDeflate: { threshold: 64 } })
    const client = await DeflateClient.open(t, port, '/', offer)
    const random = randomFrom(3)
    for (const size of [100, 2000, 100, 20_000, 100_000, 100, 400_000, 3000, 500_000, 2000]) {
      const message = textOf(size, random)
      // One behind the other in a chunk, so that they share memory.
      const messages = [message, Buffer.concat([message.subarray(0, 50), message.subarray(0, 50)]), message]
      const bytes: Buffer[] = []
      for (const one of messages) bytes.push(offer === null ? binary(one) : await client.encode(one))
      client.raw.write(Buffer.concat(bytes))
      for (const one of messages) t.ok((await client.message()).data.equals(one), `${offer ?? 'not compressed'}: ${one.length} bytes`)
    }
    client.raw.write(Buffer.concat([ping('1'), ping('22'), ping('333')]))
    for (const pong of ['1', '22', '333']) t.equal((await client.next()).data.toString(), pong)
    client.close()
  }
})
