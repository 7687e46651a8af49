import fc from 'fast-check'
import t from 'tap'
import { formatPosition, isId, parsePosition } from '../../lib/topics/position.js'

const epochs = fc.stringMatching(/^[\w-]{1,64}$/)
const ids = fc.stringMatching(/^[!-~]{1,64}$/)

t.test('a position survives the wire', async t => {
  fc.assert(fc.property(epochs, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), ids, (epoch, offset, id) => {
    t.strictSame(parsePosition(formatPosition({ epoch, offset, id })), { epoch, offset, id })
  }))
  t.equal(formatPosition({ epoch: 'k3-f9', offset: 0, id: '' }), 'k3-f9.0.')
  t.strictSame(parsePosition('k3-f9.0.'), { epoch: 'k3-f9', offset: 0, id: '' })
  t.equal(formatPosition({ epoch: 'e', offset: 117, id: 'a.b' }), 'e.39.a.b')
})

t.test('what parses has this one form', async t => {
  const nearly = fc.oneof(fc.string(), fc.stringMatching(/^[\w-]{0,3}\.[\w-]{0,12}\.[ -~]{0,3}$/))
  fc.assert(fc.property(nearly, text => {
    const position = parsePosition(text)
    if (position !== null) t.equal(formatPosition(position), text)
  }))
})

t.test('a malformed position is null', async t => {
  const malformed = [
    '', '.', '..', 'e', 'e.1', '.1.a', 'e..a', 'e.1.', 'e.0.a', 'e.01.a', 'e.00.', 'e.A.a', 'e.-1.a', 'e.1.a b', 'e.1.é', 'e.1.a\n', 'e.1.\0',
    'e f.1.a', 'é.1.a', 'e.2gosa7pa2gw.a', 'e.zzzzzzzzzzz.a', `${'e'.repeat(65)}.1.a`, `e.1.${'a'.repeat(65)}`, '\ne.1.a'
  ]
  for (const text of malformed) t.equal(parsePosition(text), null, JSON.stringify(text))
  t.strictSame(parsePosition('e.2gosa7pa2gv.a'), { epoch: 'e', offset: Number.MAX_SAFE_INTEGER, id: 'a' })
})

t.test('ids are printable ASCII', async t => {
  for (const id of ['a', '1', '~!', 'x'.repeat(64)]) t.ok(isId(id), id)
  for (const id of ['', 'x'.repeat(65), 'a b', 'é', '\t', 'a\n', 1, null, undefined]) t.notOk(isId(id), String(id))
})
