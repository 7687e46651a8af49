import t from 'tap'
import { masking } from './cases/5.1-masking.js'
import { framing } from './cases/5.2-framing.js'
import { fragmentation } from './cases/5.4-fragmentation.js'
import { controlFrames } from './cases/5.5-control-frames.js'
import { closing } from './cases/7-closing.js'
import { utf8 } from './cases/8.1-utf8.js'
import { limits } from './cases/10.4-limits.js'
import { overHttp2, withoutSlow, type Cases, type Serve } from './support.js'

// One of the cases waits until it is over.
const serve: Serve = (t, configure, options) => overHttp2(t, configure, { closeTimeout: 1000, ...options })

const suites: [section: string, cases: Cases][] =
  [['5.1', masking], ['5.2', framing], ['5.4', fragmentation], ['5.5', controlFrames], ['7', closing], ['8.1', utf8], ['10.4', limits]]

for (const [section, cases] of suites) {
  t.test(`§${section} over HTTP/2`, async t => { cases(withoutSlow(t), serve) })
}
