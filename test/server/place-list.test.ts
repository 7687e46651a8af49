import { once } from 'node:events'
import t from 'tap'
import { NOWHERE, PlaceList } from '../../lib/server/place-list.js'
import { startApp } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

class Member {
  place = NOWHERE
  readonly name: number

  constructor (name: number) {
    this.name = name
  }
}

const members = (list: PlaceList<'place', Member>): Member[] => list.all.filter(member => member !== null)

t.test('members come and go', async t => {
  const list = new PlaceList<'place', Member>('place')
  const model = new Set<Member>()
  let longest = 0
  for (let i = 0; i < 5000; i++) {
    const member = new Member(i)
    list.add(member)
    model.add(member)
    // Few, many and few again, and not the first that came.
    const target = i % 1000 < 500 ? i % 1000 : 20
    while (model.size > target) {
      const one = [...model][(i * 7919) % model.size]!
      list.remove(one)
      list.remove(one)
      model.delete(one)
      t.equal(one.place, NOWHERE)
    }
    longest = Math.max(longest, list.all.length)
    if (list.size !== model.size) t.fail(`${list.size} members, not ${model.size}`)
    if (i % 100 === 0) t.strictSame(members(list), [...model], 'in the order in which they came')
  }
  t.ok(longest <= 2 * 520, `empty places are used again: ${longest}`)
})

t.test('a list may change while it is looked at', async t => {
  const list = new PlaceList<'place', Member>('place')
  const all = Array.from({ length: 100 }, (_, i) => new Member(i))
  for (const member of all) list.add(member)
  const seen: number[] = []
  for (const member of list.all) {
    if (member === null) continue
    seen.push(member.name)
    // All that is behind goes, and a new one makes the list tidy itself.
    if (member.name === 10) {
      for (const other of all.slice(20)) list.remove(other)
      list.add(new Member(1000))
      list.remove(all[15]!)
    }
  }
  t.strictSame(seen.slice(0, 15), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
  t.notOk(seen.some(name => name >= 20 && name < 1000), 'what was removed is not seen')
  t.strictSame(members(list).map(({ name }) => name), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 1000])
})

t.test('the Sets that an app gets are live, and each is one object', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, () => {})
    app.get('/other', { websocket: true }, () => {})
  })
  const { websocketServer } = app
  const early = await RawClient.open(port)
  const { clients } = websocketServer
  const { clients: ofRoute } = websocketServer.route('/')
  t.equal(websocketServer.clients, clients)
  t.equal(websocketServer.route('/').clients, ofRoute)
  t.type(clients, Set)
  t.equal(clients.size, 1)
  const [first] = clients
  const later = await RawClient.open(port, '/other')
  t.strictSame([clients.size, ofRoute.size, websocketServer.route('/other').clients.size], [2, 1, 1])
  const closed = once(first!, 'close')
  early.destroy()
  await closed
  t.strictSame([clients.size, ofRoute.size, websocketServer.stats.open], [1, 0, 1])
  t.notOk(clients.has(first!))
  later.destroy()
})
