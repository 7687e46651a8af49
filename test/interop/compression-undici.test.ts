import t, { type Test } from 'tap'
import { once } from 'node:events'
import { WebSocket } from 'undici'
import { COMBINATIONS, feedOf, isSame, messagesOf, startCombinations } from './compression-suite.js'

// undici inflates what comes, and sends all of its own as it is.

async function open (t: Test, url: string): Promise<{ client: WebSocket, next: () => Promise<string | Buffer> }> {
  const client = new WebSocket(url)
  client.binaryType = 'arraybuffer'
  const messages: (string | Buffer)[] = []
  let wake: () => void = () => {}
  let failure: Error | null = null
  client.addEventListener('message', ({ data }: { data: string | ArrayBuffer }) => {
    messages.push(typeof data === 'string' ? data : Buffer.from(data))
    wake()
  })
  client.addEventListener('close', ({ code, reason }) => {
    failure = new Error(`closed with ${code} ${reason}`)
    wake()
  })
  t.teardown(() => client.close())
  await once(client, 'open')
  return {
    client,
    async next () {
      while (messages.length === 0) {
        if (failure !== null) throw failure
        await new Promise<void>(resolve => { wake = resolve })
      }
      return messages.shift()!
    }
  }
}

t.test('undici, every combination', async t => {
  const url = await startCombinations(t)
  for (const [index, combination] of COMBINATIONS.entries()) {
    const { client, next } = await open(t, `${url}/${index}`)
    t.match(client.extensions, /^permessage-deflate/, client.extensions)
    const messages = messagesOf(index + 1000)
    const wrong: string[] = []
    for (let from = 0; from < messages.length; from += 10) {
      const some = messages.slice(from, from + 10)
      for (const message of some) client.send(typeof message === 'string' ? message : new Uint8Array(message))
      for (const [i, message] of some.entries()) {
        const answer = await next()
        if (!isSame(message, answer)) wrong.push(`${from + i}: ${message.length}, not ${answer.length}`)
      }
    }
    t.same(wrong, [], JSON.stringify(combination))
    client.close(1000)
    await once(client, 'close')
  }
})

t.test('undici as a reader of many messages that come at once', async t => {
  const { client, next } = await open(t, `${await startCombinations(t)}/feed`)
  for (const seed of [4, 5, 6]) {
    client.send(String(seed))
    let wrong = 0
    for (const message of feedOf(seed)) if (!isSame(message, await next())) wrong++
    t.equal(wrong, 0)
  }
})
