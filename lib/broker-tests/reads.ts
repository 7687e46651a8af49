import assert from 'node:assert/strict'
import type { BrokerAnchor } from '../../types/broker.js'
import { anchorOf, checkChain, topicName, type Checks, type Process } from './processes.js'

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`)

async function fill (process: Process, topic: string, count: number): Promise<BrokerAnchor[]> {
  const anchors: BrokerAnchor[] = []
  for (const id of ids(count)) anchors.push(await process.store(topic, id))
  return anchors
}

export const reads: Checks = {
  async 'a topic without messages has its top at offset 0, from which it can be read later' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair()
    const empty = await one.broker.read(topic, null, 10)
    assert.equal(empty.top.offset, 0)
    assert.match(empty.top.epoch, /^[\w-]{1,64}$/)
    assert.deepEqual({ topId: empty.topId, messages: empty.messages, isComplete: empty.isComplete }, { topId: null, messages: [], isComplete: true })
    const start = { ...empty.top, id: '' }
    const again = await two.broker.read(topic, start, 10)
    assert.deepEqual(again, empty, 'the same for every process')

    await fill(two, topic, 3)
    const read = await one.broker.read(topic, start, 10)
    assert.deepEqual(read.messages.map(({ id }) => id), ids(3))
    assert.equal(read.isComplete, true)
    checkChain(read.messages)
    assert.equal((await one.broker.read(topic, start, 2)).isComplete, true)
  },

  async 'without a position: the newest, oldest first, at most the limit' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const anchors = await fill(one, topic, 10)
    for (const limit of [0, 1, 3, 10, 1_000]) {
      const { messages, top, topId, isComplete } = await one.broker.read(topic, null, limit)
      assert.deepEqual(messages.map(({ id }) => id), limit === 0 ? [] : ids(10).slice(-limit), `limit ${limit}`)
      assert.deepEqual({ ...top, id: topId }, anchors.at(-1))
      assert.equal(isComplete, true)
    }
  },

  async 'from each position: what follows, oldest first, at most the limit' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const anchors = await fill(one, topic, 10)
    for (const [index, since] of anchors.entries()) {
      for (const limit of [0, 1, 3, 1_000]) {
        const { messages, top, topId, isComplete } = await one.broker.read(topic, since, limit)
        assert.deepEqual(messages.map(({ id }) => id), ids(10).slice(index + 1, index + 1 + limit), `after message ${index}, limit ${limit}`)
        if (limit > 0) assert.equal(isComplete, true)
        assert.deepEqual({ ...top, id: topId }, anchors.at(-1))
        checkChain(messages, since)
      }
    }
  },

  async 'messages that are read are those that were delivered' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    await fill(one, topic, 5)
    const received = await two.messages(topic, 5)
    const { messages } = await two.broker.read(topic, null, 5)
    assert.deepEqual(messages.map(anchorOf), received.map(anchorOf))
    assert.deepEqual(messages.map(({ data }) => data.toString()), received.map(({ data }) => data.toString()))
  },

  async 'a position whose message has another id is not complete' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const anchors = await fill(one, topic, 3)
    for (const since of anchors) {
      for (const id of ['other', `${since.id}0`, '']) assert.equal((await one.broker.read(topic, { ...since, id }, 10)).isComplete, false, `offset ${since.offset}, id '${id}'`)
    }
  },

  async 'a position of another epoch is not complete' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const [first] = await fill(one, topic, 3)
    for (const epoch of ['other', `${first!.epoch}0`, first!.epoch.slice(0, -1) || 'x']) {
      const { isComplete, top } = await one.broker.read(topic, { ...first!, epoch }, 10)
      assert.equal(isComplete, false, epoch)
      assert.equal(top.epoch, first!.epoch)
    }
    assert.equal((await one.broker.read(topic, { epoch: 'other', offset: 0, id: '' }, 10)).isComplete, false)
  },

  async 'a position behind the top is not complete' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const last = (await fill(one, topic, 3)).at(-1)!
    for (const offset of [last.offset + 1, last.offset + 1_000, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      const { isComplete, messages } = await one.broker.read(topic, { ...last, offset }, 10)
      assert.equal(isComplete, false, `offset ${offset}`)
      assert.deepEqual(messages, [])
    }
    const empty = topicName()
    const { top } = await one.broker.read(empty, null, 0)
    assert.equal((await one.broker.read(empty, { ...top, offset: 1, id: 'a' }, 10)).isComplete, false, 'of an empty topic')
  },

  async 'a position is complete exactly while its message is kept' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const history = { messages: 5, seconds: 60 }
    const { top } = await one.broker.read(topic, null, 0)
    const anchors: BrokerAnchor[] = [{ ...top, id: '' }]
    for (const id of ids(300)) anchors.push(await one.store(topic, id, history))
    const kept = (await one.broker.read(topic, null, 1_000)).messages.length
    for (const [index, since] of anchors.entries()) {
      if (index % 7 !== 0 && index < anchors.length - 10) continue
      const { messages, isComplete } = await one.broker.read(topic, since, 1_000)
      const isKept = index === 0 ? kept === 300 : index > 300 - kept
      assert.equal(isComplete, isKept, `message ${index} of 300, of which ${kept} are kept`)
      if (isKept) assert.deepEqual(messages.map(({ id }) => id), ids(300).slice(index))
    }
  },

  async 'a read of a part goes on behind its last message' (processes) {
    const topic = topicName()
    const one = await processes.start()
    const [first, ...others] = await fill(one, topic, 25)
    const collected: BrokerAnchor[] = []
    for (let since = first!; ;) {
      const { messages, isComplete } = await one.broker.read(topic, since, 7)
      assert.equal(isComplete, true)
      if (messages.length === 0 || collected.length > others.length) break
      collected.push(...messages.map(anchorOf))
      since = collected.at(-1)!
    }
    assert.deepEqual(collected, others)
  },

  async 'a read ends at its top, while messages are stored' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    let stored = 0
    const publishing = (async () => {
      for (const id of ids(200)) {
        await one.store(topic, id)
        stored++
      }
    })()
    const read = async (): Promise<void> => {
      const { top, topId, messages } = await two.broker.read(topic, null, 1_000)
      if (messages.length > 0) assert.deepEqual({ ...top, id: topId }, anchorOf(messages.at(-1)!))
      if (stored < 200) await read()
    }
    await Promise.all([read(), publishing])
  },

  async 'each message is in a read, or is delivered after it' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    const publishing = Promise.all(ids(200).map(id => one.store(topic, id)))
    const { top, messages } = await two.broker.read(topic, null, 1_000)
    await publishing
    await two.messages(topic, 200)
    const later = two.of(topic).filter(({ position }) => position!.offset > top.offset)
    assert.deepEqual([...messages, ...later].map(({ id }) => id), ids(200))
  }
}
