import fc from 'fast-check'
import t from 'tap'
import { JsonMessages } from '../../lib/connection/json-messages.js'
import { ERRORS } from '../../lib/errors.js'
import { readClientMessage, type ClientMessage } from '../../lib/topics-protocol/client-message.js'

const LIMITS = { maxSubscriptions: 3 }

function read (value: unknown): ClientMessage {
  return readClientMessage(value, LIMITS)
}

function codeOf (value: unknown): string {
  const message = read(value)
  return message.kind === 'refused' ? `${message.refusal.request} ${message.refusal.code}` : message.kind
}

t.test('messages are known by their members', async t => {
  t.strictSame(read({}), { kind: 'beat' })
  t.strictSame(read({ subscribe: { a: null, b: 'e.1.x' } }), { kind: 'subscribe', topics: [{ topic: 'a', since: null }, { topic: 'b', since: 'e.1.x' }], client: null })
  t.strictSame(read({ subscribe: { a: null }, client: '0123456789abcdef' }), { kind: 'subscribe', topics: [{ topic: 'a', since: null }], client: '0123456789abcdef' })
  t.strictSame(read({ unsubscribe: ['a', 'b'] }), { kind: 'unsubscribe', topics: ['a', 'b'] })
  t.strictSame(read({ publish: 'a', message: null }), { kind: 'publish', topic: 'a', message: null, id: null })
  t.strictSame(read({ publish: 'a', message: { b: 1 }, id: 'x' }), { kind: 'publish', topic: 'a', message: { b: 1 }, id: 'x' })
  t.strictSame(read({ presence: 'a' }), { kind: 'presence', topic: 'a' })
  t.strictSame(read({ message: { type: 'typing' } }), { kind: 'own', message: { type: 'typing' } })
})

t.test('unknown members are ignored', async t => {
  t.strictSame(read({ presence: 'a', later: 1 }), { kind: 'presence', topic: 'a' })
  t.strictSame(read({ message: 1, later: 1 }), { kind: 'own', message: 1 })
})

t.test('wrong messages are refused with a code that names the problem', async t => {
  for (const value of [null, 1, 'a', true, [], [{}], { later: 1 }, { subscribe: { a: null }, publish: 'a', message: 1 }, { unsubscribe: ['a'], presence: 'a' }]) {
    t.equal(codeOf(value), 'message FST_WS_ERR_UNKNOWN_MESSAGE', JSON.stringify(value))
  }
  for (const subscribe of [null, 1, 'a', ['a'], {}, { a: null, b: null, c: null, d: null }]) {
    t.equal(codeOf({ subscribe }), 'subscribe FST_WS_ERR_INVALID_REQUEST', JSON.stringify(subscribe))
  }
  for (const client of [1, 'too short', 'x'.repeat(65), 'with a space 0123456789', 'ümlaut0123456789']) {
    t.equal(codeOf({ subscribe: { a: null }, client }), 'subscribe FST_WS_ERR_INVALID_REQUEST', JSON.stringify(client))
  }
  for (const unsubscribe of [null, 1, 'a', {}, [], ['a', 'b', 'c', 'd']]) {
    t.equal(codeOf({ unsubscribe }), 'unsubscribe FST_WS_ERR_INVALID_REQUEST', JSON.stringify(unsubscribe))
  }
  for (const id of [1, '', 'x'.repeat(65), 'a b', 'ü', '\n', {}]) {
    t.equal(codeOf({ publish: 'a', message: 1, id }), 'publish FST_WS_ERR_INVALID_ID', JSON.stringify(id))
  }
  t.equal(codeOf({ publish: 'a' }), 'publish FST_WS_ERR_INVALID_REQUEST')
})

t.test('names of topics', async t => {
  const wrong = ['', 'a\0', '\n', 'a\x7f', 'a\u0085', '\ud800', 'x\udc00y', 'a'.repeat(256), 'ü'.repeat(128)]
  for (const name of wrong) {
    t.equal(codeOf({ subscribe: { fine: null, [name]: null } }), 'subscribe FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
    t.equal(codeOf({ unsubscribe: [name] }), 'unsubscribe FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
    t.equal(codeOf({ publish: name, message: 1 }), 'publish FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
    t.equal(codeOf({ presence: name }), 'presence FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
  }
  for (const name of [1, null, {}, ['a'], true]) {
    t.equal(codeOf({ unsubscribe: [name] }), 'unsubscribe FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
    t.equal(codeOf({ publish: name, message: 1 }), 'publish FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
    t.equal(codeOf({ presence: name }), 'presence FST_WS_ERR_TOPIC_NAME', JSON.stringify(name))
  }
  // No character but these has a meaning here: whether there is such a topic is for the declarations.
  for (const name of ['a', '*', 'rooms/#', 'rooms/:room', 'constructor', 'toString', '/', '..', ' ', '\u{1f600}', 'a'.repeat(255), 'ü'.repeat(127)]) {
    t.strictSame(read({ subscribe: { [name]: null } }), { kind: 'subscribe', topics: [{ topic: name, since: null }], client: null })
  }
})

t.test('a refusal names what can be named', async t => {
  t.match(read({ publish: 'a', id: 'x' }), { refusal: { topic: 'a', id: 'x' } })
  t.match(read({ publish: 'a', message: 1, id: '' }), { refusal: { topic: 'a' } })
  const { refusal } = read({ publish: '', message: 1, id: 'x' }) as { refusal: object }
  t.hasOwnProps(refusal, ['id'])
  t.notOk('topic' in refusal)
})

t.test('any JSON gets an answer, whose code is in the catalogue', async () => {
  const json = fc.jsonValue({ maxDepth: 3 })
  const close = fc.record({
    subscribe: fc.oneof(json, fc.dictionary(fc.string({ unit: 'binary' }), json)),
    unsubscribe: fc.oneof(json, fc.array(fc.string({ unit: 'binary' }))),
    publish: fc.oneof(json, fc.string({ unit: 'binary' })),
    presence: fc.oneof(json, fc.string({ unit: 'binary' })),
    message: json,
    id: fc.oneof(json, fc.string()),
    client: fc.oneof(json, fc.string())
  }, { requiredKeys: [] })
  fc.assert(fc.property(fc.oneof(json, close), value => {
    const message = read(value)
    if (message.kind === 'refused') return message.refusal.code in ERRORS && message.refusal.message !== ''
    return true
  }), { numRuns: 500 })
})

t.test('any text is read or refused', async t => {
  const json = new JsonMessages()
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), text => {
    const read = json.read(Buffer.from(text), false)
    return 'error' in read || readClientMessage(read.value, LIMITS).kind !== undefined
  }), { numRuns: 300 })
  const deep = json.read(Buffer.from('['.repeat(500_000) + ']'.repeat(500_000)), false)
  t.ok('value' in deep)
  t.match(json.read(Buffer.from('{"subscribe":{"__proto__":null}}'), false), { error: { code: 'FST_WS_ERR_INVALID_JSON' } })
  t.match(json.read(Buffer.from('{"publish":"a","message":{"constructor":{"prototype":1}}}'), false), { error: { code: 'FST_WS_ERR_INVALID_JSON' } })
})
