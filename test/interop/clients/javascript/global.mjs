// The WebSocket of Deno, Bun and Node, as each has it.
import { NOT_IN_BROWSERS, openAsInBrowsers, runCases } from './cases.mjs'

const isBun = 'Bun' in globalThis
const { fragments, ping } = NOT_IN_BROWSERS
const open = openAsInBrowsers(WebSocket)

/** Bun's has `ping` and the event `pong` besides. */
const bunOpen = async url => {
  let socket
  const connection = await openAsInBrowsers(class extends WebSocket {
    constructor (...args) {
      super(...args)
      socket = this
    }
  })(url)
  return {
    ...connection,
    ping: data => new Promise(resolve => {
      socket.addEventListener('pong', ({ data }) => resolve(Buffer.from(data).toString()))
      socket.ping(data)
    })
  }
}

await runCases(isBun ? bunOpen : open, isBun ? { fragments } : { fragments, ping, ...('Deno' in globalThis && { compressed: 'it offers no extensions' }) })
