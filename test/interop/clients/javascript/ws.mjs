import { once } from 'node:events'
import { WebSocket } from 'ws'
import { Inbox, runCases } from './cases.mjs'

await runCases(async url => {
  const socket = new WebSocket(url)
  const inbox = new Inbox()
  socket.on('message', (data, isBinary) => inbox.push(isBinary ? data : data.toString()))
  const closed = new Promise(resolve => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
  await new Promise((resolve, reject) => {
    socket.on('open', resolve)
    socket.on('error', reject)
    socket.on('unexpected-response', async (_request, response) => {
      reject(Object.assign(new Error('refused'), { status: response.statusCode, body: Buffer.concat(await response.toArray()).toString() }))
    })
  })
  return {
    send: message => socket.send(message),
    sendFragments: parts => parts.forEach((part, i) => socket.send(part, { fin: i === parts.length - 1 })),
    next: () => inbox.next(),
    async ping (data) {
      socket.ping(data)
      return String(await once(socket, 'pong'))
    },
    close: (code, reason) => socket.close(code, reason),
    closed
  }
})
