import fc from 'fast-check'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import type { Hub } from '../../lib/topics/hub.js'
import { TopicPattern } from '../../lib/declared-topics/pattern.js'
import { DeclaredTopics } from '../../lib/declared-topics/declared-topics.js'
import { PatternTree } from '../../lib/declared-topics/pattern-tree.js'

function treeOf (...patterns: string[]): PatternTree<string> {
  const tree = new PatternTree<string>()
  for (const text of patterns) tree.add(new TopicPattern(text, ''), text)
  return tree
}

t.test('a name is that of the pattern with the most texts in front', async t => {
  const patterns = [':any', 'rooms/:room', 'rooms/lobby', ':kind/lobby', 'rooms/:room/users/:user', 'rooms/lobby/users/:user', 'a/:b/c', ':a/x/y']
  for (const order of [patterns, [...patterns].reverse()]) {
    const tree = treeOf(...order)
    const found = (name: string): string | null => tree.find(name)?.value ?? null
    t.equal(found('news'), ':any')
    t.equal(found('rooms/7'), 'rooms/:room')
    t.equal(found('rooms/lobby'), 'rooms/lobby')
    t.equal(found('halls/lobby'), ':kind/lobby')
    t.equal(found('rooms/7/users/8'), 'rooms/:room/users/:user')
    t.equal(found('rooms/lobby/users/8'), 'rooms/lobby/users/:user')
    t.equal(found('a/x/y'), ':a/x/y', 'another branch is tried')
    t.equal(found('a/x/c'), 'a/:b/c')
    for (const name of ['', '/', 'rooms/', '/rooms', 'rooms//', 'rooms/7/', '/rooms/7', 'rooms/7/users', 'rooms/7/users/', 'rooms/7/users/8/9']) t.equal(found(name), null, name)
  }
})

t.test('names are compared as they are: nothing is decoded, and no character has a meaning', async t => {
  const tree = treeOf('rooms/:room', 'caf\u00e9/x')
  const room = (name: string): string | undefined => tree.find(name)?.parts[1]
  for (const part of ['%2F', '%zz', 'a?b=c', 'a#b', 'a;b', '*', ':room', '..', ' ', '\u{1F600}', 'x'.repeat(200), '__proto__', 'constructor']) t.equal(room(`rooms/${part}`), part)
  t.equal(room('Rooms/7'), undefined)
  t.equal(room('room%73/7'), undefined)
  t.equal(tree.find('cafe\u0301/x'), null, 'no normalization')
})

t.test('two patterns that stand for the same names are noticed', async t => {
  const tree = treeOf('rooms/:room', 'a/b')
  t.equal(tree.add(new TopicPattern('rooms/:id', ''), 'other'), 'rooms/:room')
  t.equal(tree.add(new TopicPattern('a/b', ''), 'other'), 'a/b')
  t.equal(tree.add(new TopicPattern(':a/b', ''), 'other'), null)
})

t.test('a name that is made of parameters is found with them', async () => {
  const parameter = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter(text => !/[/\p{Cc}\p{Surrogate}]/u.test(text))
  const pattern = new TopicPattern('a::b/:x/c/:y', '/v1/')
  const tree = new PatternTree<string>()
  tree.add(pattern, 'found')
  fc.assert(fc.property(parameter, parameter, (x, y) => {
    const name = pattern.nameOf({ x, y })
    const match = tree.find(name)
    return match !== null && JSON.stringify(pattern.paramsOf(match.parts)) === JSON.stringify({ x, y }) && name.startsWith('v1/a:b/')
  }))
})

t.test('parameters that make no name are refused', async t => {
  const pattern = new TopicPattern('rooms/:room', '')
  for (const [params, message] of [
    [undefined, "topic 'rooms/:room' needs its parameters as an object, not undefined"],
    ['7', "topic 'rooms/:room' needs its parameters as an object, not '7'"],
    [{}, "topic 'rooms/:room' needs the parameter 'room'"],
    [Object.create({ room: '7' }), "topic 'rooms/:room' needs the parameter 'room'"],
    [{ room: {} }, "topic 'rooms/:room' needs a string as its parameter 'room', not an object"],
    [{ room: null }, "topic 'rooms/:room' needs a string as its parameter 'room', not null"],
    [{ room: '' }, /needs at least one character, and neither slashes nor control characters, in its parameter 'room', not ''/],
    [{ room: 'a/b' }, /neither slashes nor control characters/],
    [{ room: 'a\n' }, /neither slashes nor control characters/],
    [{ room: '\ud800' }, /must be well-formed Unicode/],
    [{ room: '\u00e9'.repeat(125) }, /must have at most 255 bytes of UTF-8/]
  ] as const) t.throws(() => pattern.nameOf(params), { code: 'FST_WS_ERR_INVALID_ARGUMENT', message })
  t.equal(pattern.nameOf({ room: 7, other: 'is ignored' }), 'rooms/7')
  t.equal(pattern.nameOf({ room: 7n }), 'rooms/7')
  t.equal(pattern.nameOf({ room: '\u00e9'.repeat(124) }), `rooms/${'\u00e9'.repeat(124)}`)
  t.equal(new TopicPattern('news', '').nameOf({}), 'news')
})

t.test('whatever a client asks for, looking it up does not throw, and one name has one declaration', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  const topics = new DeclaredTopics({} as Hub)
  topics.addTo(app)
  t.equal(topics.settingsOf('a'), null)
  for (const pattern of ['a', 'a/:x', ':x/b', 'a/b/:y', ':x/:y/c']) app.topic(pattern, { schema: { params: { type: 'object', properties: { x: { type: 'integer' } } } } })
  await app.ready()
  const part = fc.oneof(fc.constantFrom('a', 'b', 'c', '', '7', '07', '__proto__', ':x', '*'), fc.string({ unit: 'binary', maxLength: 20 }))
  const name = fc.oneof(fc.array(part, { maxLength: 6 }).map(parts => parts.join('/')), fc.string({ unit: 'binary', maxLength: 300 }))
  fc.assert(fc.property(name, name, (one, other) => {
    const first = topics.settingsOf(one)
    topics.settingsOf(other)
    const policy = topics.policyOf(one)
    return topics.settingsOf(one) === first && (policy === null) === (first === null)
  }))
  t.equal(topics.settingsOf('a')!.pattern.text, 'a', 'what was nothing before')
})
