import t from 'tap'
import { setImmediate } from 'node:timers/promises'
import { startApp } from '../support/app.js'
import { ProtocolClient, startProcesses } from './support.js'
import { DeafBroker } from '../topics/deaf-broker.js'

const HISTORY = { messages: 5, seconds: 60 }

t.test('the state of a topic goes to those who cannot resume', async t => {
  let state = 0
  let calls = 0
  const { processes: [one] } = await startProcesses(t, 1, app => {
    app.topic('counters/:name', {
      history: HISTORY,
      snapshot: async ({ name }) => {
        calls++
        await setImmediate()
        return { name, state }
      }
    })
    app.get('/live', { websocket: { topics: true } })
  })
  const { app } = one!
  const publish = async (): Promise<void> => { await app.websocketServer.publish('counters/a', ++state) }
  await publish()
  const a = await ProtocolClient.open(t, app)
  const begun = await a.ask({ subscribe: { 'counters/a': null } })
  t.match(begun, { subscribed: 'counters/a', recovered: null, snapshot: { name: 'a', state: 1 } })
  await publish()
  t.match(await a.next(), { message: 2 })

  const b = await ProtocolClient.open(t, app)
  t.notHas(await b.ask({ subscribe: { 'counters/a': begun.at } }), 'snapshot', 'it can resume')
  for (let i = 0; i < 50; i++) await publish()
  const c = await ProtocolClient.open(t, app)
  t.match(await c.ask({ subscribe: { 'counters/a': 'another.1.x' } }), { recovered: false, missed: 0, snapshot: { state: 52 } })
  t.equal(calls, 2)
})

t.test('the state is read once for however many ask, and nothing is missing between it and the messages', async t => {
  let state = 0
  let calls = 0
  let release = (): void => {}
  let onCall = (): void => {}
  const { app } = await startApp(t, app => {
    app.topic('counter', {
      snapshot: async () => {
        calls++
        onCall()
        const read = state
        await new Promise<void>(resolve => { release = resolve })
        return read
      }
    })
    app.get('/live', { websocket: { topics: true } })
  })
  const clients = await Promise.all(Array.from({ length: 50 }, () => ProtocolClient.open(t, app)))
  const [first, ...others] = clients
  first!.send({ subscribe: { counter: null } })
  await first!.settle()
  t.equal(calls, 1)
  for (const client of others) client.send({ subscribe: { counter: null } })
  await Promise.all(others.map(client => client.settle()))
  // Published while the state is read: it waits behind it.
  await app.websocketServer.publish('counter', ++state)
  t.strictSame(await first!.settle(), [])
  const again = new Promise<void>(resolve => { onCall = resolve })
  release()
  t.match(await first!.take(2), [{ subscribed: 'counter', snapshot: 0 }, { topic: 'counter', message: 1 }])
  // The others have asked after the first reading had begun, so theirs is another one.
  await again
  await setImmediate()
  release()
  for (const client of others) t.match(await client.take(2), [{ subscribed: 'counter', snapshot: 1 }, { topic: 'counter', message: 1 }])
  t.equal(calls, 2)
})

t.test('a state that cannot be read refuses the subscription', async t => {
  const { app } = await startApp(t, app => {
    app.topic('broken', { snapshot: () => { throw new Error('the database is away') } })
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  const refused = await a.ask({ subscribe: { broken: null } })
  t.match(refused, { refused: 'subscribe', topic: 'broken', code: 'FST_WS_ERR_POLICY', retry: true })
  t.notMatch(refused.message, /database/)
  t.equal(app.websocketServer.topic('broken').subscribers, 0)
})

t.test('unsubscribing while the state is read', async t => {
  let release = (): void => {}
  const { app } = await startApp(t, app => {
    app.topic('slow', { snapshot: () => new Promise<number>(resolve => { release = () => resolve(1) }) })
    app.get('/live', { websocket: { topics: true } })
  })
  const a = await ProtocolClient.open(t, app)
  a.send({ subscribe: { slow: null } })
  await a.settle()
  t.strictSame(await a.ask({ unsubscribe: ['slow'] }), { unsubscribed: 'slow' })
  release()
  await setImmediate()
  await app.websocketServer.publish('slow', 1)
  t.strictSame(await a.settle(), [])
})

t.test('messages that are gone for ever', async t => {
  const broker = new DeafBroker()
  let state = 0
  const { app } = await startApp(t, app => {
    app.topic('plain', { history: HISTORY })
    app.topic('state', { history: HISTORY, snapshot: () => state })
    app.get('/live', { websocket: { topics: true } })
  }, { broker })
  const a = await ProtocolClient.open(t, app)
  await a.ask({ subscribe: { plain: null } })
  await a.ask({ subscribe: { state: null } })
  broker.isDeaf = true
  const ats: Record<string, string> = {}
  for (const topic of ['plain', 'state']) {
    for (state = 0; state < 30; state++) {
      const { epoch, offset, id } = (await app.websocketServer.publish(topic, state))!
      ats[topic] = `${epoch}.${offset.toString(36)}.${id}`
    }
  }
  broker.isDeaf = false
  broker.own!.interrupted()
  const lost = new Map((await a.take(2)).map(message => [message.lost, message]))
  t.strictSame(lost.get('plain'), { lost: 'plain', at: ats.plain })
  t.strictSame(lost.get('state'), { lost: 'state', at: ats.state, snapshot: 30 })
  for (const topic of ['plain', 'state']) {
    await app.websocketServer.publish(topic, 'next')
    t.match(await a.next(), { topic, message: 'next' })
  }
})
