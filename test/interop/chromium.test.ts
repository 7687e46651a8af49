import t from 'tap'
import { needs } from '../support/system-packages.js'
import { startChromiumClient } from './clients/chromium.js'
import { runAt } from './places.js'

t.test('Chromium', needs('chromium', 'openssl'), async t => {
  const client = await startChromiumClient(t)
  t.test('over TCP', t => runAt(t, 'TCP', client))
  t.test('over TLS', t => runAt(t, 'TLS', client))
})
