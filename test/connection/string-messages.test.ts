import { EventEmitter, once } from 'node:events'
import { connect } from 'node:tls'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp, type Teardown } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, continuation, ping, RawClient, text } from '../support/raw-client.js'

// Long texts that only listeners for strings hear are decoded without a Buffer of their own. Whoever listens, and however, gets what
// it would get otherwise.

/** Long enough, with a BOM, a U+FFFD that is one, and characters of every length. */
const LONG = `\ufeff\ufffd${'aé€😀'.repeat(2000)}`
const BYTES = Buffer.from(LONG)
const INVALID = Buffer.concat([BYTES, Buffer.of(0xed, 0xa0, 0x80), BYTES])

type Log = string[]

/** What a listener gets, in short. */
function describe (data: unknown): string {
  if (Buffer.isBuffer(data)) return `${data.length} bytes ${data.equals(BYTES) ? 'of LONG' : data.toString().slice(0, 10)}`
  return `string ${data === LONG ? 'LONG' : String(data).slice(0, 10)}`
}

interface Client {
  write: (bytes: Buffer) => unknown
  frame: RawClient['frame']
}

interface Rig {
  connection: WebSocketConnection
  log: Log
  client: Client
  /** Sends bytes, and waits until they are handled. */
  say: (...frames: Buffer[]) => Promise<void>
}

type Transport = 'TCP' | 'TLS' | 'HTTP/2'

async function openHttp1 (port: number, transport: Transport): Promise<RawClient> {
  if (transport === 'TCP') return RawClient.open(port)
  const client = new RawClient(connect({ port, host: '127.0.0.1', rejectUnauthorized: false }))
  await client.upgrade('/')
  return client
}

async function open (t: Teardown, transport: Transport = 'TCP'): Promise<Rig> {
  let connection!: WebSocketConnection
  const fastifyOptions = transport === 'TCP' ? {} : { http2: transport === 'HTTP/2', https: certificate }
  const { port } = await startApp(t, app => { app.get('/', { websocket: true }, opened => { connection = opened }) }, {}, fastifyOptions)
  const client = transport === 'HTTP/2' ? await openHttp2(await connectHttp2(t, `https://127.0.0.1:${port}`, { rejectUnauthorized: false })) : await openHttp1(port, transport)
  t.teardown(() => client.destroy())
  return {
    connection,
    log: [],
    client,
    async say (...frames) {
      client.write(Buffer.concat([...frames, ping('')]))
      await client.frame()
    }
  }
}

type Listen = (connection: WebSocketConnection, log: Log) => void

const onMessage: Listen = (connection, log) => { connection.on('message', (data, isBinary) => log.push(`message ${describe(data)} ${isBinary}`)) }
const onText: Listen = (connection, log) => { connection.on('text', data => log.push(`text ${describe(data)}`)) }
const onEvent: Listen = (connection, log) => { connection.addEventListener('message', ({ data }) => { log.push(`event ${describe(data)}`) }) }
const onProperty: Listen = (connection, log) => { connection.onmessage = ({ data }) => { log.push(`property ${describe(data)}`) } }
const onAsync: Listen = (connection, log) => { connection.addEventListener('message', async ({ data }) => { log.push(`async ${describe(data)}`) }) }
const onOnce: Listen = (connection, log) => { connection.addEventListener('message', ({ data }) => { log.push(`once ${describe(data)}`) }, { once: true }) }

const MESSAGE = `message ${BYTES.length} bytes of LONG false`
const CASES: Record<string, [Listen[], (round: number) => string[]]> = {
  text: [[onText], () => ['text string LONG']],
  addEventListener: [[onEvent], () => ['event string LONG']],
  'an async listener': [[onAsync], () => ['async string LONG']],
  'several of the browser, and text': [[onText, onEvent, onProperty], () => ['event string LONG', 'property string LONG', 'text string LONG']],
  'once beside others': [[onEvent, onOnce], round => ['event string LONG', ...(round === 0 ? ['once string LONG'] : [])]],
  'message beside text': [[onText, onMessage], () => [MESSAGE, 'text string LONG']],
  'message beside addEventListener': [[onEvent, onMessage], () => ['event string LONG', MESSAGE]]
}

