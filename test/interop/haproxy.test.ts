import t from 'tap'
import { needs } from '../support/system-packages.js'
import { startHaproxy } from './proxies.js'
import { proxySuite } from './proxy-suite.js'

t.test('behind haproxy', needs('haproxy'), async t => {
  await proxySuite(t, startHaproxy, { halfCloses: true, wholeSuiteInBrowser: true })
})
