import t from 'tap'
import { once } from 'node:events'
import type { BinaryType } from '../../lib/index.js'
import { startApp } from '../support/app.js'

// `binaryType` is about listeners. `for await` and `stream()` promise Buffers (and strings for text) to whoever
// uses them, and count their bytes, whatever a library has set there for its own listeners.

const types: BinaryType[] = ['nodebuffer', 'arraybuffer', 'fragments', 'blob']

for (const binaryType of types) {
  t.test(`binaryType '${binaryType}' changes what listeners get, not what a loop or a stream gives`, async t => {
    const listened: unknown[] = []
    const looped: unknown[] = []
    const streamed: unknown[] = []
    const { app } = await startApp(t, app => {
      app.get('/', { websocket: true }, async connection => {
        connection.binaryType = binaryType
        connection.on('message', data => { listened.push(data) })
        connection.stream().on('data', chunk => { streamed.push(chunk) })
        for await (const message of connection) {
          looped.push(message)
          connection.send(message)
        }
      })
    })

    const client = await app.injectWS('/')
    const echoed: [Buffer, boolean][] = []
    client.on('message', (data, isBinary) => { echoed.push([data, isBinary]) })
    const bytes = Buffer.from([0, 1, 255])
    client.send(bytes)
    client.send('text')
    await once(client, 'message')
    if (echoed.length < 2) await once(client, 'message')
    client.close()
    await once(client, 'close')

    t.strictSame(echoed, [[bytes, true], [Buffer.from('text'), false]])
    t.strictSame(looped, [bytes, 'text'])
    t.strictSame(Buffer.concat(streamed as Buffer[]), Buffer.concat([bytes, Buffer.from('text')]))
    const expected = { nodebuffer: Buffer, arraybuffer: ArrayBuffer, fragments: Array, blob: Blob }[binaryType]
    t.ok(listened[0] instanceof expected, 'the listener gets what was asked for')
    t.ok(Buffer.isBuffer(listened[1]), 'and a Buffer for text')
  })
}

t.test('B9: messages that a left loop gives back come in the form that binaryType says, bytes and order kept', async t => {
  const heard: unknown[] = []
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true }, async connection => {
      connection.binaryType = 'arraybuffer'
      const loop = connection[Symbol.asyncIterator]()
      heard.push((await loop.next()).value)
      await loop.return?.()
      connection.on('message', data => {
        heard.push(data)
        if (heard.length === 3) connection.close()
      })
    })
  })
  const client = await app.injectWS('/')
  for (const byte of [1, 2, 3]) client.send(Buffer.from([byte]))
  await once(client, 'close')
  t.strictSame(heard, [Buffer.from([1]), new Uint8Array([2]).buffer, new Uint8Array([3]).buffer])
})
