import t from 'tap'
import fc from 'fast-check'
import { parseExtensions } from '../../lib/protocol/header-fields.js'
import { negotiateDeflate, type DeflateAgreement, type DeflatePolicy } from '../../lib/protocol/permessage-deflate.js'

/** A server that has no wishes of its own. */
const LENIENT: DeflatePolicy = { serverNoContextTakeover: false, clientNoContextTakeover: false, serverMaxWindowBits: 15, clientMaxWindowBits: 15 }

function negotiate (field: string, policy: Partial<DeflatePolicy> = {}): DeflateAgreement | null {
  return negotiateDeflate(parseExtensions(field), { ...LENIENT, ...policy })
}

/** What is put on the 101; `null`: the extension is declined. */
function answer (field: string, policy: Partial<DeflatePolicy> = {}): string | null {
  return negotiate(field, policy)?.header ?? null
}

t.test('RFC 7692 §7: a bare offer', async t => {
  t.same(negotiate('permessage-deflate'), {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
    header: 'permessage-deflate'
  })
  t.equal(negotiate('permessage-bzip2; client_max_window_bits'), null, 'another extension is none of ours')
  t.equal(negotiateDeflate([], LENIENT), null, 'nothing is agreed on that was not offered')
})

t.test('RFC 7692 §7.1.1.1: server_no_context_takeover is kept when it is asked for, and silently when it is not', async t => {
  for (const [field, own, agreed] of [
    ['permessage-deflate', false, false],
    ['permessage-deflate', true, true],
    ['permessage-deflate; server_no_context_takeover', false, true],
    ['permessage-deflate; server_no_context_takeover', true, true]
  ] as const) {
    const agreement = negotiate(field, { serverNoContextTakeover: own })!
    t.equal(agreement.serverNoContextTakeover, agreed, `${field}, own ${own}`)
    t.equal(agreement.header, field, 'named if the client has offered it, and only then')
  }
})

t.test('RFC 7692 §7.1.1.2: client_no_context_takeover as a hint is taken, and may be demanded unasked', async t => {
  for (const [field, own, agreed] of [
    ['permessage-deflate', false, false],
    ['permessage-deflate', true, true],
    ['permessage-deflate; client_no_context_takeover', false, true],
    ['permessage-deflate; client_no_context_takeover', true, true]
  ] as const) {
    const agreement = negotiate(field, { clientNoContextTakeover: own })!
    t.equal(agreement.clientNoContextTakeover, agreed, `${field}, own ${own}`)
    t.equal(agreement.header, agreed ? 'permessage-deflate; client_no_context_takeover' : 'permessage-deflate')
  }
})

t.test('RFC 7692 §7.1.2.1: server_max_window_bits is the smaller of what is asked for and what is wanted', async t => {
  for (let offered = 9; offered <= 15; offered++) {
    for (let own = 9; own <= 15; own++) {
      const agreement = negotiate(`permessage-deflate; server_max_window_bits=${offered}`, { serverMaxWindowBits: own })!
      const agreed = Math.min(offered, own)
      t.equal(agreement.serverMaxWindowBits, agreed, `offered ${offered}, own ${own}`)
      // The offer is accepted only by an answer that has the parameter.
      t.equal(agreement.header, `permessage-deflate; server_max_window_bits=${agreed}`)
    }
  }
  for (let own = 9; own <= 15; own++) {
    for (const field of ['permessage-deflate', 'permessage-deflate; server_no_context_takeover; client_no_context_takeover']) {
      const agreement = negotiate(field, { serverMaxWindowBits: own })!
      t.equal(agreement.serverMaxWindowBits, own, 'the smaller window is used')
      t.equal(agreement.header, field, 'and not named to a client that has not offered the parameter')
    }
  }
})

t.test('RFC 7692 §7.1.2.1: server_max_window_bits=8 is what zlib cannot do: declined, and not answered with 9', async t => {
  t.equal(answer('permessage-deflate; server_max_window_bits=8'), null)
  t.equal(answer('permessage-deflate; server_max_window_bits=8; client_max_window_bits'), null)
  t.equal(answer('permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9'),
    'permessage-deflate; server_max_window_bits=9', 'the next offer is taken')
})

