import t from 'tap'
import { startApp } from '../support/app.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { COMBINATIONS, combinationRoutes, digest, feedOf, messagesOf } from './compression-suite.js'

interface Result {
  extensions: string
  wrong: string[]
  count: number
}

/** Runs in the page: sends each message, and looks whether the same comes back. */
const IN_PAGE = `async ({ url, messages }) => {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  const decoded = messages.map(({ text, base64 }) => base64 === undefined ? text : Uint8Array.from(atob(base64), char => char.charCodeAt(0)))
  const isSame = (a, b) => typeof a === 'string' ? a === b : b instanceof ArrayBuffer && b.byteLength === a.length && new Uint8Array(b).every((byte, i) => byte === a[i])
  return await new Promise((resolve, reject) => {
    const wrong = []
    let sent = 0
    let received = 0
    const send = () => { while (sent < Math.min(received + 10, decoded.length)) socket.send(decoded[sent++]) }
    socket.onopen = send
    socket.onmessage = ({ data }) => {
      if (!isSame(decoded[received], data)) wrong.push(received + ': ' + decoded[received].length + ', not ' + (data.byteLength ?? data.length))
      received++
      if (received < decoded.length) return send()
      resolve({ extensions: socket.extensions, wrong, count: received })
      socket.onclose = null
      socket.close(1000)
    }
    socket.onclose = ({ code, reason }) => reject(new Error('closed with ' + code + ' ' + reason + ' after ' + received + ' messages'))
  })
}`

/** Runs in the page: asks for messages, and says what they were. */
const FEED_IN_PAGE = `async ({ url, seed, count }) => {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => socket.send(seed)
  const hex = bytes => Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
  const received = await new Promise((resolve, reject) => {
    const messages = []
    socket.onmessage = ({ data }) => { if (messages.push(data) === count) resolve(messages) }
    socket.onclose = ({ code, reason }) => reject(new Error('closed with ' + code + ' ' + reason + ' after ' + messages.length + ' messages'))
  })
  socket.onclose = null
  socket.close(1000)
  return await Promise.all(received.map(async data => typeof data === 'string'
    ? 'text ' + hex(await crypto.subtle.digest('SHA-1', new TextEncoder().encode(data)))
    : 'binary ' + hex(await crypto.subtle.digest('SHA-1', data))))
}`

t.test('Chromium, every combination', needs('chromium'), async t => {
  const { port, url } = await startApp(t, app => {
    combinationRoutes(app)
    app.get('/page', (_request, reply) => reply.type('text/html').send('<!doctype html><title>compression</title><link rel="icon" href="data:,">'))
  })
  const browser = await launchChromium(t)
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${port}/page`)

  let count = 0
  for (const [index, combination] of COMBINATIONS.entries()) {
    const messages = messagesOf(index + 2000)
    const argument = { url: `${url}/${index}`, messages: messages.map(message => typeof message === 'string' ? { text: message } : { base64: message.toString('base64') }) }
    const result: Result = await page.evaluate(`(${IN_PAGE})(${JSON.stringify(argument)})`)
    t.match(result.extensions, /^permessage-deflate/, result.extensions)
    t.same(result.wrong, [], JSON.stringify(combination))
    count += result.count
  }
  t.ok(count > 2000, `${count} messages`)

  for (const seed of [7, 8]) {
    const expected = feedOf(seed)
    const received: string[] = await page.evaluate(`(${FEED_IN_PAGE})(${JSON.stringify({ url: `${url}/feed`, seed: String(seed), count: expected.length })})`)
    t.same(received, expected.map(digest), 'many messages that come at once')
  }
})
