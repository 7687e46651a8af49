import { readdirSync } from 'node:fs'
import { startApp } from '../test/support/app.js'
import { decodeMessage, type FromServer } from './messages.js'

// The server, in a process of its own. Acknowledges each message, and checks that none is missing, none comes twice, and
// none has changed. Broadcasts numbered messages meanwhile.

/** Milliseconds between two broadcasts. */
const BROADCAST_EVERY = 500

function tell (message: FromServer): void {
  process.send!(message)
}

const { app, port } = await startApp({ teardown: () => {} }, app => {
  const handle = (path: string, perMessageDeflate: boolean): void => {
    app.get<{ Querystring: { session: string } }>(path, { websocket: { perMessageDeflate } }, (connection, request) => {
      const { session } = request.query
      let received = 0
      connection.on('message', (data, isBinary) => {
        const number = decodeMessage(data.toString(isBinary ? 'latin1' : 'utf8'))
        if (number !== received + 1) tell({ type: 'fault', message: `${session}: message ${number} after ${received}` })
        received = number
        connection.send(`ack ${number}`)
        // Now and then the server has enough.
        if (number === 60) connection.close(4000, 'enough')
      })
      connection.on('close', code => tell({ type: 'ended', ended: { session, received, code } }))
    })
  }
  handle('/plain', false)
  handle('/deflate', true)
}, {
  maxPayload: 256 * 1024,
  closeTimeout: 2000,
  errorHandler: (error, connection) => {
    // Garbage is among what clients send. Anything else must not happen.
    if ('closeCode' in error) return
    tell({ type: 'fault', message: String(error.stack) })
    connection.close(1011)
  }
}, process.argv[2] === 'http2' ? { http2: true } : {})

let broadcasts = 0
setInterval(() => {
  broadcasts++
  app.websocketServer.broadcast(`broadcast ${broadcasts} ${'and a few words that are the same for everybody, '.repeat(broadcasts % 60)}`)
}, BROADCAST_EVERY)

process.on('message', () => {
  globalThis.gc!()
  const { rss, heapUsed, external } = process.memoryUsage()
  tell({ type: 'state', state: { rss, heapUsed, external, broadcasts, descriptors: readdirSync('/proc/self/fd').length, connections: app.websocketServer.clients.size } })
})
process.on('disconnect', () => process.exit())
tell({ type: 'listening', port })
