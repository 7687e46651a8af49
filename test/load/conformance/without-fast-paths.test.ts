import t from 'tap'

// Which fast paths there are is found out when the modules are loaded.
process.env.FASTIFY_WS_ROUTES_WITHOUT = 'all'
const { overHttp1 } = await import('../../conformance/support.js')
const { memory } = await import('./cases.js')

memory(t, overHttp1)
