import t, { type Test } from 'tap'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { WebSocket, type PerMessageDeflateOptions } from 'ws'
import { COMBINATIONS, feedOf, isSame, messagesOf, startCombinations } from './compression-suite.js'

interface Inbox {
  next (): Promise<string | Buffer>
}

function inboxOf (client: WebSocket): Inbox {
  const messages: (string | Buffer)[] = []
  let wake: () => void = () => {}
  let failure: Error | null = null
  client.on('message', (data: Buffer, isBinary) => {
    messages.push(isBinary ? data : data.toString())
    wake()
  })
  client.on('close', (code, reason) => {
    failure = new Error(`closed with ${code} ${reason.toString()}`)
    wake()
  })
  return {
    async next () {
      while (messages.length === 0) {
        if (failure !== null) throw failure
        await new Promise<void>(resolve => { wake = resolve })
      }
      return messages.shift()!
    }
  }
}

interface Opened {
  client: WebSocket
  inbox: Inbox
  /** As it stood on the 101; `ws` itself tells only the name. */
  extensions: string
}

async function open (t: Test, url: string, perMessageDeflate: PerMessageDeflateOptions | boolean): Promise<Opened> {
  const client = new WebSocket(url, { perMessageDeflate })
  t.teardown(() => client.terminate())
  const inbox = inboxOf(client)
  const [[response]] = await Promise.all([once(client, 'upgrade') as Promise<[IncomingMessage]>, once(client, 'open')])
  return { client, inbox, extensions: response.headers['sec-websocket-extensions'] ?? '' }
}

/** Sends a message whole or in fragments. `ws` compresses these as one message, the first with RSV1. */
function send (client: WebSocket, message: string | Buffer, fragments: number): void {
  const binary = typeof message !== 'string'
  // Cut anywhere, also inside of a character.
  const bytes = Buffer.from(message as string)
  const size = Math.ceil(bytes.length / fragments)
  for (let i = 0; i < fragments; i++) client.send(bytes.subarray(i * size, (i + 1) * size), { binary, compress: true, fin: i === fragments - 1 })
}

t.test('ws, every combination', async t => {
  const url = await startCombinations(t)
  for (const [index, combination] of COMBINATIONS.entries()) {
    // Offered all four, the server names all four.
    const { client, inbox, extensions } = await open(t, `${url}/${index}`, { ...combination, threshold: 0 })
    const bits = (name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(extensions)?.[1] ?? 15)
    t.same({
      serverNoContextTakeover: extensions.includes('server_no_context_takeover'),
      clientNoContextTakeover: extensions.includes('client_no_context_takeover'),
      serverMaxWindowBits: bits('server_max_window_bits'),
      clientMaxWindowBits: bits('client_max_window_bits')
    }, combination, `agreed on: ${extensions}`)

    const messages = messagesOf(index)
    const wrong: string[] = []
    let sent = 0
    for (const [i, message] of messages.entries()) {
      // Up to ten on their way at the same time.
      for (; sent < Math.min(i + 10, messages.length); sent++) send(client, messages[sent]!, sent % 3 === 0 ? 1 + sent % 4 : 1)
      const answer = await inbox.next()
      if (!isSame(message, answer)) wrong.push(`${i}: ${message.length}, not ${answer.length}`)
    }
    t.same(wrong, [], `${messages.length} messages`)
    client.close(1000)
    await once(client, 'close')
  }
})

t.test('ws with parameters of its own in the offer', async t => {
  const url = await startCombinations(t)
  for (const offered of [
    { serverNoContextTakeover: true, clientNoContextTakeover: true }, { serverMaxWindowBits: 9 }, { serverMaxWindowBits: 10, clientMaxWindowBits: 9 }, { clientMaxWindowBits: 8 }
  ] satisfies PerMessageDeflateOptions[]) {
    const { client, inbox, extensions } = await open(t, `${url}/${COMBINATIONS.length - 1}`, { ...offered, threshold: 0 })
    t.match(extensions, /^permessage-deflate/)
    const messages = messagesOf(77, 60)
    for (const message of messages) client.send(message)
    let wrong = 0
    for (const message of messages) if (!isSame(message, await inbox.next())) wrong++
    t.equal(wrong, 0, extensions)
    client.close(1000)
    await once(client, 'close')
  }
  const declined = await open(t, `${url}/0`, { serverMaxWindowBits: 8 })
  t.equal(declined.extensions, '', 'a window that zlib cannot keep is declined, and the connection works without')
  declined.client.send('hello')
  t.equal(await declined.inbox.next(), 'hello')
})

t.test('ws as a reader of many messages that come at once', async t => {
  const { client, inbox } = await open(t, `${await startCombinations(t)}/feed`, true)
  for (const seed of [1, 2, 3]) {
    client.send(String(seed))
    let wrong = 0
    for (const message of feedOf(seed)) if (!isSame(message, await inbox.next())) wrong++
    t.equal(wrong, 0)
  }
})
