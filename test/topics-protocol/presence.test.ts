import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { ProtocolClient, startProcesses, type Message } from './support.js'

// Who is there, as clients see it.

function declare (app: FastifyInstance): void {
  app.topic('rooms/:room', {
    history: { messages: 100, seconds: 60 },
    presence: {
      info: async (_connection, request, { room }) => ({ name: (request.query as { name: string }).name, room }),
      grace: 200,
      max: 5
    }
  })
  app.topic('anonymous', { presence: {} })
  app.topic('refused', { presence: { info: () => { throw Object.assign(new Error('not you'), { code: 'NOT_YOU' }) } } })
  app.get('/live', { websocket: { topics: true } })
}

const SECRET = '0123456789abcdef'

function idsOf ({ members }: Message): string[] {
  return (members as Array<{ id: string }>).map(({ id }) => id).sort()
}

t.test('members join and leave, on all processes', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const a = await ProtocolClient.open(t, one!.app, '/live?name=ada')
  const begun = await a.ask({ subscribe: { 'rooms/1': null } })
  t.match(begun, { subscribed: 'rooms/1', members: [{ id: String, info: { name: 'ada', room: '1' } }], count: 1 })
  const b = await ProtocolClient.open(t, two!.app, '/live?name=bob')
  const second = await b.ask({ subscribe: { 'rooms/1': null } })
  t.match(second, { count: 2 })
  t.strictSame((second.members as Array<{ info: { name: string } }>).map(({ info }) => info.name).sort(), ['ada', 'bob'])
  const joined = await a.next()
  t.match(joined, { joined: 'rooms/1', member: { id: String, info: { name: 'bob' } } })
  t.strictSame(idsOf(second), [(joined.member as { id: string }).id, ...idsOf(begun)].sort())

  await one!.app.websocketServer.publish('rooms/1', 'a message')
  t.match(await b.next(), { topic: 'rooms/1', message: 'a message' })
  t.match(await a.next(), { topic: 'rooms/1', message: 'a message' })
  const asked = await b.ask({ presence: 'rooms/1' })
  t.strictSame([Object.keys(asked), asked.presence, idsOf(asked), asked.count], [['presence', 'members', 'count'], 'rooms/1', idsOf(second), 2])

  await b.ask({ unsubscribe: ['rooms/1'] })
  t.strictSame(await a.next(), { left: 'rooms/1', member: { id: (joined.member as { id: string }).id } })
  t.match(await b.ask({ subscribe: { 'rooms/1': null } }), { count: 2 })
  t.match(await a.next(), { joined: 'rooms/1' })
  b.socket.close(1000)
  t.match(await a.next(), { left: 'rooms/1' })
  t.strictSame((await one!.app.websocketServer.topic('rooms/1').presence.list()).length, 1)
})

t.test('a client that comes back within the grace period has not left', async t => {
  const { processes: [one, two] } = await startProcesses(t, 2, declare)
  const a = await ProtocolClient.open(t, one!.app, '/live?name=ada')
  await a.ask({ subscribe: { 'rooms/1': null } })
  const b = await ProtocolClient.open(t, one!.app, '/live?name=bob')
  const begun = await b.ask({ subscribe: { 'rooms/1': null }, client: SECRET })
  const joined = await a.next()
  t.notMatch(JSON.stringify(joined), SECRET, 'nobody gets to know the secret')
  b.socket.terminate()
  const again = await ProtocolClient.open(t, two!.app, '/live?name=bob')
  const back = await again.ask({ subscribe: { 'rooms/1': begun.at }, client: SECRET })
  t.strictSame(idsOf(back), idsOf(begun))
  await one!.app.websocketServer.publish('rooms/1', 'behind it')
  t.match(await a.settle(), [{ message: 'behind it' }])

  // A page that is loaded anew closes with 1001.
  await again.next()
  again.socket.close(1001)
  const third = await ProtocolClient.open(t, one!.app, '/live?name=bob')
  t.strictSame(idsOf(await third.ask({ subscribe: { 'rooms/1': null }, client: SECRET })), idsOf(begun))
  t.strictSame(await a.settle(), [])

  third.socket.terminate()
  t.strictSame(await a.next(), { left: 'rooms/1', member: joined.member && { id: (joined.member as { id: string }).id } }, 'it does not come back')
})

t.test('the old connection of a client may live on for a while', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const a = await ProtocolClient.open(t, one!.app, '/live?name=ada')
  await a.ask({ subscribe: { 'rooms/1': null } })
  const b = await ProtocolClient.open(t, one!.app, '/live?name=bob')
  await b.ask({ subscribe: { 'rooms/1': null }, client: SECRET })
  t.match(await a.next(), { joined: 'rooms/1' })
  const again = await ProtocolClient.open(t, one!.app, '/live?name=bob')
  t.match(await again.ask({ subscribe: { 'rooms/1': null }, client: SECRET }), { count: 2 })
  b.socket.close(1000)
  await b.closed
  t.match(await a.ask({ presence: 'rooms/1' }), { count: 2 })
  t.strictSame(await a.settle(), [])
})

t.test('above the bound only the number is told', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const clients: ProtocolClient[] = []
  for (let i = 0; i < 5; i++) {
    const client = await ProtocolClient.open(t, one!.app)
    await client.ask({ subscribe: { 'rooms/1': null } })
    clients.push(client)
  }
  const last = await ProtocolClient.open(t, one!.app)
  const begun = await last.ask({ subscribe: { 'rooms/1': null } })
  t.match(begun, { subscribed: 'rooms/1', count: 6 })
  t.notHas(begun, 'members')
  const [first] = clients
  while (true) {
    const message = await first!.next()
    if ('joined' in message) continue
    t.strictSame(message, { presence: 'rooms/1', count: 6 })
    break
  }
})

t.test('information about members is the app\'s alone', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const a = await ProtocolClient.open(t, one!.app, '/live?name=ada')
  t.match(await a.ask({ subscribe: { anonymous: null }, info: { name: 'forged' }, member: { info: 1 } }), { members: [{ info: null }], count: 1 })
  t.match(await a.ask({ subscribe: { refused: null } }), { refused: 'subscribe', topic: 'refused', code: 'NOT_YOU', message: 'not you' })
  t.equal(one!.app.websocketServer.topic('refused').subscribers, 0)
  t.match(await a.ask({ presence: 'rooms/1' }), { refused: 'presence', code: 'FST_WS_ERR_NOT_SUBSCRIBED' })
})

t.test('unsubscribing while the members are read leaves nobody behind', async t => {
  const { processes: [one] } = await startProcesses(t, 1, declare)
  const a = await ProtocolClient.open(t, one!.app, '/live?name=ada')
  for (let i = 0; i < 10; i++) {
    a.send({ subscribe: { 'rooms/1': null } })
    a.send({ unsubscribe: ['rooms/1'] })
  }
  t.strictSame(await a.settle(), Array.from({ length: 10 }, () => ({ unsubscribed: 'rooms/1' })))
  a.send({ subscribe: { 'rooms/1': null } })
  t.match(await a.next(), { subscribed: 'rooms/1', count: 1 })
})
