import faye from 'faye-websocket'
import deflate from 'permessage-deflate'
import { openAsInBrowsers, runCases } from './cases.mjs'

let status

/** Tells the status, which the API of browsers does not have. */
class WebSocket extends faye.Client {
  constructor (...args) {
    super(...args)
    this.on('error', () => { status = this.statusCode })
    opened = this
  }
}

let opened
const open = openAsInBrowsers(WebSocket, { extensions: [deflate] })

await runCases(async url => {
  const connection = await open(url).catch(error => { throw Object.assign(new Error(error.message), { status }) })
  const socket = opened
  return { ...connection, ping: data => new Promise(resolve => socket.ping(data, () => resolve(data))) }
}, { fragments: 'it sends whole messages' })
