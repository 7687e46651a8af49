import t from 'tap'

// Where zlib's raw streams ignore dictionaries, as those of Deno do. This is found out when the module is loaded.
process.env.FASTIFY_WS_ROUTES_WITHOUT = 'dictionaries'
const { inflaterCases } = await import('./inflater-cases.js')

t.test('inflating without dictionaries', async t => inflaterCases(t))
