import t from 'tap'
import { OptionError } from '../../lib/errors.js'
import { check, checkOptions, nested, refuse } from '../../lib/options/check.js'

t.test('every error has one form: the name, what the option must be, and what it is', async t => {
  t.throws(() => refuse("option 'x'", 'an even number', 3), OptionError)
  const even = check<number>('an even number', value => typeof value === 'number' && value % 2 === 0)
  t.equal(even(4, 'x'), 4)
  t.throws(() => even('4', "option 'x'"), { code: 'FST_WS_ERR_INVALID_OPTION', message: "option 'x' must be an even number, not '4'" })
})

t.test('nested options: literals, an object, and the whole path in an error', async t => {
  const size = check<number>('a number', value => typeof value === 'number')
  const inner = nested<{ size?: number }, boolean>({ size }, 'a boolean or an object of options', true, false)
  const outer = nested<{ inner?: boolean | { size?: number } }>({ inner }, 'an object of options')
  t.same([inner(true, 'x'), inner(false, 'x'), inner({}, 'x'), inner({ size: 1 }, 'x'), inner({ size: undefined }, 'x')], [true, false, {}, { size: 1 }, {}])
  for (const value of [null, 0, 'true', [], () => {}]) t.throws(() => inner(value, "option 'x'"), { message: /^option 'x' must be a boolean or an object of options, not / })
  t.throws(() => outer({ inner: { size: 'a' } }, "option 'x'"), { message: "option 'x': option 'inner': option 'size' must be a number, not 'a'" })
  t.throws(() => outer({ inner: { sice: 1 } }, "option 'x'"), { message: "option 'x': option 'inner': unknown option 'sice'; there are size" })
})

t.test('unknown options are named, those of Object.prototype too, and those for others ignored', async t => {
  const checks = { a: check<string>('a string', value => typeof value === 'string') }
  for (const name of ['b', 'constructor', 'toString', 'hasOwnProperty']) {
    t.throws(() => checkOptions(checks, { [name]: 1 }, 'GET /: '), { message: `GET /: unknown option '${name}'; there are a` })
  }
  t.same(checkOptions(checks, { a: 'x', prefix: '/api' }, '', ['prefix']), { a: 'x' })
})
