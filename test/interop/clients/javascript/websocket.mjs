import { once } from 'node:events'
import websocket from 'websocket'
import { Inbox, runCases } from './cases.mjs'

const { client: WebSocketClient } = websocket

await runCases(async url => {
  const client = new WebSocketClient({ fragmentationThreshold: url.endsWith('/fragments') ? 8 : 16_384 })
  client.connect(url)
  const connection = await new Promise((resolve, reject) => {
    client.on('connect', resolve)
    client.on('connectFailed', reject)
    client.on('httpResponse', async response => {
      reject(Object.assign(new Error('refused'), { status: response.statusCode, body: Buffer.concat(await response.toArray()).toString() }))
    })
  })
  const inbox = new Inbox()
  connection.on('message', ({ type, utf8Data, binaryData }) => inbox.push(type === 'utf8' ? utf8Data : binaryData))
  const closed = new Promise(resolve => connection.on('close', (code, reason) => {
    inbox.end(code, reason)
    resolve({ code, reason })
  }))
  return {
    send: message => connection.send(message),
    sendFragments: parts => connection.send(parts.join('')),
    next: () => inbox.next(),
    async ping (data) {
      connection.ping(data)
      return String(await once(connection, 'pong'))
    },
    close: (code, reason) => connection.close(code, reason),
    closed
  }
}, { compressed: 'it offers no extensions' })