for (const transport of ['TCP', 'TLS', 'HTTP/2'] as const) {
  for (const [name, [listens, expected]] of Object.entries(CASES)) {
    t.test(`${transport}: ${name}`, async t => {
      const { connection, log, say } = await open(t, transport)
      for (const listen of listens) listen(connection, log)
      for (let round = 0; round < 3; round++) {
        await say(text(LONG))
        t.same(log.splice(0), expected(round), `round ${round}`)
      }
      await say(text(BYTES.subarray(0, 5001), { fin: false }), continuation(BYTES.subarray(5001)))
      t.same(log.splice(0), expected(3), 'in two frames, cut within a character')
    })
  }

  t.test(`${transport}: a long text that is not UTF-8 closes with 1007, and nobody gets it`, async t => {
    for (const listen of [onText, onEvent]) {
      const { connection, log, client } = await open(t, transport)
      listen(connection, log)
      client.write(Buffer.concat([text(LONG), text(INVALID), text(LONG)]))
      t.equal((await client.frame()).payload.readUInt16BE(), 1007)
      t.equal(log.length, 1)
    }
  })
}

t.test('listeners that come and go between messages', async t => {
  const { connection, log, say } = await open(t)
  onEvent(connection, log)
  await say(text(LONG))
  const listener = (data: Buffer): void => { log.push(`later ${describe(data)}`) }
  connection.on('message', listener)
  await say(text(LONG))
  connection.off('message', listener)
  await say(text(LONG))
  connection.removeAllListeners('message')
  onText(connection, log)
  await say(text(LONG))
  t.same(log, ['event string LONG', 'event string LONG', `later ${BYTES.length} bytes of LONG`, 'event string LONG', 'text string LONG'])
})

t.test('what a listener adds hears the message that it is called for, as it does with short ones', async t => {
  for (const message of [LONG, 'short']) {
    const { connection, log, say } = await open(t)
    connection.addEventListener('message', () => {
      onText(connection, log)
      connection.on('json', () => {})
    }, undefined)
    connection.once('text', data => { log.push(`first ${data.length}`) })
    connection.on('error', () => {})
    await say(text(message))
    t.same(log, [`first ${message.length}`, `text ${describe(message)}`])
  }
})

t.test('an iterator that a listener begins gets the message too', async t => {
  for (const message of [LONG, 'short']) {
    const { connection, say } = await open(t)
    const received = new Promise<IteratorResult<unknown>>(resolve => {
      connection.addEventListener('message', () => { resolve(connection[Symbol.asyncIterator]().next()) })
    })
    await say(text(message))
    t.equal(describe((await received).value), describe(message))
  }
})

t.test('whoever has replaced emit gets bytes, as documented', async t => {
  const { connection, log, say } = await open(t)
  onEvent(connection, log)
  connection.emit = function (this: EventEmitter, event: string, ...args: unknown[]): boolean {
    log.push(`emit ${event} ${describe(args[0])}`)
    return Reflect.apply(EventEmitter.prototype.emit, this, [event, ...args])
  } as typeof connection.emit
  await say(text(LONG))
  t.same(log.filter(line => line.includes('LONG')), [`emit message ${BYTES.length} bytes of LONG`, 'event string LONG'])
})

t.test('in order with short and binary messages, and counted alike', async t => {
  const { connection, log, say } = await open(t)
  onEvent(connection, log)
  await say(text('one'), text(LONG), binary(BYTES), text('two'), text(LONG), text(LONG))
  t.same(log, ['event string one', 'event string LONG', `event ${BYTES.length} bytes of LONG`, 'event string two', 'event string LONG', 'event string LONG'])
})

t.test('texts that waited for a pause come in order', async t => {
  const { connection, log, client } = await open(t)
  onText(connection, log)
  const all = new Promise<void>(resolve => { connection.on('text', data => { if (data === 'end') resolve() }) })
  connection.once('text', () => {
    connection.pause()
    setImmediate(() => connection.resume())
  })
  client.write(Buffer.concat([text(LONG), text('one'), text(LONG), text('end')]))
  await all
  t.same(log, ['text string LONG', 'text string one', 'text string LONG', 'text string end'])
})

t.test('what a listener throws goes where it goes otherwise, and the next message comes', async t => {
  const errors: unknown[] = []
  const log: Log = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.addEventListener('message', ({ data }) => {
        log.push(describe(data))
        throw new Error('thrown')
      })
    })
  }, { errorHandler: error => { errors.push(error.message) } })
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  client.write(Buffer.concat([text(LONG), text(LONG), ping('')]))
  await client.frame()
  t.same(log, ['string LONG', 'string LONG'])
  t.same(errors, ['thrown', 'thrown'])
})

