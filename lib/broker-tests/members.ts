import assert from 'node:assert/strict'
import type { BrokerEntry, BrokerMember } from '../../types/broker.js'
import { topicName, unique, type Checks, type Process, type Processes } from './processes.js'

/** Milliseconds of a lease that outlasts a test. */
const LONG = 60_000

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

const entry = (topic: string, id: string, data: Buffer = Buffer.from(`data of ${id}`)): BrokerEntry => ({ topic, id, data })

const sorted = (ids: Iterable<string>): string[] => [...ids].sort()

/** Two processes with leases. */
async function leased (processes: Processes): Promise<[Process, Process]> {
  const pair = await processes.pair()
  for (const { broker, name } of pair) await broker.presence.renew(name, LONG)
  return pair
}

async function list ({ broker }: Process, topic: string, limit = 1_000): Promise<BrokerMember[]> {
  const members = await broker.presence.list(topic, limit)
  return [...members].sort((a, b) => a.id < b.id ? -1 : 1)
}

async function idsIn (process: Process, topic: string): Promise<string[]> {
  return (await list(process, topic)).map(({ id }) => id)
}

/** Lets the lease of `process` end, which was begun with the short time of the suite. */
async function expire (processes: Processes): Promise<void> {
  await processes.sleep(processes.lease * 1.5 + 500)
}

