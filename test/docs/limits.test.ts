import { once } from 'node:events'
import { gunzipSync } from 'node:zlib'
import type { PerMessageDeflateOptions } from '../../lib/index.js'
import { resolvePluginOptions } from '../../lib/options/index.js'
import { DeflateClient } from '../support/deflate-client.js'
import { cellsOf } from '../support/examples.js'
import { Client, namesOf, runChecks, start } from './support.js'

runChecks({
  async limits (t, example) {
    const { url } = await start(t, example)
    const talker = await Client.open(t, `${url}/chat`)
    for (let i = 0; i < 5; i++) {
      talker.socket.send(`${i}`)
      t.equal(await talker.text(), `${i}`)
    }
    const flooder = await Client.open(t, `${url}/chat`)
    for (let i = 0; i < 100; i++) flooder.socket.send('me')
    t.equal((await flooder.closed).code, 1008)
    const uploader = await Client.open(t, `${url}/upload`)
    for (let i = 0; i < 100; i++) uploader.socket.send('x'.repeat(i))
    for (let i = 0; i < 100; i++) t.equal(await uploader.text(), `${i} bytes`)
  },

  async heartbeat (t, example) {
    const log = t.capture(console, 'log')
    const { app, url } = await start(t, example)
    const player = await Client.open(t, `${url}/game`)
    player.socket.send('?')
    t.equal(await player.text(), '? ms')
    await once(player.socket, 'ping')
    while ([...app.websocketServer.clients][0]!.latency === undefined) await new Promise(resolve => setImmediate(resolve))
    player.socket.send('?')
    t.match(await player.text(), /^\d+\.\d ms$/)

    const customer = await Client.open(t, `${url}/support`)
    customer.socket.send('hello')
    t.equal(await customer.text(), 'hello')

    const sensor = await Client.open(t, `${url}/sensor`)
    const [connection] = app.websocketServer.route('/sensor').clients
    sensor.socket.close(1000, '')
    await once(connection!, 'close')
    t.equal(connection!.latency, undefined)
    t.strictSame(log(), [])
  },

  async compression (t, example) {
    const { url } = await start(t, example)
    const port = Number(new URL(url).port)

    const client = await DeflateClient.open(t, port, '/prices')
    t.equal(client.extensions, 'permessage-deflate; client_max_window_bits=12')
    const [hello, prices, packed] = [await client.message(), await client.message(), await client.message()]
    t.strictSame([hello.data.toString(), hello.isCompressed], ['deflated', false])
    t.ok(prices.isCompressed && prices.wireLength < prices.data.length / 5, `${prices.data.length} bytes in ${prices.wireLength}`)
    t.equal(packed.isCompressed, false)
    t.ok(gunzipSync(packed.data).equals(prices.data))

    const plain = await DeflateClient.open(t, port, '/prices', null)
    t.equal(plain.extensions, '')
    t.equal((await plain.message()).data.toString(), 'as it is')
    t.strictSame(await plain.message(), { ...prices, isCompressed: false, wireLength: prices.data.length })

    const listeners = [await DeflateClient.open(t, port, '/changes'), await DeflateClient.open(t, port, '/changes', null)] as const
    for (const [length, isCompressed] of [[63, false], [64, true]] as const) {
      await listeners[0].send('x'.repeat(length))
      t.match(await listeners[0].message(), { isCompressed }, `${length} bytes`)
      t.match(await listeners[1].message(), { isCompressed: false })
    }

    const photos = await DeflateClient.open(t, port, '/photos')
    t.equal(photos.extensions, '')
    for (const one of [client, plain, ...listeners, photos]) one.close()
  },

  // The table has all options that there are, their defaults, and the numbers they may be.
  async 'compression options' (t, { text }) {
    const rows = cellsOf(text).map(([option, fallback, meaning]) => ({ name: option!.replaceAll('`', ''), fallback: JSON.parse(fallback!.replaceAll('`', '')), meaning: meaning! }))
    const { perMessageDeflate } = resolvePluginOptions({ perMessageDeflate: true }).route
    t.strictSame(Object.fromEntries(rows.map(({ name, fallback }) => [name, fallback])), { ...perMessageDeflate })
    t.strictSame(rows.map(({ name }) => name).sort(), (await namesOf(unknown => ({ perMessageDeflate: unknown }))).sort())
    for (const { name, fallback, meaning } of rows) {
      if (typeof fallback !== 'number') continue
      const [, min, max] = /^(\d+)(?:–(\d+)| or more):?/.exec(meaning)!
      const resolve = (value: number): unknown => resolvePluginOptions({ perMessageDeflate: { [name]: value } as PerMessageDeflateOptions })
      resolve(Number(min))
      t.throws(() => resolve(Number(min) - 1), `${name} from ${min}`)
      resolve(Number(max ?? Number.MAX_SAFE_INTEGER))
      if (max !== undefined) t.throws(() => resolve(Number(max) + 1), `${name} up to ${max}`)
    }
  }
})
