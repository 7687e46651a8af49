import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { close, frame, ping, RawClient, text } from '../support/raw-client.js'

// What users hold has the documented members and no others. A member more is something that they can call or replace by
// mistake; `onError`, one letter's case away from `onerror`, once was the engine's own.

/** The members of `WebSocketConnection` in its types, without those of `EventEmitter`. */
async function documented (): Promise<Set<string>> {
  return new Set([
    ...await membersOf('connection.ts', /export interface WebSocketConnectionOf<[^{]*\{\n(.*?)\n\}/s),
    ...await membersOf('topics.ts', /export interface TopicSubscriber \{\n(.*?)\n\}/s)
  ])
}

async function membersOf (file: string, body: RegExp): Promise<string[]> {
  const source = await readFile(new URL(`../../types/${file}`, import.meta.url), 'utf8')
  return [...body.exec(source)![1]!.matchAll(/^ {2}(?:readonly )?(\w+|\[Symbol\.asyncIterator\])(?: \(|<|:|\?)/gm)].map(([, name]) => name!)
}

/** All names that can be reached from an object, symbols by their description. */
function namesOf (object: object, end: object): string[] {
  const names: string[] = []
  for (let holder: object = object; holder !== end; holder = Object.getPrototypeOf(holder) as object) {
    names.push(...Reflect.ownKeys(holder).map(key => typeof key === 'symbol' ? `[${key.description}]` : key))
  }
  return names
}

/** Members that the classes of Node give every emitter. */
const OF_NODE = new Set([
  ...namesOf(new EventEmitter({ captureRejections: true }), Object.prototype),
  // How Node calls what an async listener rejects with.
  '[nodejs.rejection]',
  'constructor'
])

/** Not in the types, but there: `createWebSocketStream` of ws asks for it. Nothing of the engine has a name on it. */
const FOR_WS = new Set(['_socket'])

interface Holder {
  connection: WebSocketConnection
  injected: WebSocketConnection
}

async function open (t: { teardown (clean: () => unknown): void }): Promise<Holder> {
  let connection!: WebSocketConnection
  const { app } = await startApp(t, app => { app.get('/', { websocket: true }, opened => { connection = opened }) })
  const injected = await app.injectWS('/')
  t.teardown(() => injected.terminate())
  return { connection, injected }
}

t.test('a connection has the documented members, and those of EventEmitter', async t => {
  const members = await documented()
  t.ok(members.size > 25, 'the interface was read')
  const { connection, injected } = await open(t)
  for (const object of [connection, injected]) {
    const names = new Set(namesOf(object, Object.prototype))
    t.same([...names].filter(name => !OF_NODE.has(name) && !members.has(name) && !FOR_WS.has(name)).toSorted(), [], 'nothing else')
    t.same([...members].filter(name => !names.has(name)).toSorted(), [], 'and all of them')
    t.same([...names].filter(name => name.startsWith('_') && !OF_NODE.has(name)), [...FOR_WS])
  }
})

t.test('so have its iterators, and its class', async t => {
  const { connection } = await open(t)
  for (const iterator of [connection[Symbol.asyncIterator](), connection.json()]) {
    t.same(namesOf(iterator, Object.prototype).toSorted(), ['[Symbol.asyncIterator]', 'constructor', 'next', 'return'])
  }
  t.same(Reflect.ownKeys(connection.constructor).map(String).toSorted(), ['CLOSED', 'CLOSING', 'CONNECTING', 'OPEN', 'length', 'name', 'prototype'])
})

t.test('what apps assign changes nothing of the protocol', async t => {
  const NAMES = [
    'onError', 'onClose', 'onMessage', 'onPing', 'onPong', 'onEnd', 'onRead', 'onFlushed', 'onSocketClose', 'onCompressedMessage', 'fail', 'session', 'mailbox', 'outbox',
    'decoder', 'writer', 'socket', 'state', '_socket', '_decode', '_onClose', '_sendClose', '_startDelivery', '_updateReading', '_writer', '_decoder', '_readyState'
  ]
  for (const http2 of [false, true]) {
    const { port } = await startApp(t, app => {
      app.get('/', { websocket: true }, connection => {
        for (const name of NAMES) Reflect.set(connection, name, () => t.fail(`${name} was called`))
        for (const name of ['readyState', 'bufferedAmount', 'isPaused', 'signal', 'route', 'latency']) {
          try {
            Reflect.set(connection, name, null)
          } catch {}
        }
        connection.on('message', data => connection.send(`${String(data)} ${connection.readyState}`))
      })
    }, { closeTimeout: 500 }, { http2 })
    const session = http2 ? await connectHttp2(t, `http://127.0.0.1:${port}`) : null
    const connect = async (): Promise<RawClient> => {
      const client = session === null ? await RawClient.open(port) : await openHttp2(session)
      client.socket.on('end', () => client.end())
      t.teardown(() => client.destroy())
      return client
    }
    const polite = await connect()
    polite.write(Buffer.concat([ping('p'), text('m'), close(4000, 'bye')]))
    const frames = [await polite.frame(), await polite.frame()]
    t.same(frames.map(({ opcode, payload }) => [opcode, payload.toString()]), [[10, 'p'], [1, 'm 1']])
    t.same(await polite.closeFrame(), { code: 4000, reason: 'bye' })
    t.equal(await polite.ended, true)
    const rude = await connect()
    rude.write(frame(1, 'x', { rsv: 0x70 }))
    t.equal((await rude.closeFrame()).code, 1002)
  }
})
