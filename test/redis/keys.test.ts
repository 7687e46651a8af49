import t from 'tap'
import { announce, readAnnouncement } from '../../lib/redis/announcements.js'
import { Keys, PARTITIONS, slotOf } from '../../lib/redis/keys.js'

t.test('slots', async t => {
  // As CLUSTER KEYSLOT says.
  t.equal(slotOf(0), 13907)
  t.equal(slotOf(1), 9842)
  t.equal(slotOf(127), 6102)
})

t.test('keys of different topics and ids are different, and topics are found again', async t => {
  const keys = new Keys('app{x}:'.replace(/[{}]/g, ''))
  const topics = ['a', 'b', 'a:b', 'a:b:c', '{a}', '}:c:', 'ü', '7:a', ' ', '\0', 'x'.repeat(255)]
  const all = topics.flatMap(topic => [
    ...['stream', 'meta', 'channel', 'members', 'counts'].map(kind => keys[kind as 'stream'](topic)),
    ...['1', 'b', 'b:c', '1:b'].map(id => keys.id(topic, id))
  ])
  t.equal(new Set(all).size, all.length)
  for (const topic of topics) {
    t.equal(keys.topicOf(keys.channel(topic)), topic)
    t.ok(keys.partitionOf(topic) < PARTITIONS)
  }
  t.equal(keys.topicOf('other'), null)
  t.equal(keys.topicOf(keys.stream('a')), null)
})

t.test('topics are spread over all partitions, however alike their names are', async t => {
  const keys = new Keys('ws:')
  for (const name of [(i: number) => `t${i}`, (i: number) => `rooms/${i}/messages`, (i: number) => 'x'.repeat(i % 250) + String.fromCharCode(0x100 + i)]) {
    const counts = new Array<number>(PARTITIONS).fill(0)
    for (let i = 0; i < 12_800; i++) counts[keys.partitionOf(name(i))]!++
    t.ok(Math.min(...counts) > 50 && Math.max(...counts) < 170, `100 each: ${Math.min(...counts)} to ${Math.max(...counts)}`)
  }
  // Processes of different versions share the keys: a topic never moves.
  t.strictSame(['', 't1', 'rooms/7', 'ü€'].map(topic => keys.partitionOf(topic)), [11, 2, 24, 48])
})

t.test('announcements', async t => {
  const data = Buffer.from([0, 10, 255, 13, 10])
  t.strictSame(readAnnouncement(announce('id', data)), { id: 'id', data, position: null, previous: null })
  const kept = Buffer.concat([Buffer.from('1\nabc\n42\nid\n'), data])
  t.strictSame(readAnnouncement(kept), { id: 'id', data, position: { epoch: 'abc', offset: 42 }, previous: 41 })
  for (const text of ['', '0', '1', '0\n', '0\nid', '1\nabc', '1\nabc\n1', '1\nabc\n1\nid', '1\nabc\nx\nid\n', '1\nabc\n0\nid\n', '1\nabc\n1.5\nid\n', '2\nid\n', 'hello']) {
    t.equal(readAnnouncement(Buffer.from(text)), null, JSON.stringify(text))
  }
})
