import assert from 'node:assert/strict'
import { HISTORY, silence, topicName, unique, type Checks } from './processes.js'

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
const LENGTHS = [0, 1, 2, 255, 256, 65_535, 65_536, 300_000]

/** Bytes that differ from each other, of a length. */
function bytes (length: number): Buffer {
  const data = Buffer.alloc(length)
  for (let index = 0; index < length; index++) data[index] = (index * 31 + (index >> 8)) & 0xff
  return data
}

export const messages: Checks = {
  async 'a message without history gets to all who have subscribed, its publisher too' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    assert.equal(await one.publish(topic, 'id', null, Buffer.from('text')), null)
    for (const process of [one, two]) {
      const [message] = await process.messages(topic, 1)
      assert.equal(message!.id, 'id')
      assert.deepEqual(Buffer.from(message!.data), Buffer.from('text'))
      assert.equal(message!.position, null)
      assert.equal(message!.previous, null)
    }
  },

  async 'a message that nobody has subscribed to resolves too' (processes) {
    const one = await processes.start()
    assert.equal(await one.publish(topicName(), 'a', null), null)
    await one.store(topicName(), 'a')
  },

  async 'data is what was published, whatever its bytes' (processes) {
    for (const history of [null, HISTORY]) {
      const topic = topicName()
      const [one, two] = await processes.pair(topic)
      const all = [EVERY_BYTE, ...Array.from(EVERY_BYTE, byte => Buffer.from([byte])), ...LENGTHS.map(bytes)]
      for (const [index, data] of all.entries()) await one.publish(topic, `${index}`, history, data)
      const received = await two.messages(topic, all.length)
      for (const [index, data] of all.entries()) assert.ok(data.equals(received[index]!.data), `message ${index}, of ${data.length} bytes`)
      if (history === null) continue
      const { messages } = await two.broker.read(topic, null, all.length)
      for (const [index, data] of all.entries()) assert.ok(data.equals(messages[index]!.data), `message ${index} of the history`)
    }
  },

  async 'data is a Buffer that does not change when the publisher goes on with its own' (processes) {
    for (const history of [null, HISTORY]) {
      const topic = topicName()
      const [one, two] = await processes.pair(topic)
      const data = Buffer.from('first')
      await one.publish(topic, 'a', history, data)
      data.write('later')
      await one.publish(topic, 'b', history, data)
      const [first, second] = await two.messages(topic, 2)
      assert.ok(Buffer.isBuffer(first!.data))
      assert.deepEqual([first!.data.toString(), second!.data.toString()], ['first', 'later'])
      if (history === null) continue
      const { messages } = await two.broker.read(topic, null, 2)
      assert.ok(Buffer.isBuffer(messages[0]!.data))
      assert.deepEqual(messages.map(message => message.data.toString()), ['first', 'later'])
    }
  },

  async 'ids are kept: 1 to 64 printable characters' (processes) {
    for (const history of [null, HISTORY]) {
      const topic = topicName()
      const [one, two] = await processes.pair(topic)
      const ids = ['a', '0', '~', '!', ':', '.', '*', '>', '{}', '$', '"', "'", '\\', ',', 'a.b.c', 'x'.repeat(64), '__proto__', '-1', '%']
      for (const id of ids) await one.publish(topic, id, history)
      await two.messages(topic, ids.length)
      assert.deepEqual(two.idsOf(topic), ids)
      if (history !== null) assert.deepEqual((await two.broker.read(topic, null, 100)).messages.map(({ id }) => id), ids)
    }
  },

  async 'all see the messages of one publisher in its order, published at a time too' (processes) {
    for (const history of [null, HISTORY]) {
      const topic = topicName()
      const [one, two] = await processes.pair(topic)
      const ids = Array.from({ length: 500 }, (_, index) => `${index}`)
      await Promise.all(ids.map(id => one.publish(topic, id, history)))
      for (const process of [one, two]) {
        await process.messages(topic, ids.length)
        assert.deepEqual(process.idsOf(topic), ids)
      }
    }
  },

  async 'a message without history in a topic with history has no position, and does not come between others' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const first = await one.store(topic, 'a')
    assert.equal(await one.publish(topic, 'b', null), null)
    await one.store(topic, 'c')
    const received = await two.messages(topic, 3)
    const [a, b, c] = ['a', 'b', 'c'].map(id => received.find(message => message.id === id)!)
    assert.equal(b!.position, null)
    assert.equal(b!.previous, null)
    if (c!.previous !== null) assert.equal(c!.previous, a!.position!.offset)
    const read = await one.broker.read(topic, first, 10)
    assert.deepEqual(read.messages.map(({ id }) => id), ['c'])
    assert.equal(read.isComplete, true)
  },

  async 'nothing is called after close, and the others go on' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    await two.close()
    await one.publish(topic, 'a', null)
    await one.store(topic, 'b')
    await one.messages(topic, 2)
    await silence()
    assert.deepEqual(two.received, [])
    const three = await processes.start()
    await three.broker.subscribe([topic])
    await one.publish(topic, unique(), null)
    await three.messages(topic, 1)
  },

  async 'close resolves while calls are under way' (processes) {
    const topic = topicName()
    const [one] = await processes.pair(topic)
    const underWay = Promise.allSettled([
      ...Array.from({ length: 50 }, (_, index) => one.publish(topic, `${index}`)),
      one.broker.subscribe([topicName()]),
      one.broker.read(topic, null, 10),
      one.broker.presence.renew(one.name, 60_000)
    ])
    await one.close()
    await underWay
  }
}