t.test('RFC 7692 §7.1.2.2: client_max_window_bits is answered only if it was offered, and never raised', async t => {
  for (let own = 8; own <= 15; own++) {
    const parameter = (bits: number): string => bits === 15 ? '' : `; client_max_window_bits=${bits}`
    // Only a client that offers 8 itself can be expected to keep it.
    const asked = Math.max(own, 9)
    const unasked = negotiate('permessage-deflate', { clientMaxWindowBits: own })!
    t.equal(unasked.header, 'permessage-deflate', `own ${own}, not offered`)
    t.equal(unasked.clientMaxWindowBits, 15, 'so the client may use all of it')

    const open = negotiate('permessage-deflate; client_max_window_bits', { clientMaxWindowBits: own })!
    t.equal(open.header, `permessage-deflate${parameter(asked)}`, `own ${own}, offered without a value`)
    t.equal(open.clientMaxWindowBits, asked)

    for (let offered = 8; offered <= 15; offered++) {
      const agreed = Math.min(offered, asked)
      const agreement = negotiate(`permessage-deflate; client_max_window_bits=${offered}`, { clientMaxWindowBits: own })!
      t.equal(agreement.header, `permessage-deflate${parameter(agreed)}`, `own ${own}, offered ${offered}`)
      t.equal(agreement.clientMaxWindowBits, agreed)
    }
  }
})

t.test('quoted values mean what they mean unquoted', async t => {
  t.equal(answer('permessage-deflate; server_max_window_bits="10"; client_max_window_bits="11"'),
    'permessage-deflate; server_max_window_bits=10; client_max_window_bits=11')
  t.equal(answer('permessage-deflate; server_max_window_bits="1\\0"'), 'permessage-deflate; server_max_window_bits=10', 'also with an escape inside')
  t.equal(answer('permessage-deflate; server_no_context_takeover="true"'), null, 'and a value is a value')
})

/** RFC 7692 §7.1: what makes an offer one to be declined. */
const WRONG_PARAMETERS = [
  // unknown
  'unknown', 'unknown=1', 'server_max_window_bit=10', 'mux', 'SERVER_NO_CONTEXT_TAKEOVER',
  // of Object.prototype
  'constructor', '__proto__', 'toString=1', 'hasOwnProperty', '__proto__=15',
  // twice
  'server_no_context_takeover; server_no_context_takeover', 'client_no_context_takeover; client_no_context_takeover',
  'server_max_window_bits=10; server_max_window_bits=10', 'server_max_window_bits=10; server_max_window_bits=11',
  'client_max_window_bits; client_max_window_bits', 'client_max_window_bits; client_max_window_bits=10',
  // with a value, or without
  'server_no_context_takeover=true', 'server_no_context_takeover=1', 'client_no_context_takeover=0', 'server_max_window_bits',
  // out of range, or not an integer as §7.1.2 writes it
  ...['7', '16', '0', '-10', '+10', '08', '010', '1e1', '0xa', '10.0', '10a', 'a', '100', '1', '9007199254740993', 'NaN', 'true'].flatMap(bits =>
    [`server_max_window_bits=${bits}`, `client_max_window_bits=${bits}`])
]

t.test('A12: an offer with an unknown, repeated or wrong parameter is declined, and only that offer', async t => {
  for (const wrong of WRONG_PARAMETERS) {
    const offer = `permessage-deflate; ${wrong}`
    t.equal(answer(offer), null, wrong)
    t.equal(answer(`permessage-deflate; ${wrong}; client_no_context_takeover`), null, `${wrong}, before a good one`)
    t.equal(answer(`${offer}, permessage-deflate; server_no_context_takeover`), 'permessage-deflate; server_no_context_takeover', `${wrong}, and a fallback`)
    t.equal(answer(`permessage-deflate; server_no_context_takeover, ${offer}`), 'permessage-deflate; server_no_context_takeover', `${wrong}, behind what was taken`)
  }
})

t.test('A11: extensions and parameters named as members of Object.prototype are ordinary unknown ones', async t => {
  for (const name of Object.getOwnPropertyNames(Object.prototype)) {
    t.equal(answer(`${name}; ${name}=${name}, permessage-deflate`), 'permessage-deflate', `extension ${name}`)
    t.equal(answer(`permessage-deflate; ${name}`), null, `parameter ${name}`)
  }
})

t.test('RFC 7692 §5.1, §7.1: the first offer that can be kept is taken, whatever the later ones would give', async t => {
  t.equal(answer('x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10, permessage-deflate'),
    'permessage-deflate; server_max_window_bits=10')
  t.equal(answer('permessage-deflate, permessage-deflate; server_no_context_takeover; client_max_window_bits'), 'permessage-deflate')
  t.equal(answer('permessage-deflate; server_max_window_bits=8, permessage-deflate; mux'), null, 'none can be kept')
})

// --- any offers and any policy, against the rules of RFC 7692 §7.1 written down once more

