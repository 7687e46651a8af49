import t from 'tap'
import { converseIn } from '../client/conversation.js'

// The built client in programs of their own, which end by themselves when it is closed.

const command = process.execPath

const isOld = Number(process.versions.node.split('.')[0]) < 22

t.test('the WebSocket of Node itself, which Node 20 hides behind a flag', async t => {
  await converseIn(t, { command, args: isOld ? ['--experimental-websocket', '--no-warnings'] : [] })
})

t.test('the constructor of ws', async t => {
  await converseIn(t, { command, how: 'ws' })
})

t.test('globals as React Native has them', async t => {
  await converseIn(t, { command, how: 'react-native' })
})
