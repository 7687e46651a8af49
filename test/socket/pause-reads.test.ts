import t from 'tap'
import { once } from 'node:events'
import type { Test } from 'tap'
import { Random } from '../../fuzz/random.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { binary, close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, turns } from '../support/server-sockets.js'

// What comes while a socket is paused is joined. Here: that nothing is lost, doubled or overtaken by it.

type Handler = (connection: WebSocketConnection) => void

const transports: [name: string, open: (t: Test, handler: Handler) => Promise<RawClient>][] = [
  ['TCP', async (t, handler) => {
    const { port } = await startApp(t, app => app.get('/', { websocket: true }, handler))
    return RawClient.open(port)
  }],
  ['TLS', async (t, handler) => {
    const { port } = await startApp(t, app => app.get('/', { websocket: true }, handler), {}, { https: certificate })
    const client = await connectSecure(port)
    client.write(upgradeRequest())
    t.equal((await client.head()).status, 101)
    return client
  }],
  ['HTTP/2', async (t, handler) => {
    const { port } = await startApp(t, app => app.get('/', { websocket: true }, handler), {}, { http2: true })
    return openHttp2(await connectHttp2(t, `http://127.0.0.1:${port}`))
  }]
]

async function writeInAnyPieces (client: RawClient, bytes: Buffer, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const size = random.chance(0.8) ? 1 + random.below(9) : 1 + random.below(20_000)
    const mayGoOn = client.write(bytes.subarray(at, at + size))
    at += size
    if (!mayGoOn) await once(client.socket, 'drain')
    else if (random.chance(0.7)) await new Promise(resolve => setImmediate(resolve))
  }
}

for (const [name, open] of transports) {
  t.test(`over ${name}, paused again and again, at any time, while pieces of any size come`, async t => {
    for (const seed of [1, 2, 3, 4]) {
      const random = new Random(seed)
      const sent = Array.from({ length: 400 }, (_, i) => `${i} ${'x'.repeat(random.chance(0.05) ? random.below(30_000) : random.below(40))}`)
      const heard: string[] = []
      let pauses = 0
      let over!: Promise<unknown[]>
      const client = await open(t, connection => {
        over = once(connection, 'close')
        const pause = async (): Promise<void> => {
          pauses++
          connection.pause()
          await turns(random.below(6))
          connection.resume()
          // So soon that nothing has been given out yet.
          if (random.chance(0.3)) await pause()
        }
        connection.on('message', data => {
          if (connection.isPaused) t.fail('a message while it is paused')
          heard.push(data.toString())
          if (random.chance(0.1)) pause().catch(t.error)
        })
      })
      const bytes = Buffer.concat([...sent.map(message => random.chance(0.5) ? text(message) : binary(message)), close(4000)])
      await writeInAnyPieces(client, bytes, random)
      const { code } = await client.closeFrame()
      t.equal(code, 4000)
      client.end()
      t.equal((await over)[0], 4000)
      t.strictSame(heard, sent)
      t.ok(pauses > 10)
    }
  })

  t.test(`over ${name}, what comes to a paused connection, and the end behind it, waits in order`, async t => {
    const heard: string[] = []
    let connection!: WebSocketConnection
    const client = await open(t, opened => {
      connection = opened
      connection.on('message', data => heard.push(data.toString()))
      connection.pause()
    })
    const all = Array.from({ length: 1000 }, (_, i) => String(i))
    await client.writeSliced(Buffer.concat(all.map(message => text(message))), 3)
    client.end()
    const over = once(connection, 'close')
    connection.resume()
    t.equal((await over)[0], 1006)
    t.strictSame(heard, all)
  })

  t.test(`over ${name}, a connection that is terminated has nothing more to say, neither what waits nor what is in the same chunk`, async t => {
    for (const first of ['pause', 'terminate'] as const) {
      let connection!: WebSocketConnection
      const heard: string[] = []
      const client = await open(t, opened => {
        connection = opened
        connection.on('message', data => {
          heard.push(data.toString())
          connection[first]()
        })
      })
      const over = new Promise(resolve => connection.on('close', resolve))
      client.write(Buffer.concat([text('1'), text('2'), text('3')]))
      if (first === 'pause') {
        while (heard.length === 0) await turns(1)
        await client.writeSliced(Buffer.concat(Array.from({ length: 200 }, () => text('x'))), 3)
        connection.terminate()
        connection.resume()
      }
      t.equal(await over, 1006)
      t.strictSame(heard, ['1'])
    }
  })
}