interface Parameters {
  server_no_context_takeover?: true
  client_no_context_takeover?: true
  server_max_window_bits?: number
  client_max_window_bits?: number | true
}

const bits = fc.integer({ min: 8, max: 15 })
const arbitraryParameters: fc.Arbitrary<Parameters> = fc.record({
  server_no_context_takeover: fc.constant(true as const),
  client_no_context_takeover: fc.constant(true as const),
  server_max_window_bits: bits,
  client_max_window_bits: fc.oneof(bits, fc.constant(true as const))
}, { requiredKeys: [] })

const arbitraryPolicy: fc.Arbitrary<DeflatePolicy> = fc.record({
  serverNoContextTakeover: fc.boolean(),
  clientNoContextTakeover: fc.boolean(),
  serverMaxWindowBits: fc.integer({ min: 9, max: 15 }),
  clientMaxWindowBits: bits
})

/** A good offer, or one with something wrong put among its parameters. */
const arbitraryOffer = fc.record({
  params: arbitraryParameters,
  order: fc.array(fc.nat(5), { minLength: 4, maxLength: 4 }),
  wrong: fc.option(fc.constantFrom(...WRONG_PARAMETERS), { freq: 2 })
})

function write ({ params, order, wrong }: { params: Parameters, order: number[], wrong: string | null }): string {
  const written = Object.entries(params).map(([name, value], index) => ({ text: value === true ? name : `${name}=${value}`, place: order[index]! }))
  written.sort((a, b) => a.place - b.place)
  if (wrong !== null) written.splice(order[0]! % (written.length + 1), 0, { text: wrong, place: 0 })
  return ['permessage-deflate', ...written.map(({ text }) => text)].join('; ')
}

/** Whether a client with this offer must accept the answer (RFC 7692 §7.1), and the agreement says the same as the answer. */
function isKept (offer: Parameters, policy: DeflatePolicy, agreement: DeflateAgreement): boolean {
  const extensions = parseExtensions(agreement.header)
  if (extensions.length !== 1 || extensions[0]!.name !== 'permessage-deflate') return false
  const { params } = extensions[0]!
  const said = new Map(params)
  if (said.size !== params.length) return false
  const number = (name: string): number => Number(said.get(name) ?? 15)

  const serverBits = number('server_max_window_bits')
  const clientBits = number('client_max_window_bits')
  const isLegal =
    (offer.server_no_context_takeover !== true || said.get('server_no_context_takeover') === true) &&
    (offer.server_max_window_bits === undefined || (said.has('server_max_window_bits') && serverBits <= offer.server_max_window_bits)) &&
    (offer.client_max_window_bits !== undefined || !said.has('client_max_window_bits')) &&
    (typeof offer.client_max_window_bits !== 'number' || clientBits <= offer.client_max_window_bits)
  // Some clients refuse what they have not offered; only `client_no_context_takeover` has to be said all the same.
  const isExpected = params.every(([name]) => name in offer || (name === 'client_no_context_takeover' && policy.clientNoContextTakeover))
  const isWanted =
    (!policy.serverNoContextTakeover || agreement.serverNoContextTakeover) &&
    (!policy.clientNoContextTakeover || said.has('client_no_context_takeover')) &&
    agreement.serverMaxWindowBits >= 9 && agreement.serverMaxWindowBits <= policy.serverMaxWindowBits &&
    (offer.client_max_window_bits === undefined || clientBits <= Math.max(policy.clientMaxWindowBits, 9))
  // The server may do better than it says, and the client only what it is asked for.
  const isSame =
    (agreement.serverNoContextTakeover || !said.has('server_no_context_takeover')) &&
    agreement.clientNoContextTakeover === said.has('client_no_context_takeover') &&
    agreement.serverMaxWindowBits <= serverBits &&
    agreement.clientMaxWindowBits === clientBits
  return isLegal && isExpected && isWanted && isSame
}

t.test('A12: any offers, any policy: the first that can be kept is answered, with what its client must accept', async t => {
  let declined = 0
  let accepted = 0
  fc.assert(fc.property(fc.array(arbitraryOffer, { minLength: 1, maxLength: 4 }), arbitraryPolicy, (offers, policy) => {
    const agreement = negotiateDeflate(parseExtensions(offers.map(write).join(', ')), policy)
    const first = offers.find(({ params, wrong }) => wrong === null && params.server_max_window_bits !== 8)
    if (first === undefined) {
      declined++
      return agreement === null
    }
    accepted++
    return agreement !== null && isKept(first.params, policy, agreement)
  }), { numRuns: 3000 })
  t.ok(declined > 100 && accepted > 100, 'both did happen')
})
