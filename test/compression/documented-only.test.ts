import t from 'tap'

// Contexts that are kept between calls need what Node does not document. Where that is missing, documented calls
// do the same. Which it is, is found out when the module is loaded.
process.env.FASTIFY_WS_ROUTES_WITHOUT = 'zlib-contexts'
const { deflaterCases } = await import('./deflater-cases.js')
const { inflaterCases } = await import('./inflater-cases.js')

t.test('deflating with documented calls alone', async t => deflaterCases(t))
t.test('inflating with documented calls alone', async t => inflaterCases(t))
