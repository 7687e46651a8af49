// run.js CLIENT URL TOTAL [HOW]
//
// The conversation in a runtime without pages. Prints what it saw, and ends by itself: nothing is left that keeps it. HOW is
// `ws` for the constructor of ws in place of the runtime's own WebSocket, or `react-native`.

import { converse } from './conversation.js'

const [client, url, total, how] = process.argv.slice(2)
const options = {}
if (how === 'ws') options.WebSocket = (await import('ws')).WebSocket
if (how === 'react-native') await import('./react-native.js')
const { connect } = await import(client)
console.log(JSON.stringify(await converse(connect, url, options, Number(total))))
