import t from 'tap'
import { resolvePluginOptions, resolveRouteOptions } from '../../lib/options/index.js'
import type { DeflateSettings } from '../../lib/options/settings.js'
import type { WebSocketPluginOptions } from '../../lib/index.js'

const DEFAULTS: DeflateSettings = {
  serverNoContextTakeover: false, clientNoContextTakeover: false, serverMaxWindowBits: 12, clientMaxWindowBits: 12, threshold: 1024, level: 3, memLevel: 5
}

/** Options as JavaScript gives them, right or wrong. */
function plugin (options: unknown): DeflateSettings | null {
  return resolvePluginOptions(options as WebSocketPluginOptions).route.perMessageDeflate
}

function route (options: unknown, pluginOptions: unknown): DeflateSettings | null {
  return resolveRouteOptions(options, resolvePluginOptions(pluginOptions as WebSocketPluginOptions).route, 'GET /').perMessageDeflate
}

t.test('off by default; true is the defaults; an object changes what it names', async t => {
  t.equal(plugin({}), null)
  t.equal(plugin({ perMessageDeflate: undefined }), null)
  t.equal(plugin({ perMessageDeflate: false }), null)
  t.same(plugin({ perMessageDeflate: true }), DEFAULTS)
  t.same(plugin({ perMessageDeflate: {} }), DEFAULTS)
  t.same(plugin({ perMessageDeflate: { level: undefined, threshold: 0 } }), { ...DEFAULTS, threshold: 0 })
  const all = { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 9, clientMaxWindowBits: 8, threshold: 7, level: 0, memLevel: 9 }
  t.same(plugin({ perMessageDeflate: all }), all)
})

t.test('a route has what it says for itself, and the rest from the plugin', async t => {
  const own = { perMessageDeflate: { threshold: 5, level: 9 } }
  t.same(route(true, own), { ...DEFAULTS, threshold: 5, level: 9 })
  t.same(route({}, own), { ...DEFAULTS, threshold: 5, level: 9 })
  t.same(route({ perMessageDeflate: true }, own), { ...DEFAULTS, threshold: 5, level: 9 })
  t.same(route({ perMessageDeflate: { level: 1 } }, own), { ...DEFAULTS, threshold: 5, level: 1 })
  t.equal(route({ perMessageDeflate: false }, own), null)
  t.same(route({ perMessageDeflate: true }, {}), DEFAULTS, 'also where the plugin has none')
  t.same(route({ perMessageDeflate: { level: 1 } }, { perMessageDeflate: false }), { ...DEFAULTS, level: 1 })
})

t.test('what cannot be is refused, by name, in the plugin and in a route', async t => {
  const wrong: [name: string, value: unknown][] = [
    ['perMessageDeflate', 1], ['perMessageDeflate', 'true'], ['perMessageDeflate', null], ['perMessageDeflate', []], ['perMessageDeflate', () => {}],
    ...['serverNoContextTakeover', 'clientNoContextTakeover'].flatMap(name => [0, 1, 'true', null, {}].map(value => [name, value] as [string, unknown])),
    ...['serverMaxWindowBits', 'clientMaxWindowBits', 'threshold', 'level', 'memLevel'].flatMap(name =>
      [-1, 1.5, NaN, Infinity, '9', null, true, {}].map(value => [name, value] as [string, unknown])),
    // zlib would make 9 of 8 for the server.
    ['serverMaxWindowBits', 8], ['serverMaxWindowBits', 16], ['clientMaxWindowBits', 7], ['clientMaxWindowBits', 16],
    ['level', 10], ['memLevel', 0], ['memLevel', 10],
    ['serverMaxWindowBit', 9], ['zlibDeflateOptions', {}], ['constructor', 1]
  ]
  for (const [name, value] of wrong) {
    const options = name === 'perMessageDeflate' ? { perMessageDeflate: value } : { perMessageDeflate: { [name]: value } }
    const message = new RegExp(name)
    t.throws(() => plugin(options), message, `${name}: ${String(value)}`)
    t.throws(() => route(options, {}), /GET \//, `in a route, ${name}: ${String(value)}`)
    t.throws(() => route(options, {}), message)
  }
})

t.test('the names of ws, under options', async t => {
  const ws = (perMessageDeflate: unknown): DeflateSettings | null => plugin({ options: { perMessageDeflate } })
  t.equal(ws(false), null)
  t.same(ws(true), DEFAULTS)
  // The example of its documentation.
  t.same(ws({
    zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
    zlibInflateOptions: { chunkSize: 10 * 1024 },
    clientNoContextTakeover: true,
    serverNoContextTakeover: true,
    serverMaxWindowBits: 10,
    concurrencyLimit: 10,
    threshold: 1024
  }), { ...DEFAULTS, memLevel: 7, level: 3, clientNoContextTakeover: true, serverNoContextTakeover: true, serverMaxWindowBits: 10 })
  t.same(ws({ zlibDeflateOptions: { level: -1 } }), { ...DEFAULTS, level: 6 }, 'zlib\'s own default')
  t.same(ws({ serverMaxWindowBits: true, clientMaxWindowBits: false }), DEFAULTS, 'windows that are no number')
  t.same(ws({ zlibDeflateOptions: undefined }), DEFAULTS)
  t.throws(() => ws({ zlibDeflateOptions: { level: 10 } }), /level/)
  t.throws(() => ws({ unknown: 1 }), /unknown/)
  t.throws(() => ws(null), /perMessageDeflate/)
  t.same(plugin({ perMessageDeflate: { level: 9 }, options: { perMessageDeflate: { threshold: 3 } } }), { ...DEFAULTS, level: 9, threshold: 3 }, 'beside the plugin\'s own name')
  t.throws(() => plugin({ perMessageDeflate: false, options: { perMessageDeflate: true } }), /given twice/)
})
