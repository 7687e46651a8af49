import t from 'tap'
import fc from 'fast-check'
import { HandshakeError } from '../../lib/errors.js'
import { hasToken, parseExtensions, parseSubprotocols, type ExtensionOffer } from '../../lib/protocol/header-fields.js'
import { arbitraryCharacter } from '../support/arbitraries.js'

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const PROTOTYPE_NAMES = ['constructor', '__proto__', 'hasOwnProperty', 'toString', 'valueOf', 'prototype']
const LONG = 128 * 1024

const badSubprotocols = { name: 'HandshakeError', statusCode: 400, code: 'FST_WS_ERR_HANDSHAKE_SUBPROTOCOL' }
const badExtensions = { name: 'HandshakeError', statusCode: 400, code: 'FST_WS_ERR_HANDSHAKE_EXTENSIONS' }

const token = fc.oneof(
  fc.string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 20 }),
  fc.constantFrom(...PROTOTYPE_NAMES)
)
const whitespace = fc.string({ unit: fc.constantFrom(' ', '\t'), maxLength: 3 })
/** A comma with whitespace and empty elements around it. */
const separator = fc.tuple(whitespace, fc.array(whitespace, { maxLength: 2 }), whitespace)
  .map(([before, empty, after]) => `${before},${empty.map(space => `${space},`).join('')}${after}`)
/** Strings made mostly of what the grammar is about, so that they get deep into it. */
const headerLike = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'B', '-', ',', ';', '=', '"', '\\', ' ', '\t', '/', '\x00', '\x7f', '\xff', '\u212a') }),
  fc.string({ unit: arbitraryCharacter })
)

/** Writes `elements` as a list, with one of the generated separators between each two. */
function joinWith (elements: readonly string[], separators: readonly string[]): string {
  return elements.map((element, i) => i === 0 ? element : separators[i % separators.length] + element).join('')
}

function isHandshakeErrorOrResult (parse: (value: string) => unknown, value: string): boolean {
  try {
    parse(value)
    return true
  } catch (error) {
    return error instanceof HandshakeError && error.statusCode === 400
  }
}

t.test('A9: hasToken finds an element in any letter case and place', async t => {
  for (const value of [
    'websocket', 'WebSocket', 'WEBSOCKET', ' websocket\t', 'websocket, h2c', 'h2c,websocket', 'HTTP/2.0, websocket, IRC/6.9',
    ',, ,websocket', 'websocket,', 'a b c, websocket', '"x", websocket'
  ]) {
    t.ok(hasToken(value, 'websocket'), JSON.stringify(value))
  }
  t.ok(hasToken('keep-alive, Upgrade', 'upgrade'), 'Firefox')
  t.ok(hasToken('keep-alive, upgrade', 'Upgrade'), 'the letter case of the token does not matter either')
})

t.test('A3, A9: hasToken takes nothing but a whole element', async t => {
  for (const value of [
    undefined, '', ' ', ',', 'h2c', 'websocket/13', 'websockets', 'xwebsocket', 'web socket', '"websocket"', 'websocket;q=1',
    'websocket h2c', 'web,socket', 'webſocket', 'websoc\u212aet', '\u00a0websocket'
  ]) {
    t.notOk(hasToken(value, 'websocket'), JSON.stringify(value))
  }
})

t.test('hasToken: what was put into a list is found there, and nothing else', async () => {
  fc.assert(fc.property(
    fc.array(token, { minLength: 1 }), fc.array(separator, { minLength: 1 }), fc.nat(), token,
    (tokens, separators, pick, other) => {
      const list = joinWith(tokens, separators)
      const present = tokens[pick % tokens.length] as string
      const lowerCased = tokens.map(element => element.toLowerCase())
      return hasToken(list, present.toUpperCase()) && hasToken(list, present.toLowerCase()) &&
        hasToken(list, other) === lowerCased.includes(other.toLowerCase())
    }
  ))
})

t.test('hasToken never throws', async () => {
  fc.assert(fc.property(headerLike, token, (value, wanted) => typeof hasToken(value, wanted) === 'boolean'))
})

