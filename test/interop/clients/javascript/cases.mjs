// The cases that every client program goes through, for clients in JavaScript.
import { Buffer } from 'node:buffer'

const TEXT = 'Grüße, 你好, 👋'
const PARTS = ['Grüße, ', '你好, ', '👋']
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 255))
const DIGITS = '0123456789'.repeat(30_000)
const REASON = 'bye, 世界'

/**
 * `open(url)` resolves to a connection with `send`, `next`, `close`, `closed`, and, where the client can, `sendFragments`
 * and `ping`; or rejects, with `status` and `body` where the client tells them of a refusal.
 */
export async function runCases (open, cannot = {}, { url = process.argv[2], print = console.log } = {}) {
  const tell = (name, outcome = {}) => print(JSON.stringify({ case: name, ...outcome }))
  const attempt = async (name, run) => {
    if (name in cannot) return tell(name, { cannot: cannot[name] })
    try {
      tell(name, await run(() => open(`${url}/${name}`)))
    } catch (error) {
      tell(name, { error: String(error?.message ?? error) })
    }
  }
  const expect = async (connection, message) => {
    const answer = await connection.next()
    const isSame = typeof message === 'string' ? answer === message : Buffer.isBuffer(answer) && answer.equals(message)
    if (!isSame) throw new Error(`${answer.length} of ${message.length} characters or bytes came back, or others`)
  }
  const end = async connection => {
    connection.close(1000, '')
    await connection.closed
  }
  const echo = (...messages) => async open => {
    const connection = await open()
    for (const message of messages) {
      connection.send(message)
      await expect(connection, message)
    }
    await end(connection)
  }
  await attempt('text', echo(TEXT))
  await attempt('binary', echo(BYTES))
  await attempt('empty', echo('', Buffer.alloc(0)))
  await attempt('large', echo(LARGE))
  await attempt('fragments', async open => {
    const connection = await open()
    connection.sendFragments(PARTS)
    await expect(connection, TEXT)
    await end(connection)
  })
  for (const name of ['fragmented', 'cut']) {
    await attempt(name, async open => {
      const connection = await open()
      const message = await connection.next()
      connection.send(message)
      if (message !== TEXT) throw new Error(`another message: ${message}`)
      await end(connection)
    })
  }
  await attempt('compressed', echo(DIGITS, LARGE, DIGITS))
  if (cannot.compressing !== undefined) tell('compressing', { cannot: cannot.compressing })
  await attempt('ping', async open => {
    const connection = await open()
    const answer = await connection.ping('ping')
    if (answer !== 'ping') throw new Error(`another Pong: ${answer}`)
    await end(connection)
  })
  await attempt('pong', async open => {
    const connection = await open()
    await expect(connection, 'ponged are you there?')
    await end(connection)
  })
  await attempt('close', async open => {
    const connection = await open()
    connection.close(4001, REASON)
    return await connection.closed
  })
  await attempt('closed', async open => (await open()).closed)
  for (const status of [401, 403, 503]) {
    await attempt(`refused/${status}`, async open => {
      try {
        await open()
      } catch ({ status, body }) {
        return { status, body }
      }
      throw new Error('it was not refused')
    })
  }
}

/** Hands arrived messages to the callers that wait for them, in order. */
export class Inbox {
  messages = []
  waiting = []

  push (message) {
    const waiting = this.waiting.shift()
    if (waiting === undefined) this.messages.push(message)
    else waiting.resolve(message)
  }

  next () {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift())
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  end (code, reason) {
    for (const { reject } of this.waiting) reject(new Error(`closed with ${code} ${reason} while a message was awaited`))
  }
}

/** Clients with the API of browsers, `WebSocket`. */
export const openAsInBrowsers = (WebSocket, ...rest) => async url => {
  const socket = new WebSocket(url, [], ...rest)
  socket.binaryType = 'arraybuffer'
  const inbox = new Inbox()
  socket.onmessage = ({ data }) => inbox.push(typeof data === 'string' ? data : Buffer.from(data))
  const closed = new Promise(resolve => {
    socket.onclose = ({ code, reason }) => {
      inbox.end(code, reason)
      resolve({ code, reason })
    }
  })
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = () => reject(new Error('failed'))
    closed.then(reject)
  })
  return {
    send: message => socket.send(message),
    next: () => inbox.next(),
    close: (code, reason) => socket.close(code, reason),
    closed
  }
}

/** Cases that the API of browsers cannot run, with the reason. */
export const NOT_IN_BROWSERS = {
  fragments: 'it sends whole messages',
  ping: 'the API of browsers has no Pings'
}
