import t from 'tap'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import { startApp } from '../support/app.js'
import { startProgram } from '../support/child-process.js'
import { needs, PYTHON } from '../support/system-packages.js'

interface Result {
  messages: Array<{ from: string, n: number }>
  connections: number
  resumed: Array<boolean | null>
  outbox: number
  refused: string[]
}

t.test('a client in Python, written from docs/topics-protocol.md, is cut off again and again, and gets everything once and in order', needs('python3-websockets'), async t => {
  const ROUNDS = 12
  const OF_SERVER = 240
  const OF_PYTHON = 120
  const bus = new MemoryBus()
  // Each app is a process: they share nothing but the broker.
  const apps = await Promise.all([0, 1].map(() => startApp(t, app => {
    app.topic('rooms/:room', { schema: { publish: {} }, history: { messages: 1_000, seconds: 60 } })
    app.get('/live', { websocket: { topics: true } })
  }, { broker: new MemoryBroker(bus) })))
  const orders = {
    urls: apps.map(({ url }) => `${url}/live`), topic: 'rooms/1', publish: OF_PYTHON, until: OF_SERVER + OF_PYTHON, client: '0123456789abcdef0123456789abcdef'
  }
  const python = startProgram(t, PYTHON, [fileURLToPath(new URL('clients/topics.py', import.meta.url)), JSON.stringify(orders)])
  const lines: Array<{ received: number } | Result> = []
  const reader = createInterface({ input: python.stdout! }).on('line', line => lines.push(JSON.parse(line) as Result))

  // It has subscribed when it has its own first message.
  while (lines.length === 0) await once(reader, 'line')
  for (let i = 0; i < OF_SERVER; i++) {
    await apps[i % 2]!.app.websocketServer.publish('rooms/1', { from: 'server', n: i })
    if (i % (OF_SERVER / ROUNDS) !== 0) continue
    const back = Promise.race(apps.map(({ app }) => once(app.websocketServer, 'connection')))
    for (const { app } of apps) for (const client of app.websocketServer.clients) client.terminate()
    await back
  }
  let result = lines.at(-1)!
  while (!('messages' in result)) {
    await once(reader, 'line')
    result = lines.at(-1)!
  }
  const { messages, connections, resumed, outbox, refused } = result
  t.ok(connections > ROUNDS, `it had ${connections} connections`)
  t.equal(resumed[0], null)
  t.ok(resumed.slice(1).every(recovered => recovered === true), 'it resumed each time')
  t.equal(outbox, 0, 'all that it published was acknowledged')
  t.strictSame(refused, [])
  t.strictSame(messages.filter(({ from }) => from === 'server').map(({ n }) => n), Array.from({ length: OF_SERVER }, (_, i) => i))
  t.strictSame(messages.filter(({ from }) => from === 'python').map(({ n }) => n), Array.from({ length: OF_PYTHON }, (_, i) => i))
})
