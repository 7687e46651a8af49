import assert from 'node:assert/strict'
import { HISTORY, silence, topicName, unique, type Checks } from './processes.js'

/** Names of which each is another topic: nothing in them has a meaning for a broker. Each has a unique part behind it. */
const NAMES = [
  'a', 'A', 'a.b', 'a:b', 'a/b', 'a b', 'a\tb', 'a\nb', 'a\r\nb', '\0', '\x1f', '\x7f', ' ', '.', '..', '/', ':', '*', '**', '?', '>', 'a.*', 'a.>', 'a.b.', '.a',
  '[ab]', '{a}', '}{', '{}', '$', '$JS.API.>', '$KV.a', '_INBOX.a', '__proto__', 'constructor', '%', '%41', '\\', '"', "'", '`', '#', '+', '-', '_', '=', '|', '~', '&',
  'é', 'e\u0301', 'ß', '名前', '😀', '\u2028', '\ufeff', '\ufffd', '\u{10ffff}', 'null', 'undefined', '0', '-1', 'meta', 'leases', 'members',
  // names of keys, channels and streams
  'ws:{0}:leases', '}:c:a', '{0}:c:a', 's:a', 'm:a', 'i:1:aa', 'o:a', 'fastify-ws-state', 'fastify-ws.a'
]

const MAX_BYTES = 255

function padded (letter: string, suffix: string): string {
  return letter.repeat(Math.floor((MAX_BYTES - suffix.length) / Buffer.byteLength(letter))) + suffix
}

export const topics: Checks = {
  async 'a broker has a name' (processes) {
    const { broker } = await processes.start()
    assert.match(broker.name, /^\S+$/)
  },

  async 'every well-formed name up to 255 bytes is a topic of its own' (processes) {
    const [one, two] = await processes.pair()
    const end = unique()
    const names = NAMES.flatMap(name => [`${name}${end}`, `${end}${name}`])
    names.push(...['x', 'é', '名', '😀', '*', '>', '.', ' ', '\0'].map(letter => padded(letter, end)))
    for (const name of names) assert.ok(Buffer.byteLength(name) <= MAX_BYTES)
    await two.broker.subscribe(names)
    for (const history of [null, HISTORY]) {
      const kind = history === null ? 'without' : 'with'
      await Promise.all(names.map(name => one.publish(name, unique(), history, Buffer.from(`${kind} ${name}`))))
    }
    await two.until('a message with and one without history of each topic', () => two.received.length >= names.length * 2)
    for (const name of names) {
      assert.deepEqual(two.of(name).map(({ data }) => data.toString()).sort(), [`with ${name}`, `without ${name}`], JSON.stringify(name))
      const { messages } = await one.broker.read(name, null, 10)
      assert.deepEqual(messages.map(({ data }) => data.toString()), [`with ${name}`], JSON.stringify(name))
    }
  },

  async 'a subscription to a name with wildcards gets nothing else' (processes) {
    const [one, two] = await processes.pair()
    const end = unique()
    const names = [`*${end}`, `${end}*`, `${end}.>`, `${end}.*`, `${end}?`, `${end}[ab]`, '*', '>', '**', `${end}.`]
    await two.broker.subscribe(names)
    for (const name of [`x${end}`, `${end}x`, `${end}.x`, `${end}.x.y`, `${end}a`, end]) {
      await one.publish(name, unique(), null)
      await one.publish(name, unique())
    }
    const last = unique()
    await one.publish(`${end}*`, last, null)
    await two.messages(`${end}*`, 1)
    await silence()
    assert.deepEqual(two.received.map(({ message }) => message.id), [last])
  },

  async 'a message that is published when a subscription has been confirmed is delivered' (processes) {
    const [one, two] = await processes.pair()
    for (let count = 0; count < 20; count++) {
      const topic = topicName()
      await two.broker.subscribe([topic])
      await one.publish(topic, `${count}`, count % 2 === 0 ? null : HISTORY)
      await two.messages(topic, 1)
    }
  },

  async 'many topics are subscribed to with one call' (processes) {
    const [one, two] = await processes.pair()
    const all = Array.from({ length: 2_000 }, topicName)
    await two.broker.subscribe(all)
    const some = all.filter((_, index) => index % 100 === 0)
    await Promise.all(some.map(topic => one.publish(topic, unique(), null)))
    await two.until('a message of each topic', () => two.received.length >= some.length)
    assert.deepEqual(two.received.map(({ topic }) => topic).sort(), [...some].sort())
    await two.broker.unsubscribe(all)
  },

  async 'a list without topics resolves' (processes) {
    const { broker } = await processes.start()
    await broker.subscribe([])
    await broker.unsubscribe([])
  },

  async 'a topic that is subscribed to twice is delivered once' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    await two.broker.subscribe([topic, topicName()])
    await one.publish(topic, 'first', null)
    await one.publish(topic, 'second')
    await two.messages(topic, 2)
    await silence()
    assert.deepEqual(two.idsOf(topic), ['first', 'second'])
  },

  async 'a process gets only what it has subscribed to' (processes) {
    const [own, other] = [topicName(), topicName()]
    const [one, two] = await processes.pair(own)
    await one.broker.subscribe([other])
    for (const history of [null, HISTORY]) {
      await one.publish(other, unique(), history)
      await one.publish(own, unique(), history)
    }
    await two.messages(own, 2)
    await silence()
    assert.deepEqual(two.of(other), [])
  },

  async 'nothing comes after unsubscribe has resolved, for this process alone' (processes) {
    const topic = topicName()
    const [one, two] = await processes.pair(topic)
    await one.publish(topic, 'before', null)
    await two.messages(topic, 1)
    await two.broker.unsubscribe([topic])
    await one.publish(topic, 'after', null)
    await one.publish(topic, 'after, kept')
    await one.messages(topic, 3)
    await silence()
    assert.deepEqual(two.idsOf(topic), ['before'])

    await two.broker.subscribe([topic])
    await one.publish(topic, 'again', null)
    await two.messages(topic, 2)
    assert.deepEqual(two.idsOf(topic), ['before', 'again'])
  },

  async 'a topic that was never subscribed to can be unsubscribed' (processes) {
    const { broker } = await processes.start()
    await broker.unsubscribe([topicName()])
  },

  async 'subscribe and unsubscribe take effect in the order of their calls' (processes) {
    const [kept, dropped] = [topicName(), topicName()]
    const [one, two] = await processes.pair()
    const { broker } = two
    await Promise.all([
      broker.subscribe([kept]), broker.unsubscribe([kept]), broker.subscribe([kept]),
      broker.subscribe([dropped]), broker.unsubscribe([dropped])
    ])
    for (const topic of [dropped, kept]) await one.publish(topic, unique(), null)
    await two.messages(kept, 1)
    await silence()
    assert.deepEqual(two.received.map(({ topic }) => topic), [kept])
  }
}
