import t from 'tap'
import { needs } from '../support/system-packages.js'
import { startNginx } from './proxies.js'
import { proxySuite } from './proxy-suite.js'

// nginx closes both directions as soon as one side has sent a FIN.
t.test('behind nginx', needs('nginx'), async t => {
  await proxySuite(t, startNginx, { halfCloses: false, wholeSuiteInBrowser: false })
})
