'use strict'

// What every program here does with the package, however it was loaded.

const assert = require('node:assert/strict')
const { connect } = require('node:net')
const Fastify = require('fastify')

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** Opens a WebSocket at `/echo`, sends a text of less than 126 bytes, and resolves with the text that comes back. */
function echo (port, text) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(received.toString('latin1'))}`)))
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      const start = received.indexOf('\r\n\r\n') + 4
      if (start === 3 || received.length < start + 2 + text.length) return
      resolve(received.toString('utf8', start + 2))
      socket.destroy()
    })
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 + text.length, 0, 0, 0, 0]), Buffer.from(text)])
    socket.write(`GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`)
    socket.write(frame)
  })
}

/**
 * @param {any} websocket the plugin
 * @param {any} named what is exported under a name
 */
exports.check = async function check (websocket, named) {
  assert.equal(typeof websocket, 'function')
  assert.equal(named.fastifyWebsocket, websocket)
  assert.equal(named.CloseCode.GOING_AWAY, 1001)

  const wrong = Fastify()
  wrong.register(websocket, { maxPayload: -1 })
  await assert.rejects(async () => wrong.ready(), error => error instanceof named.OptionError)

  const app = Fastify()
  await app.register(websocket)
  app.get('/echo', { websocket: true }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  assert.equal(await echo(app.server.address().port, 'hello'), 'hello')
  await app.close()
  console.log('echoed')
}