t.test('parseSubprotocols keeps order and letter case', async t => {
  t.same(parseSubprotocols('chat'), ['chat'])
  t.same(parseSubprotocols('v2.chat, v1.chat,\tCHAT ,chat'), ['v2.chat', 'v1.chat', 'CHAT', 'chat'])
  t.same(parseSubprotocols(TOKEN_CHARACTERS), [TOKEN_CHARACTERS], 'every character of a token')
})

t.test('parseSubprotocols skips empty elements (RFC 9110 §5.6.1.2)', async t => {
  t.same(parseSubprotocols(', a , ,\t,b,,'), ['a', 'b'])
})

t.test('parseSubprotocols refuses a value that is not a list of tokens (RFC 6455 §4.1)', async t => {
  for (const value of [
    '', ' ', ',', ' , ,', 'a b', 'a;b', '"a"', 'a=b', 'a/b', 'a, b c', 'a, @', 'caf\xe9', 'a\x00', 'a\x7f', '\u212a', 'a\u00a0'
  ]) {
    t.throws(() => parseSubprotocols(value), badSubprotocols, JSON.stringify(value))
  }
})

t.test('parseSubprotocols says where the value goes wrong, without repeating it', async t => {
  t.throws(() => parseSubprotocols('secret, b@d'), { message: 'Sec-WebSocket-Protocol is malformed at offset 9' })
})

t.test('parseSubprotocols refuses duplicates (RFC 6455 §4.1 item 10)', async t => {
  t.throws(() => parseSubprotocols('a, b, a'), badSubprotocols)
  t.throws(() => parseSubprotocols('__proto__, __proto__'), badSubprotocols)
})

t.test('parseSubprotocols reads back every valid list', async () => {
  fc.assert(fc.property(
    fc.uniqueArray(token, { minLength: 1 }), fc.array(separator, { minLength: 1 }), whitespace, whitespace,
    (tokens, separators, before, after) => {
      const parsed = parseSubprotocols(before + joinWith(tokens, separators) + after)
      return JSON.stringify(parsed) === JSON.stringify(tokens)
    }
  ))
})

t.test('parseExtensions reads offers with parameters', async t => {
  t.same(parseExtensions('permessage-deflate; client_max_window_bits; server_max_window_bits=10, foo'), [
    { name: 'permessage-deflate', params: [['client_max_window_bits', true], ['server_max_window_bits', '10']] },
    { name: 'foo', params: [] }
  ])
})

t.test('A12: duplicated parameters and repeated offers stay visible', async t => {
  t.same(parseExtensions('x; a=1; a=2; a, x; b'), [
    { name: 'x', params: [['a', '1'], ['a', '2'], ['a', true]] },
    { name: 'x', params: [['b', true]] }
  ])
})

t.test('parseExtensions unquotes values (RFC 9110 §5.6.4)', async t => {
  t.same(parseExtensions('x; a="10"; b="t\\o\\k\\en"; c="\\z"'), [
    { name: 'x', params: [['a', '10'], ['b', 'token'], ['c', 'z']] }
  ])
})

t.test('parseExtensions allows whitespace around delimiters and empty elements', async t => {
  t.same(parseExtensions(',\t x ;a = 1\t; b\t=\t"2" , ,y ,'), [
    { name: 'x', params: [['a', '1'], ['b', '2']] },
    { name: 'y', params: [] }
  ])
})

t.test('parseExtensions refuses what RFC 6455 §9.1 does not allow', async t => {
  for (const value of [
    '', ' ', ',', ';', ';a', 'x;', 'x;;a', 'x; ', 'x;,y', 'x a', 'x=1', 'x; a=', 'x; a=,y', 'x; a==1', 'x; =1', 'x; a b',
    'x; "a"', '"x"', 'x; a=1 2', 'x; a="1" 2', 'x; a=1"2"', 'x\x00', 'x; a=\xe9'
  ]) {
    t.throws(() => parseExtensions(value), badExtensions, JSON.stringify(value))
  }
})

