import t from 'tap'

// The other read path, and a context for each connection, whether it has stores or not.

process.env.FASTIFY_WS_ROUTES_WITHOUT = 'lent-reads,empty-contexts'
const { defineCases } = await import('./async-context-cases.js')

defineCases(t)