t.test('injectWS, both sides; and the figures of the server', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { connection.on('text', data => connection.send(data)) })
  })
  const client = await app.injectWS('/')
  client.send(LONG)
  const [event] = await once(client, 'text') as [string]
  t.equal(event, LONG)
  t.equal(app.websocketServer.stats.received.messages, 1)
  t.equal(app.websocketServer.stats.received.bytes, BYTES.length)
  client.terminate()
})

// --- what is sent on while it is delivered is copied from where it was read

/** As long as LONG, in characters and in bytes. */
const OTHER = LONG.replaceAll('a', 'b')
const RELAYED = ['é'.repeat(40_000), '漢'.repeat(6000), 'ascii'.repeat(13_000), LONG, OTHER]

type Relay = (connection: WebSocketConnection, text: string) => void

const RELAYS: Record<string, [Relay, (text: string, index: number) => string[]]> = {
  'as it is, once': [(connection, text) => { connection.send(text) }, text => [text]],
  'several times, with others between them': [
    (connection, text) => {
      connection.send(text)
      connection.send('short')
      connection.send(text.replaceAll('é', 'ö'))
      connection.send(text)
    },
    text => [text, 'short', text.replaceAll('é', 'ö'), text]
  ],
  'another text of the same length': [(connection, text) => { connection.send(text.replaceAll('a', 'b')) }, text => [text.replaceAll('a', 'b')]],
  'an equal text that is another string': [(connection, text) => { connection.send(`${text.slice(0, 10)}${text.slice(10)}`) }, text => [text]],
  'later, and again': [
    (connection, text) => {
      connection.send(text)
      setImmediate(() => connection.send(text))
    },
    text => [text, text]
  ],
  'in fragments': [
    (connection, text) => {
      connection.send(text, { fin: false })
      connection.send(text)
    },
    text => [text, text]
  ],
  'by broadcast': [(connection, text) => { connection.route.broadcast(text) }, text => [text]]
}

for (const transport of ['TCP', 'TLS', 'HTTP/2'] as const) {
  for (const [name, [relay, expected]] of Object.entries(RELAYS)) {
    t.test(`${transport}: relayed ${name}`, async t => {
      const { connection, client } = await open(t, transport)
      connection.on('text', text => { relay(connection, text) })
      for (const [index, message] of RELAYED.entries()) {
        client.write(text(message))
        const wanted = expected(message, index)
        for (const each of wanted) t.ok((await client.frame()).payload.equals(Buffer.from(each)), `${message.slice(0, 5)}: ${each.slice(0, 5)}`)
      }
    })
  }
}

t.test('relayed to clients that do not read, while other texts are read', async t => {
  const connections: WebSocketConnection[] = []
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connections.push(connection)
      connection.on('text', data => { for (const each of connections) each.send(data) })
    })
  }, { maxBufferedAmount: 1024 ** 3 })
  const slow = await RawClient.open(port)
  const fast = await RawClient.open(port)
  t.teardown(() => {
    slow.destroy()
    fast.destroy()
  })
  slow.socket.pause()
  const messages = Array.from({ length: 200 }, (_, index) => `${index} ${RELAYED[index % RELAYED.length]!}`)
  for (const message of messages) {
    fast.write(text(message))
    await fast.frame()
  }
  t.ok(connections[0]!.bufferedAmount > 0, 'the client was slow')
  slow.socket.resume()
  let wrong = 0
  for (const message of messages) if (!(await slow.frame()).payload.equals(Buffer.from(message))) wrong++
  t.equal(wrong, 0)
})

t.test('relayed in memory, where a text is delivered while another is', async t => {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('text', data => {
        connection.send(`got ${data}`)
        connection.send(data)
      })
    })
  })
  const client = await app.injectWS('/')
  const received: string[] = []
  const all = new Promise<void>(resolve => {
    client.on('text', data => {
      received.push(data)
      if (data.startsWith('got got')) client.send(OTHER)
      else if (data.startsWith('got ')) client.send(data)
      if (received.length === 6) resolve()
    })
  })
  client.send(LONG)
  await all
  t.same(received.slice(0, 6).map(data => data.slice(0, 9)), [`got ${LONG}`, LONG, `got got ${LONG}`, `got ${LONG}`, `got ${OTHER}`, OTHER].map(data => data.slice(0, 9)))
  t.equal(received[1], LONG)
  t.equal(received[3], `got ${LONG}`)
  client.terminate()
})
