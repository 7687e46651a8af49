import t from 'tap'
import { needs } from '../support/system-packages.js'
import { IS_THOROUGH } from '../support/thorough.js'
import { startHaproxy } from './proxies.js'
import { proxySuite } from './proxy-suite.js'

t.test('behind haproxy', needs('haproxy'), async t => {
  await proxySuite(t, startHaproxy, { halfCloses: true, wholeSuiteInBrowser: IS_THOROUGH })
})
