import { ping, WebSocket } from 'undici'
import diagnostics from 'node:diagnostics_channel'
import { NOT_IN_BROWSERS, openAsInBrowsers, runCases } from './cases.mjs'

const open = openAsInBrowsers(WebSocket)
const { fragments } = NOT_IN_BROWSERS
let opened
diagnostics.subscribe('undici:websocket:open', ({ websocket }) => { opened = websocket })

await runCases(async url => {
  const connection = await open(url)
  const socket = opened
  connection.ping = data => new Promise(resolve => {
    diagnostics.subscribe('undici:websocket:pong', ({ payload }) => resolve(payload.toString()))
    ping(socket, Buffer.from(data))
  })
  return connection
}, { fragments, compressing: 'it compresses nothing that it sends' })
