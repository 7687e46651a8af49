import t from 'tap'
import { globalClient, undiciClient } from './clients/undici.js'
import { nodeClientTests, runAt } from './places.js'

nodeClientTests(t, undiciClient)

t.test('the global WebSocket', { skip: globalClient === null && `Node ${process.versions.node} has none` }, async t => {
  await runAt(t, 'TCP', globalClient!)
})
