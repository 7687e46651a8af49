import t from 'tap'
import type { Cases, Serve } from './support.js'

// Which fast paths there are is found out when the modules are loaded. What RFC 6455 asks for must hold without any of them.
process.env.FASTIFY_WS_ROUTES_WITHOUT = 'all'
const { kernel } = await import('../../lib/protocol/frame-kernel.js')
const { overHttp1, withoutSlow } = await import('./support.js')
const suites: [section: string, cases: Cases][] = [
  ['5.1', (await import('./cases/5.1-masking.js')).masking],
  ['5.2', (await import('./cases/5.2-framing.js')).framing],
  ['5.4', (await import('./cases/5.4-fragmentation.js')).fragmentation],
  ['5.5', (await import('./cases/5.5-control-frames.js')).controlFrames],
  ['7', (await import('./cases/7-closing.js')).closing],
  ['8.1', (await import('./cases/8.1-utf8.js')).utf8],
  ['10.4', (await import('./cases/10.4-limits.js')).limits]
]

// One of the cases waits until it is over.
const serve: Serve = (t, configure, options) => overHttp1(t, configure, { closeTimeout: 1000, ...options })

t.equal(kernel, null, 'they are off')
for (const [section, cases] of suites) {
  t.test(`§${section} without fast paths`, async t => { cases(withoutSlow(t), serve) })
}