t.test('parseExtensions refuses a quoted value that is not a token once unescaped (RFC 6455 §9.1)', async t => {
  for (const quoted of [
    '"', '""', '"a', '"a\\', '"a\\"', '"\\', '"a b"', '"a,b"', '"a;b"', '"a=b"', '"\\""', '"\\\\"', '"a\\ b"', '"\xe9"', '"a\x00"'
  ]) {
    t.throws(() => parseExtensions(`x; a=${quoted}`), badExtensions, JSON.stringify(quoted))
  }
})

t.test('A11: names from Object.prototype are names like any other', async t => {
  for (const name of PROTOTYPE_NAMES) {
    t.same(parseSubprotocols(name), [name])
    t.same(parseExtensions(`${name}; ${name}; ${name}=${name}`), [{ name, params: [[name, true], [name, name]] }])
    t.notOk(hasToken('websocket', name))
    t.ok(hasToken(`websocket, ${name}`, name))
  }
})

t.test('parseExtensions reads back every valid list', async () => {
  const parameter = fc.tuple(token, fc.oneof(fc.constant<true>(true), token))
  const offer = fc.record({ name: token, params: fc.array(parameter, { maxLength: 5 }) })
  const style = fc.record({ space: whitespace, quoted: fc.boolean(), escaped: fc.boolean() })
  type Style = { space: string, quoted: boolean, escaped: boolean }

  function writeValue (value: string, { quoted, escaped }: Style): string {
    if (!quoted) return value
    return `"${escaped ? [...value].map(character => `\\${character}`).join('') : value}"`
  }

  function writeOffer ({ name, params }: ExtensionOffer, style: Style): string {
    const { space } = style
    return name + params.map(([name, value]) =>
      `${space};${space}${name}${value === true ? '' : `${space}=${space}${writeValue(value, style)}`}`).join('')
  }

  fc.assert(fc.property(
    fc.array(offer, { minLength: 1 }), fc.array(separator, { minLength: 1 }), fc.array(style, { minLength: 1 }),
    (offers, separators, styles) => {
      const written = offers.map((offer, i) => writeOffer(offer, styles[i % styles.length] as Style))
      return JSON.stringify(parseExtensions(joinWith(written, separators))) === JSON.stringify(offers)
    }
  ))
})

t.test('A11: whatever the value, a parser returns or throws a HandshakeError 400', async () => {
  const values = fc.oneof(headerLike, headerLike.map(value => `x; a="${value}`), headerLike.map(value => `x; ${value}`))
  fc.assert(fc.property(values, value =>
    isHandshakeErrorOrResult(parseSubprotocols, value) && isHandshakeErrorOrResult(parseExtensions, value)), { numRuns: 2000 })
})

// A quadratic algorithm needs some 10^10 steps for each of these, and there are
// 25 of each kind: it would run into the test's timeout, so no clock is read.
t.test('A11: 128 KiB of anything is read in linear time (CVE-2021-32640)', async t => {
  const beginnings = ['', 'x', 'x; a', 'x; a=', 'x; a="']
  const units = [' ', '\t', ',', ' ,', ';', '=', '"', '\\', '\\"', '\\a', 'a', 'a ', 'a,', 'a, ', ' a', ';a', '; a', ';a=', ';a=1', ';a="b"', '""', '\xff']
  const endings = ['', 'a', '"', ',', '@']
  for (const unit of units) {
    const body = unit.repeat(LONG / unit.length)
    const handled = beginnings.every(beginning => endings.every(ending => {
      const value = beginning + body + ending
      return isHandshakeErrorOrResult(parseSubprotocols, value) && isHandshakeErrorOrResult(parseExtensions, value) &&
        typeof hasToken(value, 'websocket') === 'boolean'
    }))
    t.ok(handled, JSON.stringify(unit))
  }
})

t.test('A11: many distinct elements are read in linear time', async t => {
  const names = Array.from({ length: LONG }, (_, i) => `p${i}`)
  t.equal(parseSubprotocols(names.join(',')).length, names.length)
  t.throws(() => parseSubprotocols([...names, 'p0'].join(',')), badSubprotocols)
  t.equal(parseExtensions(`x;${names.join(';')}`)[0]?.params.length, names.length)
  t.ok(hasToken(`${names.join(',')},websocket`, 'websocket'))
})
