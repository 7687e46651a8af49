import assert from 'node:assert/strict'
import { anchorOf, checkChain, HISTORY, silence, topicName, type Checks } from './processes.js'

const SHORT = { messages: 100, seconds: 1 }
/** Milliseconds after which a short history is over. */
const EXPIRY = 2_500

export const histories: Checks = {
  async 'positions increase, each names the one before, and publish returns them' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const published = []
    for (let count = 0; count < 20; count++) published.push(await (count % 2 === 0 ? one : two).store(topic, `${count}`))
    for (const process of [one, two]) {
      const received = await process.messages(topic, 20)
      checkChain(received)
      assert.deepEqual(received.map(anchorOf), published)
    }
  },

  async 'all processes see one order, whoever publishes' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const publishers = [one, two].map((process, index) => Array.from({ length: 200 }, (_, count) => ({ process, id: `${index}-${count}` })))
    const published = await Promise.all(publishers.flat().map(({ process, id }) => process.store(topic, id)))
    const [first, second] = [await one.messages(topic, 400), await two.messages(topic, 400)]
    checkChain(first)
    assert.deepEqual(first.map(anchorOf), second.map(anchorOf))
    assert.deepEqual(first.map(anchorOf), published.sort((a, b) => a.offset - b.offset))
    for (const own of publishers) {
      const ids = own.map(({ id }) => id)
      assert.deepEqual(one.idsOf(topic).filter(id => ids.includes(id)), ids, 'the order of each publisher')
    }
    const read = await one.broker.read(topic, null, 1_000)
    assert.deepEqual(read.messages.map(anchorOf), first.map(anchorOf))
  },

  async 'topics have positions of their own' (processes) {
    const topics = [topicName(), topicName()]
    const [one, two] = await processes.pair(...topics)
    for (let count = 0; count < 10; count++) for (const topic of topics) await one.store(topic, `${count}`)
    for (const topic of topics) checkChain(await two.messages(topic, 10))
  },

  async 'an id is stored and announced once, by whichever process' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const first = await one.store(topic, 'same', HISTORY, Buffer.from('first'))
    const other = await one.store(topic, 'other')
    for (const process of [one, two]) assert.deepEqual(await process.store(topic, 'same', HISTORY, Buffer.from('second')), first)
    await one.store(topic, 'last')
    for (const process of [one, two]) {
      const received = await process.messages(topic, 3)
      await silence()
      checkChain(received)
      assert.deepEqual(process.idsOf(topic), ['same', 'other', 'last'])
      assert.equal(received[0]!.data.toString(), 'first')
    }
    const { messages } = await one.broker.read(topic, null, 10)
    assert.deepEqual(messages.map(({ id }) => id), ['same', 'other', 'last'])
    assert.deepEqual(anchorOf(messages[1]!), other)
  },

  async 'an id that is published at a time is stored once' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const positions = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : two).store(topic, 'same')))
    for (const position of positions) assert.deepEqual(position, positions[0])
    await one.store(topic, 'last')
    await two.messages(topic, 2)
    await silence()
    assert.deepEqual(two.idsOf(topic), ['same', 'last'])
  },

  async 'the same id in another topic is another message' (processes) {
    const topics = [topicName(), topicName()]
    const [one, two] = await processes.pair(...topics)
    for (const topic of topics) await one.store(topic, 'same')
    for (const topic of topics) {
      await two.messages(topic, 1)
      assert.equal((await one.broker.read(topic, null, 10)).messages.length, 1)
    }
  },

  async 'an id that was published without history is not remembered' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    await one.publish(topic, 'same', null)
    await one.store(topic, 'same')
    await two.messages(topic, 2)
    assert.equal((await one.broker.read(topic, null, 10)).messages.length, 1)
  },

  async 'an id is remembered though its message is no longer kept' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const history = { messages: 1, seconds: 60 }
    const first = await one.store(topic, 'same', history)
    for (let count = 0; count < 300; count++) await one.store(topic, `${count}`, history)
    assert.deepEqual(await one.store(topic, 'same', history), first)
  },

  async 'at least the newest messages are kept, and not all' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const history = { messages: 50, seconds: 60 }
    const total = 1_500
    for (let count = 0; count < total; count += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => one.store(topic, `${count + index}`, history)))
    }
    const { messages, top, topId } = await one.broker.read(topic, null, total * 2)
    assert.ok(messages.length >= 50, `${messages.length} of 50 messages`)
    assert.ok(messages.length < total / 2, `${messages.length} messages are kept for a history of 50`)
    const ids = Array.from({ length: total }, (_, index) => `${index}`)
    assert.deepEqual(messages.map(({ id }) => id), ids.slice(-messages.length), 'the newest, in their order')
    assert.deepEqual({ ...top, id: topId }, anchorOf(messages.at(-1)!))
  },

  async 'a history of one message keeps it' (processes) {
    const topic = topicName()
    const one = await processes.start()
    for (const id of ['a', 'b', 'c']) await one.store(topic, id, { messages: 1, seconds: 60 })
    const { messages } = await one.broker.read(topic, null, 1)
    assert.deepEqual(messages.map(({ id }) => id), ['c'])
  },

  async 'messages are gone when their time is over, and what is published then follows' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const first = await one.store(topic, 'a', SHORT)
    const last = await one.store(topic, 'b', SHORT)
    await processes.sleep(EXPIRY)
    const read = await one.broker.read(topic, null, 10)
    assert.deepEqual(read.messages, [])
    assert.equal(read.isComplete, true)
    const isKnown = read.topId !== null
    if (isKnown) assert.deepEqual({ ...read.top, id: read.topId }, last)
    for (const since of [first, last]) {
      const { isComplete, messages } = await one.broker.read(topic, since, 10)
      assert.deepEqual(messages, [])
      assert.equal(isComplete, isKnown && since === last, 'the message at the position is no longer kept, and is not known to be the last')
    }
    const next = await two.store(topic, 'c', SHORT)
    if (next.epoch === last.epoch) assert.ok(next.offset > last.offset, 'offsets of an epoch increase')
    const [,, message] = await two.messages(topic, 3)
    assert.deepEqual(anchorOf(message!), next)
    assert.equal((await one.broker.read(topic, first, 10)).isComplete, false)
    assert.equal((await one.broker.read(topic, last, 10)).isComplete, false, 'it is not the last any more')
  },

  async 'an id can be used again when its time is over' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const first = await one.store(topic, 'same', SHORT)
    await processes.sleep(EXPIRY)
    await processes.sleep(EXPIRY)
    assert.notDeepEqual(await one.store(topic, 'same', SHORT), first)
  }
}
