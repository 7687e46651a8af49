import type { Test } from 'tap'
import { Client, runChecks, start } from './support.js'

type Answer = Record<string, unknown>

/** A client of the topics protocol. */
async function connect (t: Test, url: string, headers: Record<string, string> = {}): Promise<{ ask (message: unknown): Promise<Answer>, next (): Promise<Answer> }> {
  const client = await Client.open(t, `${url}/live`, ['topics.v1'], { headers })
  const next = async (): Promise<Answer> => JSON.parse(await client.text()) as Answer
  t.match(await next(), { hello: { version: 1 } })
  return { next, ask: message => { client.socket.send(JSON.stringify(message)); return next() } }
}

runChecks({
  async topics (t, example) {
    const { app, url } = await start(t, example)
    const client = await connect(t, url)
    const { at } = await client.ask({ subscribe: { 'prices/ACME': null } })
    t.match((await app.inject({ method: 'PUT', url: '/prices/ACME', payload: { euros: 7 } })).json(), { offset: 1 })
    t.match(await client.next(), { topic: 'prices/ACME', message: { euros: 7 } })
    const later = await connect(t, url)
    t.match(await later.ask({ subscribe: { 'prices/ACME': at } }), { recovered: true, missed: 1 })
    t.match(await later.next(), { message: { euros: 7 } })
  },

  async 'topics raw' (t, example) {
    const { app, url } = await start(t, example)
    const [ada, bob] = [await Client.open(t, `${url}/rooms/tea`), await Client.open(t, `${url}/rooms/tea`)]
    while (app.websocketServer.topic('room:tea').subscribers < 2) await new Promise(setImmediate)
    ada.socket.send('hello')
    t.equal(await bob.text(), 'somebody says hello')
    t.strictSame((await app.inject({ method: 'POST', url: '/rooms/tea/close' })).json(), { told: 2 })
    t.equal(await ada.text(), 'the room is closed', 'what Ada has said is for others')
  },

  async 'topics declared' (t, example) {
    const { app, url } = await start(t, example)
    const client = await connect(t, url, { 'x-user': 'Ada' })
    t.match(await client.ask({ subscribe: { 'rooms/staff': null } }), { refused: 'subscribe', code: 'STAFF_ONLY', message: 'for staff only' })
    t.match(await client.ask({ subscribe: { [`rooms/${'x'.repeat(41)}`]: null } }), { refused: 'subscribe', code: 'FST_WS_ERR_TOPIC_PARAMS' })
    t.match(await client.ask({ subscribe: { 'rooms/tea': null } }), { subscribed: 'rooms/tea' })
    t.match(await client.ask({ publish: 'rooms/tea', message: { text: '/quit' }, id: 'a' }), { published: 'a', at: null })
    t.match(await client.ask({ publish: 'rooms/tea', message: { text: '' }, id: 'b' }), { refused: 'publish', code: 'FST_WS_ERR_INVALID_MESSAGE', message: /^message\/text/ })
    const answers = [await client.ask({ publish: 'rooms/tea', message: { text: 'hello' }, id: 'c' }), await client.next()]
    t.match(answers.find(({ topic, message }) => topic === 'rooms/tea' && message !== undefined), { message: { by: 'Ada', text: 'hello' } })
    t.match((await app.inject({ method: 'POST', url: '/rooms/tea' })).json(), { offset: 2 })
    t.match(await client.next(), { message: { by: 'the house', text: 'welcome' } })
  },

  async 'topics presence' (t, example) {
    const { app, url } = await start(t, example)
    const ada = await connect(t, url, { 'x-user': 'Ada' })
    t.match(await ada.ask({ subscribe: { 'rooms/tea': null } }), { count: 1, members: [{ info: { name: 'Ada', room: 'tea' } }] })
    const bob = await connect(t, url, { 'x-user': 'Bob' })
    t.match(await bob.ask({ subscribe: { 'rooms/tea': null } }), { count: 2 })
    const { member } = await ada.next() as { member: { id: string } }
    t.match(member, { info: { name: 'Bob' } })
    t.strictSame((await app.inject('/rooms/tea/people')).json(), { count: 2, people: ['Ada', 'Bob'] })
    t.match(await bob.ask({ unsubscribe: ['rooms/tea'] }), { unsubscribed: 'rooms/tea' })
    t.match(await ada.next(), { left: 'rooms/tea', member: { id: member.id } })
  },

  async 'topics instances' (t, example) {
    const { url } = await start(t, example)
    const client = await connect(t, url)
    t.match(await client.ask({ subscribe: { 'v1/greetings/Ada': null } }), { subscribed: 'v1/greetings/Ada', snapshot: 'good morning, Ada' })
  }
})
