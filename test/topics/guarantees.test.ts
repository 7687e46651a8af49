import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { cellsOf } from '../support/examples.js'
import { ProtocolClient, type Message } from '../topics-protocol/support.js'
import { DeafBroker } from './deaf-broker.js'
import { FAULTS, PROMISES, SECURITY, type Covered } from './guarantees.js'

// The promises of docs/topics.md: each has a test, and here are those that no other file has.

const HISTORY = { messages: 1_000, seconds: 60 }

t.test('each cell of the table in docs/topics.md names its tests, and they are there', async t => {
  const docs = await readFile('docs/topics.md', 'utf8')
  const table = /## What is promised\n\n([^]+?)\n\n/.exec(docs)![1]!
  const rows = cellsOf(table)
  t.same(Object.keys(PROMISES), rows.map(([row]) => row!.replaceAll('`', '')), 'the rows')
  for (const [row, columns] of Object.entries(PROMISES)) {
    t.same(Object.keys(columns), ['without history', 'with history'])
    for (const [column, covered] of Object.entries(columns)) await checkTests(t, `${row}, ${column}`, covered)
  }
  for (const [what, covered] of [...Object.entries(FAULTS), ...Object.entries(SECURITY)]) await checkTests(t, what, covered)
})

async function checkTests (t: Test, what: string, covered: Covered): Promise<void> {
  const tests = Object.entries(covered).flatMap(([file, titles]) => titles.map(title => [file, title] as const))
  t.ok(tests.length > 0, what)
  for (const [file, title] of tests) {
    const source = await readFile(file, 'utf8')
    const written = title.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
    const isThere = ['test(', 'async ', 'checks['].some(before => source.includes(`${before}'${written}'`) || source.includes(`${before}\`${title}`))
    t.ok(isThere, `${what}: '${title}' in ${file}`)
  }
}

t.test('a connection that was refused, has unsubscribed or is closing gets no message', async t => {
  const connections: WebSocketConnection[] = []
  const { app } = await startApp(t, app => {
    app.topic('rooms/:room', { history: HISTORY, onSubscribe: (_connection, { room }) => room !== 'staff' })
    app.topic('plain/:room', { onSubscribe: (_connection, { room }) => room !== 'staff' })
    app.get('/live', { websocket: { topics: true } }, connection => { connections.push(connection) })
  })
  for (const pattern of ['rooms', 'plain']) {
    const { websocketServer } = app
    const a = await ProtocolClient.open(t, app)
    t.match(await a.ask({ subscribe: { [`${pattern}/staff`]: null } }), { refused: 'subscribe' })
    t.match(await a.ask({ subscribe: { [`${pattern}/1`]: null } }), { subscribed: `${pattern}/1` })
    await websocketServer.publish(`${pattern}/staff`, 'secret')
    const last = websocketServer.publish(`${pattern}/1`, 'last')
    connections.at(-1)!.unsubscribe(`${pattern}/1`)
    await last
    await websocketServer.publish(`${pattern}/1`, 'unsubscribed')
    const got = await a.settle()
    t.same(got.filter(({ topic, message }) => topic !== undefined && message !== 'last'), [])
    t.match(got.at(-1), { unsubscribed: `${pattern}/1` }, 'and nothing behind it')
    t.match(await a.ask({ subscribe: { [`${pattern}/1`]: null } }), { subscribed: `${pattern}/1` })
    connections.at(-1)!.close(1000)
    websocketServer.publish(`${pattern}/1`, 'closing')
    t.match(await a.closed, { code: 1000 })
    t.same(a.got, [])
    t.equal(websocketServer.topic(`${pattern}/1`).subscribers, 0)
  }
})

t.test('a slow reader of a topic with history is closed with 1013, and resumes without a hole', async t => {
  const { app, url } = await startApp(t, app => {
    app.topic('rooms/:room', { history: HISTORY })
    app.get('/live', { websocket: { topics: true, maxBufferedAmount: 256 * 1024 } })
  })
  const slow = new WebSocket(`${url}/live`, 'topics.v1')
  t.teardown(() => slow.terminate())
  const got: Message[] = []
  slow.on('message', data => got.push(JSON.parse(String(data)) as Message))
  await once(slow, 'open')
  slow.send('{"subscribe":{"rooms/1":null}}')
  while (got.length < 2) await once(slow, 'message')
  slow.pause()
  const [server] = app.websocketServer.clients
  const text = 'x'.repeat(64 * 1024)
  let sent = 0
  while (server!.readyState === server!.OPEN && sent < 900) {
    await app.websocketServer.publish('rooms/1', `${sent++} ${text}`)
    await setImmediate()
  }
  for (let i = 0; i < 5; i++) await app.websocketServer.publish('rooms/1', `${sent++} ${text}`)
  slow.resume()
  t.equal((await once(slow, 'close'))[0], 1013)
  const numberOf = ({ message }: Message): number => Number.parseInt(String(message))
  const first = got.slice(2)
  const again = await ProtocolClient.open(t, app)
  const begun = await again.ask({ subscribe: { 'rooms/1': (got.at(-1) as { at: string }).at } })
  t.match(begun, { recovered: true, missed: sent - first.length })
  const rest = await again.take(sent - first.length)
  t.same([...first, ...rest].map(numberOf), Array.from({ length: sent }, (_, i) => i))
})

t.test('a connection that the app has subscribed gets gap when messages of a history are gone', async t => {
  const broker = new DeafBroker()
  const { app } = await startApp(t, app => {
    app.topic('rooms/:room', { history: { messages: 5, seconds: 60 } })
    app.get('/raw', { websocket: true }, async connection => {
      connection.on('gap', topic => connection.send(`gap ${topic}`))
      await connection.subscribe('rooms/1')
      connection.send('live')
    })
  }, { broker })
  const got: string[] = []
  const client = await app.injectWS('/raw', {}, { onInit: client => { client.on('message', data => got.push(String(data))) } })
  t.teardown(() => client.terminate())
  const until = async (count: number): Promise<void> => { while (got.length < count) await once(client, 'message') }
  await until(1)
  for (const isDeaf of [false, true]) {
    broker.isDeaf = isDeaf
    for (let n = 0; n < (isDeaf ? 200 : 1); n++) await app.websocketServer.publish('rooms/1', n)
  }
  broker.isDeaf = false
  broker.own!.interrupted()
  await until(3)
  await app.websocketServer.publish('rooms/1', 'next')
  await until(4)
  t.same(got, ['live', '0', 'gap rooms/1', '"next"'])
})

t.test('a connection that the app has subscribed is no member, and sees none', async t => {
  const { app } = await startApp(t, app => {
    app.topic('rooms/:room', { presence: { info: () => 'a client' } })
    app.get('/live', { websocket: { topics: true } })
    app.get('/raw', { websocket: true }, async connection => {
      await connection.subscribe('rooms/1')
      connection.send('live')
    })
  })
  const got: string[] = []
  const raw = await app.injectWS('/raw', {}, { onInit: client => { client.on('message', data => got.push(String(data))) } })
  t.teardown(() => raw.terminate())
  while (got.length < 1) await once(raw, 'message')
  const a = await ProtocolClient.open(t, app)
  t.match(await a.ask({ subscribe: { 'rooms/1': null } }), { members: [{ info: 'a client' }], count: 1 })
  const topic = app.websocketServer.topic('rooms/1')
  t.equal(topic.subscribers, 2)
  t.equal(await topic.presence.count(), 1)
  await topic.publish('to all')
  while (got.length < 2) await once(raw, 'message')
  t.same(got, ['live', '"to all"'], 'nobody tells it who joins')
})
