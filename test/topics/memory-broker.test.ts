import t, { type Test } from 'tap'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'
import type { BrokerAnchor, BrokerMessage } from '../../types/broker.js'

const history = { messages: 3, seconds: 60 }

async function setUp (t: Test) {
  const clock = { time: 1_000 }
  const bus = new MemoryBus(() => clock.time)
  const processes = [new MemoryBroker(bus), new MemoryBroker(bus)]
  const received: string[][] = [[], []]
  for (const [index, broker] of processes.entries()) {
    await broker.start({
      message: (topic, { id, position }) => { received[index]!.push(`${topic} ${id} ${position?.offset ?? '-'}`) },
      interrupted: () => t.fail('memory is never interrupted'),
      state: () => t.fail('memory is always there')
    })
  }
  t.teardown(() => Promise.all(processes.map(broker => broker.close())))
  return { bus, clock, one: processes[0]!, two: processes[1]!, received }
}

const data = Buffer.from('data')

const anchorOf = ({ id, position }: BrokerMessage): BrokerAnchor => ({ ...position!, id })

t.test('a message that a receiver publishes comes after the one it has received, for all', async t => {
  const bus = new MemoryBus()
  const received: string[][] = [[], []]
  const processes = received.map(ids => {
    const broker = new MemoryBroker(bus)
    t.teardown(() => broker.close())
    broker.start({
      message: (_, { id }) => {
        ids.push(id)
        if (id === 'a') broker.publish('t', { id: 'b', data, history: null })
      },
      interrupted () {},
      state () {}
    })
    broker.subscribe(['t'])
    return broker
  })
  await processes[0]!.publish('t', { id: 'a', data, history: null })
  t.strictSame(received, [['a', 'b', 'b'], ['a', 'b', 'b']])
})

t.test('an app that throws as it receives does not keep the next message from being delivered', async t => {
  const broker = new MemoryBroker()
  t.teardown(() => broker.close())
  const received: string[] = []
  await broker.start({
    message (_, { id }) {
      received.push(id)
      if (id === 'a') throw new Error('thrown by a receiver')
    },
    interrupted () {},
    state () {}
  })
  await broker.subscribe(['t'])
  await t.rejects(broker.publish('t', { id: 'a', data, history: null }), { message: 'thrown by a receiver' })
  await broker.publish('t', { id: 'b', data, history: null })
  t.strictSame(received, ['a', 'b'])
})

t.test('a history is dropped when it has expired and nobody has subscribed', async t => {
  const { bus, clock, one, received } = await setUp(t)
  const first = await one.publish('t', { id: 'a', data, history })
  clock.time += 60_000
  bus.sweep()
  const second = await one.publish('t', { id: 'b', data, history })
  t.not(second!.epoch, first!.epoch)
  t.equal(second!.offset, 1)

  await one.subscribe(['t'])
  clock.time += 60_000
  bus.sweep()
  t.strictSame(await one.publish('t', { id: 'c', data, history }), { ...second, offset: 2 }, 'a subscriber needs its order')
  t.strictSame(received[0], ['t c 2'])
})

t.test('a topic that was always empty can be resumed', async t => {
  const { bus, clock, one } = await setUp(t)
  const { top } = await one.read('empty', null, 0)
  const since = { ...top, id: '' }
  await one.publish('other', { id: 'a', data, history })
  clock.time += 60_000
  bus.sweep()
  t.match(await one.read('empty', since, 10), { top, isComplete: true })
  await one.publish('empty', { id: 'b', data, history })
  t.match(await one.read('empty', since, 10), { messages: [{ id: 'b' }], isComplete: true })
  clock.time += 60_000
  bus.sweep()
  t.match(await one.read('empty', since, 10), { messages: [], isComplete: false }, 'though it is empty again')
})

t.test('what is dropped from a long history is found no more, and the rest is', async t => {
  const { one } = await setUp(t)
  const all: BrokerMessage[] = []
  for (let count = 0; count < 500; count++) {
    await one.publish('t', { id: `m${count}`, data, history: { messages: 100, seconds: 60 } })
    all.push((await one.read('t', null, 1)).messages[0]!)
  }
  for (const [index, message] of all.entries()) {
    const { messages, isComplete, topId } = await one.read('t', anchorOf(message), 1_000)
    t.equal(isComplete, index >= 400)
    t.equal(messages.length, Math.min(100, 499 - index))
    t.equal(messages[0], all[Math.max(400, index + 1)])
    t.equal(topId, 'm499')
  }
})

t.test('ids are remembered for the history\'s seconds, and at most 5 minutes', async t => {
  const { clock, one } = await setUp(t)
  for (const [seconds, window] of [[10, 10], [3_600, 300]] as const) {
    const topic = `${seconds}`
    const position = await one.publish(topic, { id: 'a', data, history: { messages: 1, seconds } })
    for (const [wait, id] of [[window * 500, 'b'], [window * 499, 'c']] as const) {
      clock.time += wait
      await one.publish(topic, { id, data, history: { messages: 1, seconds } })
    }
    t.strictSame(await one.publish(topic, { id: 'a', data, history: { messages: 1, seconds } }), position)
    clock.time += window * 2_000
    t.equal((await one.publish(topic, { id: 'a', data, history: { messages: 1, seconds } }))!.offset, 4)
  }
})

t.test('the timer keeps no process alive, and ends with the last broker', async t => {
  const before = process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const broker = new MemoryBroker()
  await broker.start({ message () {}, interrupted () {}, state () {} })
  await broker.publish('t', { id: 'a', data, history })
  await broker.close()
  t.equal(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length, before)
})
