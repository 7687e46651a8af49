import t from 'tap'

// Where Fastify's internals are not as they were, schemas are compiled by what a request has, with the first handshake.

process.env.FASTIFY_WS_ROUTES_WITHOUT = 'early-compilers'
const { cases } = await import('./message-schemas-cases.js')

for (const [name, test] of Object.entries(cases)) t.test(name, test)