export const members: Checks = {
  async 'members that one process enters are listed by all' (processes) {
    const [one, two] = await leased(processes)
    const topic = topicName()
    assert.deepEqual(await one.broker.presence.enter(one.name, [entry(topic, 'a', EVERY_BYTE), entry(topic, 'b', Buffer.alloc(0))]), [true, true])
    assert.deepEqual(await two.broker.presence.enter(two.name, [entry(topic, 'c')]), [true])
    for (const process of [one, two]) {
      const members = await list(process, topic)
      assert.deepEqual(members.map(({ id, process: owner }) => [id, owner]), [['a', one.name], ['b', one.name], ['c', two.name]])
      assert.deepEqual(members.map(({ data }) => Buffer.from(data).toString('hex')), [EVERY_BYTE.toString('hex'), '', Buffer.from('data of c').toString('hex')])
      assert.ok(Buffer.isBuffer(members[0]!.data))
      assert.equal(await process.broker.presence.count(topic), 3)
    }
    assert.deepEqual(await list(one, topicName()), [])
    assert.equal(await one.broker.presence.count(topicName()), 0)
  },

  async 'a list has at most its limit' (processes) {
    const [one] = await leased(processes)
    const topic = topicName()
    await one.broker.presence.enter(one.name, Array.from({ length: 30 }, (_, index) => entry(topic, `${index}`)))
    for (const limit of [1, 7, 30, 100]) {
      const members = await list(one, topic, limit)
      assert.equal(members.length, Math.min(limit, 30))
      assert.equal(new Set(members.map(({ id }) => id)).size, members.length)
    }
    assert.equal(await one.broker.presence.count(topic), 30)
  },

  async 'a member that enters again was there, and has the new data' (processes) {
    const [one] = await leased(processes)
    const topic = topicName()
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    assert.deepEqual(await one.broker.presence.enter(one.name, [entry(topic, 'a', Buffer.from('new')), entry(topic, 'b')]), [false, true])
    assert.equal((await list(one, topic))[0]!.data.toString(), 'new')
    assert.equal(await one.broker.presence.count(topic), 2)
  },

  async 'a member that leaves is gone' (processes) {
    const [one, two] = await leased(processes)
    const topic = topicName()
    await one.broker.presence.enter(one.name, [entry(topic, 'a'), entry(topic, 'b')])
    assert.deepEqual(await one.broker.presence.leave(one.name, [{ topic, id: 'a' }, { topic, id: 'never' }, { topic: topicName(), id: 'b' }]), [true, false, false])
    assert.deepEqual(await idsIn(two, topic), ['b'])
    assert.equal(await two.broker.presence.count(topic), 1)
    assert.deepEqual(await one.broker.presence.leave(one.name, [{ topic, id: 'a' }]), [false])
    assert.deepEqual(await one.broker.presence.enter(one.name, [entry(topic, 'a')]), [true], 'and may come again')
  },

  async 'empty lists resolve' (processes) {
    const [one] = await leased(processes)
    assert.deepEqual(await one.broker.presence.enter(one.name, []), [])
    assert.deepEqual(await one.broker.presence.leave(one.name, []), [])
  },

  async 'names of topics and ids of members are taken as they are' (processes) {
    const [one, two] = await leased(processes)
    const end = unique()
    const topics = [`*${end}`, `>${end}`, `a.b${end}`, `a:b${end}`, ` ${end}`, `\0${end}`, `😀${end}`, `{${end}}`, `${end}/`, `${'x'.repeat(255 - end.length)}${end}`]
    const ids = ['a', 'A', 'a.b', 'a:b', 'a/b', '*', '>', '{}', '"', '\\', '$', '~', '!', '__proto__', '0', 'x'.repeat(64)]
    const entries = topics.flatMap(topic => ids.map(id => entry(topic, id, Buffer.from(`${topic} ${id}`))))
    assert.ok((await one.broker.presence.enter(one.name, entries)).every(Boolean))
    for (const topic of topics) {
      const members = await list(two, topic)
      assert.deepEqual(members.map(({ id }) => id), sorted(ids), JSON.stringify(topic))
      for (const { id, data } of members) assert.equal(data.toString(), `${topic} ${id}`)
    }
    assert.ok((await one.broker.presence.leave(one.name, entries)).every(Boolean))
    for (const topic of topics) assert.equal(await two.broker.presence.count(topic), 0)
  },

  async 'a member that another process takes over was there, and belongs to it' (processes) {
    const [one, two] = await leased(processes)
    const topic = topicName()
    await one.broker.presence.enter(one.name, [entry(topic, 'a'), entry(topic, 'b')])
    assert.deepEqual(await two.broker.presence.enter(two.name, [entry(topic, 'a', Buffer.from('taken'))]), [false])
    assert.deepEqual(await one.broker.presence.leave(one.name, [{ topic, id: 'a' }]), [false])
    const members = await list(one, topic)
    assert.deepEqual(members.map(({ id, process, data }) => [id, process, data.toString()]), [['a', two.name, 'taken'], ['b', one.name, 'data of b']])
    await one.broker.presence.release(one.name)
    assert.deepEqual(await idsIn(one, topic), ['a'])
    assert.deepEqual(await two.broker.presence.leave(two.name, [{ topic, id: 'a' }]), [true])
  },

  async 'release removes all members of the process' (processes) {
    const [one, two] = await leased(processes)
    const topics = Array.from({ length: 20 }, topicName)
    await one.broker.presence.enter(one.name, topics.map(topic => entry(topic, 'a')))
    await two.broker.presence.enter(two.name, [entry(topics[0]!, 'b')])
    await one.broker.presence.release(one.name)
    for (const topic of topics) assert.deepEqual(await idsIn(two, topic), topic === topics[0] ? ['b'] : [])
    assert.ok(!(await two.broker.presence.expired()).includes(one.name))
    assert.equal(await one.broker.presence.renew(one.name, LONG), false, 'its lease is over')
    await one.broker.presence.release(one.name)
    await one.broker.presence.release('process-that-never-was')
  },

  async 'a lease is there until it ends' (processes) {
    const one = await processes.start()
    const { presence } = one.broker
    assert.equal(await presence.renew(one.name, processes.lease), false)
    assert.equal(await presence.renew(one.name, processes.lease), true)
    await expire(processes)
    assert.equal(await presence.renew(one.name, LONG), false)
    assert.equal(await presence.renew(one.name, LONG), true)
    await expire(processes)
    assert.equal(await presence.renew(one.name, LONG), true, 'the longer one has not ended')
  },

  async 'a lease that is renewed keeps its members' (processes) {
    const one = await processes.start()
    const { presence } = one.broker
    const topic = topicName()
    await presence.renew(one.name, processes.lease)
    await presence.enter(one.name, [entry(topic, 'a')])
    for (let count = 0; count < 4; count++) {
      await processes.sleep(processes.lease / 2)
      assert.equal(await presence.renew(one.name, processes.lease), true)
    }
    assert.deepEqual(await idsIn(one, topic), ['a'])
    assert.ok(!(await presence.expired()).includes(one.name))
    assert.deepEqual(await presence.sweep(one.name), [], 'and cannot be swept')
    assert.deepEqual(await idsIn(one, topic), ['a'])
  },

  async 'members of a lease that has ended are gone at once, and any process removes them' (processes) {
    const [one, two] = await processes.pair()
    const topics = [topicName(), topicName()]
    await two.broker.presence.renew(two.name, LONG)
    await one.broker.presence.renew(one.name, processes.lease)
    await one.broker.presence.enter(one.name, topics.flatMap(topic => [entry(topic, 'a'), entry(topic, 'b')]))
    await two.broker.presence.enter(two.name, [entry(topics[0]!, 'c')])
    await expire(processes)
    for (const process of [one, two]) {
      assert.deepEqual(await idsIn(process, topics[0]!), ['c'])
      assert.equal(await process.broker.presence.count(topics[0]!), 1)
      assert.deepEqual(await idsIn(process, topics[1]!), [])
      assert.equal(await process.broker.presence.count(topics[1]!), 0)
    }
    assert.deepEqual((await list(two, topics[0]!, 1)).map(({ id }) => id), ['c'], 'they do not count for the limit')
    assert.ok((await two.broker.presence.expired()).includes(one.name))
    const swept = await two.broker.presence.sweep(one.name)
    assert.deepEqual(sorted(swept.map(({ topic, id }) => `${topic} ${id}`)), sorted(topics.flatMap(topic => [`${topic} a`, `${topic} b`])))
    assert.ok(!(await two.broker.presence.expired()).includes(one.name))
    assert.deepEqual(await two.broker.presence.sweep(one.name), [])
    assert.deepEqual(await idsIn(two, topics[0]!), ['c'])
  },

  async 'of two processes that sweep at a time, each gets other members' (processes) {
    const [one, two] = await processes.pair()
    const three = await processes.start()
    const topics = Array.from({ length: 30 }, topicName)
    const entries = topics.flatMap(topic => Array.from({ length: 10 }, (_, index) => entry(topic, `${index}`)))
    await three.broker.presence.renew(three.name, processes.lease)
    await three.broker.presence.enter(three.name, entries)
    await expire(processes)
    const swept = (await Promise.all([one, two, one].map(({ broker }) => broker.presence.sweep(three.name)))).flat()
    // One that a sweep under way has not done yet is left to it.
    swept.push(...await two.broker.presence.sweep(three.name))
    assert.deepEqual(sorted(swept.map(({ topic, id }) => `${topic} ${id}`)), sorted(entries.map(({ topic, id }) => `${topic} ${id}`)))
  },

  async 'members that were taken over are not swept' (processes) {
    const [one, two] = await processes.pair()
    const topic = topicName()
    await two.broker.presence.renew(two.name, LONG)
    await one.broker.presence.renew(one.name, processes.lease)
    await one.broker.presence.enter(one.name, [entry(topic, 'a'), entry(topic, 'b'), entry(topic, 'c')])
    assert.deepEqual(await two.broker.presence.enter(two.name, [entry(topic, 'a')]), [false])
    await expire(processes)
    assert.deepEqual(await two.broker.presence.enter(two.name, [entry(topic, 'b')]), [true], 'its process has no members any more')
    assert.deepEqual(await two.broker.presence.sweep(one.name), [{ topic, id: 'c' }])
    assert.deepEqual(await idsIn(two, topic), ['a', 'b'])
  },

  async 'a process that was swept enters its members again' (processes) {
    const [one, two] = await processes.pair()
    const topic = topicName()
    await one.broker.presence.renew(one.name, processes.lease)
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    await expire(processes)
    await two.broker.presence.sweep(one.name)
    assert.equal(await one.broker.presence.renew(one.name, LONG), false)
    assert.deepEqual(await one.broker.presence.enter(one.name, [entry(topic, 'a')]), [true])
    assert.deepEqual(await idsIn(two, topic), ['a'])
    assert.deepEqual(await two.broker.presence.sweep(one.name), [])
  },

  async 'a process that comes back before it is swept can enter its members again' (processes) {
    const [one, two] = await processes.pair()
    const topic = topicName()
    await one.broker.presence.renew(one.name, processes.lease)
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    await expire(processes)
    assert.equal(await one.broker.presence.renew(one.name, LONG), false)
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    assert.deepEqual(await two.broker.presence.sweep(one.name), [])
    assert.deepEqual(await idsIn(two, topic), ['a'])
  },

  async 'members that are entered without a lease are not listed, and are swept' (processes) {
    const [one, two] = await processes.pair()
    const topic = topicName()
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    assert.deepEqual(await idsIn(two, topic), [])
    assert.equal(await two.broker.presence.count(topic), 0)
    assert.ok((await two.broker.presence.expired()).includes(one.name))
    assert.deepEqual(await two.broker.presence.sweep(one.name), [{ topic, id: 'a' }])
  },

  async 'many members enter and leave with one call' (processes) {
    const [one, two] = await leased(processes)
    const topics = Array.from({ length: 50 }, topicName)
    const entries = topics.flatMap(topic => Array.from({ length: 20 }, (_, index) => entry(topic, `${index}`)))
    const added = await one.broker.presence.enter(one.name, entries)
    assert.equal(added.length, entries.length)
    assert.ok(added.every(Boolean))
    assert.equal(await two.broker.presence.count(topics[7]!), 20)
    const removed = await one.broker.presence.leave(one.name, entries)
    assert.equal(removed.length, entries.length)
    assert.ok(removed.every(Boolean))
    assert.equal(await two.broker.presence.count(topics[7]!), 0)
  },

  async 'members do not end with the broker object: its lease keeps them' (processes) {
    const [one, two] = await leased(processes)
    const topic = topicName()
    await one.broker.presence.enter(one.name, [entry(topic, 'a')])
    await one.close()
    assert.deepEqual(await idsIn(two, topic), ['a'])
  }
}
